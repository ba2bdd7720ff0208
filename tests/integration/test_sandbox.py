"""mcpbus-sandbox alone: OAuth, Google's scope rules, the APIs' writing calls, the model's failures."""
import base64
import hashlib
import os
import pathlib
import re
import subprocess
import time
import urllib.parse

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
AUTH = "https://www.googleapis.com/auth/"
BACK = "http://localhost:9/back"
CLIENT = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
VERIFIER = "v" * 43
ALL = [AUTH + name for name in ("gmail.modify", "drive", "calendar", "documents")]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = os.environ.get("MCPBUS_BIN", str(ROOT / "build" / "bin"))
    log = tmp_path_factory.mktemp("sandbox") / "log"
    env = {"PATH": os.environ["PATH"], "SANDBOX_PORT": "0", "LOG_FORMAT": "text"}
    with log.open("w") as out:
        process = subprocess.Popen([folder + "/mcpbus-sandbox"], stderr=out, stdout=out, env=env,
                                   cwd=log.parent)
    deadline = time.monotonic() + 20
    while not (port := re.search(r"\bport=(\d+)", log.read_text())):
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port.group(1)}"
    process.terminate()
    assert process.wait(10) == 0, log.read_text()


def authorize(base, scopes, **more):
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    params = {"client_id": "sandbox-client", "redirect_uri": BACK, "response_type": "code",
              "scope": " ".join(["openid", "email", *scopes]), "state": "a&b=c",
              "access_type": "offline", "code_challenge_method": "S256",
              "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="), **more}
    return requests.get(base + "/o/oauth2/v2/auth", params=params, allow_redirects=False, timeout=10)


def sent_back(answer):
    assert answer.status_code == 302, answer.text
    url = urllib.parse.urlsplit(answer.headers["Location"])
    assert answer.headers["Location"].startswith(BACK + "?")
    return dict(urllib.parse.parse_qsl(url.query))


def exchange(base, **form):
    return requests.post(base + "/token", data={**CLIENT, **form}, timeout=10)


def redeem(base, code, **form):
    return exchange(base, **{"grant_type": "authorization_code", "code": code,
                             "redirect_uri": BACK, "code_verifier": VERIFIER, **form})


def sign_in(base, email, scopes, **more):
    answer = authorize(base, scopes, sandbox_auto="allow", login_hint=email, **more)
    return redeem(base, sent_back(answer)["code"]).json()


class Google:
    def __init__(self, base, tokens):
        self.base, self.tokens = base, tokens

    def __call__(self, method, path, **kwargs):
        headers = {"Authorization": "Bearer " + self.tokens["access_token"],
                   **kwargs.pop("headers", {})}
        return requests.request(method, self.base + path, headers=headers, timeout=10, **kwargs)


@pytest.fixture(scope="module")
def google(base):
    return Google(base, sign_in(base, "wide@example.com", ALL))


def test_consent_page(base):
    page = authorize(base, [AUTH + "drive", AUTH + "gmail.readonly"])
    assert page.status_code == 200
    assert "development only" in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    form = re.search(r'name="request" value="([^"]+)"', page.text).group(1)
    answer = requests.post(base + "/o/oauth2/v2/consent", allow_redirects=False, timeout=10, data={
        "request": form, "email": "page@example.com", "scope": AUTH + "gmail.readonly",
        "action": "allow"})
    back = sent_back(answer)
    assert back["state"] == "a&b=c"
    tokens = redeem(base, back["code"]).json()
    assert AUTH + "gmail.readonly" in tokens["scope"] and AUTH + "drive" not in tokens["scope"]
    denied = requests.post(base + "/o/oauth2/v2/consent", allow_redirects=False, timeout=10,
                           data={"request": form, "email": "", "action": "deny"})
    assert sent_back(denied)["error"] == "access_denied"
    forged = requests.post(base + "/o/oauth2/v2/consent", timeout=10,
                           data={"request": form[:-2], "email": "a@b.example", "action": "allow"})
    assert forged.status_code == 400


