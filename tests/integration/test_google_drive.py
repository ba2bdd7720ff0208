"""Drive's tools of mcpbus-google, against the sandbox."""
import json

import pytest

from google_tools import Account, Recorder, running_sandbox

APPS = "application/vnd.google-apps."
READS = {"drive_search", "drive_read", "drive_list_all_files", "drive_list_folder_contents",
         "drive_get_shareable_link"}
WRITES = {"drive_edit", "drive_delete", "drive_upload_file", "drive_move", "drive_share_file",
          "drive_create_folder", "drive_create"}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as address:
        yield address


@pytest.fixture(scope="module")
def account(base):
    return Account(base, "drive@example.com")


@pytest.fixture(scope="module")
def tools(account):
    with account.tools("drive") as one:
        yield one


def make(account, name, mime_type, content=None, parent=None, **metadata):
    """A new file, made by Google's own API; its id."""
    metadata = {"name": name, "mimeType": mime_type, **metadata}
    if parent:
        metadata["parents"] = [parent]
    if content is None:
        return account.api("POST", "/drive/v3/files", json=metadata).json()["id"]
    body = b"--B\r\nContent-Type: application/json\r\n\r\n" + json.dumps(metadata).encode() + \
        b"\r\n--B\r\nContent-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--B--"
    return account.api("POST", "/upload/drive/v3/files?uploadType=multipart", data=body,
                       headers={"Content-Type": "multipart/related; boundary=B"}).json()["id"]


def get(account, file_id, fields="*"):
    answer = account.api("GET", f"/drive/v3/files/{file_id}", params={"fields": fields})
    return answer.json() if answer.status_code == 200 else None


def content_of(account, file_id):
    return account.api("GET", f"/drive/v3/files/{file_id}?alt=media").content


def find(account, name):
    query = "name = '" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return account.api("GET", "/drive/v3/files", params={"q": query}).json()["files"][0]["id"]


# Scopes


@pytest.mark.parametrize("scope, names", [
    ("drive", READS | WRITES), ("drive.readonly", READS), ("drive.file", READS | WRITES),
    ("drive.metadata", {"drive_list_all_files", "drive_list_folder_contents", "drive_move",
                        "drive_get_shareable_link"}),
    ("drive.metadata.readonly", {"drive_list_all_files", "drive_list_folder_contents",
                                 "drive_get_shareable_link"}),
    ("documents", set()), ("gmail.readonly", set())])
def test_listed_by_scope(account, scope, names):
    with account.tools(scope) as some:
        assert {name for name in some.names() if name.startswith("drive_")} == names


CALLS = {
    "drive_search": {"query": "x"}, "drive_read": {"fileId": "ID"},
    "drive_edit": {"fileId": "ID", "content": "x"}, "drive_delete": {"fileId": "ID"},
    "drive_upload_file": {"file_path": "up.txt"},
    "drive_move": {"fileId": "ID", "targetFolderId": "root"},
    "drive_share_file": {"fileId": "ID", "email": "a@example.com"},
    "drive_get_shareable_link": {"fileId": "ID"}, "drive_create_folder": {"name": "x"},
    "drive_list_folder_contents": {"folder_id": "root"}, "drive_list_all_files": {},
    "drive_create": {"name": "x", "mimeType": "text/plain", "content": "x"}}


def test_google_has_the_last_word(account, tmp_path):
    """The scopes that the environment names are more than the token's: Google refuses, and the
    user is told why."""
    (tmp_path / "up.txt").write_text("x")
    file_id = find(account, "todo.txt")
    with account.tools("gmail.readonly", said=("drive",), DRIVE_UPLOAD_DIR=str(tmp_path)) as some:
        for name in READS | WRITES:
            arguments = {key: file_id if value == "ID" else value
                         for key, value in CALLS[name].items()}
            text = some.fails(name, **arguments)
            assert "the access that was granted does not include it" in text, (name, text)
    assert get(account, file_id)["name"] == "todo.txt"


def test_refused_without_the_scope(account):
    with account.tools("drive.readonly") as some:
        for name in WRITES:
            assert "was not granted (drive or drive.file" in some.fails(name, **CALLS[name])
        text = some.fails("drive_get_shareable_link", fileId="ID", make_public=True)
        assert "not granted" in text


