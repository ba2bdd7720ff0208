"""In a real browser: signing in through the consent page, and the interactive docs."""
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.by import By

from client import User, begin_sign_in, fresh_email, sign_in
from pages import complaints, find, phone, prefers, requested, shot, too_wide, wait

pytest_plugins = ["shared_stacks", "pages"]
pytestmark = pytest.mark.page


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
    addresses = list(requested(browser, wide_stack.url))
    assert any(address.endswith("/openapi.json") for address in addresses)
    assert [address for address in addresses
            if not address.startswith((wide_stack.url + "/", "data:", "blob:"))] == []
    assert complaints(browser) == []


def click(browser, path):
    wait(browser, lambda: browser.find_elements(By.XPATH, path), path)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})",
                           browser.find_element(By.XPATH, path))
    browser.find_element(By.XPATH, path).click()


def execute(browser, method, path):
    """Unfolds the operation and tries it as it stands; where its answer is shown."""
    block = f"//div[contains(@class, 'opblock-{method}')][.//span[@data-path='{path}']]"
    click(browser, block + "//button[contains(@class, 'opblock-summary-control')]")
    click(browser, block + "//button[contains(@class, 'execute')]")
    return block + "//table[contains(@class, 'live-responses-table')]"


def test_docs_can_be_tried(browser, wide_stack):
    """With a token: who am I, and a job, as its example says."""
    user = sign_in(wide_stack)
    browser.get(wide_stack.url + "/docs")
    click(browser, "//button[contains(@class, 'authorize')]")
    field = find(browser, ".auth-container input")
    field.send_keys(user.token)
    click(browser, "//form//button[contains(@class, 'authorize')]")
    click(browser, "//button[contains(@class, 'btn-done')]")
    for method, path, expected in (("get", "/me", user.email), ("post", "/run", "job_id")):
        answer = execute(browser, method, path)
        wait(browser, lambda: any(expected in found.text
                                  for found in browser.find_elements(By.XPATH, answer)), path)
    jobs = user.get("/jobs").json()["jobs"]
    assert [job["message"] for job in jobs] == ["List my recent emails"]
    assert user.token not in browser.execute_script("return JSON.stringify({...localStorage})")
    shot(browser, "docs-tried")
    assert complaints(browser) == []


def background(browser):
    return browser.execute_script("return getComputedStyle(document.body).backgroundColor")


def test_docs_are_dark_and_narrow_too(browser, wide_stack):
    with prefers(browser, color_scheme="light"):
        browser.get(wide_stack.url + "/docs")
        find(browser, ".opblock")
        light = background(browser)
        shot(browser, "docs-light")
        find(browser, "[data-theme-switch]").click()
        assert background(browser) != light
        find(browser, "[data-theme-switch]").click()
        assert background(browser) == light
        browser.execute_script("localStorage.clear()")
    with prefers(browser, color_scheme="dark"):
        browser.get(wide_stack.url + "/docs")
        find(browser, ".opblock")
        assert background(browser) != light
        shot(browser, "docs-dark")
    with phone(browser):
        assert too_wide(browser) == []
        shot(browser, "docs-phone")
    assert complaints(browser) == []