@pytest.mark.parametrize("change", [
    {"client_id": ""}, {"redirect_uri": "javascript:alert(1)"}, {"response_type": "token"},
    {"scope": "nonsense"}, {"code_challenge": "short"}, {"code_challenge_method": "plain"}])
def test_bad_authorization_requests(base, change):
    assert authorize(base, [], sandbox_auto="allow", **change).status_code in (400, 401)


def test_codes(base):
    def code():
        return sent_back(authorize(base, [], sandbox_auto="allow"))["code"]

    once = code()
    assert redeem(base, once).status_code == 200
    assert redeem(base, once).json()["error"] == "invalid_grant"
    assert redeem(base, code(), code_verifier="w" * 43).json()["error"] == "invalid_grant"
    assert redeem(base, code(), redirect_uri=BACK + "/x").json()["error"] == "redirect_uri_mismatch"
    wrong = redeem(base, code(), client_secret="wrong")
    assert wrong.status_code == 401 and wrong.json()["error"] == "invalid_client"


def test_refresh_tokens(base):
    first = sign_in(base, "again@example.com", [])
    assert first["access_token"].startswith("ya29.") and first["refresh_token"].startswith("1//")
    assert "refresh_token" not in sign_in(base, "again@example.com", [])
    assert "refresh_token" in sign_in(base, "again@example.com", [], prompt="consent")
    refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    assert exchange(base, **refresh).json()["expires_in"] == 3600
    assert requests.post(base + "/revoke", timeout=10,
                         data={"token": first["access_token"]}).status_code == 200
    assert exchange(base, **refresh).json()["error"] == "invalid_grant"
    assert Google(base, first)("GET", "/v1/userinfo").status_code == 401


def test_access_tokens_expire(base):
    code = sent_back(authorize(base, [], sandbox_auto="allow"))["code"]
    tokens = requests.post(base + "/token", headers={"X-Sandbox-Expires-In": "1"}, timeout=10, data={
        **CLIENT, "grant_type": "authorization_code", "code": code, "redirect_uri": BACK,
        "code_verifier": VERIFIER}).json()
    one = Google(base, tokens)
    assert one("GET", "/v1/userinfo").status_code == 200
    deadline = time.monotonic() + 10
    while one("GET", "/v1/userinfo").status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert one("GET", "/v1/userinfo").status_code == 401


@pytest.mark.parametrize("scope, method, path, allowed", [
    ("gmail.readonly", "GET", "/gmail/v1/users/me/messages", True),
    ("gmail.readonly", "POST", "/gmail/v1/users/me/messages/send", False),
    ("gmail.labels", "GET", "/gmail/v1/users/me/labels", True),
    ("gmail.labels", "GET", "/gmail/v1/users/me/messages", False),
    ("gmail.compose", "GET", "/gmail/v1/users/me/profile", True),
    ("gmail.modify", "DELETE", "/gmail/v1/users/me/messages/x", False),
    ("gmail.readonly", "GET", "/drive/v3/files", False),
    ("documents", "GET", "/drive/v3/files", False),
    ("drive", "GET", "/drive/v3/files", True),
    ("calendar.events", "GET", "/calendar/v3/calendars/primary/events", True),
    ("calendar.events", "POST", "/calendar/v3/freeBusy", False),
    ("calendar.readonly", "POST", "/calendar/v3/calendars/primary/events", False)])
