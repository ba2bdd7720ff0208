"""MCP servers from npm, as package-lock.json pins them, outside the tree, with their own Node."""
import fcntl
import functools
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
FILES = ("package.json", "package-lock.json", ".npmrc")

# What the worker configures when MCP_CONFIG is unset.
GOOGLE = {"command": "mcpbus-google", "env": {
    "GOOGLE_ACCESS_TOKEN": "${user.google_access_token}",
    "GOOGLE_REFRESH_TOKEN": "${user.google_refresh_token}",
    "GOOGLE_TOKEN_EXPIRES_AT": "${user.google_token_expires_at}",
    "GOOGLE_CLIENT_ID": "${GOOGLE_CLIENT_ID}",
    "GOOGLE_CLIENT_SECRET": "${GOOGLE_CLIENT_SECRET}",
    "SESSION_USER_ID": "${user.id}",
    "GOOGLE_AUTHORIZED_SCOPES": "${user.google_authorized_scopes}",
    "GOOGLE_API_BASE": "${GOOGLE_API_BASE}",
    "GOOGLE_TOKEN_URI": "${GOOGLE_TOKEN_URI}",
}}


def cache():
    """Where they lie: a folder that any user can read, for tool servers may run as another one."""
    base = os.environ.get("XDG_CACHE_HOME")
    if not base and os.geteuid() == 0:
        base = "/var/cache"
    base = pathlib.Path(base) if base else pathlib.Path.home() / ".cache"
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in FILES)).hexdigest()
    return base / "mcpbus" / f"npm-{digest[:16]}"


@functools.cache
def installed():
    """The folder, with everything in it: npm ci runs once for each package-lock.json."""
    folder = cache()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o755)
            for name in FILES:
                shutil.copy(HERE / name, folder)
            done = subprocess.run(["npm", "ci"], cwd=folder, capture_output=True, text=True,
                                  timeout=300, check=False, stdin=subprocess.DEVNULL)
            assert done.returncode == 0, f"npm ci: {done.stdout}{done.stderr}"
            (folder / "complete").touch()
    return folder


def node():
    machine = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
    return installed() / "node_modules" / f"node-linux-{machine}" / "bin" / "node"


def server(name, *arguments):
    """An entry of mcpServers."""
    script = installed() / "node_modules" / "@modelcontextprotocol" / name / "dist" / "index.js"
    assert script.exists()
    return {"command": str(node()), "args": [str(script), *arguments]}
