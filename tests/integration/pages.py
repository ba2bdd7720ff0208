"""Web pages in a real browser. A file that uses the fixture says pytest_plugins = ["pages"]; its
tests are marked `page`."""
import contextlib
import json
import os
import pathlib
import shutil
import tempfile

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import npm_servers
from stack import slow

SWITCHES = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--no-proxy-server", "--window-size=1200,1000")
# The levels of axe that a page must not have; "minor" is a matter of taste.
SERIOUS = ("critical", "serious", "moderate")


@pytest.fixture(scope="module")
def chromium():
    """The program, one for a file: starting it takes a second or two."""
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


@pytest.fixture
def browser(chromium):
    """As if just installed: one new tab, nothing stored, empty logs."""
    kept = chromium.current_window_handle
    chromium.switch_to.new_window("tab")
    for log in ("browser", "performance"):
        chromium.get_log(log)
    yield chromium
    for tab in chromium.window_handles:
        if tab != kept:
            chromium.switch_to.window(tab)
            chromium.close()
    chromium.switch_to.window(kept)
    for kind in ("Cookies", "Cache"):
        chromium.execute_cdp_cmd(f"Network.clearBrowser{kind}", {})
    chromium.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})


def new_tab(browser):
    """A tab that no other one has opened; goes there."""
    browser.switch_to.new_window("tab")
    return browser.current_window_handle


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


def foreign(browser, origin):
    """Those of them that are not of that origin."""
    return [address for address in requested(browser, origin)
            if not address.startswith((origin + "/", "data:", "blob:"))]


def complaints(browser):
    """What the console says of errors; a missing favicon is none."""
    return [entry["message"] for entry in browser.get_log("browser")
            if entry["level"] == "SEVERE" and "favicon" not in entry["message"]]


@contextlib.contextmanager
def phone(browser, width=360, height=740):
    """Inside, the current tab is a telephone's."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 2, "mobile": True})
    yield
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@contextlib.contextmanager
def prefers(browser, **features):
    """prefers(browser, color_scheme="dark"), reduced_motion="reduce": what the user has set."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
        {"name": "prefers-" + name.replace("_", "-"), "value": value}
        for name, value in features.items()]})
    yield
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def too_wide(browser):
    """What sticks out of the window to the right, as text; [] when the page fits."""
    return browser.execute_script("""
        const edge = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= edge)
            return [];
        return [...document.querySelectorAll("body *")]
            .filter(one => one.getBoundingClientRect().right > edge + 1)
            .map(one => `${one.tagName}#${one.id}.${one.className}`.slice(0, 80)).slice(0, 20);""")


def axe(browser, *rules):
    """What axe finds wrong with the page as it stands (WCAG 2.2 A and AA, best practices; or these
    rules alone), as text; [] when nothing."""
    if not browser.execute_script("return Boolean(window.axe)"):
        script = npm_servers.installed() / "node_modules/axe-core/axe.min.js"
        browser.execute_script(script.read_text(encoding="utf-8"))
    browser.set_script_timeout(60 * slow())
    found = browser.execute_async_script("""
        const [rules, done] = arguments;
        // Colours are looked at when they have come to rest; what never ends goes on.
        for (const one of document.getAnimations()) {
            if (one.effect.getComputedTiming().endTime < Infinity)
                one.finish();
        }
        const all = {resultTypes: ["violations"]};
        axe.run(document, rules.length ? {...all, runOnly: {type: "rule", values: rules}} : all)
            .then(report => done(report.violations), error => done(String(error)));""", list(rules))
    assert isinstance(found, list), found
    return [f"{one['impact']} {one['id']}: {node['html'][:200]} ({node['failureSummary'][:300]})"
            for one in found if one["impact"] in SERIOUS for node in one["nodes"]]


def shot(browser, name):
    """Saves NAME.png in $MCPBUS_SCREENSHOTS, when that is set."""
    folder = os.environ.get("MCPBUS_SCREENSHOTS")
    if folder:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(str(pathlib.Path(folder) / f"{name}.png"))
