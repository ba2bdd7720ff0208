"""Laboratories that files share. A file that uses them says pytest_plugins = ["net_labs"]. Tests
leave them whole."""
import functools

import pytest

import net_spaces
from net_acts import ActingLab
from net_lab import Lab

@functools.lru_cache(maxsize=None)
def why_not():
    return net_spaces.why_not()


def need_spaces():
    if why_not():
        pytest.skip(why_not())


@pytest.fixture(scope="session", name="linked_lab")
def _linked_lab():
    """The bus alone (echo), two of everything; the second gateway, jobs replica and worker reach
    the brokers through Links."""
    need_spaces()
    one = Lab(env={"WORKER_RUNNER": "echo"}, linked=("gateway-2", "jobs-2", "worker-2"))
    yield one
    one.close()


@pytest.fixture(scope="session", name="acting_lab")
def _acting_lab():
    """Agents with the tool that leaves a trace."""
    need_spaces()
    one = ActingLab()
    yield one
    one.close()


@pytest.fixture(name="new_lab")
def _new_lab():
    """Factory of labs to break."""
    need_spaces()
    made = []

    def make(**kwargs):
        made.append(Lab(**kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()
