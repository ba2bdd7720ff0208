#!/usr/bin/python3
"""Writes what the clients have from services/gateway/openapi.json: their version, Python's types and,
with --typescript, TypeScript's (by openapi-typescript, as the tests' package-lock.json pins it).
--check writes nothing and fails when something is out of date."""
import argparse
import json
import keyword
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLIENTS = ROOT / "clients"
DOCUMENT = ROOT / "services" / "gateway" / "openapi.json"
HEAD = '''"""Made by clients/generate.py from the gateway's OpenAPI document."""
from __future__ import annotations

from typing import Any, Dict, List, Literal, TypedDict, Union
'''
SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


class Types:
    """The schemas as TypedDicts: what is optional is in a class of its own, for Python before 3.11."""

    def __init__(self, schemas):
        self.schemas = schemas
        self.classes = {}
        self.aliases = {}
        for name, schema in schemas.items():
            if self.is_class(schema):
                self.add(name, schema)
            else:
                self.aliases[name] = self.type_of(schema, name)

    @staticmethod
    def is_class(schema):
        return schema.get("type") == "object" and bool(schema.get("properties"))

    def add(self, name, schema):
        self.classes[name] = None  # keeps its place before those inside of it
        members = {key: (self.type_of(value, name + key.title().replace("_", "")),
                         key in schema.get("required", ()), value.get("description", ""))
                   for key, value in schema["properties"].items()}
        assert all(key.isidentifier() and not keyword.iskeyword(key) for key in members), name
        self.classes[name] = (schema.get("description", ""), members)
        return name

    def type_of(self, schema, name):
        if "$ref" in schema:
            return schema["$ref"].rpartition("/")[2]
        if "const" in schema or "enum" in schema:
            values = schema.get("enum") or [schema["const"]]
            return "Literal[" + ", ".join(json.dumps(value) for value in values) + "]"
        if "oneOf" in schema:
            return self.union(self.type_of(each, name) for each in schema["oneOf"])
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return self.union(self.type_of({**schema, "type": kind}, name) for kind in kinds)
        if kinds == "array":
            return f"List[{self.type_of(schema.get('items', {}), name + 'Item')}]"
        if kinds == "object":
            return self.object_of(schema, name)
        return SIMPLE.get(kinds, "Any")

    def object_of(self, schema, name):
        if self.is_class(schema):
            return self.add(name, schema)
        more = schema.get("additionalProperties")
        return f"Dict[str, {self.type_of(more, name + 'Value') if isinstance(more, dict) else 'Any'}]"

    @staticmethod
    def union(types):
        types = list(dict.fromkeys(types))
        return types[0] if len(types) == 1 else f"Union[{', '.join(types)}]"

    def text(self):
        parts = [HEAD]
        for name, value in self.aliases.items():
            parts.append(f"\n{name} = {value}\n")
        for name, (doc, members) in self.classes.items():
            parts.append(self.class_text(name, doc, members))
        return "".join(parts)

    def class_text(self, name, doc, members):
        required = {key: member for key, member in members.items() if member[1]}
        optional = {key: member for key, member in members.items() if not member[1]}
        lines = []
        base = "TypedDict"
        if required and optional:
            lines += ["", "", f"class _{name}Always(TypedDict):", *fields(required)]
            base = f"_{name}Always"
        total = ", total=False" if optional else ""
        lines += ["", "", f"class {name}({base}{total}):"]
        if doc:
            lines.append(f'    """{doc}"""')
        lines += fields(optional or required)
        return "\n".join(lines) + "\n"


def fields(members):
    lines = []
    for key, (kind, _, doc) in members.items():
        lines += [f"    #: {doc}"] if doc else []
        lines.append(f"    {key}: {kind}")
    return lines


def typescript():
    sys.path.insert(0, str(ROOT / "tests" / "integration"))
    import npm_servers  # pylint: disable=import-outside-toplevel
    program = npm_servers.installed() / "node_modules" / "openapi-typescript" / "bin" / "cli.js"
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder) / "schema.ts"
        subprocess.run([npm_servers.node(), program, DOCUMENT, "-o", made], check=True,
                       stdout=subprocess.DEVNULL)
        return made.read_text(encoding="utf-8")


def with_version(path, version):
    """Its text, with the version in the one place where it stands at the beginning of a line."""
    text, count = re.subn(r'^( *"?version"? ?[:=] ?")[^"]+(")', rf"\g<1>{version}\g<2>",
                          path.read_text(encoding="utf-8"), count=1, flags=re.M)
    assert count == 1, path
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--typescript", action="store_true")
    options = parser.parse_args()
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    version = document["info"]["version"]
    made = {CLIENTS / "python/mcpbus_client/types.py":
            Types(document["components"]["schemas"]).text()}
    for name in ("python/pyproject.toml", "typescript/package.json"):
        made[CLIENTS / name] = with_version(CLIENTS / name, version)
    if options.typescript:
        made[CLIENTS / "typescript/src/schema.ts"] = typescript()
    stale = [path for path, text in made.items()
             if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if options.check:
            print(f"{path.relative_to(ROOT)} is out of date: run clients/generate.py --typescript",
                  file=sys.stderr)
        else:
            path.write_text(made[path], encoding="utf-8")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