@pytest.mark.parametrize("name", [name for name in CALLS if "fileId" in CALLS[name]])
def test_no_such_file(tools, name):
    text = tools.fails(name, **{**CALLS[name], "fileId": "1nothing"})
    assert "did not find it: File not found: 1nothing" in text
    assert "is not the id of a file" in tools.fails(name, **{**CALLS[name], "fileId": "a/../b"})


# Reading


@pytest.mark.parametrize("name, words, kind", [
    ("Project plan", "The bus carries every message once.", APPS + "document"),
    ("Budget", "Travel,480", APPS + "spreadsheet"),
    ("Quarterly report.pdf", "Revenue grew by 12 percent.", "application/pdf"),
    ("Contract.docx", "The parties agree to review it yearly.", "wordprocessingml"),
    ("readme.md", "How the mirror is aligned.", "text/markdown"),
    ("settings.json", '"language": "en"', "application/json")])
def test_read(account, tools, name, words, kind):
    text, data = tools.call("drive_read", fileId=find(account, name))
    assert text.startswith(f"Contents of {name} (") and words in text
    assert kind in data["mimeType"] and data["name"] == name and data["readable"] is True
    assert "\r" not in text and "\ufeff" not in text
    assert data["complete"] is (name != "Budget")


def test_read_by_link_and_shortcut(account, tools):
    file_id = find(account, "todo.txt")
    link = f"https://drive.google.com/file/d/{file_id}/view?usp=drivesdk"
    assert "water the plants" in tools.call("drive_read", fileId=link)[0]
    shortcut = make(account, "short", APPS + "shortcut", shortcutDetails={"targetId": file_id})
    assert "water the plants" in tools.call("drive_read", fileId=shortcut)[0]


def test_read_charsets_and_binaries(account, tools):
    latin = make(account, "latin.txt", "text/plain", "Grüße aus Köln, schöne Tage".encode("latin-1"))
    assert "Grüße aus Köln" in tools.call("drive_read", fileId=latin)[0]
    utf16 = make(account, "wide.txt", "text/plain", "Grüße".encode("utf-16"))
    assert "Grüße" in tools.call("drive_read", fileId=utf16)[0]
    lines = make(account, "lines.txt", "text/plain", b"one\r\ntwo\rthree\n")
    assert tools.call("drive_read", fileId=lines)[0].endswith("\n\none\ntwo\rthree\n")
    image = make(account, "a.png", "image/png", b"\x89PNG\0\xff")
    text, data = tools.call("drive_read", fileId=image)
    assert "no text" in text and "Size in bytes: 6" in text and data["readable"] is False
    broken = make(account, "b.pdf", "application/pdf", b"%PDF-1.4 \xff\0 nothing")
    assert "damaged" in tools.fails("drive_read", fileId=broken)
    folder = tools.call("drive_read", fileId=find(account, "Recipes"))[0]
    assert "drive_list_folder_contents" in folder


def test_read_cuts_what_is_too_long(account, tools):
    long = make(account, "long.txt", "text/plain", b"0123456789abcde\n" * 40000)
    text, data = tools.call("drive_read", fileId=long)
    assert text.endswith("[cut here: the file is longer]") and data["complete"] is False
    assert 200_000 < len(text) <= 256 * 1024


def test_resource(account, tools):
    def read(uri):
        return tools.request("resources/read", uri=uri)

    template, = tools.request("resources/templates/list")["result"]["resourceTemplates"]
    assert template["uriTemplate"] == "gdrive:///{file_id}"
    uri = "gdrive:///" + find(account, "Project plan")
    part, = read(uri)["result"]["contents"]
    assert part["uri"] == uri and part["mimeType"] == "text/markdown"
    assert part["text"].startswith("Project plan\nThe bus")
    for bad in ("gdrive:///1nothing", "gdrive:///../x", "gdrive:///", "file:///etc/passwd"):
        assert "error" in read(bad), bad


# Changing


def test_edit(account, tools):
    text_file = make(account, "edit.txt", "text/plain", b"old")
    assert "edit.txt" in tools.call("drive_edit", fileId=text_file, content="new ✓")[0]
    assert content_of(account, text_file) == "new ✓".encode()
    document = make(account, "edit", APPS + "document", b"one\ntwo\n")
    for content in ("Ä 😀 first\nsecond\n", "shorter", "", "again"):
        tools.call("drive_edit", fileId=document, content=content)
        exported = account.api("GET", f"/drive/v3/files/{document}/export?mimeType=text/markdown")
        assert exported.content.decode().rstrip("\n") == content.rstrip("\n")
    for name in ("Quarterly report.pdf", "Recipes"):
        assert "can't be edited" in tools.fails("drive_edit", fileId=find(account, name), content="x")
    assert "sheets_update" in tools.fails("drive_edit", fileId=find(account, "Budget"), content="x")


