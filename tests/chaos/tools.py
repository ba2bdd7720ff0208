"""The tools of the agents' runs: mcpbus-google, and a server whose acting leaves a trace, the
witness of who acted when that needs neither the network nor the database."""
import json
import pathlib
import shutil

from system import npm_servers

HERE = pathlib.Path(__file__).resolve().parent


def lay_out(folder):
    """Makes the server, its trace and the configuration, where another user may read them; the
    configuration's path."""
    folder.mkdir()
    folder.chmod(0o755)
    server = shutil.copy(HERE / "acting_server.py", folder / "acting_server.py")
    pathlib.Path(server).chmod(0o755)
    (folder / "trace").touch()
    (folder / "trace").chmod(0o666)
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {
        "google": npm_servers.GOOGLE,
        "acting": {"command": str(server), "env": {"TRACE": str(folder / "trace")}}}}))
    config.chmod(0o644)
    return str(config)


def acts(folder):
    """{tag: [[process, first beat, last beat], …]}"""
    found = {}
    for line in (folder / "trace").read_text().splitlines():
        tag, process, at = line.split()
        span = found.setdefault(tag, {}).setdefault(process, [process, float(at), float(at)])
        span[2] = float(at)
    return {tag: sorted(spans.values(), key=lambda one: one[1]) for tag, spans in found.items()}
