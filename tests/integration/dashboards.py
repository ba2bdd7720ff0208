"""The dashboard in a browser, over a stack of its own: agents, two workers, one tool server beside
Google's. A file that uses `board` says pytest_plugins = ["pages", "dashboards"]."""
import json
import pathlib
import subprocess

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import npm_servers
from client import User, http, original_token, sign_in
from pages import find, wait
from stack import Stack

SERVER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "mcp_server.py"
PAGES = {"overview": "#/", "workers": "#/workers", "jobs": "#/jobs", "errors": "#/errors",
         "system": "#/system"}


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    for one in (folder, folder.parent, folder.parent.parent):
        one.chmod(one.stat().st_mode | 0o055)
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {
        "google": npm_servers.GOOGLE,
        "test": {"command": "/usr/bin/python3", "args": [str(SERVER)]}}}))
    config.chmod(0o644)
    one = Stack(env={"MCP_CONFIG": str(config), "JOB_MAX_ATTEMPTS": "1"}, scale={"worker": 2})
    yield one
    one.close()


def somebody(board):
    """A user without a Google account."""
    return User(board, original_token(board))


def with_google(board):
    return sign_in(board, scopes=("gmail_readonly",))


def enter_token(browser, board):
    field = find(browser, "#token")
    field.send_keys(board.monitor_token, Keys.ENTER)
    live(browser)


def enter(browser, board, page="#/"):
    """Goes to that page, with a sign-in that another browser has made before."""
    if not hasattr(board, "cookie"):
        answer = http("POST", board.monitor_url + "/login", allow_redirects=False,
                      data={"token": board.monitor_token},
                      headers={"Origin": board.monitor_url})
        (board.cookie,) = answer.cookies.items()
    name, value = board.cookie
    browser.execute_cdp_cmd("Network.setCookie", {
        "name": name, "value": value, "url": board.monitor_url, "httpOnly": True,
        "sameSite": "Strict"})
    browser.get(f"{board.monitor_url}/{page}")
    live(browser)


def go(browser, page):
    browser.execute_script("location.hash = arguments[0]", page)
    wait(browser, lambda: not loading(browser), f"{page} is there")


def loading(browser):
    return "Loading" in text(browser, "#main") or not text(browser, "#main")


def live(browser):
    wait(browser, lambda: text(browser, "#live") == "Live", "the page is live")


def text(browser, selector):
    """Of the first such element, "" when there is none to be seen. The page changes at any moment,
    so nothing of it is kept."""
    return browser.execute_script("""
        const one = document.querySelector(arguments[0]);
        return one?.checkVisibility() ? one.innerText : "";""", selector)


def texts(browser, selector):
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(one => one.innerText)", selector)


def shows(browser, selector, words):
    """Waits until an element says that."""
    wait(browser, lambda: words in text(browser, selector),
         f"{selector} says {words!r}")


def press(browser, selector):
    """A button that a poll may replace under the pointer is found and pressed at once."""
    wait(browser, lambda: browser.execute_script("""
        const one = document.querySelector(arguments[0]);
        if (!one || one.disabled || !one.checkVisibility())
            return false;
        one.click();
        return true;""", selector), f"{selector} can be pressed")


def say_yes(browser):
    press(browser, "dialog[open] button[value=yes]")


def row_of(browser, name):
    """The text of a table's row whose first cell has that name; "" without one."""
    return browser.execute_script("""
        return [...document.querySelectorAll("#main tbody tr")]
            .find(row => row.cells[0].innerText.includes(arguments[0]))?.innerText ?? "";""", name)


def press_in_row(browser, name, verb):
    wait(browser, lambda: browser.execute_script("""
        const row = [...document.querySelectorAll("#main tbody tr")]
            .find(one => one.cells[0].innerText.includes(arguments[0]));
        const button = row?.querySelector(`button[data-do=${arguments[1]}]`);
        button?.click();
        return Boolean(button);""", name, verb), f"{verb} {name}")


def api(board, path):
    """What the page is told."""
    answer = http("GET", board.monitor_url + path, headers={
        "Authorization": f"Bearer {board.monitor_token}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def instances(board):
    """{pid: instance} of the workers that the monitor knows."""
    return {one["pid"]: one["instance"] for one in api(board, "/api/workers").values()
            if one.get("pid") and one.get("reachable")}


def service(board, verb, name):
    """sv(8): down and up are done when they return."""
    subprocess.run(["sv", "-w", "20", verb, str(board.run / "sv" / name)], check=True,
                   capture_output=True)


def search(browser, words):
    field = browser.find_element(By.ID, "search")
    field.clear()
    field.send_keys(words, Keys.ENTER)
