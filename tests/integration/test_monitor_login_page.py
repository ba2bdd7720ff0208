"""The dashboard's sign-in in a real browser."""
import pytest
from selenium.webdriver.common.by import By

from monitors import TOKEN, monitor
from pages import axe, complaints, find, foreign, phone, prefers, shot, too_wide, wait

pytest_plugins = ["pages"]
pytestmark = pytest.mark.page
ADMIN = "ada.admin@example.com"


@pytest.fixture(scope="module")
def gate(echo):
    with monitor(echo, MONITOR_TOKEN=TOKEN, MONITOR_ADMINS=ADMIN) as one:
        yield one


def at(browser, gate, path="/", host="127.0.0.1"):
    """Is the browser there? The dashboard adds a fragment."""
    return browser.current_url.partition("#")[0] == \
        gate.url.replace("127.0.0.1", host) + path


def who(browser):
    return browser.execute_async_script(
        "const done = arguments[0]; fetch('/api/session').then(a => a.json()).then(done, done);")


def test_by_token(browser, gate):
    browser.get(gate.url)
    wait(browser, lambda: at(browser, gate, "/login"), "the way to the sign-in")
    field = find(browser, "#token")
    assert browser.switch_to.active_element == field, "one can type at once"
    assert axe(browser) == [] and complaints(browser) == []
    assert foreign(browser, gate.url) == []
    shot(browser, "login")
    field.send_keys("not the token")
    field.submit()
    assert "not the token" in find(browser, "#message").text
    assert axe(browser) == []
    shot(browser, "login-wrong")
    find(browser, "#token").send_keys(TOKEN)
    find(browser, "button.primary").click()
    wait(browser, lambda: at(browser, gate), "the dashboard")
    assert who(browser) == {"name": "token", "how": "token"}
    assert browser.execute_script("return document.cookie") == "", "no script can read it"
    browser.refresh()
    assert at(browser, gate)
    # As the dashboard's button does.
    status = browser.execute_async_script("""
        const done = arguments[0], headers = {"X-Requested-With": "mcpbus"};
        fetch("/logout", {method: "POST", headers}).then(answer => done(answer.status), done);""")
    assert status == 200
    browser.get(gate.url)
    wait(browser, lambda: at(browser, gate, "/login"), "signed out")


def test_without_javascript_on_a_telephone_in_the_dark(browser, gate):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    with phone(browser), prefers(browser, color_scheme="dark"):
        browser.get(gate.url + "/login")
        find(browser, "#google")
        shot(browser, "login-phone-dark")
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        assert too_wide(browser) == [] and axe(browser) == []
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        find(browser, "#token").send_keys(TOKEN)
        find(browser, "button.primary").click()
        wait(browser, lambda: at(browser, gate), "the dashboard")
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def choose(browser, email):
    field = find(browser, "#email")
    field.clear()
    field.send_keys(email)
    find(browser, "#allow").click()


def test_by_google(browser, gate):
    """From 127.0.0.1, though Google knows localhost; the cookie is there behind the way back."""
    browser.get(gate.url + "/login")
    find(browser, "#google").click()
    choose(browser, "mallory@example.com")
    text = find(browser, "#message").text
    assert "mallory@example.com is not in MONITOR_ADMINS" in text
    assert axe(browser) == []
    shot(browser, "login-refused")
    browser.find_element(By.LINK_TEXT, "Back to the sign-in").click()
    find(browser, "#google").click()
    choose(browser, ADMIN)
    wait(browser, lambda: at(browser, gate, host="localhost"), "the dashboard")
    assert who(browser) == {"name": ADMIN, "how": "google"}


def test_by_a_link_of_another_site(browser, gate, echo):
    """Who is signed in is let in, though the browser holds the cookie back at first."""
    browser.get(gate.url + "/login")
    find(browser, "#token").send_keys(TOKEN)
    find(browser, "button.primary").click()
    wait(browser, lambda: at(browser, gate), "the dashboard")
    browser.get(echo.sandbox.replace("127.0.0.1", "localhost") + "/")
    browser.execute_script("location.href = arguments[0]", gate.url)
    wait(browser, lambda: at(browser, gate), "the dashboard")
    assert who(browser) == {"name": "token", "how": "token"}
