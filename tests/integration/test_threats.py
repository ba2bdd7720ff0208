"""THREATS.md and what it leads to name tests and fuzz targets: they exist, and none is left out."""
import re

import pytest

from stack import ROOT

PAGES = ("THREATS.md", "docs/audit.md", "docs/secrets.md", "docs/fuzzing.md")
TESTS = ROOT / "tests"


def exists(name):
    if name.startswith("fuzz_"):
        return (TESTS / "fuzz" / f"{name}.c").is_file()
    return (TESTS / ("integration" if name.endswith(".py") else "unit") / name).is_file()


@pytest.mark.parametrize("page", PAGES)
def test_what_is_named_exists(page):
    names = set(re.findall(r"`(test_\w+\.(?:py|c)|fuzz_[a-z]\w*)`", (ROOT / page).read_text()))
    assert names
    assert [name for name in sorted(names) if not exists(name)] == []


def test_every_fuzz_target_is_listed():
    text = (ROOT / "docs/fuzzing.md").read_text()
    targets = {file.stem for file in (TESTS / "fuzz").glob("fuzz_*.c")}
    assert {name for name in targets if f"`{name}`" not in text} == set()
