"""The chat page, as its tests use it."""
import contextlib
import json

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from client import fresh_email, sign_in
from pages import find, wait


def address(stack):
    """Of the page, where sign-ins come back to."""
    return stack.vars["PUBLIC_URL"] + "/app"


def all_of(browser, selector):
    return browser.find_elements(By.CSS_SELECTOR, selector)


def click(browser, selector):
    """Once it is there, enabled, and nothing lies above it."""
    wait(browser, lambda: clicked(browser, selector), f"{selector} is enabled")


def clicked(browser, selector):
    # The page may put another in its place at any moment.
    with contextlib.suppress(StaleElementReferenceException):
        element = find(browser, selector)
        if element.is_enabled():
            click_on(browser, element)
            return True
    return False


def click_on(browser, element):
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def press(browser, text, selector="button"):
    """The button with this text."""
    wait(browser, lambda: pressed(browser, text, selector), text)


def pressed(browser, text, selector):
    with contextlib.suppress(StaleElementReferenceException):
        found = browser.execute_script("""
            return [...document.querySelectorAll(arguments[0])].find(one =>
                one.checkVisibility() && !one.disabled && one.innerText === arguments[1]);""",
                                       selector, text)
        if found:
            found.click()
            return True
    return False


def texts(browser, selector):
    """Of those that are to be seen."""
    return browser.execute_script("""
        return [...document.querySelectorAll(arguments[0])].filter(one => one.checkVisibility())
            .map(one => one.innerText);""", selector)


def has(browser, text, selector="body"):
    """Waits until the text is to be seen."""
    wait(browser, lambda: any(text in one for one in texts(browser, selector)),
         f"{text!r} in {selector}")


def enter(browser, stack, user=None):
    """Opens the page as someone who has signed in in this tab; the User."""
    user = user or sign_in(stack, fresh_email("ada.lovelace"))
    browser.get(address(stack))
    browser.execute_script("sessionStorage.setItem('mcpbus-chat-token', arguments[0])",
                           json.dumps(user.token))
    browser.refresh()
    find(browser, "#message")
    return user


def write(browser, text):
    """Into the box; texts that keys can't make, too."""
    browser.execute_script("""
        arguments[0].value = arguments[1];
        arguments[0].dispatchEvent(new Event("input"));""", find(browser, "#message"), text)


def ask(browser, text):
    write(browser, text)
    find(browser, "#message").send_keys(Keys.ENTER)


def is_running(browser):
    return find(browser, "#stop").is_displayed()


def idle(browser):
    """Waits until nothing runs."""
    wait(browser, lambda: not is_running(browser), "the end of the run")


def answered(browser, count=1):
    """Waits for so many turns, all of them ended; the answers' texts."""
    wait(browser, lambda: browser.execute_script("""
        const number = selector => document.querySelectorAll(selector).length;
        return number(".turn") === arguments[0] && number(".turn footer time") === arguments[0]
            && document.getElementById("stop").hidden;""", count), f"{count} turns have ended")
    return texts(browser, ".answer")
