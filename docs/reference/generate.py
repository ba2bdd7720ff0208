#!/usr/bin/python3
"""Writes the reference in this folder from what the programs are made of. --check writes nothing and
fails when something is out of date."""
import json
import pathlib
import sys

import sources

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MADE = "<!-- Made by docs/reference/generate.py: change what it reads, not this. -->\n"
TYPES = {"STRING": "text", "SECRET": "secret text", "INT": "number", "URL": "URL", "CHOICE": "one of"}
# Answers that most operations may give, told once.
COMMON = {"BadRequest": "400", "Unauthenticated": "401", "RequestTimeout": "408", "Limited": "429",
          "Internal": "500", "Upstream": "502", "Unavailable": "503"}
BUS_TYPES = {"int": "whole number", "bool": "true or false", "array": "list"}


def cell(text):
    return " ".join(str(text).replace("|", "\\|").split())


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def page(title, *parts):
    return f"# {title}\n\n{MADE}\n" + "\n".join(part.rstrip("\n") + "\n" for part in parts)


# Settings

def setting_type(row):
    kind = TYPES[row["type"]]
    if row["type"] == "INT":
        return f"{kind}, {row['min']} to {row['max']}"
    if row["type"] == "CHOICE":
        return f"{kind} {row['choices'].replace(',', ', ')}"
    return f"{kind}, {row['min']} to {row['max']} characters" if row["max"] and row["min"] else kind


def setting_default(row):
    return f"`{row['default']}`" if row["default"] is not None else ""


def settings_page():
    rows = sources.settings(ROOT)
    used = [row for row in rows if row["type"] != "OBSOLETE"]
    obsolete = [f"`{row['name']}`" for row in rows if row["type"] == "OBSOLETE"]
    return page(
        "Settings",
        "Environment variables, or lines of a `.env` file; the environment wins. A value that is not "
        "what it should be stops a service at its start, with a line that names the variable and what it "
        "takes; an unknown name in `.env` is a warning. Secrets are never logged; each can also come from "
        "a file, whose path is in the variable NAME`_FILE` (see [secrets](../secrets.md)).\n\n"
        "`mcpbus settings` lists them, `mcpbus settings --env-example` prints a commented `.env`.",
        table(("name", "takes", "default", "what it does"),
              [(f"`{row['name']}`", setting_type(row), setting_default(row), row["help"])
               for row in used]),
        "Accepted from an environment of the original, and ignored with a line that says so: "
        + ", ".join(obsolete) + ".")


# REST

def short_type(schema):
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if "oneOf" in schema:
        return " or ".join(short_type(each) for each in schema["oneOf"])
    kinds = schema.get("type", "anything")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    return " or ".join(one_type(kind, schema) for kind in kinds)


def one_type(kind, schema):
    if kind == "array":
        inner = schema.get("items", {})
        return "list" + (f" of {short_type(inner)}" if inner else "")
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {short_type(schema['additionalProperties'])}"
    if kind == "string" and "format" in schema:
        return {"date-time": "time", "uri": "URL", "uuid": "UUID"}.get(schema["format"], "text")
    return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(kind, kind)


def limits(schema):
    said = []
    for low, high, unit in (("minimum", "maximum", ""), ("minLength", "maxLength", " characters"),
                            ("minItems", "maxItems", " items")):
        if low in schema and high in schema:
            said.append(f"{schema[low]} to {schema[high]}{unit}")
        elif high in schema:
            said.append(f"at most {schema[high]}{unit}")
        elif low in schema:
            said.append(f"at least {schema[low]}{unit}")
    if "exclusiveMinimum" in schema:
        said.append(f"above {schema['exclusiveMinimum']}")
    if "default" in schema:
        said.append(f"default {json.dumps(schema['default'])}")
    return ", ".join(said)


def described(schema, *more):
    text = "; ".join(part for part in (*more, limits(schema)) if part)
    return text


def members(schema):
    required = schema.get("required", ())
    return table(("member", "type", "always", "what it is"), [
        (f"`{name}`", short_type(each), "yes" if name in required else "",
         described(each, each.get("description", "")))
        for name, each in schema["properties"].items()])