def test_edit_without_the_docs_api(account):
    """Where the application has not enabled it, the text is uploaded instead."""
    def off(seen):
        if seen.path.startswith("/v1/documents"):
            return 403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "off",
                                   "details": [{"reason": "SERVICE_DISABLED"}]}}
        return None

    document = make(account, "no docs", APPS + "document", b"old\n")
    with Recorder(account.base) as recorder, account.tools("drive", through=recorder) as some:
        recorder.hook = off
        some.call("drive_edit", fileId=document, content="new")
    exported = account.api("GET", f"/drive/v3/files/{document}/export?mimeType=text/markdown")
    assert exported.text == "new\n"


@pytest.mark.parametrize("mime_type, real", [
    (APPS + "document", APPS + "document"), ("text/plain", "text/plain"),
    ("document", APPS + "document"), (APPS + "spreadsheet", APPS + "spreadsheet"),
    ("text/markdown", "text/markdown")])
def test_create(account, tools, mime_type, real):
    folder = make(account, "in", APPS + "folder")
    text, data = tools.call("drive_create", name="it's\nnew", mimeType=mime_type,
                            content="a,b\nüñ,1\n", folder_id=folder)
    assert text.startswith("Created: it's new") and data["mimeType"] == real
    made = get(account, data["id"])
    assert made["parents"] == [folder] and made["name"] == "it's\nnew"
    assert "üñ,1" in tools.call("drive_read", fileId=data["id"])[0]


def test_create_pdf(account, tools):
    data = tools.call("drive_create", name="letter.pdf", mimeType="application/pdf",
                      content="Dear Zoë,\nthank you for the lamp.\n")[1]
    assert content_of(account, data["id"]).startswith(b"%PDF-")
    assert get(account, data["id"])["mimeType"] == "application/pdf"
    text = tools.call("drive_read", fileId=data["id"])[0]
    assert "Dear Zoë" in text and "thank you for the lamp." in text


def test_create_refuses(tools):
    text = tools.fails("drive_create", name="x", mimeType="image/png", content="x")
    assert "application/pdf" in text
    text = tools.fails("drive_create", name="x", mimeType="text/plain", content="x",
                       folder_id="1nothing")
    assert "File not found: 1nothing" in text


def test_folders_and_moving(account, tools):
    outer = tools.call("drive_create_folder", name="outer")[1]["id"]
    inner = tools.call("drive_create_folder", name="inner", parent_folder_id=outer)[1]["id"]
    assert get(account, inner)["parents"] == [outer]
    file_id = make(account, "moved.txt", "text/plain", b"x")
    text, data = tools.call("drive_move", fileId=file_id, targetFolderId=inner)
    assert "Now in the folder: inner" in text and data["name"] == "moved.txt"
    assert get(account, file_id)["parents"] == [inner]
    tools.call("drive_move", fileId=file_id, targetFolderId=inner)  # there already
    tools.call("drive_move", fileId=file_id, targetFolderId="root")
    assert get(account, file_id)["parents"] != [inner]
    assert "not a folder" in tools.fails("drive_move", fileId=inner, targetFolderId=file_id)
    assert "The target folder: " in tools.fails("drive_move", fileId=inner, targetFolderId="1no")
    text = tools.fails("drive_move", fileId=outer, targetFolderId=inner)
    assert "descendants" in text
    assert get(account, inner)["parents"] == [outer]


def test_delete(account, tools):
    folder = make(account, "gone", APPS + "folder")
    file_id = make(account, "gone.txt", "text/plain", b"x", parent=folder)
    text = tools.call("drive_delete", fileId=folder)[0]
    assert text.startswith("Deleted: gone\n")
    assert get(account, folder) is None and get(account, file_id) is None
    assert "not allow" in tools.fails("drive_delete", fileId="root")


