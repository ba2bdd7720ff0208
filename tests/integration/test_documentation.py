"""The documentation as a whole: each page is listed at the entrance, each link leads somewhere."""
import re
import subprocess

from stack import ROOT

FENCE = re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.M | re.S)
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.S)
LINK = re.compile(r"(!?)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
PARTS = ("Tutorial", "How-to guides", "Reference", "Explanation")


def pages():
    """All Markdown of the project, as git knows it or would."""
    done = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT,
                          check=False, capture_output=True, text=True)
    names = done.stdout.splitlines()
    if done.returncode != 0:  # unpacked, without a repository
        names = [file.relative_to(ROOT) for file in ROOT.rglob("*.md")
                 if not {"build", "node_modules"} & set(file.relative_to(ROOT).parts)]
    return [ROOT / name for name in sorted(names) if (ROOT / name).exists()]


def prose(text):
    return CODE.sub("", FENCE.sub("", text))


def links(text):
    return [target for _, target in LINK.findall(prose(text))]


def anchors(text):
    """Of its headings, as GitHub makes them, and those that it names itself."""
    found = []
    for heading in re.findall(r"^#{1,6} +(.*?)(?: +#+)? *$", FENCE.sub("", text), re.M):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.append(anchor if anchor not in found else f"{anchor}-{found.count(anchor)}")
    return {*found, *re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text)}


def broken(page, text):
    """Links of a page that lead nowhere."""
    for target in links(text):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or not file.is_relative_to(ROOT):
            yield f"{page.relative_to(ROOT)}: {target}: there is no such file"
        elif anchor and file.suffix == ".md" \
                and anchor not in anchors(text if file == page else file.read_text()):
            yield f"{page.relative_to(ROOT)}: {target}: there is no such heading"


def test_every_link_leads_somewhere():
    found = pages()
    assert len(found) > 60
    assert [problem for page in found for problem in broken(page, page.read_text())] == []


def test_a_link_to_nowhere_is_found():
    here = ROOT / "README.md"
    text = "[a](docs/none.md) [b](#none) [c](#x-y) [d](docs/keys.md#none)\n## `X` y!\n"
    assert [problem.split(": ")[1] for problem in broken(here, text)] \
        == ["docs/none.md", "#none", "docs/keys.md#none"]
    text = "`[a](b)` ```[c](d)``` [e `f](g)` [![h](i)](j)\n```\n[k](l)\n```\n[m](n)"
    assert links(text)[-1] == "n"


def test_every_page_is_listed_once():
    text = (ROOT / "docs/README.md").read_text()
    parts = dict(zip(*[iter(re.split(r"^## (.*)$", text, flags=re.M)[1:])] * 2))
    assert tuple(parts) == PARTS
    for name, part in parts.items():
        for row in re.findall(r"^[-|].*\]\(.*$", part, re.M):
            assert len(LINK.sub("", row).strip("-|: ,")) > 20, f"{name}: no sentence: {row}"
    listed = [target for part in parts.values()
              for target in re.findall(r"^(?:- |\| )\[[^\]]*\]\(([^)#]+)\)", part, re.M)]
    assert sorted(listed) == sorted(set(listed))
    docs = ROOT / "docs"
    wanted = {page.name for page in docs.glob("*.md")} - {"README.md"} \
        | {f"{page.parent.name}/README.md" for page in docs.glob("*/README.md")}
    assert wanted - set(listed) == set()
    assert "docs/README.md" in links((ROOT / "README.md").read_text())


def test_what_lies_in_folders_is_listed_there():
    for folder in ("decisions", "reference"):
        here = ROOT / "docs" / folder
        listed = links((here / "README.md").read_text())
        assert {page.name for page in here.glob("*.md")} - {"README.md"} - set(listed) == set()


def test_every_picture_is_shown():
    """And is small enough to be kept here."""
    shown = {(page.parent / target).resolve() for page in pages()
             for target in links(page.read_text()) if target.endswith(".png")}
    pictures = set((ROOT / "docs/screenshots").glob("*.png"))
    assert pictures and pictures <= shown
    assert [file.name for file in pictures if file.stat().st_size > 150 * 1024] == []
