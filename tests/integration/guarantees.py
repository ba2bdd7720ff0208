"""What the tests of the guarantees share."""
import contextlib
import pathlib
import subprocess


def stop_service(stack, service):
    """Ends it in an orderly way, without a successor."""
    paths = [str(stack.run / "sv" / name) for name in stack.pids(service)]
    subprocess.run(["sv", "-w", "20", "force-stop", *paths], check=True, capture_output=True)


def start_service(stack, service):
    paths = [str(stack.run / "sv" / name) for name in stack.pids(service)]
    subprocess.run(["sv", "start", *paths], check=True, capture_output=True)


def end_lease(stack, worker):
    """As if it had not been renewed in time. (A second is added to the lease.)"""
    stack.sql("UPDATE worker_sessions SET lease_until = now() - interval '2 seconds'"
              " WHERE session = %s", worker.session)


def living(pids):
    """Those of them that can still act: no zombies."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            text = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace")
            if text.rpartition(")")[2].split()[0] not in "ZX":
                found.add(pid)
    return found
