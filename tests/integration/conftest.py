"""Fixtures: `stack` and `echo` are shared by a whole session; `new_stack` makes one to break."""
import ctypes
import faulthandler
import os
import pathlib
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

pytest.register_assert_rewrite("pages")

import api_document  # noqa: E402
import webhook_receiver  # noqa: E402
from stack import Stack, slow  # noqa: E402

TEST_SECONDS = 600 if os.environ.get("MCPBUS_SOAK") == "1" else 180


@pytest.fixture(scope="session")
def stack():
    """Agent runner over the sandbox. Tests leave it as they found it, and use accounts of their
    own."""
    one = Stack(scale={"gateway": 2, "worker": 2})
    yield one
    one.close()


@pytest.fixture(scope="session")
def echo():
    """WORKER_RUNNER=echo: the bus alone, two of everything."""
    one = Stack(env={"WORKER_RUNNER": "echo", **webhook_receiver.SETTINGS}, scale=dict.fromkeys(
        ("gateway", "broker", "auth", "jobs", "worker"), 2))
    yield one
    one.close()


@pytest.fixture
def new_stack():
    """Factory: new_stack(env={…}, scale={…}, start=True), closed at the end of the test."""
    made = []

    def make(**kwargs):
        made.append(Stack(**kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(autouse=True)
def deadline():
    """No test runs for ever: one that hangs fails, with the place where it hung; one that hangs where
    Python can't reach it ends its process. Not by a signal: when files run side by side, tests may
    run in another thread than the first."""
    seconds, tester = TEST_SECONDS * slow(), ctypes.c_ulong(threading.get_ident())
    timer = threading.Timer(seconds, ctypes.pythonapi.PyThreadState_SetAsyncExc,
                            (tester, ctypes.py_object(TooLate)))
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(seconds + 60, exit=True, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()
    timer.cancel()


class TooLate(Exception):
    """The test has not ended within its time."""


@pytest.fixture(autouse=True)
def documented():
    """Whatever a gateway answered is as openapi.json says."""
    yield
    problems = api_document.take_problems()
    assert not problems, "not as openapi.json says:\n" + "\n".join(problems[:20])


@pytest.fixture(autouse=True)
def logs_of_a_failure(request):
    """The shared stacks' last log lines are shown when a test has failed."""
    yield
    report = getattr(request.node, "report_of_call", None)
    if report is None or not report.failed:
        return
    for name in ("stack", "echo", "small_stack", "npm_stack"):
        if name in request.fixturenames:
            text = request.getfixturevalue(name).log()
            print("\n".join(text.splitlines()[-60:]))


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: only with ./dev test --all or --long")
    config.addinivalue_line("markers", "once: with ./dev test --all, in the release build alone")
    config.addinivalue_line("markers", "long: only with ./dev test --long")
    config.addinivalue_line("markers", "page: in a browser, not again under the sanitizers")


def pytest_collection_modifyitems(items):
    """MCPBUS_TEST_LONG: 0, 1 (slow ones too) or 2 (long ones as well)."""
    level = int(os.environ.get("MCPBUS_TEST_LONG", "0"))
    for item in items:
        for needed, name, flag in ((1, "slow", "--all"), (2, "long", "--long")):
            if level < needed and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=f"{name}: ./dev test {flag} runs it"))
        if item.get_closest_marker("page") and slow() > 1:
            item.add_marker(pytest.mark.skip(reason="page: ./dev test runs it, unsanitized"))
        if item.get_closest_marker("once") and (level < 1 or slow() > 1):
            item.add_marker(pytest.mark.skip(reason="once: ./dev test --all runs it, unsanitized"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.report_of_call = outcome.get_result()
