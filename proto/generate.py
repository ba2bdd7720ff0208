#!/usr/bin/python3
"""Makes what is derived from protocol.json: the codec's tables (tables.h, tables.inc), the tables of
PROTOCOL.md and the fuzzer's dictionary. With --check it changes nothing and fails on a difference."""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
BANNER = "/* Made from protocol.json by generate.py; do not edit. */\n"
FIELD = re.compile(r"^(string|int|bool|object|array)([!?]?)(?::(\d+))?$")


def header_offsets(spec):
    offset = 0
    for name, size, doc in spec["header"]:
        yield name, offset, size, doc
        offset += size
    assert offset == spec["limits"]["HEADER_BYTES"]


def tables_h(spec):
    out = [BANNER, "#ifndef MCPBUS_PROTO_TABLES_H\n#define MCPBUS_PROTO_TABLES_H\n\nenum {\n"]
    out.append(f"    PROTO_VERSION = {spec['version']},\n")
    out += [f"    PROTO_{name} = {value},\n" for name, value in spec["limits"].items()]
    out += [f"    PROTO_AT_{name.upper()} = {at},\n" for name, at, _, _ in header_offsets(spec)]
    out.append("};\n\nenum proto_flag {\n")
    out += [f"    PROTO_FLAG_{name} = {bit},\n" for name, bit in spec["flags"]]
    out.append("};\n\nenum proto_type {\n")
    out += [f"    PROTO_{name} = {number},\n" for name, number, _, _ in spec["types"]]
    out.append(f"    PROTO_TYPE_LAST = {len(spec['types'])},\n}};\n\nenum proto_role {{\n")
    out += [f"    PROTO_ROLE_{name.upper()},\n" for name, _, _ in spec["roles"]]
    out.append("    PROTO_ROLE_COUNT,\n};\n\n#endif\n")
    return "".join(out)


def c_fields(fields):
    rows = []
    for name, text in fields.items():
        kind, need, limit = FIELD.match(text).groups()
        required = "true" if need == "!" else "false"
        nullable = "true" if need == "?" else "false"
        rows.append(f'{{"{name}", PROTO_FIELD_{kind.upper()}, {required}, {nullable}, {limit or 0}}}')
    return "{" + ", ".join(rows + ["{NULL, PROTO_FIELD_INT, false, false, 0}"]) + "}"


def tables_inc(spec):
    out = [BANNER, "/* clang-format off */\n"]
    for name, m in sorted(spec["methods"].items()):
        ident = name.replace(".", "_")
        out.append(f"static const struct proto_field {ident}_args[] = {c_fields(m['args'])};\n")
        out.append(f"static const struct proto_field {ident}_result[] = {c_fields(m['result'])};\n")
    out.append("\nstatic const struct proto_role_row roles[PROTO_ROLE_COUNT] = {\n")
    out += [f'    {{"{name}", {"true" if serves else "false"}}},\n'
            for name, serves, _ in spec["roles"]]
    out.append("};\n\nstatic const struct proto_method methods[] = {\n")
    bits = {name: 1 << i for i, (name, _, _) in enumerate(spec["roles"])}
    for name, m in sorted(spec["methods"].items()):
        ident = name.replace(".", "_")
        idempotent = "true" if m["idempotent"] else "false"
        callers = sum(bits[role] for role in m["callers"])
        out.append(f'    {{"{name}", {idempotent}, {callers}, {ident}_args, {ident}_result}},\n')
    out.append("};\n")
    return "".join(out)


def doc_fields(fields):
    words = {"!": "", "?": ", or null", "": ", optional"}
    rows = []
    for name, text in fields.items():
        kind, need, limit = FIELD.match(text).groups()
        size = f" ≤ {limit} bytes" if limit else ""
        rows.append(f"`{name}` {kind}{size}{words[need]}")
    return "; ".join(rows) or "nothing"


def doc_roles(spec):
    rows = ["| role | is for | may serve | may call |", "| --- | --- | --- | --- |"]
    for name, serves, doc in spec["roles"]:
        may = [method for method, m in sorted(spec["methods"].items()) if name in m["callers"]]
        calls = "everything" if name == "admin" else ", ".join(may) or "nothing"
        rows.append(f"| {name} | {doc} | {name if serves else '–'} | {calls} |")
    return rows


def doc_tables(spec):
    out = {}
    rows = ["| offset | bytes | field | meaning |", "| --- | --- | --- | --- |"]
    rows += [f"| {at} | {size} | {name} | {doc} |" for name, at, size, doc in header_offsets(spec)]
    out["header"] = rows
    rows = ["| type | number | direction | meaning |", "| --- | --- | --- | --- |"]
    rows += [f"| {n} | {i} | {way} | {doc} |" for n, i, way, doc in spec["types"]]
    out["types"] = rows
    rows = ["| limit | value |", "| --- | --- |"]
    rows += [f"| {n} | {v:,} |" for n, v in spec["limits"].items()]
    out["limits"] = rows
    errors = (HERE.parent / "libcommon" / "err.def").read_text()
    rows = ["| status | number | group | meaning |", "| --- | --- | --- | --- |"]
    for name, wire, group, text in re.findall(
        r'ERR\((\w+), (\d+), (\w+), \d+,\s*"([^"]*)"\)', errors
    ):
        rows.append(f"| {name} | {wire} | {group.lower().replace('_', ' ')} | {text} |")
    out["statuses"] = rows
    out["roles"] = doc_roles(spec)
    rows = []
    for name, m in sorted(spec["methods"].items()):
        again = "may be repeated" if m["idempotent"] else "is not repeated"
        rows += [
            f"### {name}",
            "",
            m["doc"],
            "",
            f"Takes {doc_fields(m['args'])}.  ",
            f"Gives {doc_fields(m['result'])}.  ",
            f"Called by: {', '.join(m['callers'])}; {again}.",
            "",
        ]
    out["methods"] = rows[:-1]
    return out


def protocol_md(spec, text):
    for key, rows in doc_tables(spec).items():
        body = "\n".join(rows)
        pattern = rf"(<!-- begin {key} -->\n).*?(<!-- end {key} -->)"
        text, count = re.subn(pattern, lambda m, b=body: f"{m[1]}{b}\n{m[2]}", text, flags=re.S)
        assert count == 1, key
    return text


def fuzz_dictionary(spec):
    words = ["MCB\\x01"] + sorted(spec["methods"]) + ["service", "methods", "version"]
    return "".join(f'"{word}"\n' for word in words)


def main():
    spec = json.loads((HERE / "protocol.json").read_text())
    doc = HERE / "PROTOCOL.md"
    files = {
        HERE / "tables.h": tables_h(spec),
        HERE / "tables.inc": tables_inc(spec),
        doc: protocol_md(spec, doc.read_text()),
        HERE.parent / "tests" / "fuzz" / "bus.dict": fuzz_dictionary(spec),
    }
    stale = [p for p, text in files.items() if not p.exists() or p.read_text() != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.name} differs from protocol.json: run proto/generate.py", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(files[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
