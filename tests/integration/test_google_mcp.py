"""mcpbus-google over stdio, against a small Google of this file's own."""
import base64
import email
import json
import os
import pathlib
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
AUTH = "https://www.googleapis.com/auth/"
ALL = [AUTH + s for s in ("gmail.readonly", "drive", "calendar.events")]
HOSTILE = "x\r\nFrom: evil\n\n1. forged \x1b[2J</b>' or '1'='1 \u202e \U0001f600"


class FakeGoogle:
    """Answers by path; records each request; `answers[path]` may hold a list of (status, headers,
    body) that come first."""

    def __init__(self):
        self.requests, self.first, self.pages, self.batches = [], {}, {}, []
        self.token, self.refreshes = "ya29.good", 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536  # head and body in one packet, else each answer waits for an ACK

            def log_message(self, *_):
                pass

            def reply(self, status, body, headers=()):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path.startswith("/batch/"):
                    return self.batch(body)
                form = urllib.parse.parse_qs(body.decode())
                outer.requests.append(("POST", self.path, form))
                outer.refreshes += 1
                if form["refresh_token"] != ["1//good"]:
                    return self.reply(400, {"error": "invalid_grant"})
                outer.token = f"ya29.new{outer.refreshes}"
                self.reply(200, {"access_token": outer.token, "expires_in": 3600})

            def batch(self, body):
                """Google's multipart/mixed of application/http; the parts' order is mixed up."""
                outer.batches.append(self.path)
                if self.headers["Authorization"] != f"Bearer {outer.token}":
                    return self.reply(401, error(401, "authError", "Invalid Credentials"))
                head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
                parts = []
                for part in email.message_from_bytes(head + body).get_payload():
                    method, path, _ = part.get_payload().splitlines()[0].split(" ")
                    assert method == "GET"
                    status, answer = self.answer(path)[:2]
                    text = json.dumps(answer, indent=2) if not isinstance(answer, bytes) \
                        else answer.decode()
                    parts.insert(0, "--batch_x\r\nContent-Type: application/http\r\nContent-ID: "
                                 f"<response-{part['Content-ID'][1:-1]}>\r\n\r\nHTTP/1.1 {status} "
                                 "Some Reason\r\nContent-Type: application/json\r\n\r\n"
                                 f"{text}\r\n")
                self.reply(200, ("".join(parts) + "--batch_x--\r\n").encode(),
                           (("Content-Type", "multipart/mixed; boundary=batch_x"),))

            def answer(self, path):
                url = urllib.parse.urlsplit(path)
                query = urllib.parse.parse_qs(url.query)
                outer.requests.append(("GET", url.path, query))
                if outer.first.get(url.path):
                    return outer.first[url.path].pop(0)
                answer = outer.pages.get(url.path)
                if answer is None:
                    return 404, error(404, "notFound", "Not Found")
                return 200, answer(query) if callable(answer) else answer

            def do_GET(self):
                path = urllib.parse.urlsplit(self.path).path
                good = self.headers["Authorization"] == f"Bearer {outer.token}"
                if not good and not outer.first.get(path):
                    outer.requests.append(("GET", path, {}))
                    return self.reply(401, error(401, "authError", "Invalid Credentials"))
                self.reply(*self.answer(self.path))

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def gets(self, path):
        return [query for method, at, query in self.requests if method == "GET" and at == path]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def error(code, reason, message):
    return {"error": {"code": code, "message": message, "errors": [{"reason": reason}]}}


@pytest.fixture
def google():
    fake = FakeGoogle()
    yield fake
    fake.stop()


def binary():
    folder = os.environ.get("MCPBUS_BIN", str(ROOT / "build" / "bin"))
    path = pathlib.Path(folder) / "mcpbus-google"
    if not path.exists():
        pytest.skip(f"{path} is not built")
    return str(path)


