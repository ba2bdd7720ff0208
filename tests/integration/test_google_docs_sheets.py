"""The tools of mcpbus-google for Docs and Sheets, against the sandbox."""
import json

import pytest

from google_tools import Account, Recorder, running_sandbox

DOCS_WRITE, SHEETS_WRITE = {"docs_append", "docs_replace_text"}, {"sheets_append", "sheets_update",
                                                                  "sheets_create"}
DOCS, SHEETS = DOCS_WRITE | {"docs_read"}, SHEETS_WRITE | {"sheets_read"}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as address:
        yield address


@pytest.fixture(scope="module")
def account(base):
    return Account(base, "docs@example.com")


@pytest.fixture(scope="module")
def tools(account):
    with account.tools("documents", "spreadsheets") as one:
        yield one


def new_document(account, text):
    document = account.api("POST", "/v1/documents", json={"title": "Letter"}).json()["documentId"]
    if text:
        account.api("POST", f"/v1/documents/{document}:batchUpdate", json={"requests": [
            {"insertText": {"location": {"index": 1}, "text": text}}]}).raise_for_status()
    return document


def text_of(account, document):
    content = account.api("GET", f"/v1/documents/{document}").json()["body"]["content"]
    return "".join(element["textRun"]["content"] for part in content if "paragraph" in part
                   for element in part["paragraph"]["elements"])


@pytest.mark.parametrize("scopes, names", [
    (["documents"], DOCS), (["documents.readonly"], {"docs_read"}),
    (["spreadsheets"], SHEETS), (["spreadsheets.readonly"], {"sheets_read"}),
    (["drive"], DOCS | SHEETS), (["drive.readonly"], {"docs_read", "sheets_read"}),
    (["drive.metadata"], set()), (["calendar"], set())])
def test_listed_by_scope(account, scopes, names):
    with account.tools(*scopes) as some:
        assert {one for one in some.names() if one.split("_")[0] in ("docs", "sheets")} == names


CALLS = {
    "docs_read": {"document_id": "ID"}, "docs_append": {"document_id": "ID", "text": "x"},
    "docs_replace_text": {"document_id": "ID", "find": "x", "replace": "y"},
    "sheets_read": {"spreadsheet_id": "ID"},
    "sheets_append": {"spreadsheet_id": "ID", "range": "A1", "values": [[1]]},
    "sheets_update": {"spreadsheet_id": "ID", "range": "A1", "values": [[1]]},
    "sheets_create": {"title": "x"}}


def test_google_has_the_last_word(account):
    with account.tools("gmail.readonly", said=("drive",)) as some:
        for name, arguments in CALLS.items():
            assert "does not include it" in some.fails(name, **arguments), name


@pytest.mark.parametrize("name", [name for name in CALLS if name != "sheets_create"])
def test_no_such_file(tools, name):
    assert "Requested entity was not found" in tools.fails(name, **CALLS[name])
    key = next(iter(CALLS[name]))
    assert "not the id" in tools.fails(name, **{**CALLS[name], key: "../x"})


def test_the_wrong_kind_of_file(account, tools):
    document = new_document(account, "x")
    sheet = tools.call("sheets_create", title="Kinds")[1]["id"]
    assert "not supported" in tools.fails("docs_read", document_id=sheet)
    assert "not supported" in tools.fails("sheets_read", spreadsheet_id=document)


def test_types_are_plain(account):
    """Not every model's endpoint takes a list of types in a schema."""
    def types(value):
        if isinstance(value, dict):
            yield from [value["type"]] if "type" in value else []
            for member in value.values():
                yield from types(member)

    with account.tools("drive", "calendar") as some:
        listed = some.request("tools/list")["result"]["tools"]
    kinds = {json.dumps(kind) for tool in listed for kind in types(tool["inputSchema"])}
    assert kinds == {'"object"', '"string"', '"integer"', '"boolean"', '"array"'}


# Docs


def test_read_a_document(account, tools):
    document = new_document(account, "Dear Zoë,\n\U0001f600 thanks.")
    text, data = tools.call("docs_read", document_id=document)
    assert text == "Letter\n\nDear Zoë,\n\U0001f600 thanks.\n"
    assert data == {"id": document, "title": "Letter", "complete": True}
    link = f"https://docs.google.com/document/d/{document}/edit#heading=h.1"
    assert "Dear Zoë" in tools.call("docs_read", document_id=link)[0]
    long = new_document(account, "0123456789abcde\n" * 20000)
    text, data = tools.call("docs_read", document_id=long)
    assert "[cut here" in text and data["complete"] is False and len(text) <= 256 * 1024


def test_append(account, tools):
    document = new_document(account, "")
    text = tools.call("docs_append", document_id=document, text="first \U0001f600")[0]
    assert text == "Appended to the document: Letter\n"
    tools.call("docs_append", document_id=document, text="second\nthird")
    assert text_of(account, document) == "first \U0001f600\nsecond\nthird\n"


def test_replace(account, tools):
    document = new_document(account, "Tea, tea and tea.\n")
    text, data = tools.call("docs_replace_text", document_id=document, find="tea", replace="Ü")
    assert text == "Replaced 2 occurrences.\n" and data["occurrencesChanged"] == 2
    text, data = tools.call("docs_replace_text", document_id=document, find="TEA", replace="",
                            match_case=False)
    assert data["occurrencesChanged"] == 1
    assert text_of(account, document) == ", Ü and Ü.\n\n"
    text, data = tools.call("docs_replace_text", document_id=document, find="x.*", replace="")
    assert "does not occur" in text and data["occurrencesChanged"] == 0
    assert "must not be empty" in tools.fails("docs_replace_text", document_id=document, find="",
                                              replace="x")


