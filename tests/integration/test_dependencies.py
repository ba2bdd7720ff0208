"""docs/dependencies.md is what the programs really link and what is installed."""
import json
import os
import pathlib
import re
import subprocess

import pytest

from stack import ROOT, slow

BIN = pathlib.Path(os.environ.get("MCPBUS_BIN", ROOT / "build" / "bin"))
# Part of the compiler and of libc, whatever the build; sanitizers have libraries of their own.
RUNTIME = re.compile(r"ld-linux|lib(m|pthread|dl|rt|resolv|gcc_s|asan|ubsan|tsan)\.so|libmcpbus")


def tables():
    """The rows of each table, in order."""
    found = [[]]
    for line in (ROOT / "docs/dependencies.md").read_text().splitlines():
        if line.startswith("| ") and "---" not in line:
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1] and not line.startswith("|"):
            found.append([])
    return [table[1:] for table in found if table]


def linked():
    needed = set()
    for program in [*BIN.glob("mcpbus*"), *BIN.parent.glob("libmcpbus/libmcpbus.so")]:
        text = subprocess.run(["readelf", "-Wd", program], check=True, capture_output=True,
                              text=True).stdout
        needed |= set(re.findall(r"\(NEEDED\).*\[(.+)\]", text))
    return {name for name in needed if not RUNTIME.match(name)}


@pytest.mark.skipif(slow() > 1, reason="sanitizers keep what is linked and not used")
def test_libraries_are_those_that_are_linked():
    assert sorted(row[0] for row in tables()[0]) == sorted(linked())


def test_versions_are_those_installed():
    for soname, package, version, licence, _ in tables()[0]:
        installed = subprocess.run(["dpkg-query", "-W", "-f=${Version}", package], check=True,
                                   capture_output=True, text=True).stdout
        assert re.match(re.escape(version) + r"([^0-9]|$)", installed.split(":", 1)[-1]), \
            (soname, version, installed)
        assert licence


def test_pages_are_those_of_the_lock_files():
    locks = [json.loads(file.read_text()) for file in ROOT.glob("services/*/web/package-lock.json")]
    packages = {(path.removeprefix("node_modules/"), package["version"], package["license"])
                for lock in locks for path, package in lock["packages"].items() if path}
    assert {tuple(row[:3]) for row in tables()[1]} == packages


def test_what_is_built_in_is_in_the_package_s_copyright():
    text = (ROOT / "deploy/package/copyright").read_text(encoding="utf-8")
    said = {name: licence for names, licence in
            re.findall(r"^Files: (.+)\n(?:Copyright:.+\n(?: .+\n)*)License: (.+)$", text, re.M)
            for name in names.split()}
    built_in = {row[0]: row[2] for row in tables()[1] if "in no program" not in row[3]}
    assert built_in and built_in.items() <= said.items()
    texts = set(re.findall(r"^License: (.+)\n .+$", text, re.M))
    assert set(said.values()) == texts
