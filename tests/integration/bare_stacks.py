"""Stacks whose worker is played by the test. A file that uses them says
pytest_plugins = ["bare_stacks"]."""
import pytest

from bus_peer import Worker
from guarantees import stop_service
from stack import Stack, wait_until


@pytest.fixture(scope="session")
def bare_stack():
    """Two replicas of jobs, and no worker but those that tests play."""
    one = Stack(env={"WORKER_RUNNER": "echo", "QUEUE_LIMIT": "0"}, scale={"jobs": 2})
    stop_service(one, "worker")
    yield one
    one.close()


@pytest.fixture
def workers(bare_stack):
    """Factory of workers with an open session."""
    made = []

    def make():
        made.append(Worker(bare_stack.brokers[0], bare_stack.keys))
        wait_until(lambda: made[-1].open().status == 0, 20, "a session")
        return made[-1]

    yield make
    for one in made:
        one.call("jobs.session_close", {"session": one.session})
        one.close()
    bare_stack.sql("DELETE FROM job_queue")