def test_share(account, tools, base):
    friend = Account(base, "friend@example.com")
    file_id = make(account, "shared.txt", "text/plain", b"x")

    def mails():
        return friend.api("GET", "/gmail/v1/users/me/messages",
                          params={"q": "subject:shared.txt"}).json().get("messages", [])

    tools.call("drive_share_file", fileId=file_id, email="Friend <friend@example.com>",
               send_notification=False)
    assert mails() == []
    text, data = tools.call("drive_share_file", fileId=file_id, email="friend@example.com",
                            role="writer")
    assert "as writer; a notification was sent" in text and data["role"] == "writer"
    assert len(mails()) == 1
    permissions = [one for one in get(account, file_id)["permissions"] if one["role"] != "owner"]
    assert [(one["emailAddress"], one["role"]) for one in permissions] == [
        ("friend@example.com", "writer")]
    assert "email address" in tools.fails("drive_share_file", fileId=file_id, email="a@b, c@d")
    assert "must be one of" in tools.fails("drive_share_file", fileId=file_id, email="a@b.example",
                                           role="owner")


def test_links(account, tools):
    file_id = make(account, "link.txt", "text/plain", b"x")
    text, data = tools.call("drive_get_shareable_link", fileId=file_id)
    assert data["webViewLink"] in text and "private" in text
    assert len(get(account, file_id)["permissions"]) == 1
    text, data = tools.call("drive_get_shareable_link", fileId=file_id, make_public=True)
    assert "Anyone who has the link" in text and data["public"] is True
    assert {"anyone"} == {one["type"] for one in get(account, file_id)["permissions"]
                          if one["role"] == "reader"}


# Lists


def test_search_is_not_a_query(account, tools):
    make(account, "O'Brien's \\ list.txt", "text/plain", b"x")
    files = tools.call("drive_search", query="O'Brien's \\")[1]["files"]
    assert [one["name"] for one in files] == ["O'Brien's \\ list.txt"]
    files = tools.call("drive_search", query="x' or trashed = true or name contains '")[1]["files"]
    assert files == []
    assert "readme.md" in tools.call("drive_search", query="mirror")[0]


def test_list_a_folder(account, tools):
    top = make(account, "tree", APPS + "folder")
    folders = {"": top}
    for path in ("a", "a/b", "a/b/c", "d"):
        outer, _, name = path.rpartition("/")
        folders[path] = make(account, name, APPS + "folder", parent=folders[outer])
    for path in ("one.txt", "a/two.txt", "a/b/c/three.txt", "d/four.txt"):
        outer, _, name = path.rpartition("/")
        make(account, name, "text/plain", b"x", parent=folders[outer])
    make(account, "trashed.txt", "text/plain", b"x", parent=top, trashed=True)
    text, data = tools.call("drive_list_folder_contents", folder_id=top)
    assert [one["path"] for one in data["files"]] == [
        "a/", "a/b/", "a/b/c/", "a/b/c/three.txt", "a/two.txt", "d/", "d/four.txt", "one.txt"]
    assert data["complete"] is True and data["folder"] == "tree" and "a/b/c/three.txt" in text
    data = tools.call("drive_list_folder_contents", folder_id=top, include_subfolders=False)[1]
    assert [one["path"] for one in data["files"]] == ["a/", "d/", "one.txt"]
    empty = make(account, "empty", APPS + "folder")
    assert "No files found" in tools.call("drive_list_folder_contents", folder_id=empty)[0]
    text = tools.fails("drive_list_folder_contents", folder_id=find(account, "todo.txt"))
    assert "not a folder" in text


def test_a_wide_folder_takes_few_round_trips(account, base):
    wide = Account(base, "wide@example.com")
    top = make(wide, "wide", APPS + "folder")
    for number in range(30):
        folder = make(wide, f"f{number:02}", APPS + "folder", parent=top)
        make(wide, "x.txt", "text/plain", b"x", parent=folder)
    with Recorder(base) as recorder, wide.tools("drive", through=recorder) as some:
        data = some.call("drive_list_folder_contents", folder_id=top)[1]
        assert len(data["files"]) == 60 and data["complete"] is True
        assert len(recorder.requests) == 1 + 1 + 2


def test_folders_that_hold_each_other(account, base):
    """Drive has no cycles; should an answer show one, the walk ends all the same."""
    def cycle(seen):
        if seen.path != "/drive/v3/files":
            return None
        return 200, {"files": [{"id": name, "name": name, "mimeType": APPS + "folder",
                                "parents": [other]} for name, other in (("A", "B"), ("B", "A"))]}

    top = make(account, "cycle", APPS + "folder")
    with Recorder(base) as recorder, account.tools("drive", through=recorder) as some:
        recorder.hook = cycle
        data = some.call("drive_list_folder_contents", folder_id=top)[1]
        assert data["files"]
        assert len(recorder.seen("GET", "/drive/v3/files")) < 5


