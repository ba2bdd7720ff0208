"""What the runs' tools have really done: the files in the sandbox's Drive, counted over its own
API."""
import re
import urllib.parse

import requests

SCOPES = "openid email profile https://www.googleapis.com/auth/drive"
REDIRECT = "http://localhost/callback"


def access(sandbox, email):
    """An access token of that account, by the sandbox's OAuth."""
    query = {"client_id": "sandbox-client", "redirect_uri": REDIRECT, "response_type": "code",
             "scope": SCOPES, "sandbox_auto": "allow", "login_hint": email, "state": "x"}
    page = requests.get(f"{sandbox}/o/oauth2/v2/auth", params=query, allow_redirects=False,
                        timeout=20)
    code = urllib.parse.parse_qs(urllib.parse.urlsplit(page.headers["Location"]).query)["code"][0]
    answer = requests.post(f"{sandbox}/token", timeout=20, data={
        "grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT,
        "client_id": "sandbox-client", "client_secret": "sandbox-secret"})
    return answer.json()["access_token"]


def count_files(sandbox, email):
    """{tag: how many files bear it}"""
    headers = {"Authorization": f"Bearer {access(sandbox, email)}"}
    found, page = {}, None
    while True:
        query = {"q": "name contains 'tag-'", "pageSize": 100,
                 "fields": "nextPageToken,files(id,name)"}
        answer = requests.get(f"{sandbox}/drive/v3/files", headers=headers, timeout=30,
                              params={**query, **({"pageToken": page} if page else {})})
        assert answer.status_code == 200, answer.text
        for file in answer.json()["files"]:
            tag = re.match(r"(tag-[^.]*)", file["name"])
            if tag:
                found[tag[1]] = found.get(tag[1], 0) + 1
        page = answer.json().get("nextPageToken")
        if not page:
            return found
