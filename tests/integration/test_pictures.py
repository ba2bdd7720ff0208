"""The pictures of the documentation, drawn when MCPBUS_SCREENSHOTS names a folder for them, as
docs/screenshots/update.sh does: accounts of the sandbox, and more work than a picture shows."""
import concurrent.futures
import contextlib
import os
import random

import pytest

import app_page
import dashboards
from app_page import answered, ask
from client import http, sign_in
from pages import find, phone, prefers, shot, wait
from stack import Stack

pytest_plugins = ["pages"]
pytestmark = [pytest.mark.page, pytest.mark.skipif("MCPBUS_SCREENSHOTS" not in os.environ,
                                                   reason="draws when MCPBUS_SCREENSHOTS is set")]
WIDTH, HEIGHT = 1200, 800
APPOINTMENT = "Find the mail about the dentist appointment and put it into my calendar"
ROUTINE = ("List my recent emails", "What is in my calendar this week?",
           "List the files in my drive", "Search my mail for the telescope",
           "Read the latest email")
LONG = ("Go through all mails of last month, group them by sender and subject, and write what is"
        " still open into a document [sandbox:slow=120]")
NAMES = ("grace", "edsger", "barbara", "radia", "alan", "mary")


@pytest.fixture(scope="module")
def busy():
    """A stack with an hour of work behind it, as its numbers say: those of its first minute again
    and again, more or less."""
    with contextlib.closing(Stack(
            env={"APPROVAL_TOOLS": "google__calendar_create*",
                 "MODEL_PRICES": '{"gpt-4o": [2.5, 1.25, 10]}', "WORKER_CONCURRENCY": "16"},
            scale={"worker": 3, "broker": 2, "jobs": 2, "gateway": 2})) as stack:
        stack.scopes = list(http("GET", stack.url + "/auth/scopes").json()["available_scopes"])
        users = [sign_in(stack, f"{name}@example.com", scopes=stack.scopes) for name in NAMES]
        draw = random.Random(6)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for _ in range(240):
                pool.submit(work, draw.choice(users), draw.choice(ROUTINE), draw.random())
        for user in users[:4]:
            user.reach(user.run(LONG), "running")
        stack.sql(HISTORY)
        yield stack


HISTORY = """
    INSERT INTO job_stats (step, at, submitted, completed, failed, queued, running, input_tokens,
                           output_tokens, cost_micro, wait_times, run_times, total_times)
    SELECT DISTINCT ON (at) 10, date_bin('10 s', now(), 'epoch') - n * interval '10 s' AS at,
           ceil(submitted * (0.6 + random() * 0.4)), floor(completed * (0.55 + random() * 0.4)),
           CASE WHEN random() < 0.04 THEN 1 ELSE 0 END, floor(random() * 3),
           2 + floor(random() * 5),
           input_tokens, output_tokens, cost_micro, wait_times, run_times, total_times
    FROM generate_series(1, 360) AS n, (SELECT * FROM job_stats WHERE step = 10
                                        AND completed > 0) AS real
    ORDER BY at, random()
    ON CONFLICT (step, at) DO UPDATE SET (submitted, completed, failed, queued, running,
                                          total_times, wait_times)
        = ROW (EXCLUDED.submitted, EXCLUDED.completed, EXCLUDED.failed, EXCLUDED.queued,
               EXCLUDED.running, EXCLUDED.total_times, EXCLUDED.wait_times)"""


def work(user, message, chance):
    user.finished(user.run(message + (" [sandbox:400]" if chance < 0.03 else "")))


@contextlib.contextmanager
def screen(browser, width=WIDTH, height=HEIGHT):
    """So large is the page; the picture is always as wide."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": WIDTH / width, "mobile": False})
    yield
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def to_top(browser, selector):
    """Of the last such element, a little below the edge."""
    browser.execute_script("""
        const one = [...document.querySelectorAll(arguments[0])].at(-1);
        one.style.scrollMarginTop = "5rem";
        one.scrollIntoView({block: "start", behavior: "instant"});
        document.activeElement.blur();""", selector)


def open_card(browser, words):
    for card in app_page.all_of(browser, ".tool summary"):
        if words in card.text:
            app_page.click_on(browser, card)


def test_chat(browser, busy):
    ada = sign_in(busy, "ada@example.com", scopes=busy.scopes)
    with screen(browser):
        app_page.enter(browser, busy, ada)
        ask(browser, "List my recent emails")
        answered(browser, 1)
        app_page.press(browser, "New conversation", "a")
        ask(browser, "What is in my calendar this week?")
        answered(browser, 1)
        wait(browser, lambda: len(app_page.texts(browser, "#history li")) == 2, "both are listed")
        to_top(browser, ".turn")
        shot(browser, "chat")
        with prefers(browser, color_scheme="dark"):
            open_card(browser, "calendar_list_events")
            to_top(browser, ".turn")
            shot(browser, "chat-dark")
        app_page.press(browser, "New conversation", "a")
        ask(browser, APPOINTMENT)
        find(browser, ".approval")
        wait(browser, lambda: len(app_page.texts(browser, "#history li")) == 3, "all are listed")
        to_top(browser, ".turn")
        shot(browser, "chat-approval")
        app_page.press(browser, "Approve", ".approval button")
        answered(browser, 1)
    with phone(browser), prefers(browser, color_scheme="dark"):
        to_top(browser, ".turn")
        shot(browser, "chat-phone")


def test_dashboard(browser, busy):
    with screen(browser, 1275, 850):
        dashboards.enter(browser, busy)
        wait(browser, lambda: browser.execute_script(
            "return document.querySelectorAll('.uplot canvas').length > 1"), "the charts")
        shot(browser, "dashboard")
    with screen(browser):
        job = busy.sql("SELECT id FROM job_records WHERE message = %s AND status = 'completed'",
                       APPOINTMENT)[0][0]
        dashboards.go(browser, f"#/job/{job}")
        wait(browser, lambda: any("The end" in one for one
                                  in dashboards.texts(browser, ".step-title")), "the end")
        browser.execute_script("""
            document.querySelector(".step-title").closest("section").scrollIntoView();
            scrollBy(0, -70);""")
        shot(browser, "dashboard-job")
    with screen(browser, height=400):
        dashboards.go(browser, "#/workers")
        wait(browser, lambda: len(dashboards.texts(browser, "#main tbody tr")) == 3, "the workers")
        name = min(dashboards.instances(busy).values())
        dashboards.press_in_row(browser, name, "drain")
        dashboards.say_yes(browser)
        wait(browser, lambda: "draining" in dashboards.row_of(browser, name).lower(), "it drains")
        shot(browser, "dashboard-workers")
