"""Brokers that are known by name: names that move, and a name server that is silent."""
import time

import pytest

from net_load import Load, check_all_serve
from stack import slow, wait_until

pytest_plugins = ["net_labs"]
pytestmark = pytest.mark.long


def test_names(new_lab):
    lab = new_lab(env={"WORKER_RUNNER": "echo"}, named=True)
    with Load(lab) as load:
        load.go_on(20)
        # The broker moves; its old host is as if it had never been.
        lab.kill("broker-1")
        lab.net.cut_off("broker-1")
        lab.start("broker-3")
        lab.write_names({"broker-1.test": "broker-3", "broker-2.test": "broker-2"})
        wait_until(lambda: lab.log("broker-3").count("peer_joined") >= 8, 20, "all have found it")
        load.go_on(20)
    load.judge()
    # Its name is gone, and who is asked for it is silent: that is nothing to the other broker.
    lab.net.cut_off("nameserver")
    lab.kill("broker-3")
    lab.write_names({"broker-2.test": "broker-2"})
    with Load(lab) as load:
        load.go_on(20)
        load.worst = 0
        end = time.monotonic() + 12
        while time.monotonic() < end:
            load.go_on(20)
        assert load.worst < 2 * slow(), load.summary()
        assert not load.retries, load.summary()
    load.judge()
    lab.net.heal()
    lab.start("broker-1")
    lab.write_names({f"{name}.test": name for name in lab.names("broker")})
    check_all_serve(lab)
