"""Design guarantee 5: cancel stops a running job within a second, its model call and its tool
processes included; each run here is blocked in one of them."""
import pytest

from cancels import cancel_stack, measure, percentile
from client import children_of
from stack import slow, wait_until


@pytest.fixture(scope="module")
def blocked_stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cancel")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o011)
    one = cancel_stack(folder)
    yield one
    one.close()


def check(stack, kind, count):
    idle = children_of(stack.pid("worker-1"))
    took = measure(stack, kind, count, at_once=20)
    print(f"cancel_{kind}: {len(took)} p50_ms: {percentile(took, 0.5) * 1000:.1f}"
          f" p99_ms: {percentile(took, 0.99) * 1000:.1f} max_ms: {max(took) * 1000:.1f}")
    assert len(took) == count
    assert percentile(took, 0.99) < slow(), sorted(took)[-5:]
    wait_until(lambda: children_of(stack.pid("worker-1")) <= idle, 5, "nothing is left")


@pytest.mark.parametrize("kind", ["model", "tool"])
def test_cancel(blocked_stack, kind):
    check(blocked_stack, kind, 20)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["model", "tool"])
def test_cancel_two_hundred(blocked_stack, kind):
    check(blocked_stack, kind, 200)
