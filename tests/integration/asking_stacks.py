"""The stack of asking.py, shared. A file that uses it says pytest_plugins = ["asking_stacks"]."""
import pytest

from asking import AskingStack, Recorder


@pytest.fixture(scope="session")
def asking(tmp_path_factory):
    recorder = Recorder()
    one = AskingStack(tmp_path_factory.mktemp("asking"), recorder, scale={"jobs": 2, "worker": 2})
    yield one
    one.close()
    recorder.close()
