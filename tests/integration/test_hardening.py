"""What the linker and the compiler were asked for is in every program and in libmcpbus
(CMakeLists.txt; THREATS.md)."""
import os
import pathlib
import platform
import subprocess

import pytest

from stack import ROOT, slow

BIN = pathlib.Path(os.environ.get("MCPBUS_BIN", ROOT / "build" / "bin"))
LIBRARIES = sorted({path.resolve() for path in BIN.parent.glob("libmcpbus/libmcpbus.so*")})
PROGRAMS = sorted(path for path in BIN.glob("mcpbus*") if path.is_file())

pytestmark = pytest.mark.skipif(slow() > 1, reason="sanitizers need other flags")


def readelf(option, path):
    return subprocess.run(["readelf", "-W", option, path], check=True, capture_output=True,
                          text=True, env={**os.environ, "LC_ALL": "C"}).stdout


def segments(path):
    """[(type, flags)], such as ("LOAD", "RE")."""
    found = []
    for line in readelf("-l", path).splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[1].startswith("0x"):
            found.append((fields[0], "".join(fields[6:-1])))
    return found


def weaknesses(path):
    dynamic, symbols = readelf("-d", path), readelf("--dyn-syms", path)
    parts = segments(path)
    program = path.parent == BIN
    checks = {
        "PIE": not program or ("(FLAGS_1)" in dynamic and "PIE" in dynamic),
        "BIND_NOW": "BIND_NOW" in dynamic or "NOW" in dynamic,
        "RELRO": "GNU_RELRO" in dict(parts),
        "stack not executable": dict(parts).get("GNU_STACK") == "RW",
        "nothing writable and executable": not [p for p in parts if "W" in p[1] and "E" in p[1]],
        "code apart from data": not [p for p in parts if p[0] == "LOAD" and p[1] == "RE"] or
                                [p for p in parts if p[0] == "LOAD"][0][1] == "R",
        "no TEXTREL": "TEXTREL" not in dynamic,
        "no search path": "RPATH" not in dynamic and "RUNPATH" not in dynamic,
        "stack protector": "__stack_chk_fail" in symbols,
        "fortified": "_chk@" in symbols.replace("__stack_chk", ""),
    }
    # The property that turns it on is the linker's to set, and Debian's crt1.o has none; the
    # landing pads are ours.
    if platform.machine() == "x86_64":
        checks["landing pads"] = path.read_bytes().count(b"\xf3\x0f\x1e\xfa") > 20
    return [name for name, good in checks.items() if not good]


def test_every_program_is_there():
    assert {"mcpbus", "mcpbus-gateway", "mcpbus-broker", "mcpbus-auth", "mcpbus-jobs",
            "mcpbus-worker", "mcpbus-google", "mcpbus-files"} <= {p.name for p in PROGRAMS}


@pytest.mark.parametrize("path", [*PROGRAMS, *LIBRARIES], ids=lambda path: path.name)
def test_is_hardened(path):
    assert weaknesses(path) == []


def test_a_soft_program_is_found(tmp_path):
    """The test itself: without the flags each check fails."""
    source = tmp_path / "soft.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-no-pie", "-fcf-protection=none", "-z", "lazy", "-z", "norelro",
                    "-z", "execstack", "-z", "noseparate-code", "-Wl,-rpath,/tmp",
                    source, "-o", tmp_path / "soft"], check=True)
    found = weaknesses(tmp_path / "soft")
    assert {"BIND_NOW", "RELRO", "stack not executable", "code apart from data", "no search path",
            "stack protector", "fortified"} <= set(found)


def test_services_have_given_up_what_they_do_not_need(echo):
    """The worker keeps it: it makes namespaces for its runs."""
    kept = 1 << 10 | 1 << 2
    for service in ("gateway", "auth", "jobs", "broker"):
        for pid in echo.pids(service).values():
            status = dict(line.split(":\t", 1) for line in
                          pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
            assert status["NoNewPrivs"] == "1", service
            for name in ("CapPrm", "CapEff"):
                assert int(status[name], 16) & ~kept == 0, (service, name, status[name])