def test_an_edit_in_between_is_not_overwritten(account):
    document = new_document(account, "one\n")

    def change(seen):
        if seen.path.endswith(":batchUpdate"):
            account.api("POST", seen.path, json={"requests": [
                {"insertText": {"location": {"index": 1}, "text": "theirs "}}]})
        return None

    with Recorder(account.base) as recorder, account.tools("drive", through=recorder) as some:
        recorder.hook = change
        text = some.fails("drive_edit", fileId=document, content="ours")
    assert "revision" in text and text_of(account, document).startswith("theirs one")


# Sheets


def values_of(account, sheet, area, **params):
    answer = account.api("GET", f"/v4/spreadsheets/{sheet}/values/{area}", params=params)
    return answer.json().get("values", [])


def test_create_and_read(account, tools):
    text, data = tools.call("sheets_create", title="Budget", sheet_title="It's 2030",
                            values=[["Item", "Amount"], ["Tea, green", 4.5], ["Sum", "=SUM(B2:B2)"]])
    sheet = data["id"]
    assert text.startswith("Created the spreadsheet: Budget") and data["updatedCells"] == 6
    assert data["link"].startswith("https://docs.google.com/spreadsheets/d/")
    text, data = tools.call("sheets_read", spreadsheet_id=sheet)
    assert data["sheets"] == ["It's 2030"]
    assert data["values"] == [["Item", "Amount"], ["Tea, green", "4.5"], ["Sum", "4.5"]]
    assert 'Item,Amount\n"Tea, green",4.5\nSum,4.5\n' in text
    data = tools.call("sheets_read", spreadsheet_id=sheet, range="'It''s 2030'!B2:B3",
                      formulas=True)[1]
    assert data["values"] == [[4.5], ["=SUM(B2:B2)"]]
    empty = tools.call("sheets_create", title="Empty")[1]["id"]
    assert "(no values)" in tools.call("sheets_read", spreadsheet_id=empty)[0]


def test_append_and_update(account, tools):
    sheet = tools.call("sheets_create", title="Rows", values=[["a", "b"]])[1]["id"]
    text, data = tools.call("sheets_append", spreadsheet_id=sheet, range="Sheet1!A1",
                            values=[["c", 1], ["=1+1", True]])
    assert text == "Appended 4 cells: Sheet1!A2:B3\n" and data["updatedRows"] == 2
    text, data = tools.call("sheets_update", spreadsheet_id=sheet, range="Sheet1!B1:C1",
                            values=[[None, "new"]])
    assert data["updatedCells"] == 1
    assert values_of(account, sheet, "Sheet1!A1:C2") == [["a", "b", "new"], ["c", "1"]]
    tools.call("sheets_update", spreadsheet_id=sheet, range="A5", values=[["=SUM(B2:B2)", "007"]],
               value_input_option="RAW")
    assert values_of(account, sheet, "A5:B5", valueRenderOption="UNFORMATTED_VALUE") == [
        ["=SUM(B2:B2)", "007"]]


@pytest.mark.parametrize("arguments, words", [
    ({"range": "Nowhere!A1"}, "Unable to parse range: Nowhere!A1"),
    ({"range": "Sheet1!A99999999"}, "Unable to parse range"),
    ({"range": "A1:A1", "values": [[1, 2], [3]]}, None),
    ({"range": "A1:B1", "values": [[1], [2]]}, "outside of it"),
    ({"values": []}, "at least one cell"), ({"values": [[]]}, "at least one cell"),
    ({"values": [[{"a": 1}]]}, "row 1, column 1"), ({"values": ["a"]}, "must be a list"),
    ({"values": "a,b"}, '"values" must be a list'),
    ({"value_input_option": "GUESS"}, "must be one of: USER_ENTERED, RAW")])
def test_update_refuses(tools, rows, arguments, words):
    arguments = {"spreadsheet_id": rows, "range": "A1", "values": [[1]], **arguments}
    if words is None:
        tools.call("sheets_update", **arguments)
    else:
        assert words in tools.fails("sheets_update", **arguments)


@pytest.fixture(scope="module")
def rows(tools):
    return tools.call("sheets_create", title="Refused")[1]["id"]


def test_a_range_stays_one_part_of_the_path(tools, rows):
    for odd in ("A1?fields=x", "A1#x", "A1:append", "%41%31", "Sheet1!A1&a=b"):
        text = tools.fails("sheets_read", spreadsheet_id=rows, range=odd)
        assert "Unable to parse range" in text, (odd, text)


def test_a_large_sheet_is_cut_between_rows(tools):
    values = [["x" * 100] * 5] * 900
    sheet = tools.call("sheets_create", title="Large", values=values)[1]["id"]
    text, data = tools.call("sheets_read", spreadsheet_id=sheet)
    assert data["complete"] is False and "more rows; ask for a smaller range" in text
    assert 300 < len(data["values"]) < 900 and set(map(len, data["values"])) == {5}
    assert len(text.encode()) <= 256 * 1024
