"""The sandbox's Drive, Sheets and Calendar in what our own tools don't ask for."""
import pytest
import requests

from google_tools import Account, running_sandbox, sign_in

EVENTS = "/calendar/v3/calendars/primary/events"
TIMES = {"start": {"dateTime": "2030-01-01T09:00:00Z"}, "end": {"dateTime": "2030-01-01T10:00:00Z"}}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as address:
        yield address


@pytest.fixture(scope="module")
def api(base):
    return Account(base, "honest@example.com").api


def reason(answer):
    return answer.status_code, answer.json()["error"]["errors"][0]["reason"]


def test_drive_gives_few_fields_by_itself(api):
    files = api("GET", "/drive/v3/files").json()
    assert set(files) == {"kind", "incompleteSearch", "files"}
    assert set(files["files"][0]) == {"kind", "id", "name", "mimeType"}
    path = "/drive/v3/files/" + files["files"][0]["id"]
    assert set(api("GET", path).json()) == {"kind", "id", "name", "mimeType"}
    assert set(api("GET", path, params={"fields": "size,owners/emailAddress"}).json()) <= {
        "size", "owners"}
    assert not any(key.startswith("_") for key in api("GET", path, params={"fields": "*"}).json())
    assert reason(api("GET", path, params={"fields": "id,"})) == (400, "invalidParameter")


@pytest.mark.parametrize("params, expected", [
    ({"pageSize": 0}, (400, "invalidParameter")), ({"pageSize": 1001}, (400, "invalidParameter")),
    ({"q": "name ="}, (400, "invalid")), ({"orderBy": "size"}, (400, "invalid")),
    ({"q": "fullText contains 'x'", "orderBy": "name"}, (403, "forbidden")),
    ({"includeItemsFromAllDrives": "true"}, (403, "teamDrivesNotSupported"))])
def test_lists_that_drive_refuses(api, params, expected):
    assert reason(api("GET", "/drive/v3/files", params=params)) == expected


def test_parts_of_a_file(api):
    made = api("POST", "/upload/drive/v3/files?uploadType=media", data=b"0123456789",
               headers={"Content-Type": "application/x"}).json()["id"]
    path = f"/drive/v3/files/{made}?alt=media"
    for asked, status, content in (("bytes=2-4", 206, b"234"), ("bytes=8-", 206, b"89"),
                                   ("bytes=99-", 200, b"0123456789"), ("x", 200, b"0123456789")):
        answer = api("GET", path, headers={"Range": asked})
        assert (answer.status_code, answer.content) == (status, content)


def test_a_resumable_upload(api):
    begun = api("POST", "/upload/drive/v3/files?uploadType=resumable&fields=name,size",
                json={"name": "pieces"}, headers={"X-Upload-Content-Type": "text/plain"})
    session, piece = begun.headers["Location"], b"x" * 262144
    assert begun.status_code == 200 and "upload_id=" in session

    def put(data, content_range):
        return requests.put(session, data=data, timeout=60, allow_redirects=False,
                            headers={"Content-Range": content_range})

    total = len(piece) + 3
    assert put(b"", f"bytes */{total}").headers.get("Range") is None
    first = put(piece, f"bytes 0-{len(piece) - 1}/{total}")
    assert (first.status_code, first.headers["Range"]) == (308, f"bytes=0-{len(piece) - 1}")
    assert put(b"abc", f"bytes {len(piece) + 1}-{len(piece) + 3}/{total + 1}").status_code == 400
    assert put(b"abc", "bytes 0-1/9").status_code == 400
    assert put(b"", f"bytes */{total}").headers["Range"] == f"bytes=0-{len(piece) - 1}"
    last = put(b"end", f"bytes {len(piece)}-{len(piece) + 2}/{total}")
    assert last.json() == {"name": "pieces", "size": str(total)}
    assert put(b"end", f"bytes {len(piece)}-{len(piece) + 2}/{total}").status_code == 404


def test_drive_file_shows_what_the_application_made(base, api):
    token = sign_in(base, "honest@example.com", ["drive.file"])["access_token"]

    def narrow(method, path, **kwargs):
        return requests.request(method, base + path, timeout=60,
                                headers={"Authorization": "Bearer " + token}, **kwargs)

    old = api("GET", "/drive/v3/files", params={"q": "name = 'todo.txt'"}).json()["files"][0]["id"]
    made = narrow("POST", "/drive/v3/files", json={"name": "own"}).json()["id"]
    assert narrow("GET", "/drive/v3/files/" + made).status_code == 200
    assert narrow("GET", "/drive/v3/files/" + old).status_code == 404
    listed = {one["id"] for one in narrow("GET", "/drive/v3/files").json()["files"]}
    assert made in listed and old not in listed