def test_scope_rules(base, scope, method, path, allowed):
    email = scope.replace(".", "-") + "@example.com"
    answer = Google(base, sign_in(base, email, [AUTH + scope]))(method, path)
    assert answer.status_code == (200 if allowed else 403), answer.text
    if not allowed:
        error = answer.json()["error"]
        assert error["status"] == "PERMISSION_DENIED"
        assert error["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"


def test_mail(google):
    raw = "To: eve@example.com\r\nSubject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n\r\nhello\r\n"
    sent = google("POST", "/gmail/v1/users/me/messages/send",
                  json={"raw": base64.urlsafe_b64encode(raw.encode()).decode()}).json()
    path = "/gmail/v1/users/me/messages/" + sent["id"]
    headers = google("GET", path).json()["payload"]["headers"]
    assert {"name": "Subject", "value": "Grüße"} in headers
    found = google("GET", "/gmail/v1/users/me/messages", params={"q": "in:sent grüße"}).json()
    assert [one["id"] for one in found["messages"]] == [sent["id"]]
    assert "TRASH" in google("POST", path + "/trash").json()["labelIds"]
    first = google("GET", "/gmail/v1/users/me/messages", params={"maxResults": 20}).json()
    rest = google("GET", "/gmail/v1/users/me/messages",
                  params={"maxResults": 20, "pageToken": first["nextPageToken"]}).json()
    assert len({one["id"] for one in first["messages"] + rest["messages"]}) == 25


def test_files(google):
    folder = google("POST", "/drive/v3/files", json={
        "name": "it's", "mimeType": "application/vnd.google-apps.folder"}).json()["id"]
    body = ('--B\r\nContent-Type: application/json\r\n\r\n{"name": "n.bin", "parents": ["%s"]}\r\n'
            '--B\r\nContent-Type: application/x\r\n\r\n' % folder).encode() + b"\0\xff\r\n--B--"
    made = google("POST", "/upload/drive/v3/files?uploadType=multipart", data=body,
                  headers={"Content-Type": "multipart/related; boundary=B"}).json()["id"]
    assert google("GET", f"/drive/v3/files/{made}?alt=media").content == b"\0\xff"
    listed = google("GET", "/drive/v3/files", params={"q": f"'{folder}' in parents"}).json()
    assert [one["id"] for one in listed["files"]] == [made]
    assert google("GET", "/drive/v3/files", params={"q": r"name = 'it\'s'"}).json()["files"]
    assert google("GET", "/drive/v3/files", params={"q": "name = 'it's'"}).status_code == 400
    assert google("DELETE", f"/drive/v3/files/{made}").status_code == 204
    assert google("GET", f"/drive/v3/files/{made}").status_code == 404


def test_events(google):
    path = "/calendar/v3/calendars/primary/events"
    made = google("POST", path, json={
        "summary": "Lunch", "start": {"dateTime": "2030-01-01T12:00:00+01:00"},
        "end": {"dateTime": "2030-01-01T13:00:00+01:00"}}).json()
    busy = google("POST", "/calendar/v3/freeBusy", json={
        "timeMin": "2030-01-01T00:00:00Z", "timeMax": "2030-01-02T00:00:00Z",
        "items": [{"id": "primary"}]}).json()["calendars"]["primary"]["busy"]
    assert busy == [{"start": "2030-01-01T11:00:00Z", "end": "2030-01-01T12:00:00Z"}]
    changed = google("PATCH", f"{path}/{made['id']}", json={"summary": "Tea"}).json()
    assert changed["summary"] == "Tea" and changed["start"] == made["start"]
    assert google("DELETE", f"{path}/{made['id']}").status_code == 204
    assert google("GET", path, params={"timeMin": "soon"}).status_code == 400


def chat(base, text, headers=None, **more):
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}
    return requests.post(base + "/v1/chat/completions", json=body, timeout=30,
                         headers={"Authorization": "Bearer key", **(headers or {})})


