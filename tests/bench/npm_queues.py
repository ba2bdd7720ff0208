"""The quickest queues of npm, in process and without HTTP: no-op jobs in queue.mjs."""
import os
import pathlib
import subprocess
import sys
import tempfile

import processes
from peer import redis_command

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
import npm_servers  # noqa: E402

SCRIPT = pathlib.Path(__file__).resolve().parent / "npm" / "queue.mjs"
# name, module, Redis' fsync, jobs, jobs one by one
QUEUES = (("graphile-worker", "graphile-worker", None, 10000, 200),
          ("pg-boss", "pg-boss", None, 10000, 16),
          ("bullmq", "bullmq", "everysec", 20000, 500),
          ("bullmq-fsync", "bullmq", "always", 20000, 500))


def folder():
    """Installed once for each package-lock.json, outside the tree, as the tests' MCP servers are."""
    npm_servers.HERE = SCRIPT.parent
    installed = npm_servers.installed()
    # Modules are looked for from the script's own folder on.
    (installed / SCRIPT.name).write_text(SCRIPT.read_text())
    return installed


def measure(queue, make_database):
    """{figure: value} of one of QUEUES."""
    _, module, fsync, jobs, lone = queue
    home = folder()
    env = {**os.environ, "NODE_ENV": "production"}
    data = pathlib.Path(tempfile.mkdtemp(prefix="redis-", dir=os.environ["MCPBUS_TEST_DIR"]))
    group = processes.Group(data)
    try:
        if fsync:
            port = processes.free_port()
            env["REDIS_PORT"] = str(port)
            group.start("redis", redis_command(port, data, fsync))
        else:
            env["DATABASE_URL"] = make_database()
        done = subprocess.run([str(npm_servers.node()), str(home / SCRIPT.name), module, str(jobs),
                               str(lone)], env=env, capture_output=True, text=True, timeout=180,
                              check=False, stdin=subprocess.DEVNULL)
    finally:
        group.stop()
    if done.returncode != 0:
        raise RuntimeError(f"{module}: {done.stdout}{done.stderr}")
    return dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
