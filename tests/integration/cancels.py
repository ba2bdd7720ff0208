"""How long a cancel takes: from POST until no process of the run is left and the result says so."""
import concurrent.futures
import contextlib
import json
import pathlib
import time

from client import User, original_token
from guarantees import living
from stack import Stack, slow, wait_until

SERVER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "mcp_server.py"
MESSAGES = {"model": "[sandbox:slow=60] Say hello",
            "tool": 'use tool test__slow with {"seconds": 600, "steps": 1}'}


def cancel_stack(folder, **arguments):
    """Agents with one tool server, which says in its environment whose it is."""
    config = pathlib.Path(folder) / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"test": {
        "command": "/usr/bin/python3", "args": [str(SERVER)], "env": {"WHO": "${user.id}"}}}}))
    config.chmod(0o644)
    return Stack(env={"MCP_CONFIG": str(config), **arguments.pop("env", {})}, **arguments)


def servers():
    """{user id: pid} of all tool servers."""
    found = {}
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            for item in (proc / "environ").read_bytes().split(b"\0"):
                if item.startswith(b"WHO="):
                    found[item[4:].decode()] = int(proc.name)
        except OSError:
            pass
    return found


def parent_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def begin(stack, kind, count):
    """So many runs of as many users that are blocked: [(user, job id, pids)]. A run that waits for its
    model has a server for the list of its tools alone, which soon ends by itself."""
    users = [User(stack, original_token(stack)) for _ in range(count)]
    jobs = {user.id: user.run(MESSAGES[kind]) for user in users}
    found, runs = {}, {}

    def all_seen():
        for who, pid in servers().items():
            with contextlib.suppress(OSError):
                found[who], runs[who] = pid, parent_of(pid)
        return runs.keys() >= jobs.keys()
    wait_until(all_seen, 120, "each run has its server")
    if kind == "tool":
        wait_until(lambda: stack.sql(
            "SELECT count(DISTINCT job_id) FROM job_events WHERE type = 'tool_call'"
            " AND job_id = ANY(%s)", list(jobs.values()))[0][0] == count, 120, "tools are called")
    else:
        time.sleep(0.5)  # a server that has started is asked for its tools, and then the model
    return [(user, jobs[user.id], {runs[user.id], *([found[user.id]] if kind == "tool" else [])})
            for user in users]


def cancel(job):
    """Seconds."""
    user, job_id, pids = job
    assert living(pids) == pids
    begun = time.monotonic()
    answer = user.cancel(job_id)
    assert answer.status_code == 200 and answer.json()["status"] == "cancelled", answer.text
    end = begun + 30 * slow()
    while living(pids):
        assert time.monotonic() < end, "the run goes on"
        time.sleep(0.001)
    assert user.result(job_id)["status"] == "cancelled"
    return time.monotonic() - begun


def measure(stack, kind, count, at_once):
    """Seconds of each; `at_once` runs at a time, cancelled one by one, and then all together."""
    took = []
    while len(took) < count:
        jobs = begin(stack, kind, min(at_once, count - len(took)))
        half = len(jobs) // 2
        took += [cancel(job) for job in jobs[:half]]
        with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
            took += pool.map(cancel, jobs[half:])
    return took


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
