"""A foreign emulator of Google (npm emulate): sign-in with PKCE, Gmail, Calendar, Drive."""
import html
import json
import re
import signal
import subprocess
import time
from urllib.parse import urljoin

import requests

import npm_servers
from pg_cluster import free_port
from stack import slow

EMAIL = "ada@example.com"
CLIENT = {"client_id": "mcpbus.apps.googleusercontent.com", "client_secret": "GOCSPX-emulated"}


def seed(redirect_uri):
    """What there is: one account, two mails, an event, a folder with a file."""
    mine = {"user_email": EMAIL}
    return {"google": {
        "users": [{"email": EMAIL, "name": "Ada Lovelace", "email_verified": True}],
        "oauth_clients": [{**CLIENT, "name": "mcpbus", "redirect_uris": [redirect_uri]}],
        "messages": [
            {**mine, "id": "msg_engine", "from": "Charles <charles@example.com>", "to": EMAIL,
             "subject": "Die Größe der Maschine", "body_text": "It weighs fifteen tons.",
             "label_ids": ["INBOX", "UNREAD"], "date": "2026-01-04T10:00:00.000Z"},
            {**mine, "id": "msg_loom", "from": "Jacquard <loom@example.com>", "to": EMAIL,
             "subject": "Cards for the loom", "body_text": "Punched as you asked.",
             "label_ids": ["INBOX"], "date": "2026-01-03T10:00:00.000Z"}],
        "calendars": [{**mine, "id": "primary", "summary": EMAIL, "primary": True,
                       "selected": True, "time_zone": "UTC"}],
        "calendar_events": [{**mine, "id": "evt_talk", "calendar_id": "primary",
                             "summary": "Talk with Charles",
                             "start_date_time": "2026-01-10T09:00:00.000Z",
                             "end_date_time": "2026-01-10T09:30:00.000Z"}],
        "drive_items": [{**mine, "id": "drv_notes", "name": "Notes", "parent_ids": ["root"],
                         "mime_type": "application/vnd.google-apps.folder"},
                        {**mine, "id": "drv_g", "name": "Note G.txt", "parent_ids": ["drv_notes"],
                         "mime_type": "text/plain", "data": "Bernoulli numbers"}]}}


class ForeignGoogle:
    def __init__(self, folder, redirect_uri):
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.log = folder / "emulate.log"
        config = folder / "emulate.json"
        config.write_text(json.dumps(seed(redirect_uri)))
        script = npm_servers.installed() / "node_modules" / "emulate" / "dist" / "index.js"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [npm_servers.node(), script, "start", "--service", "google", "--port",
                 str(self.port), "--seed", config], cwd=folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        end = time.monotonic() + 60 * slow()
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)

    def answers(self):
        try:
            return requests.get(self.base + "/.well-known/openid-configuration",
                                timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def settings(self):
        """Of a stack that takes it for Google."""
        return {"GOOGLE_CLIENT_ID": CLIENT["client_id"],
                "GOOGLE_CLIENT_SECRET": CLIENT["client_secret"],
                "GOOGLE_AUTH_URI": self.base + "/o/oauth2/v2/auth",
                "GOOGLE_TOKEN_URI": self.base + "/oauth2/token",
                "GOOGLE_USERINFO_URI": self.base + "/oauth2/v2/userinfo",
                "GOOGLE_REVOKE_URI": self.base + "/oauth2/revoke",
                "GOOGLE_API_BASE": self.base}

    def consent(self, auth_url):
        """As a browser does: chooses the account on the page; where it is sent back to."""
        page = requests.get(auth_url, timeout=30)
        assert page.status_code == 200, page.text
        for form in re.findall(r"<form.*?</form>", page.text, re.S):
            fields = {html.unescape(name): html.unescape(value) for name, value in
                      re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form)}
            if fields.get("email") != EMAIL:
                continue
            action = re.search(r'action="([^"]*)"', form)[1]
            answer = requests.post(urljoin(auth_url, html.unescape(action)), data=fields,
                                   allow_redirects=False, timeout=30)
            assert answer.status_code == 302, answer.text
            return answer.headers["Location"]
        raise AssertionError(f"no form for {EMAIL}: {page.text}")

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
