"""libmcpbus as others get it: installed below a prefix, and programs built against that with each
compiler, by pkg-config and by CMake, shared and static."""
import os
import re
import subprocess

import pytest

from own_bus import EXAMPLES, Bus, compile_example, install

pytestmark = pytest.mark.once

OSLO = '{"city": "Oslo"}'


def output(*args, **env):
    done = subprocess.run([str(arg) for arg in args], capture_output=True, text=True, check=False,
                          env={**os.environ, **env})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prefix")
    install(folder)
    return folder


@pytest.fixture(scope="module")
def bus(tmp_path_factory):
    one = Bus(tmp_path_factory.mktemp("bus"), 1)
    yield one
    one.close()


def works(bus, folder):
    """A service and a client of that build, on a bus with keys."""
    service = bus.serve([folder / "weather"])
    done = bus.run(folder / "client", "many", "weather.now", OSLO, "100")
    assert done.stdout == "100 of 100\n", done.stderr
    assert service.end() == 0


@pytest.mark.parametrize("static", (False, True), ids=("shared", "static"))
@pytest.mark.parametrize("compiler", ("gcc", "clang"))
def test_pkg_config(prefix, bus, tmp_path, compiler, static):
    for name in ("weather", "client"):
        compile_example(prefix, name, tmp_path / name, compiler, static)
    needed = output("readelf", "-d", tmp_path / "client")
    assert ("libmcpbus.so.1" in needed) != static
    works(bus, tmp_path)


@pytest.mark.parametrize("static", ("OFF", "ON"))
def test_cmake(prefix, bus, tmp_path, static):
    examples = prefix / "share/doc/libmcpbus-dev/examples"
    output("cmake", "-S", examples, "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}",
           f"-DMCPBUS_STATIC={static}")
    output("cmake", "--build", tmp_path)
    works(bus, tmp_path)


def test_its_examples_come_along(prefix):
    folder = prefix / "share/doc/libmcpbus-dev"
    for file in EXAMPLES.iterdir():
        if file.is_file():
            assert (folder / "examples" / file.name).read_text() == file.read_text()
    assert (folder / "PROTOCOL.md").exists()


def test_the_whole_may_be_moved(prefix, tmp_path):
    """Neither the package nor the .pc file knows where it was installed."""
    for file in [*prefix.glob("lib/pkgconfig/*"), *prefix.glob("lib/cmake/**/*.cmake")]:
        assert str(prefix) not in file.read_text(), file
    moved = tmp_path / "elsewhere"
    output("cp", "-r", prefix, moved)
    compile_example(moved, "client", tmp_path / "client")


def test_only_its_own_names_are_seen(prefix):
    shared = output("nm", "-D", "--defined-only", prefix / "lib/libmcpbus.so")
    names = [line.split()[-1] for line in shared.splitlines()]
    assert all(re.fullmatch(r"mcpbus_\w+@@MCPBUS_1|MCPBUS_1", name) for name in names), names
    static = output("nm", "-g", "--defined-only", prefix / "lib/libmcpbus.a")
    found = re.findall(r"^[0-9a-f]+ \w (\w+)$", static, re.M)
    assert set(found) == {name.partition("@")[0] for name in names} - {"MCPBUS_1"}
    header = (prefix / "include/mcpbus/mcpbus.h").read_text()
    assert all(f"{name}(" in header for name in found)
    declared = re.findall(r"\b(mcpbus_\w+)\([^;{]*;", re.sub(r"/\*.*?\*/", "", header, flags=re.S))
    assert set(found) == {name for name in declared if not name.endswith("_fn")}


@pytest.mark.parametrize("args", (("gcc", "-std=c11"), ("clang", "-std=c17"),
                                  ("g++", "-x", "c++", "-std=c++11")))
def test_header_alone(prefix, args):
    language = () if "-x" in args else ("-x", "c")
    output(*args, *language, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
           prefix / "include/mcpbus/mcpbus.h")


def test_manual(prefix):
    """A page, without a complaint of groff's, that knows each function; and one for each name."""
    page = prefix / "share/man/man3/mcpbus.3"
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    text = output("groff", "-man", "-Tutf8", "-P-c", "-rLL=100n", page)
    for name in ("mcpbus_open", "mcpbus_call_async", "mcpbus_stream_next", "mcpbus_reply_part", "MCPBUS_ERR_PEER_LOST"):
        assert name in text
    assert (page.parent / "mcpbus_call_async.3").read_text() == ".so man3/mcpbus.3\n"
