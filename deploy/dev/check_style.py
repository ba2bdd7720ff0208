#!/usr/bin/python3
"""Rules of the code that no other tool knows: who includes whom, how long a file may be."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FILE_LINES = 600
# A library has one door: the files that may include it.
DOORS = {
    r"microhttpd\.h": r"libcommon/http_server\w*\.[ch]",
    r"curl/.*": r"libcommon/http_client\w*\.[ch]",
    r"jwt\.h": r"libcommon/jwt\.c",
    r"(postgresql/)?libpq.*": r"libcommon/pg\w*\.[ch]",
    r"openssl/.*": r"libcommon/crypto\w*\.c",
    r"gmime/.*": r"services/google/mime\w*\.c",
    r"poppler.*|glib/poppler.*": r"services/files/extract_pdf\.c",
    r"seccomp\.h": r"services/files/confine\.c",
    r"zip\.h|libxml/.*": r"services/files/extract_docx\.c",
    r"uchardet.*": r"services/google/charset\.c",
    r"(pango|cairo).*": r"services/files/pdf_from_text\.c",
    r"zmq\.h|czmq\.h": r"libcommon/bus\w*\.[ch]|services/broker/\w+\.[ch]",
}
BANNED = r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|alloca|atoi|atol|atof|system|popen)\s*\("
# What would let a text of strangers become part of a page.
BANNED_IN_PAGES = r"(innerHTML|outerHTML|insertAdjacentHTML|setHTML\w*|createContextualFragment" \
    r"|DOMParser|srcdoc|document\.write|\beval\s*\(|\bnew Function\b|javascript:" \
    r"|<style\b|\sstyle\s*=\s*\"|\son[a-z]+\s*=\s*\")"
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.S)


def tracked(*patterns):
    out = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--", *patterns],
                         check=True, capture_output=True, text=True).stdout
    return [name for name in out.split("\0") if name and (ROOT / name).exists()]


def may_include(name, header):
    """Services know libcommon, libmcp, proto, services/settings.h, libmcpbus's public header and their
    own folder."""
    if header.startswith("tests/"):
        return name.startswith("tests/")
    if name.startswith("tests/"):
        return True
    part = header.split("/")
    if part[0] == "services":
        if name.startswith(("libcommon/", "libmcp/", "libmcpbus/", "proto/")):
            return False
        return len(part) == 2 or name.startswith(f"services/{part[1]}/")
    if part[0] == "libmcp":
        return name.startswith(("libmcp/", "services/worker/"))
    if part[0] == "libmcpbus":
        return name.startswith("libmcpbus/") or header == "libmcpbus/mcpbus.h"
    return part[0] in ("libcommon", "proto") or "/" not in header


def check_file(name):
    text = (ROOT / name).read_text()
    lines = text.count("\n")
    if lines > FILE_LINES and not name.startswith("tests/"):
        yield f"{name}: {lines} lines, more than {FILE_LINES}: split it by subject"
    for match in re.finditer(r"^\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", text, re.M):
        kind, header = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        if kind == '"' and not may_include(name, header):
            yield f"{name}:{line}: may not include {header}"
        for library, door in DOORS.items():
            if re.fullmatch(library, header) and not re.fullmatch(door, name) \
                    and not name.startswith("tests/"):
                yield f"{name}:{line}: only {door} may include {header}"
    for match in re.finditer(r"\b(TODO|FIXME|XXX)\b", text):
        yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()}"
    code = COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    if name.startswith("tests/"):
        return
    for match in re.finditer(BANNED, code):
        yield f"{name}:{code.count(chr(10), 0, match.start()) + 1}: {match.group(1)} is banned"
    if name.endswith(".h") and "#ifndef MCPBUS_" not in text:
        yield f"{name}: no include guard MCPBUS_…"


def check_page(name):
    text = (ROOT / name).read_text()
    if text.count("\n") > FILE_LINES:
        yield f"{name}: more than {FILE_LINES} lines: split it by subject"
    for match in re.finditer(rf"{BANNED_IN_PAGES}|\b(TODO|FIXME|XXX)\b", text):
        yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()} is banned"


def main():
    problems = [p for name in tracked("*.c", "*.h") for p in check_file(name)]
    problems += [p for name in tracked("web/*.js", "services/*/web/*.js", "services/*/web/*.html")
                 for p in check_page(name)]
    for name in tracked("dev", "*.sh"):
        lines = (ROOT / name).read_text().count("\n")
        if lines > 300:
            problems.append(f"{name}: {lines} lines, more than 300")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