def environment(google, **changes):
    env = {
        "PATH": os.environ["PATH"],
        "GOOGLE_ACCESS_TOKEN": "ya29.good",
        "GOOGLE_REFRESH_TOKEN": "1//good",
        "GOOGLE_CLIENT_ID": "client",
        "GOOGLE_CLIENT_SECRET": "secret",
        "GOOGLE_AUTHORIZED_SCOPES": json.dumps(ALL),
        "GOOGLE_API_BASE": google.base + "/",
        "GOOGLE_TOKEN_URI": google.base + "/token",
        # Neither may be used for a loopback address.
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }
    env.update(changes)
    return {name: value for name, value in env.items() if value is not None}


def exchange(env, *lines, timeout=60):
    """Everything in at once, then the end of the input; the answers, and what it logged."""
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    done = subprocess.run([binary()], input=text.encode(), env=env, capture_output=True,
                          timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr.decode()
    for secret in ("ya29.", "1//good", "secret"):
        assert secret not in done.stderr.decode()
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def call(env, name, timeout=60, **arguments):
    answer, = exchange(env, {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                             "params": {"name": name, "arguments": arguments}}, timeout=timeout)
    assert answer["id"] == 1
    result = answer["result"]
    assert [part["type"] for part in result["content"]] == ["text"]
    return result


def text_of(result):
    return result["content"][0]["text"]


# The protocol


@pytest.mark.parametrize("asked, answered", [
    ("2024-11-05", "2024-11-05"), ("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"),
    ("2025-11-25", "2025-11-25"), ("2030-01-01", "2025-11-25"), ("", "2025-11-25")])
def test_initialize(google, asked, answered):
    first, second = exchange(
        environment(google),
        {"jsonrpc": "2.0", "id": 0, "method": "initialize",
         "params": {"protocolVersion": asked, "capabilities": {},
                    "clientInfo": {"name": "test", "version": "1"}}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": "p", "method": "ping"})
    assert first["result"]["protocolVersion"] == answered
    assert first["result"]["serverInfo"]["name"] == "mcpbus-google"
    assert "tools" in first["result"]["capabilities"]
    assert second == {"jsonrpc": "2.0", "id": "p", "result": {}}


def test_errors(google):
    codes = [answer["error"]["code"] for answer in exchange(
        environment(google), "nonsense", "[]", '{"jsonrpc":"1.0","id":1,"method":"ping"}',
        {"jsonrpc": "2.0", "id": 2, "method": "server/discover"},
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "no_tool"}},
        {"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {}},
        {"jsonrpc": "2.0", "id": 5, "method": "tools/call",
         "params": {"name": "drive_search", "arguments": []}},
        {"jsonrpc": "2.0", "id": 6, "method": "tools/list", "params": {"cursor": "bogus"}},
        "x" * (5 << 20))]
    assert codes == [-32700, -32600, -32600, -32601, -32602, -32602, -32602, -32602, -32600]


def test_answers_what_it_read_at_the_end_of_input(google):
    done = subprocess.run([binary()], input=b'{"jsonrpc":"2.0","id":1,"method":"ping"}',
                          env=environment(google), capture_output=True, timeout=30, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"jsonrpc": "2.0", "id": 1, "result": {}}


def test_answers_before_the_end_of_input(google):
    with subprocess.Popen([binary()], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, env=environment(google)) as process:
        for number in range(3):
            line = json.dumps({"jsonrpc": "2.0", "id": number, "method": "ping"}) + "\n"
            process.stdin.write(line[:9].encode())
            process.stdin.flush()
            process.stdin.write(line[9:].encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait(timeout=10) == 0


@pytest.mark.parametrize("name, value", [
    ("GOOGLE_AUTHORIZED_SCOPES", "not json"), ("GOOGLE_AUTHORIZED_SCOPES", '{"a":1}'),
    ("GOOGLE_TOKEN_EXPIRES_AT", "soon"), ("GOOGLE_API_BASE", "ftp://x"), ("LOG_LEVEL", "loud")])
def test_malformed_settings_stop_it(google, name, value):
    done = subprocess.run([binary()], input=b"", env=environment(google, **{name: value}),
                          capture_output=True, timeout=30, check=False)
    assert done.returncode != 0 and done.stdout == b""
    assert name in done.stderr.decode() and len(done.stderr.decode().splitlines()) == 1


# Scopes


@pytest.mark.parametrize("scopes, prefixes", [
    (["gmail.readonly"], {"gmail"}), (["gmail.labels"], {"gmail"}),
    (["gmail.modify"], {"gmail"}), (["calendar.readonly"], {"calendar"}),
    (["gmail.compose", "calendar.events"], {"gmail", "calendar"}), (["contacts"], set())])
def test_lists_only_what_the_scopes_allow(google, scopes, prefixes):
    env = environment(google, GOOGLE_AUTHORIZED_SCOPES=json.dumps([AUTH + s for s in scopes]))
    answer, = exchange(env, {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    listed = answer["result"]["tools"]
    assert {tool["name"].split("_")[0] for tool in listed} == prefixes
    assert "nextCursor" not in answer["result"]
    for tool in listed:
        assert tool["inputSchema"]["type"] == "object"
        reads = tool["annotations"]["readOnlyHint"]
        assert reads == (tool["name"].split("_")[1] in ("list", "read", "find", "search", "get"))
        assert not (reads and tool["annotations"]["destructiveHint"])


def test_no_scopes_no_tools(google):
    env = environment(google, GOOGLE_AUTHORIZED_SCOPES=None)
    answer, = exchange(env, {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert answer["result"]["tools"] == []
    result = call(env, "drive_search", query="x")
    assert result["isError"] and "not granted" in text_of(result)
    assert google.requests == []


def test_arguments_are_checked(google):
    env = environment(google)
    for name, arguments, words in [
            ("gmail_list_messages", {"max_results": "ten"}, '"max_results" must be a whole number'),
            ("gmail_list_messages", {"max_results": 501}, '"max_results" must be at most 500'),
            ("gmail_list_messages", {"limit": 5}, 'no parameter "limit"'),
            ("gmail_read_message_without_attachments", {}, '"message_id" is missing'),
            ("gmail_read_message_without_attachments", {"message_id": "../labels"}, "not the id"),
            ("drive_search", {"query": ["a"]}, '"query" must be a text'),
            ("drive_list_all_files", {"order_by": "size"}, '"order_by"'),
            ("drive_list_all_files", {"file_type": "x' or 'a"}, '"file_type"'),
            ("calendar_list_events", {"timeMin": "today", "timeMax": "2025-01-01T00:00:00Z"},
             "RFC 3339"),
            ("calendar_list_events", {"timeMin": "2025-01-02T00:00:00Z",
                                      "timeMax": "2025-01-02T01:00:00+02:00"}, "before")]:
        result = call(env, name, **arguments)
        assert result["isError"] and words in text_of(result), (name, arguments, text_of(result))
    assert google.requests == []


def test_long_ids_of_imported_events(google):
    event = "_" + "60q30c1g60o30e1i60o4ac1g60rj8gpl" * 25
    google.pages["/calendar/v3/calendars/primary/events/" + event] = {"status": "cancelled"}
    result = call(environment(google), "calendar_delete_event", event_id=event)
    assert "has been deleted already" in text_of(result)
    result = call(environment(google), "calendar_delete_event", event_id="../x")
    assert "not the id of an event" in text_of(result) and len(google.requests) == 1


def test_what_began_before_1970_is_busy_too(google):
    google.pages["/calendar/v3/calendars/primary/events"] = {"timeZone": "UTC", "items": [
        {"start": {"date": "1960-01-01"}, "end": {"dateTime": "2035-01-01T12:00:00Z"}}]}
    data = call(environment(google), "calendar_get_availability", timeMin="2035-01-01",
                timeMax="2035-01-01")["structuredContent"]
    assert data["busy"] == [{"start": "2035-01-01T00:00:00Z", "end": "2035-01-01T12:00:00Z"}]


# Gmail


def mailbox(google, count, subject=lambda n: f"Subject {n}", page_max=500):
    def page(query):
        size, start = int(query["maxResults"][0]), int(query.get("pageToken", ["0"])[0])
        size = min(size, page_max)
        ids = [{"id": f"m{n}", "threadId": f"t{n}"} for n in range(count)][start:start + size]
        answer = {"messages": ids} if ids else {"resultSizeEstimate": 0}
        if start + size < count:
            answer["nextPageToken"] = str(start + size)
        return answer

    google.pages["/gmail/v1/users/me/messages"] = page
    for n in range(count):
        google.pages[f"/gmail/v1/users/me/messages/m{n}"] = {
            "id": f"m{n}", "threadId": f"t{n}", "snippet": f"It&#39;s snippet {n}",
            "payload": {"headers": [{"name": "From", "value": f"Ann <ann{n}@example.com>"},
                                    {"name": "Subject", "value": subject(n)},
                                    {"name": "Date", "value": "Mon, 6 Jan 2025 10:00:00 +0000"}]}}


def test_list_messages(google):
    mailbox(google, 3)
    result = call(environment(google), "gmail_list_messages", query="from:ann is:unread")
    assert not result["isError"]
    text = text_of(result)
    assert text.startswith("Found 3 messages:")
    for words in ("Subject 2", "ann1@example.com", "It's snippet 0", "ID: m0"):
        assert words in text
    messages = result["structuredContent"]["messages"]
    assert [m["id"] for m in messages] == ["m0", "m1", "m2"]
    assert messages[0]["snippet"] == "It's snippet 0"
    assert result["structuredContent"]["complete"] is True
    query, = google.gets("/gmail/v1/users/me/messages")
    assert query == {"q": ["from:ann is:unread"], "maxResults": ["10"],
                     "fields": ["messages/id,nextPageToken"]}
    assert google.batches == ["/batch/gmail/v1"]
    assert google.gets("/gmail/v1/users/me/messages/m0")[0]["format"] == ["metadata"]


def test_a_mail_nested_without_end_hides_no_other(google):
    def nested(query):
        """As deep as is asked for; all of it where no depth is said."""
        levels = query["fields"][0].count(",parts(") or 100
        part = {"mimeType": "multipart/mixed"}
        for _ in range(levels):
            part = {"mimeType": "multipart/mixed", "parts": [part]}
        return {"id": "m1", "payload": {**part, "headers": [{"name": "Subject", "value": "Nest"}]}}

    mailbox(google, 3)
    google.pages["/gmail/v1/users/me/messages/m1"] = nested
    data = call(environment(google), "gmail_search_and_summarize")["structuredContent"]
    assert [one["id"] for one in data["messages"]] == ["m0", "m1", "m2"] and data["complete"]
    result = call(environment(google), "gmail_read_message_without_attachments", message_id="m1")
    assert "Subject: Nest" in text_of(result)
    result = call(environment(google), "gmail_read_attachment_content", message_id="m1")
    assert "no attachments" in text_of(result)


def test_a_mail_that_can_t_be_read_hides_no_other(google):
    mailbox(google, 4)
    google.first["/gmail/v1/users/me/messages/m1"] = [(403, error(403, "forbidden", "Not this one"))]
    result = call(environment(google), "gmail_list_messages")
    data = result["structuredContent"]
    assert [one["id"] for one in data["messages"]] == ["m0", "m2", "m3"] and not data["complete"]
    assert "[incomplete: " in text_of(result) and "Not this one" in text_of(result)


def test_list_messages_follows_pages(google):
    mailbox(google, 260, page_max=100)
    result = call(environment(google), "gmail_list_messages", max_results=250)
    assert [m["id"] for m in result["structuredContent"]["messages"]] == [
        f"m{n}" for n in range(250)]
    assert "[there are more]" in text_of(result)
    assert [q["maxResults"] for q in google.gets("/gmail/v1/users/me/messages")] == [
        ["250"], ["150"], ["50"]]
    assert len(google.batches) == 5


def test_an_empty_mailbox(google):
    mailbox(google, 0)
    assert "No messages found" in text_of(call(environment(google), "gmail_list_messages"))


def test_a_message_deleted_meanwhile_is_skipped(google):
    mailbox(google, 3)
    del google.pages["/gmail/v1/users/me/messages/m1"]
    result = call(environment(google), "gmail_list_messages")
    assert [m["id"] for m in result["structuredContent"]["messages"]] == ["m0", "m2"]


def test_a_failure_in_between_is_said(google):
    mailbox(google, 3)
    google.first["/gmail/v1/users/me/messages/m2"] = [
        (403, error(403, "insufficientPermissions", "Insufficient Permission"))]
    result = call(environment(google), "gmail_list_messages")
    assert not result["isError"] and "[incomplete: Google does not allow this" in text_of(result)


def test_hostile_headers_stay_on_their_line(google):
    mailbox(google, 1, lambda n: HOSTILE)
    text = text_of(call(environment(google), "gmail_list_messages"))
    assert "\x1b" not in text and "\r" not in text
    assert [line for line in text.splitlines() if "forged" in line] == [
        line for line in text.splitlines() if line.startswith("1. ")]


def encode(text):
    data = text if isinstance(text, bytes) else text.encode()
    return base64.urlsafe_b64encode(data).decode()


def payload_of(message):
    """A mail as Gmail's API shows it."""
    part = {"mimeType": message.get_content_type(), "filename": message.get_filename() or "",
            "headers": [{"name": name, "value": str(value)} for name, value in message.items()]}
    if message.is_multipart():
        return {**part, "body": {"size": 0}, "parts": [payload_of(p) for p in message.get_payload()]}
    data = message.get_payload(decode=True)
    if part["filename"]:
        return {**part, "body": {"attachmentId": "a" * 400, "size": len(data)}}
    return {**part, "body": {"data": encode(data), "size": len(data)}}


def shape(kind):
    head = ("From: Ann <ann@example.com>\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
            "Content-Type: ")
    text = "Content-Type: text/plain\r\n\r\nplain words\r\n"
    html = ("Content-Type: text/html; charset=iso-8859-2\r\nContent-Transfer-Encoding: base64"
            "\r\n\r\n" + base64.b64encode(
                "<html><style>x{}</style><p>Kraków &amp; więcej</p></html>".encode(
                    "iso-8859-2")).decode() + "\r\n")

    def multi(subtype, *parts, mark):
        return (f'multipart/{subtype}; boundary="{mark}"\r\n\r\n'
                + "".join(f"--{mark}\r\n{part}" for part in parts) + f"--{mark}--\r\n")

    bodies = {
        "html alone": html.removeprefix("Content-Type: "),
        "related": multi("related", html, "Content-Type: image/png; name=x.png\r\n\r\nPNG\r\n",
                         mark="r"),
        "alternative in related in mixed": multi("mixed", "Content-Type: " + multi(
            "related", "Content-Type: " + multi("alternative", text, html, mark="a"), mark="r"),
            'Content-Type: application/pdf\r\nContent-Disposition: attachment; '
            'filename="a.pdf"\r\n\r\n%PDF\r\n', mark="m"),
        "signed": multi("signed", text, "Content-Type: application/pgp-signature; name=s.asc"
                        "\r\n\r\nsig\r\n", mark="s"),
        "forwarded": multi("mixed", text, "Content-Type: message/rfc822\r\n\r\nFrom: "
                           "b@c.example\r\nContent-Type: text/plain\r\n\r\nforwarded words\r\n",
                           mark="f"),
        "report": multi("report", text, "Content-Type: message/delivery-status\r\n\r\n"
                        "Action: failed\r\n\r\n", mark="d"),
        "unknown charset": "text/plain; charset=x-unknown\r\n\r\nplain words",
        "quoted-printable": "text/plain; charset=windows-1251\r\nContent-Transfer-Encoding: "
                            "quoted-printable\r\n\r\n=CF=F0=E8=E2=E5=F2\r\n",
        "japanese": "text/plain; charset=iso-2022-jp\r\n\r\n"
                    + "こんにちは".encode("iso-2022-jp").decode("ascii"),
    }
    return email.message_from_string(head + bodies[kind])


@pytest.mark.parametrize("kind, words, not_words", [
    ("html alone", ["Kraków & więcej"], ["x{}"]), ("related", ["Kraków & więcej"], ["PNG\n"]),
    ("alternative in related in mixed", ["plain words", "a.pdf"], ["Kraków"]),
    ("signed", ["plain words"], []), ("forwarded", ["plain words", "forwarded words"], []),
    ("report", ["plain words"], []), ("unknown charset", ["plain words"], []),
    ("quoted-printable", ["Привет"], []), ("japanese", ["こんにちは"], [])])
def test_mails_of_many_shapes(google, kind, words, not_words):
    google.pages["/gmail/v1/users/me/messages/abc"] = {"id": "abc",
                                                       "payload": payload_of(shape(kind))}
    text = text_of(call(environment(google), "gmail_read_message_without_attachments",
                        message_id="abc"))
    assert all(word in text for word in words), text
    assert not any(word in text for word in not_words), text


def test_read_message(google):
    google.pages["/gmail/v1/users/me/messages/abc"] = {
        "id": "abc", "payload": {
            "mimeType": "multipart/mixed",
            "headers": [{"name": "Subject", "value": "=?utf-8?Q?Gr=C3=BC=C3=9Fe?="},
                        {"name": "FROM", "value": "ann@example.com"}],
            "parts": [
                {"mimeType": "multipart/alternative", "parts": [
                    {"mimeType": "text/plain", "body": {"data": encode("Plain täxt")}},
                    {"mimeType": "text/html", "body": {"data": encode("<b>rich</b>")}}]},
                {"mimeType": "application/pdf", "filename": "a.pdf",
                 "body": {"attachmentId": "z", "size": 1234}}]}}
    env = environment(google)
    result = call(env, "gmail_read_message_without_attachments", message_id="abc")
    text = text_of(result)
    assert not result["isError"]
    for words in ("Plain täxt", "From: ann@example.com", "Subject: Grüße", "a.pdf", "1234 bytes"):
        assert words in text
    assert "rich" not in text
    result = call(env, "gmail_read_message_without_attachments", message_id="abc",
                  include_attachments_info=False)
    assert "a.pdf" not in text_of(result)
    result = call(env, "gmail_read_message_without_attachments", message_id="unknown")
    assert result["isError"] and "did not find" in text_of(result)


def test_a_long_body_is_cut_with_a_marker(google):
    google.pages["/gmail/v1/users/me/messages/long"] = {
        "payload": {"mimeType": "text/html", "body": {"data": encode("<p>" + "ä" * 500_000)}}}
    text = text_of(call(environment(google), "gmail_read_message_without_attachments",
                        message_id="long"))
    assert "[cut here: the message is longer]" in text and len(text.encode()) < 70_000


def test_labels(google):
    google.pages["/gmail/v1/users/me/labels"] = {
        "labels": [{"id": "INBOX", "name": "INBOX", "type": "system"},
                   {"id": "Label_1", "name": HOSTILE, "type": "user"}]}
    result = call(environment(google), "gmail_list_labels")
    assert [label["id"] for label in result["structuredContent"]["labels"]] == ["INBOX", "Label_1"]
    assert text_of(result).startswith("Found 2 labels:")


# Drive and Calendar


def test_drive_search_quotes(google):
    google.pages["/drive/v3/files"] = {"files": [
        {"id": "f1", "name": "It's.txt", "mimeType": "text/plain", "size": "12",
         "owners": [{"displayName": "Ann"}], "webViewLink": "https://drive.example/f1"}]}
    result = call(environment(google), "drive_search", query="it's \\ x' or name != '")
    query, = google.gets("/drive/v3/files")
    quoted = "'it\\'s \\\\ x\\' or name != \\''"
    assert query["q"] == [
        f"(name contains {quoted} or fullText contains {quoted}) and trashed = false"]
    assert "orderBy" not in query
    file, = result["structuredContent"]["files"]
    assert file["name"] == "It's.txt" and file["owner"] == "Ann"
    assert "https://drive.example/f1" in text_of(result)


def test_drive_list_follows_pages_that_may_be_empty(google):
    def page(query):
        token = query.get("pageToken", ["0"])[0]
        return {"0": {"files": [{"id": "a", "name": "A"}], "nextPageToken": "1"},
                "1": {"files": [], "nextPageToken": "2"},
                "2": {"files": [{"id": "b", "name": "B"}]}}[token]

    google.pages["/drive/v3/files"] = page
    result = call(environment(google), "drive_list_all_files", file_type="pdf",
                  order_by="modifiedTime desc")
    assert [f["id"] for f in result["structuredContent"]["files"]] == ["a", "b"]
    query = google.gets("/drive/v3/files")[0]
    assert query["q"] == ["mimeType = 'application/pdf' and trashed = false"]
    assert query["orderBy"] == ["modifiedTime desc"] and query["pageSize"] == ["50"]


def test_pages_without_an_end_are_bounded(google):
    google.pages["/drive/v3/files"] = lambda query: {
        "files": [], "nextPageToken": query.get("pageToken", [""])[0] + "x"}
    call(environment(google), "drive_list_all_files")
    assert len(google.gets("/drive/v3/files")) <= 100


def test_calendar(google):
    google.pages["/calendar/v3/calendars/primary/events"] = {"items": [
        {"id": "e1", "summary": "Stand-up", "status": "confirmed", "location": "Room 1",
         "start": {"dateTime": "2025-01-06T09:00:00Z"}, "end": {"dateTime": "2025-01-06T09:15:00Z"},
         "attendees": [{"email": "ann@example.com", "responseStatus": "accepted"}]},
        {"id": "e2", "start": {"date": "2025-01-07"}, "end": {"date": "2025-01-08"}}]}
    result = call(environment(google), "calendar_list_events",
                  timeMin="2025-01-06T00:00:00+01:00", timeMax="2025-01-08T00:00:00Z")
    query, = google.gets("/calendar/v3/calendars/primary/events")
    assert query.pop("fields")
    assert query == {"timeMin": ["2025-01-05T23:00:00Z"], "timeMax": ["2025-01-08T00:00:00Z"],
                     "singleEvents": ["true"], "orderBy": ["startTime"], "maxResults": ["10"]}
    first, second = result["structuredContent"]["events"]
    assert first["attendees"] == ["ann@example.com"] and second["start"] == "2025-01-07"
    for words in ("Stand-up", "Room 1", "ann@example.com (accepted)", "(no title)"):
        assert words in text_of(result)


# Access, errors


def test_a_refused_token_is_refreshed_once(google):
    mailbox(google, 1)
    google.token = "ya29.other"
    assert not call(environment(google), "gmail_list_messages")["isError"]
    assert google.refreshes == 1
    posted = [form for method, path, form in google.requests if method == "POST"]
    assert posted == [{"grant_type": ["refresh_token"], "refresh_token": ["1//good"],
                       "client_id": ["client"], "client_secret": ["secret"]}]


def test_an_expired_token_is_refreshed_before_use(google):
    mailbox(google, 1)
    expired = str(int(time.time() * 1000) - 5000)
    assert not call(environment(google, GOOGLE_TOKEN_EXPIRES_AT=expired),
                    "gmail_list_messages")["isError"]
    assert google.requests[0][0] == "POST" and google.refreshes == 1


def test_a_token_that_goes_on_being_refused(google):
    path = "/gmail/v1/users/me/labels"
    google.first[path] = [(401, error(401, "authError", "no"))] * 9
    result = call(environment(google), "gmail_list_labels")
    assert result["isError"] and "Sign in again" in text_of(result)
    assert google.refreshes == 1 and len(google.gets(path)) == 2


def test_a_revoked_sign_in_is_not_retried(google):
    google.token = "ya29.other"
    result = call(environment(google, GOOGLE_REFRESH_TOKEN="1//revoked"), "gmail_list_labels")
    assert result["isError"] and "Sign in again" in text_of(result)
    assert google.refreshes == 1


def test_without_a_token(google):
    env = environment(google, GOOGLE_ACCESS_TOKEN=None, GOOGLE_REFRESH_TOKEN=None)
    result = call(env, "gmail_list_labels")
    assert result["isError"] and "not signed in" in text_of(result)
    assert google.requests == []


def test_only_a_refresh_token(google):
    google.pages["/gmail/v1/users/me/labels"] = {"labels": []}
    assert not call(environment(google, GOOGLE_ACCESS_TOKEN=None), "gmail_list_labels")["isError"]
    assert google.refreshes == 1


@pytest.mark.parametrize("failure", [
    (429, error(429, "rateLimitExceeded", "slow down"), (("Retry-After", "0"),)),
    (403, error(403, "userRateLimitExceeded", "slow down")), (500, b"oops"), (503, b"")])
def test_passing_errors_are_retried(google, failure):
    path = "/gmail/v1/users/me/labels"
    google.pages[path] = {"labels": [{"id": "INBOX", "name": "INBOX"}]}
    google.first[path] = [failure]
    assert not call(environment(google), "gmail_list_labels")["isError"]
    assert len(google.gets(path)) == 2


@pytest.mark.parametrize("failure, words, requests", [
    ((503, b"<html>"), "Google has a problem (HTTP 503)", 4),
    ((429, error(429, "rateLimitExceeded", "x"), (("Retry-After", "3600"),)), "limit of requests",
     1),
    ((403, error(403, "dailyLimitExceeded", "x")), "quota", 1),
    ((403, error(403, "forbidden", HOSTILE)), "does not allow", 1),
    ((400, error(400, "invalid", "Bad query")), "Bad query", 1),
    ((302, b"", (("Location", "http://127.0.0.1:1/"),)), "HTTP 302", 1),
    ((200, b"not json"), "could not be understood", 1),
    ((200, b"[1]"), "could not be understood", 1),
    ((200, b"[" * 100_000), "could not be understood", 1),
])
def test_errors_in_plain_words(google, failure, words, requests):
    path = "/gmail/v1/users/me/labels"
    google.first[path] = [failure] * 9
    result = call(environment(google), "gmail_list_labels")
    assert result["isError"] and words in text_of(result)
    assert "\n" not in text_of(result) and "ya29" not in text_of(result)
    assert len(google.gets(path)) == requests


def test_nobody_there(google):
    env = environment(google, GOOGLE_API_BASE="http://127.0.0.1:1")
    result = call(env, "gmail_list_labels")
    assert result["isError"] and "could not be reached" in text_of(result)


@pytest.mark.parametrize("answer", [
    {"messages": "x"}, {"messages": [1, None, {"id": 5}, {"id": "../x"}, {}]}, {"messages": {}},
    {"nextPageToken": 7}, {}])
def test_answers_of_the_wrong_shape(google, answer):
    google.pages["/gmail/v1/users/me/messages"] = answer
    result = call(environment(google), "gmail_list_messages")
    assert not result["isError"] and "No messages found" in text_of(result)