def resolve(document, node):
    while "$ref" in node:
        kind, name = node["$ref"].split("/")[-2:]
        node = document["components"][kind][name]
    return node


def answer_row(document, status, answer):
    answer = resolve(document, answer)
    kinds = []
    for kind, content in answer.get("content", {}).items():
        schema = content.get("schema", {})
        is_json = kind == "application/json"
        kinds.append(short_type(schema) if is_json and ("$ref" in schema or "oneOf" in schema) else kind)
    headers = [f"`{name}`" for name in answer.get("headers", {}) if name != "X-Request-Id"]
    return status, answer["description"], " or ".join(kinds), ", ".join(headers)


def sentence(text):
    return text if text[-1] in ".?!" else text + "."


def is_common(answer):
    return answer.get("$ref", "").rpartition("/")[2] in COMMON


def common_answers(document):
    return table(("status", "means", "body", "headers"), [
        answer_row(document, status, {"$ref": f"#/components/responses/{name}"})
        for name, status in COMMON.items()])


def operation_text(document, method, path, operation):
    parts = [f"### {method.upper()} {path}\n\n{sentence(operation['summary'])}"
             + (f" {operation['description']}" if "description" in operation else "")]
    if operation.get("security"):
        parts[0] += "\n\nNeeds a token."
    parameters = [resolve(document, each) for each in operation.get("parameters", [])]
    if parameters:
        parts.append(table(("parameter", "in", "type", "what it is"), [
            (f"`{each['name']}`", each["in"], short_type(each["schema"]),
             described(each["schema"], each.get("description", ""))) for each in parameters]))
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        may = "" if operation["requestBody"].get("required") else ", which may be left out"
        parts.append(f"Body: {short_type(content['schema'])}{may}.")
        example = next(iter(content.get("examples", {}).values()), None)
        if example:
            parts.append(f"```json\n{json.dumps(example['value'], ensure_ascii=False)}\n```")
    answers = operation["responses"]
    parts.append(table(("status", "means", "body", "headers"), [
        answer_row(document, status, answer) for status, answer in answers.items()
        if not is_common(answer)]))
    common = [status for status, answer in answers.items() if is_common(answer)]
    if common:
        parts.append("And, as [everywhere](#answers-of-many): " + ", ".join(common) + ".")
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def rest_page():
    document = sources.document(ROOT)
    parts = [document["info"]["description"],
             "The same as a page to try things out is `/docs` of the gateway; as OpenAPI 3.1, "
             "`/openapi.json`. [Clients](../../clients/README.md) for TypeScript and Python are made "
             "from it. Every answer has `X-Request-Id`, which is left out below.",
             "## Answers of many", common_answers(document)]
    for tag in document["tags"]:
        parts.append(f"## {tag['description']}")
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if tag["name"] in operation["tags"] and tag["name"] != "removed":
                    parts.append(operation_text(document, method, path, operation))
        if tag["name"] == "removed":
            parts.append("Any `/chat` answers 410, with the hint to `/run` and `/result/{job_id}`.")
    parts.append("## Webhook\n\n" + document["webhooks"]["jobEvent"]["post"]["description"]
                 + " More in [webhooks](../webhooks.md).")
    parts.append("## Objects")
    for name, schema in document["components"]["schemas"].items():
        if name.endswith("Event") and name != "WebhookEvent" or name == "EventData":
            continue
        text = f"### {name}\n\n" + (f"{schema['description']}.\n\n" if "description" in schema else "")
        parts.append(text + (members(schema) if "properties" in schema else short_type(schema) + "."))
    return page("REST", *parts)


# Events

