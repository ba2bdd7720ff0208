"""mcpbus and its tools against an emulator of Google that others have written."""
import json

import pytest

from client import User, begin_sign_in, call_back, http, of_kind
from foreign_google import EMAIL, ForeignGoogle
from pg_cluster import free_port
from stack import Stack

SCOPES = ["gmail_full", "gmail_compose", "drive", "calendar_events", "calendar_readonly"]


@pytest.fixture(scope="module", name="emulated")
def _emulated(tmp_path_factory):
    port = free_port()
    url = f"http://localhost:{port}"
    google = ForeignGoogle(tmp_path_factory.mktemp("google"), url + "/auth/callback")
    try:
        one = Stack(env={"GATEWAY_PORT": str(port), "PUBLIC_URL": url, **google.settings()})
        one.google = google
        yield one
        one.close()
    finally:
        google.close()


@pytest.fixture(scope="module", name="ada")
def _ada(emulated):
    """Signed in through the emulator's page, with its check of PKCE."""
    begun = begin_sign_in(emulated, SCOPES)
    answer = call_back(emulated.google.consent(begun["auth_url"]))
    assert answer.status_code == 200, answer.text
    return User(emulated, answer.json()["access_token"])


@pytest.fixture(name="use")
def _use(ada):
    """use(tool, **arguments) in a run of its own: the result's text, or the error's with fails=True."""
    def use(tool, fails=False, **arguments):
        job = ada.run(f"use tool google__{tool} with {json.dumps(arguments)}")
        ended = ada.finished(job, 90)
        assert ended["status"] == "completed", ended
        result = of_kind(ada.events(job), "tool_result")[0].data
        assert result["is_error"] is fails, result["content"]
        return result["content"]
    return use


def found(text, word):
    """The id in the lines of the item that has the word."""
    for item in text.split("\n\n"):
        if word in item:
            for line in item.splitlines():
                name, _, value = line.strip().partition(": ")
                if name.upper().endswith("ID"):
                    return value.split()[0]
    raise AssertionError(f"{word} is not in {text}")


def test_sign_in(ada, emulated):
    assert ada.email == EMAIL and ada.claims["name"] == "Ada Lovelace"
    status = ada.get("/auth/status").json()
    assert status["authenticated"] is True and status["email"] == EMAIL
    again = call_back(emulated.google.consent(begin_sign_in(emulated, SCOPES)["auth_url"]))
    assert User(emulated, again.json()["access_token"]).id == ada.id, "the account keeps its id"


def test_a_code_of_another_sign_in_is_refused(emulated):
    """The emulator holds the verifier against the challenge."""
    first, second = (begin_sign_in(emulated, SCOPES) for _ in range(2))
    location = emulated.google.consent(first["auth_url"])
    assert first["state"] in location
    answer = http("GET", location.replace(first["state"], second["state"]),
                  headers={"Accept": "application/json"})
    assert answer.status_code in (400, 502), answer.text
    assert "access_token" not in answer.text


def test_reading_mail(use):
    listed = use("gmail_list_messages")
    assert "Die Größe der Maschine" in listed and "Cards for the loom" in listed
    assert "Cards" not in use("gmail_list_messages", query="from:charles@example.com")
    text = use("gmail_read_message_without_attachments", message_id="msg_engine")
    assert "It weighs fifteen tons." in text and "Charles" in text
    assert "loom@example.com" in use("gmail_search_and_summarize", query="subject:loom")
    use("gmail_read_message_without_attachments", fails=True, message_id="msg_missing")


def test_sending_and_answering(use):
    use("gmail_send_message", to="Zoë <zoe@example.com>", subject="Grüße, 你好 ✓",
        body="First line\nÄ second one")
    sent = use("gmail_list_messages", query="in:sent")
    assert "Grüße, 你好 ✓" in sent
    text = use("gmail_read_message_without_attachments", message_id=found(sent, "Grüße"))
    assert "Ä second one" in text and "zoe@example.com" in text
    use("gmail_reply_to_message", message_id="msg_engine", body="That is much.")
    answers = use("gmail_list_messages", query="in:sent subject:Maschine")
    text = use("gmail_read_message_without_attachments", message_id=found(answers, "Größe"))
    assert "That is much." in text and "charles@example.com" in text


def test_labels_and_the_trash(use):
    assert "INBOX" in use("gmail_list_labels")
    use("gmail_modify_labels", message_id="msg_loom", add_labels=["STARRED"])
    assert "loom" in use("gmail_list_messages", query="is:starred")
    use("gmail_delete_message", message_id="msg_loom")
    assert "loom" not in use("gmail_list_messages")


def test_drive(use):
    listed = use("drive_list_folder_contents", folder_id="drv_notes")
    assert "Note G.txt" in listed
    assert "Bernoulli numbers" in use("drive_read", fileId="drv_g")
    assert "Note G.txt" in use("drive_search", query="Note G")
    made = use("drive_create", name="Plan.txt", mimeType="text/plain", content="Ein Plan — très bien",
               folder_id="drv_notes")
    assert "Plan.txt" in made
    everything = use("drive_list_all_files")
    assert "Plan.txt" in everything
    assert "Ein Plan — très bien" in use("drive_read", fileId=found(everything, "Plan.txt"))
    folder = use("drive_create_folder", name="Drawings")
    assert "Drawings" in folder
    use("drive_move", fileId="drv_g", targetFolderId=found(use("drive_list_all_files"), "Drawings"))
    assert "Note G.txt" not in use("drive_list_folder_contents", folder_id="drv_notes",
                                   include_subfolders=False)


def test_calendar(use):
    """It has no way to read one event, so that the tools that change one find none."""
    january = {"timeMin": "2026-01-10T00:00:00Z", "timeMax": "2026-01-11T00:00:00Z"}
    assert "Talk with Charles" in use("calendar_list_events", **january)
    use("calendar_create_event_with_invitations", summary="Müller’s visit",
        startTime="2026-01-10T14:00:00Z", endTime="2026-01-10T15:00:00Z",
        attendees=["zoe@example.com"], location="London")
    listed = use("calendar_list_events", **january)
    assert "Müller’s visit" in listed
    busy = use("calendar_get_availability", **january)
    assert "14:00" in busy and "09:00" in busy
    use("calendar_delete_event", fails=True, event_id=found(listed, "Müller"))


def test_access_is_given_back(emulated):
    """DELETE /me revokes the token there."""
    begun = begin_sign_in(emulated, SCOPES)
    user = User(emulated, call_back(emulated.google.consent(begun["auth_url"])).json()["access_token"])
    assert user.delete("/me").status_code == 200
    assert user.get("/me").status_code == 401
