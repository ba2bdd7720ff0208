"""The MCP Inspector's command line as another host of mcpbus-google, in both eras of the protocol."""
import json
import os
import subprocess

import pytest

import npm_servers
from google_host import Sandbox, environment, program
from stack import slow

SCOPES = ["gmail.modify", "gmail.compose", "drive", "documents", "spreadsheets", "calendar.events",
          "calendar.readonly"]
ORIGINALS = """
    drive_search drive_read drive_edit drive_delete drive_upload_file drive_move drive_share_file
    drive_get_shareable_link drive_create_folder drive_list_folder_contents drive_list_all_files
    drive_create gmail_list_messages gmail_read_message_without_attachments
    gmail_find_messages_with_attachments gmail_read_attachment_content gmail_search_and_summarize
    gmail_send_message gmail_reply_to_message gmail_list_labels gmail_modify_labels
    gmail_delete_message calendar_list_events calendar_create_event_with_invitations
    calendar_get_availability calendar_update_event calendar_delete_event""".split()
MORE = """docs_read docs_append docs_replace_text sheets_read sheets_append sheets_update
    sheets_create""".split()


@pytest.fixture(scope="module", name="sandbox")
def _sandbox(tmp_path_factory):
    one = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield one
    one.stop()


@pytest.fixture(name="inspect", params=["legacy", "modern"])
def _inspect(request, sandbox, tmp_path):
    """inspect(method, option, …): the result that it prints."""
    tokens = sandbox.sign_in("ada@example.com", SCOPES)
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"google": {
        "command": program("mcpbus-google"), "env": environment(sandbox.base, tokens, SCOPES)}}}))

    def inspect(method, *options):
        script = npm_servers.installed() / "node_modules" / ".bin" / "mcp-inspector"
        done = subprocess.run(
            [npm_servers.node(), script, "--cli", "--config", config, "--server", "google",
             "--protocol-era", request.param, "--connect-timeout", "60000", "--method", method,
             *options],
            capture_output=True, text=True, timeout=90 * slow(), check=False,
            stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    return inspect


def text(result):
    assert not result.get("isError"), result
    return "".join(block["text"] for block in result["content"])


def test_lists_every_tool(inspect):
    """Their schemas are portable, by the Inspector's own rules."""
    listed = inspect("tools/list", "--strict")["tools"]
    assert {tool["name"] for tool in listed} == {*ORIGINALS, *MORE}
    assert len(ORIGINALS) == 27


def test_calls(inspect):
    assert "Found 2 messages" in text(inspect("tools/call", "--tool-name", "gmail_list_messages",
                                              "--tool-arg", "max_results=2"))
    made = inspect("tools/call", "--tool-name", "drive_create", "--tool-args-json", json.dumps(
        {"name": "Plan.txt", "mimeType": "text/plain", "content": "A plan"}))
    assert "Plan.txt" in text(made)
    assert inspect("resources/templates/list")["resourceTemplates"][0]["uriTemplate"] == \
        "gdrive:///{file_id}"
    read = inspect("resources/read", "--uri", "gdrive:///" + made["structuredContent"]["id"])
    assert read["contents"][0]["text"] == "A plan"