def test_list_all_files(account, tools):
    data = tools.call("drive_list_all_files", file_type="pdf", order_by="modifiedTime desc")[1]
    assert "Quarterly report.pdf" in {one["name"] for one in data["files"]}
    assert {one["mimeType"] for one in data["files"]} == {"application/pdf"}
    text, data = tools.call("drive_list_all_files", max_results=3)
    assert len(data["files"]) == 3 and "[there are more]" in text
    assert data["files"] == sorted(data["files"], key=lambda one: one["name"].lower())


# Uploading


def test_upload(account, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("hello")
    secret = tmp_path.parent / "secret.txt"
    secret.write_text("secret")
    (tmp_path / "link.txt").symlink_to(secret)
    folder = make(account, "uploads", APPS + "folder")
    with account.tools("drive", DRIVE_UPLOAD_DIR=str(tmp_path)) as some:
        text, data = some.call("drive_upload_file", file_path="in/notes.txt", folder_id=folder)
        assert text.startswith("Uploaded: notes.txt") and data["mimeType"] == "text/plain"
        assert content_of(account, data["id"]) == b"hello"
        assert get(account, data["id"])["parents"] == [folder]
        data = some.call("drive_upload_file", file_path=str(tmp_path / "in" / "notes.txt"),
                         file_name="other.md")[1]
        assert (data["name"], data["mimeType"]) == ("other.md", "text/markdown")
        for path in ("link.txt", "../secret.txt", str(secret), "/etc/passwd", "in"):
            text = some.fails("drive_upload_file", file_path=path)
            assert "secret" not in text and ("Only files in" in text or "regular" in text), text
        assert "no such file" in some.fails("drive_upload_file", file_path="none")
    with account.tools("drive", TMPDIR=str(tmp_path)) as some:
        text = some.fails("drive_upload_file", file_path=str(tmp_path / "in" / "notes.txt"))
        assert "DRIVE_UPLOAD_DIR" in text


def test_a_large_upload_goes_on_after_a_failure(account, base, tmp_path):
    content = bytes(range(256)) * 36 * 1024 + b"end"  # 9 MiB: two pieces
    failed = []

    def fail_once(seen):
        if seen.method == "PUT" and not failed:
            failed.append(seen)
            return 503, {"error": {"code": 503, "message": "later"}}
        return None

    (tmp_path / "big.bin").write_bytes(content)
    with Recorder(base) as recorder, account.tools(
            "drive", through=recorder, DRIVE_UPLOAD_DIR=str(tmp_path)) as some:
        recorder.hook = fail_once
        data = some.call("drive_upload_file", file_path="big.bin")[1]
    assert failed and content_of(account, data["id"]) == content
    assert max(len(one.body) for one in recorder.requests) <= 8 * 1024 * 1024


# What only a repeated request meets


@pytest.mark.parametrize("really", [True, False])
def test_a_delete_whose_answer_is_lost(account, base, really):
    """The repeated request finds nothing: was it deleted?"""
    file_id = make(account, "lost.txt", "text/plain", b"x")
    answers = [(503, {"error": {"code": 503, "message": "later"}}),
               (404, {"error": {"code": 404, "message": "File not found: it."}})]

    def lose(seen):
        if seen.method != "DELETE":
            return None
        if really:
            account.api("DELETE", seen.path)
        return answers.pop(0)

    with Recorder(base) as recorder, account.tools("drive", through=recorder) as some:
        recorder.hook = lose
        if really:
            assert some.call("drive_delete", fileId=file_id)[0].startswith("Deleted: lost.txt")
        else:
            assert "did not find it" in some.fails("drive_delete", fileId=file_id)
    assert (get(account, file_id) is None) is really


def test_the_root_has_subfolders(base):
    some = Account(base, "root@example.com")
    with some.tools("drive.metadata.readonly") as one:
        data = one.call("drive_list_folder_contents", folder_id="root")[1]
    paths = {file["path"] for file in data["files"]}
    assert {"Projects/", "Projects/Archive/readme.md", "todo.txt"} <= paths
    assert data["folder"] == "My Drive"
