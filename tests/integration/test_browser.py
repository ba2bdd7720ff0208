"""In a real browser: signing in through the consent page, and the interactive docs."""
import json
import shutil
import tempfile
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from client import User, begin_sign_in, fresh_email
from stack import slow

pytest_plugins = ["shared_stacks"]

SWITCHES = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--no-proxy-server", "--window-size=1200,1000")


@pytest.fixture
def browser():
    folder = tempfile.mkdtemp(prefix="browser-")
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for switch in (*SWITCHES, f"--user-data-dir={folder}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.set_page_load_timeout(60 * slow())
    yield driver
    driver.quit()
    shutil.rmtree(folder, ignore_errors=True)


def wait(browser, condition, what):
    return WebDriverWait(browser, 30 * slow(), 0.1).until(lambda _: condition(), what)


def find(browser, selector):
    found = wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, selector), selector)
    return found[0]


def requested(browser, origin):
    """Addresses that pages of that origin have asked for; the browser's own start page is none."""
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent" \
                and message["params"].get("documentURL", "").startswith(origin):
            yield message["params"]["request"]["url"]


def complaints(browser):
    """What the console says of errors; a missing favicon is none."""
    return [entry["message"] for entry in browser.get_log("browser")
            if entry["level"] == "SEVERE" and "favicon" not in entry["message"]]


def test_sign_in(browser, wide_stack):
    email = fresh_email("grace.hopper")
    browser.get(begin_sign_in(wide_stack, ["gmail_readonly", "drive"])["auth_url"])
    field = find(browser, "#email")
    field.clear()
    field.send_keys(email)
    # Of the two that are asked for, Drive is refused.
    find(browser, "input[type=checkbox][value$='/auth/drive']").click()
    find(browser, "#allow").click()
    area = find(browser, "textarea")
    assert area.get_attribute("readonly")
    user = User(wide_stack, (area.get_property("value") or area.text).strip())
    text = find(browser, "body").text
    assert user.email == email
    assert email in text
    assert user.id in text
    assert "gmail" in text
    assert urlsplit(browser.current_url).path == "/auth/callback"
    assert user.get("/me").status_code == 200
    granted = user.get("/auth/status").json()["granted_scopes"]
    assert [scope.rpartition("/")[2] for scope in granted] == ["gmail.readonly"]
    assert complaints(browser) == []


def test_deny(browser, wide_stack):
    browser.get(begin_sign_in(wide_stack, ["drive"])["auth_url"])
    find(browser, "#deny").click()
    wait(browser, lambda: urlsplit(browser.current_url).path == "/auth/callback", "the way back")
    assert not browser.find_elements(By.CSS_SELECTOR, "textarea")
    assert "access_denied" in find(browser, "body").text


def test_reload_of_the_callback_gives_no_second_token(browser, wide_stack):
    browser.get(begin_sign_in(wide_stack, ["drive"])["auth_url"])
    find(browser, "#allow").click()
    find(browser, "textarea")
    browser.refresh()
    wait(browser, lambda: not browser.find_elements(By.CSS_SELECTOR, "textarea"), "an error page")


def test_docs(browser, wide_stack):
    """They render with nothing from elsewhere, and nothing that their policy forbids."""
    browser.get(wide_stack.url + "/docs")
    wait(browser, lambda: "/result/{job_id}" in find(browser, "body").text.replace("\u200b", ""),
         "the operations")
    text = find(browser, "body").text.replace("\u200b", "")
    for path in ("/run", "/jobs/{job_id}/events", "/auth/scopes", "/me"):
        assert path in text
    origin = wide_stack.url + "/"
    addresses = list(requested(browser, origin))
    assert any(address.endswith("/openapi.json") for address in addresses)
    foreign = [address for address in addresses
               if not address.startswith((origin, "data:", "blob:"))]
    assert foreign == []
    assert complaints(browser) == []


def test_docs_can_be_tried(browser, wide_stack):
    """Unfold GET /health, try it out, execute: the answer is shown."""
    browser.get(wide_stack.url + "/docs")
    block = "//div[contains(@class, 'opblock-get')][.//span[@data-path='/health']]"

    def click(path):
        wait(browser, lambda: browser.find_elements(By.XPATH, path), path)
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})",
                               browser.find_element(By.XPATH, path))
        browser.find_element(By.XPATH, path).click()

    click(block + "//button[contains(@class, 'opblock-summary-control')]")
    click(block + "//button[contains(@class, 'try-out__btn')]")
    click(block + "//button[contains(@class, 'execute')]")
    wait(browser, lambda: "healthy" in browser.find_element(
        By.XPATH, block + "//table[contains(@class, 'live-responses-table')]").text, "the answer")
    assert complaints(browser) == []
