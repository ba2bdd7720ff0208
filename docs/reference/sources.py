"""What the reference is made from: the settings' table and the metrics of the C sources."""
import json
import re

CALL = re.compile(r"\bmetric_(counter|gauge|histogram)(_by)?\(")
ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


def arguments(text, start):
    """Of the call whose parenthesis ends before `start`: their texts, as C has them."""
    found, depth, begin, at = [], 0, start, start
    while True:
        char = text[at]
        if char in "\"'":
            at = end_of_literal(text, at)
            continue
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth < 0:
                return found + [text[begin:at].strip()]
        elif char == "," and depth == 0:
            found.append(text[begin:at].strip())
            begin = at + 1
        at += 1


def end_of_literal(text, at):
    quote = text[at]
    at += 1
    while text[at] != quote:
        at += 2 if text[at] == "\\" else 1
    return at + 1


def literal(text):
    """The value of adjacent C string literals; None: it is something else."""
    parts = re.findall(r'"((?:[^"\\]|\\.)*)"', text)
    rest = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    if not parts or rest.strip():
        return None
    return re.sub(r"\\(.)", lambda found: ESCAPES[found[1]], "".join(parts))


def settings(root):
    """[{name, type, default, min, max, choices, help}] in the table's order."""
    text = (root / "services" / "settings.def").read_text(encoding="utf-8")
    rows = []
    for found in re.finditer(r"^SETTING\(", text, re.M):
        name, _, kind, default, low, high, choices, doc = arguments(text, found.end())
        rows.append({"name": name, "type": kind, "default": literal(default), "min": int(low),
                     "max": int(high), "choices": literal(choices), "help": literal(doc)})
    assert len(rows) > 50
    return rows


def before(text, at, pattern):
    """The last text before `at` that the pattern's group has."""
    found = None
    for found in re.finditer(pattern, text[:at], re.S):
        pass
    return found[1] if found else None


def value_of(text, at, argument):
    """A literal, or that of the variable that is named: set before, near enough to be the same."""
    value = literal(argument)
    if value is None and argument.isidentifier():
        literals = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'
        set_to = before(text, at, rf"\b{argument}(?:\[\w*\])? =\s*{literals}[;,]")
        value = literal(set_to) if set_to else None
    return value


def labels_of(text, at, argument):
    """Names of the labels in `method="GET",…`, or in the text that makes the variable."""
    names = label_names(argument)
    variable = re.match(r"\w+", argument)
    if argument == "NULL" or names or not variable:
        return names
    made = before(text, at, rf"\b{variable[0]}(?:(?:\[\w*\])* =\s|, sizeof[^;]*?)([^;]*);")
    return label_names(made or "") or label_names(text)


def label_names(text):
    return list(dict.fromkeys(re.findall(r'(\w+)=\\"', text)))


def owner(path):
    folder = path.parts[1] if path.parts[0] == "services" else path.parts[0]
    return "all services" if folder.startswith("lib") else folder


def metrics(root):
    """[{name, type, labels, help, service}], by service and name."""
    found = {}
    for path in sorted([*root.glob("libcommon/*.c"), *root.glob("services/*/*.c")]):
        if path.name == "metrics.c":
            continue
        text = path.read_text(encoding="utf-8")
        for call in CALL.finditer(text):
            parts = arguments(text, call.end())
            if call[2]:
                name, labels, doc = parts[2], [literal(parts[3])], parts[5]
            else:
                name, doc = parts[0], parts[2]
                labels = labels_of(text, call.start(), parts[1])
            name, doc = (value_of(text, call.start(), each) for each in (name, doc))
            assert name and doc, f"{path}: a metric without a literal name or help: {parts}"
            row = found.setdefault((owner(path.relative_to(root)), name), {
                "type": call[1], "help": doc, "labels": []})
            row["labels"] += [label for label in labels if label not in row["labels"]]
    assert len(found) > 20
    return [{"service": service, "name": name, **row} for (service, name), row in sorted(found.items())]


def document(root):
    return json.loads((root / "services/gateway/openapi.json").read_text(encoding="utf-8"))


def protocol(root):
    return json.loads((root / "proto" / "protocol.json").read_text(encoding="utf-8"))
