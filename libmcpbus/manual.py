#!/usr/bin/python3
"""mcpbus(3) from the header: manual.py mcpbus.h VERSION FOLDER. The header's sections become the
page's, each declaration stands with the comment before it; each function gets a page that leads to
this one."""
import pathlib
import re
import sys

PROSE = re.compile(r"/\*(.*?)\*/", re.S)
HIDDEN = ("#", 'extern "C"', "}")
FUNCTION = re.compile(r"^(?:MCPBUS_MUST_CHECK )?[a-z][\w\s]*\*?\b(mcpbus_\w+)\(", re.M)


def escape(text):
    text = text.replace("\\", "\\e").replace("…", "...").replace("-", "\\-").replace("'", "\\(aq")
    return "".join(f"\\&{line}" if line.startswith((".", "'")) else line
                   for line in text.splitlines(True))


def prose(comment):
    """Paragraphs; what is indented by four stays as it is."""
    lines = [re.sub(r"^ ?\* ?", "", line.rstrip()) for line in comment.strip().splitlines()]
    out, code = [], False
    for line in lines:
        is_code = line.startswith("    ")
        if is_code != code:
            out.append(".PP\n.EX" if is_code else ".EE")
            code = is_code
        out.append(escape(line) if line.strip() else ".PP")
    if code:
        out.append(".EE")
    return "\n".join(out) + "\n"


def declaration(text):
    text = text.replace("MCPBUS_MUST_CHECK ", "")
    return f".PP\n.EX\n{escape(text.rstrip())}\n.EE\n"


def blocks(header):
    """("comment" | "code", text), in order; a comment behind code belongs to it."""
    comment, code = [], []
    for line in header.splitlines():
        if not code and (line.startswith("/*") or comment and "*/" not in comment[-1]):
            comment.append(line)
        elif line.strip():
            code.append(line)
        if (not line.strip() or code and line.startswith("}") or
                code and code[-1].endswith(";") and not code[0].endswith("{")) and \
                (not code or "{" not in code[0] or line.startswith("}")):
            if comment or code:
                yield "\n".join(comment), "\n".join(code)
            comment, code = [], []


def page(header, version):
    first = PROSE.search(header)
    code = PROSE.sub("", header)
    functions = sorted({name for name in FUNCTION.findall(code) if not name.endswith("_fn")})
    out = [f'.TH MCPBUS 3 "" "mcpbus {version}" "Library Functions Manual"\n.nh\n.ad l\n',
           ".SH NAME\nmcpbus \\- client library of the mcpbus message bus\n",
           ".SH LIBRARY\nlibmcpbus: \\fBpkg\\-config \\-\\-cflags \\-\\-libs mcpbus\\fR\n",
           ".SH SYNOPSIS\n.B #include <mcpbus/mcpbus.h>\n",
           ".SH DESCRIPTION\n", prose(first.group(1))]
    body = header[first.end():]
    for comment, code in blocks(body):
        section = re.match(r"/\* -+ ([A-Z]\w+) -+ \*/$", comment)
        if section:
            out.append(f".SH {section.group(1).upper()}\n")
        elif not code.startswith(HIDDEN) and code:
            out.append(declaration(code))
            if comment:
                out.append(prose(PROSE.match(comment).group(1)))
    out.append(".SH SEE ALSO\n.BR mcpbus (1),\ndocs/own\\-service.md, proto/PROTOCOL.md\n")
    return "".join(out), functions


def main(header, version, folder):
    text, functions = page(pathlib.Path(header).read_text(encoding="utf-8"), version)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mcpbus.3").write_text(text, encoding="utf-8")
    for name in functions:
        (folder / f"{name}.3").write_text(".so man3/mcpbus.3\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