def events_page():
    document = sources.document(ROOT)
    schemas = document["components"]["schemas"]
    stream = document["paths"]["/jobs/{job_id}/events"]["get"]["responses"]["200"]["content"]
    example = stream["text/event-stream"]["examples"]["stream"]["value"].rstrip("\n")
    parts = [
        "`GET /jobs/{job_id}/events` gives a job's events as they happen, as server-sent events: "
        "numbered from 1 without gaps, each one's data a JSON object. The last is the job's one "
        "`status` of completed, failed or cancelled; then the stream ends. Who has lost the connection "
        "sends `Last-Event-ID` with the number of the last event that came, and goes on behind it; 204 "
        "says that there is nothing more. With `?partial=true` there are `partial` events as well, which have "
        "no number and don't come again. `: ping` comes every 15 seconds. Later versions may have more types "
        "and members: leave out what you don't know.",
        f"```\n{example}\n```"]
    for kind, reference in schemas["EventData"]["properties"].items():
        name = reference["$ref"].rpartition("/")[2]
        text = schemas[name]["description"].partition(". ")[2]
        parts.append(f"## {kind}\n\n{text}.\n\n{members(schemas[name])}".replace(
            "](#", "](rest.md#"))
    return page("Events of a job", *parts)


# The bus

def bus_type(text):
    kind, _, most = text.partition(":")
    name = kind.rstrip("!?")
    said = BUS_TYPES.get(name, {"string": "text"}.get(name, name))
    said += f" of at most {most} bytes" if most else ""
    return said + (", or null" if kind.endswith("?") else "" if kind.endswith("!") else ", may be missing")


def bus_members(title, described_types):
    if not described_types:
        return ""
    return f"{title}: " + "; ".join(f"`{name}` {bus_type(kind)}"
                                    for name, kind in described_types.items()) + ".\n"


def bus_page():
    spec = sources.protocol(ROOT)
    parts = [
        "Requests between the services, and of your own programs: `SERVICE.METHOD`, or "
        "`SERVICE@INSTANCE.METHOD` for one replica. How they travel is in "
        "[the protocol](../../proto/PROTOCOL.md), how your program takes part in "
        "[own services](../own-service.md). `mcpbus call SERVICE.METHOD '{…}'` calls one.",
        table(("role of a key", "is"), [(f"`{name}`", text) for name, _, text in spec["roles"]])]
    for service in sorted({name.partition(".")[0] for name in spec["methods"]}):
        parts.append(f"## {service}")
        for name, method in spec["methods"].items():
            if name.startswith(service + "."):
                parts.append(
                    f"### {name}\n\n{method['doc']}\n\n"
                    + bus_members("Arguments", method["args"])
                    + ("\n" if method["args"] and method["result"] else "")
                    + bus_members("Answer", method["result"])
                    + "\nCallers: " + ", ".join(method["callers"]) + ". "
                    + ("May be repeated." if method["idempotent"] else "May not be repeated blindly."))
    return page("Methods of the bus", *parts)


# Metrics

def metrics_page():
    rows = sources.metrics(ROOT)
    services = sorted({row["service"] for row in rows}, key=lambda name: (name != "all services", name))
    parts = ["In Prometheus' text form, at `/metrics` of the gateway and the monitor, and of every "
             "service at its `HEALTH_PORT`. Histograms have `_bucket`, `_sum` and `_count`, in seconds. "
             "No label holds anything that comes from outside."]
    for service in services:
        parts.append(f"## {service[0].upper() + service[1:]}")
        parts.append(table(("name", "type", "labels", "what it is"), [
            (f"`{row['name']}`", row["type"], ", ".join(f"`{label}`" for label in row["labels"]),
             row["help"].rstrip(".")) for row in rows if row["service"] == service]))
    return page("Metrics", *parts)


# The command line

def cli_page():
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    made = text.partition("<!-- begin commands -->\n")[2].partition("<!-- end commands -->")[0]
    assert made
    return page("Commands of mcpbus",
                "What they are for is told in [the command line](../cli.md); `man mcpbus` and "
                "`mcpbus help COMMAND` have the same as here.",
                made)


PAGES = {"settings": settings_page, "rest": rest_page, "events": events_page, "bus": bus_page,
         "metrics": metrics_page, "cli": cli_page}


def main():
    made = {HERE / f"{name}.md": make() for name, make in PAGES.items()}
    stale = [path for path, text in made.items()
             if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if sys.argv[1:] == ["--check"]:
            print(f"{path.relative_to(ROOT)} is out of date: run docs/reference/generate.py",
                  file=sys.stderr)
        else:
            path.write_text(made[path], encoding="utf-8")
    return 1 if sys.argv[1:] == ["--check"] and stale else 0


if __name__ == "__main__":
    sys.exit(main())