def test_model_failures(base):
    answers = [chat(base, "hi [sandbox:429x2]") for _ in range(3)]
    assert [one.status_code for one in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "1"
    assert chat(base, "hi [sandbox:500x1]").status_code == 500
    quota = chat(base, "hi", {"X-Sandbox-Fail": "quota"})
    assert quota.status_code == 429
    assert quota.json()["error"]["code"] == "insufficient_quota"
    with pytest.raises(ValueError):
        chat(base, "[sandbox:garbage]").json()
    for options in ({}, {"stream": True}):  # the connection ends without the end of the body
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            assert chat(base, "[sandbox:cut]", **options).text
    begin = time.monotonic()
    assert chat(base, "[sandbox:slow=1]").status_code == 200
    assert time.monotonic() - begin >= 0.9
    assert chat(base, "hi", {"Authorization": ""}).status_code == 401


def test_model_answers(base):
    tools = [{"type": "function", "function": {"name": "s__echo",
                                               "parameters": {"type": "object"}}}]
    whole = chat(base, "echo a word", tools=tools).json()
    call = whole["choices"][0]["message"]["tool_calls"][0]
    assert call["function"] == {"name": "s__echo", "arguments": '{"message":"a word"}'}
    usage = whole["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    streamed = chat(base, "hello", stream=True, stream_options={"include_usage": True})
    assert streamed.headers["Content-Type"].startswith("text/event-stream")
    assert streamed.text.endswith("data: [DONE]\n\n") and '"total_tokens"' in streamed.text


# Gmail's batches and threads


def batch(google, parts, path="/batch/gmail/v1"):
    text = "".join(f"--b\r\nContent-Type: application/http\r\nContent-ID: <{name}>\r\n\r\n{call}"
                   for name, call in parts) + "--b--\r\n"
    return google("POST", path, data=text.encode(),
                  headers={"Content-Type": "multipart/mixed; boundary=b"})


def test_batches(google):
    first = google("GET", "/gmail/v1/users/me/messages?maxResults=1").json()["messages"][0]["id"]
    answer = batch(google, [
        ("a", f"GET /gmail/v1/users/me/messages/{first}?format=minimal&fields=id HTTP/1.1\r\n\r\n"),
        ("b", "GET /gmail/v1/users/me/messages/none HTTP/1.1\r\n\r\n"),
        ("c", f"POST /gmail/v1/users/me/messages/{first}/modify HTTP/1.1\r\n"
              'Content-Type: application/json\r\n\r\n{"addLabelIds": ["STARRED"]}\r\n'),
        ("d", f"DELETE /gmail/v1/users/me/messages/{first} HTTP/1.1\r\n\r\n")])
    assert answer.status_code == 200
    boundary = answer.headers["Content-Type"].split("boundary=")[1]
    parts = answer.text.split("--" + boundary)
    assert parts[0] == "" and parts[-1] == "--\r\n" and len(parts) == 6
    for part, name, status in zip(parts[1:], "abcd", (200, 404, 200, 403)):
        assert f"Content-ID: <response-{name}>" in part and f"HTTP/1.1 {status} " in part
    assert '{"id":"' + first + '"}' in parts[1]
    assert "STARRED" in google("GET", f"/gmail/v1/users/me/messages/{first}").json()["labelIds"]


@pytest.mark.parametrize("parts, status", [
    ([], 400), ([("x", "nonsense")], 400),
    ([(str(n), "GET /gmail/v1/users/me/labels HTTP/1.1\r\n\r\n") for n in range(100)], 200),
    ([(str(n), "GET /gmail/v1/users/me/labels HTTP/1.1\r\n\r\n") for n in range(101)], 400),
    ([("x", "POST /batch/gmail/v1 HTTP/1.1\r\n\r\n--b--")], 200)])
def test_batches_are_bounded(google, parts, status):
    assert batch(google, parts).status_code == status


def test_a_mail_joins_a_thread_only_when_it_says_so(google):
    def send(thread=None, **headers):
        text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        raw = base64.urlsafe_b64encode((text + "To: a@b.example\r\n\r\nx").encode()).decode()
        return google("POST", "/gmail/v1/users/me/messages/send", json={
            "raw": raw, "threadId": thread} if thread else {"raw": raw})

    first = send(Subject="Plan", Message_ID="<first@example.com>").json()
    for headers, joins in (({"Subject": "Re: Plan", "In_Reply_To": "<first@example.com>"}, True),
                           ({"Subject": "Plan", "References": "<x@y> <first@example.com>"}, True),
                           ({"Subject": "Re: Plan"}, False),
                           ({"Subject": "Else", "In_Reply_To": "<first@example.com>"}, False)):
        answer = send(first["threadId"], **headers).json()
        assert (answer["threadId"] == first["threadId"]) == joins, headers
    assert send("nothread", Subject="Plan").status_code == 404