def test_files_with_ids_of_the_caller(api):
    ids = api("GET", "/drive/v3/files/generateIds?count=2").json()["ids"]
    made = [api("POST", "/drive/v3/files", json={"id": ids[0], "name": "x"}) for _ in range(2)]
    assert made[0].json()["id"] == ids[0] and reason(made[1]) == (409, "fileIdInUse")
    api("PATCH", f"/drive/v3/files/{ids[0]}", json={"trashed": True})
    assert api("DELETE", "/drive/v3/files/trash").status_code == 204
    assert api("GET", f"/drive/v3/files/{ids[0]}").status_code == 404
    refused = api("PATCH", "/drive/v3/files/" + api("POST", "/drive/v3/files", json={}).json()["id"],
                  json={"parents": ["root"]})
    assert reason(refused) == (403, "fieldNotWritable")


def test_events_have_states(api):
    made = api("POST", EVENTS, json={"id": "abcde12345", "summary": "One", **TIMES})
    path = f"{EVENTS}/abcde12345"
    assert made.headers["ETag"] == made.json()["etag"]
    assert reason(api("POST", EVENTS, json={"id": "abcde12345", **TIMES})) == (409, "duplicate")
    sync = api("GET", EVENTS).json()["nextSyncToken"]
    changed = api("PATCH", path, json={"location": "x"}, headers={"If-Match": made.json()["etag"]})
    assert changed.json()["etag"] != made.json()["etag"]
    late = api("PATCH", path, json={"location": "y"}, headers={"If-Match": made.json()["etag"]})
    assert reason(late) == (412, "conditionNotMet")
    whole = api("PUT", path, json={"summary": "Two", **TIMES}).json()
    assert "location" not in whole and whole["iCalUID"] == made.json()["iCalUID"]
    assert api("DELETE", path).status_code == 204
    assert reason(api("DELETE", path)) == (410, "deleted")
    assert "abcde12345" not in {one["id"] for one in api("GET", EVENTS).json()["items"]}
    since = api("GET", EVENTS, params={"syncToken": sync}).json()["items"]
    assert ("abcde12345", "cancelled") in {(one["id"], one["status"]) for one in since}
    assert reason(api("GET", EVENTS, params={"syncToken": "old"})) == (410, "fullSyncRequired")


@pytest.mark.parametrize("change, expected", [
    ({"start": {"dateTime": "2030-01-01T09:00:00"}}, (400, "required")),
    ({"start": {"date": "2030-01-01"}}, (400, "invalid")),
    ({"end": {"dateTime": "2030-01-01T08:00:00Z"}}, (400, "timeRangeEmpty")),
    ({"start": None}, (400, "required")), ({"id": "UPPER"}, (400, "invalid")),
    ({"attendees": [{"email": "nobody"}]}, (400, "invalid"))])
def test_events_that_calendar_refuses(api, change, expected):
    assert reason(api("POST", EVENTS, json={**TIMES, **change})) == expected


def test_times_are_shown_in_the_zone_that_is_asked_for(api):
    made = api("POST", EVENTS, json={
        "start": {"dateTime": "2030-07-01T09:00:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2030-07-01T10:00:00", "timeZone": "Europe/Berlin"}}).json()
    assert made["start"] == {"dateTime": "2030-07-01T07:00:00Z", "timeZone": "Europe/Berlin"}
    shown = api("GET", f"{EVENTS}/{made['id']}", params={"timeZone": "Asia/Kolkata"}).json()
    assert shown["start"]["dateTime"] == "2030-07-01T12:30:00+05:30"


def test_sheets(api):
    sheet = api("POST", "/v4/spreadsheets", json={"sheets": [
        {"properties": {"title": "A"}}, {"properties": {"title": "B"}}]}).json()
    path = "/v4/spreadsheets/" + sheet["spreadsheetId"]
    assert [one["properties"]["title"] for one in sheet["sheets"]] == ["A", "B"]
    refused = api("PUT", path + "/values/A!A1", json={"values": [[1]]})
    assert refused.json()["error"]["status"] == "INVALID_ARGUMENT"
    written = api("POST", path + "/values:batchUpdate", json={
        "valueInputOption": "RAW", "data": [
            {"range": "A!A1", "values": [["x", 1]]},
            {"range": "B!A1:A2", "majorDimension": "COLUMNS", "values": [["y", "z"]]}]})
    assert [one["updatedCells"] for one in written.json()["responses"]] == [2, 2]
    read = api("GET", path + "/values:batchGet", params={"ranges": ["A!A1:B1", "B!A:A"]}).json()
    assert [one["values"] for one in read["valueRanges"]] == [[["x", "1"]], [["y"], ["z"]]]
    added = api("POST", path + ":batchUpdate", json={"requests": [
        {"addSheet": {"properties": {"title": "C"}}}, {"deleteSheet": {"sheetId": 0}}]})
    assert added.json()["replies"][0]["addSheet"]["properties"]["title"] == "C"
    titles = api("GET", path, params={"fields": "sheets.properties.title"}).json()
    assert titles == {"sheets": [{"properties": {"title": title}} for title in "BC"]}
    assert api("POST", path + "/values/B!A1:A2:clear").json()["clearedRange"] == "B!A1:A2"
    assert "values" not in api("GET", path + "/values/B!A1:A2").json()
    export = api("GET", f"/drive/v3/files/{sheet['spreadsheetId']}/export?mimeType=text/csv")
    assert export.text == ""
