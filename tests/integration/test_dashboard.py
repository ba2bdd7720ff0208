"""The dashboard as an operator uses it, in a browser over a real stack."""
import json
import time
import uuid

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from dashboards import (PAGES, api, enter, enter_token, go, instances, live, press, press_in_row,
                        row_of, say_yes, search, service, shows, somebody, text, texts,
                        with_google)
from pages import axe, complaints, find, foreign, phone, prefers, shot, too_wide, wait
from stack import slow, wait_until

pytest_plugins = ["pages", "dashboards"]
pytestmark = pytest.mark.page

HOSTILE = ("<script>document.title = 'pwned'</script><img src=x onerror=\"document.title='pwned'\">"
           " \u202egnp.exe\u202c \u001b[31mred \u0007 \u05e9\u05dc\u05d5\u05dd </td></table>")


def is_plain(browser):
    """Nothing of a job's text has become an element or has run."""
    return browser.title.endswith("mcpbus") and browser.execute_script(
        "return document.querySelectorAll('main script, main img, main iframe').length") == 0


def test_sign_in(browser, board):
    """A wrong token is refused; the page that was wanted is there after the right one; and out
    again."""
    browser.get(board.monitor_url + "/")
    find(browser, "#token").send_keys("this is not the token at all", Keys.ENTER)
    find(browser, "[role=alert]")
    shot(browser, "dashboard-login")
    enter_token(browser, board)
    go(browser, "#/workers")
    shows(browser, "h1", "Workers")
    browser.delete_all_cookies()
    enter_token(browser, board)
    shows(browser, "h1", "Workers")
    press(browser, "#sign-out")
    find(browser, "#token")
    browser.get(board.monitor_url + "/#/jobs")
    find(browser, "#token")
    # That a sign-in is needed is told by an answer 401, which the console notes.
    assert [one for one in complaints(browser) if "401" not in one] == []


def counts(board):
    """Completed, failed and cancelled jobs, by the database."""
    found = dict(board.sql("SELECT status, count(*) FROM job_records GROUP BY status"))
    return [found.get(status, 0) for status in ("completed", "failed", "cancelled")]


def history_of(counted):
    completed, failed, cancelled = counted
    return f"{completed} job{'s' if completed != 1 else ''} completed, {failed} failed, " \
           f"{cancelled} cancelled"


def test_numbers(browser, board):
    """Those of the page are the database's."""
    user = somebody(board)
    for message in ("Say hello", "Say hello again", "Say hello [sandbox:400]"):
        user.finished(user.run(message))
    running = user.run("[sandbox:slow=60] Say hello")
    user.reach(running, "running")
    enter(browser, board)
    shows(browser, "h1", "All is well: 1 job running")
    shows(browser, "[data-number=running]", "1")
    shows(browser, "[data-number=queued]", "0")
    assert board.sql("SELECT count(*) FROM job_records WHERE status = 'running'") == [(1,)]
    user.cancel(running)
    wait(browser, lambda: history_of(counts(board)) in text(browser, ".chart p"),
         "the chart tells what the database has")
    shows(browser, "h1", "All is well: nothing to do")
    assert texts(browser, ".path .badge") == ["well"] * 5
    press(browser, ".chart summary")
    wait(browser, lambda: len(texts(browser, ".chart details[open] tbody tr")) > 1, "the table")
    press(browser, "button[data-span='2592000']")
    shows(browser, ".chart p", "In the last 30 days")
    browser.refresh()
    shows(browser, ".chart p", "In the last 30 days")
    assert complaints(browser) == []


def test_job(browser, board):
    """Its timeline: queued, claimed, each answer of the model, the tool, the end; its tokens."""
    user = with_google(board)
    job = user.done("List my recent emails")
    enter(browser, board, f"#/job/{job['job_id']}")
    wait(browser, lambda: any("The end" in one for one in texts(browser, ".step-title")), "the end")
    steps = texts(browser, ".step-title")
    assert steps[:2] == ["Queued", "Claimed by a worker"]
    assert [step for step in steps if step.startswith(("Model", "Tool"))] == [
        "Model, answer 1 gpt-4o", "Tool google__gmail_list_messages", "Model, answer 2 gpt-4o"]
    assert steps[-1] == "The end: completed"
    assert all(" s" in one or " ms" in one or "min" in one for one in texts(browser, ".step-time"))
    usage = board.sql("SELECT token_usage FROM job_records WHERE id = %s", job["job_id"])[0][0]
    usage = json.loads(usage) if isinstance(usage, str) else usage
    assert f"{usage['total_tokens']:,}:" in text(browser, ".facts")
    assert user.id in text(browser, ".facts")
    assert " ".join(job["result"].split())[:40] in " ".join(text(browser, ".result").split())
    shot(browser, "dashboard-job")
    assert complaints(browser) == []


STORY = [
    ("status", 0, {"status": "pending"}),
    ("status", 1, {"status": "running", "attempt": 1}),
    ("message", 3, {"text": "I look", "turn": 1, "model_call": {
        "model": "m<b>", "duration_ms": 1500, "input_tokens": 10, "output_tokens": 2,
        "cost": 0.5}}),
    ("tool_call", 3, {"id": "a", "name": "t__one", "turn": 1, "arguments": {}}),
    ("tool_call", 3, {"id": "b", "name": "t__two", "turn": 1, "arguments": {}}),
    ("tool_result", 5, {"id": "a", "name": "t__one", "is_error": True, "content": "no",
                        "duration_ms": 2000}),
    ("status", 6, {"status": "pending", "error_message": "the worker was lost"}),
    ("status", 8, {"status": "running", "attempt": 2}),
    ("waiting_approval", 9, {"turn": 2, "calls": [{"id": "c", "name": "t__act"}]}),
    ("approval", 12, {"decision": "deny", "reason": "not now"}),
    ("unheard_of", 12, {}),
    ("status", 13, {"status": "running", "attempt": 3}),
    ("status", 12, {"status": "failed", "error_message": "enough"}),
]


def test_story(browser, board):
    """Retries, approval, calls without an answer, clocks that differ: as spans of time."""
    enter(browser, board)
    rows = browser.execute_async_script("""
        const [story, done] = arguments;
        const at = seconds => new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString();
        import("/pages/timeline.js").then(({timeline}) => done(timeline(at(0), story.map(
            ([type, seconds, data]) => ({type, data: {...data, timestamp: at(seconds)}})))
            .map(row => [row.title, row.foreign ?? "", (row.from - Date.UTC(2026, 0, 1)) / 1000,
                         (row.to - row.from) / 1000, row.state])), error => done(String(error)));
    """, STORY)
    assert rows == [
        ["Queued", "", 0, 1, "quiet"],
        ["Claimed by a worker", "", 1, 0, "running"],
        ["Getting ready: tool servers start", "", 1, 0.5, "quiet"],
        ["Model, answer 1", "m<b>", 1.5, 1.5, "model"],
        ["Tool", "t__one", 3, 2, "bad"],
        ["Tool", "t__two", 3, 3, "warn"],
        ["Back in the queue", "", 6, 2, "quiet"],
        ["Claimed again, attempt 2", "", 8, 0, "running"],
        ["Model, answer 2", "", 8, 1, "model"],
        ["Waiting for the user's approval", "", 9, 3, "quiet"],
        ["Denied by the user", "", 12, 0, "bad"],
        ["Queued again", "", 12, 1, "quiet"],
        ["Claimed again, attempt 3", "", 13, 0, "running"],
        ["The end: failed", "", 13, 0, "bad"],
    ]


def test_cancel_and_retry(browser, board):
    user = somebody(board)
    job = user.run("[sandbox:slow=60x1] Say hello")
    user.reach(job, "running")
    enter(browser, board, f"#/job/{job}")
    press(browser, "button[data-do=cancel]")
    say_yes(browser)
    wait_until(lambda: user.result(job)["status"] == "cancelled", 30, "the job is cancelled")
    shows(browser, "#main [role=status]", "cancelled")
    press(browser, "button[data-do=retry]")
    say_yes(browser)
    wait(browser, lambda: job not in browser.current_url and "#/job/" in browser.current_url,
         "the new job's page")
    again = browser.current_url.rpartition("/")[2]
    rows = board.sql("SELECT user_id, message FROM job_records WHERE id = ANY(%s)", [job, again])
    assert len(rows) == 2
    assert len(set(rows)) == 1
    user.cancel(again)
    assert complaints(browser) == []


def test_search(browser, board):
    """By the keyboard: / and words, then the state; new jobs come by themselves."""
    user, word = somebody(board), uuid.uuid4().hex
    first = user.run(f"Say {word}")
    enter(browser, board)
    find(browser, "body").send_keys("/")
    wait(browser, lambda: browser.execute_script("return document.activeElement.id") == "search",
         "the search has the focus")
    search(browser, word)
    wait(browser, lambda: [first[-12:] in row for row in texts(browser, "tbody tr")] == [True],
         "the one job")
    second = user.run(f"Say {word} [sandbox:400]")
    wait(browser, lambda: [second[-12:] in row for row in texts(browser, "tbody tr")]
         == [True, False], "the new job is there by itself")
    user.finished(second)
    go(browser, f"#/jobs?status=failed&user={user.id}")
    wait(browser, lambda: len(texts(browser, "tbody tr")) == 1, "the failed one")
    assert second[-12:] in text(browser, "tbody tr")
    go(browser, "#/errors")
    wait(browser, lambda: any(second[-12:] in row for row in texts(browser, "tbody tr")),
         "its error, with the newest job")
    assert complaints(browser) == []


def test_hostile_texts(browser, board):
    """Of a message, a tool's answer and an error: text, and nothing else."""
    user = somebody(board)
    call = json.dumps({"text": HOSTILE + "x" * 40000}, ensure_ascii=True)
    job = user.finished(user.run(f"{HOSTILE}\nuse tool test__echo with {call}"))["job_id"]
    enter(browser, board, f"#/job/{job}")
    wait(browser, lambda: any("test__echo" in one for one in texts(browser, ".step-title")),
         "the tool")
    for at in range(len(texts(browser, ".step details"))):
        browser.execute_script(
            "document.querySelectorAll('.step details')[arguments[0]].open = true", at)
    wait(browser, lambda: any("<script>" in one for one in texts(browser, ".step-text")),
         "what the tool was given and said")
    assert any("U+202E" in one for one in texts(browser, ".step-text .mark"))
    assert "\\x1B" in texts(browser, ".message .mark")
    assert "Show all" in text(browser, ".message button")
    assert not any("\u202e" in one for one in texts(browser, "main"))
    assert is_plain(browser)
    assert too_wide(browser) == []
    shot(browser, "dashboard-hostile")
    press(browser, ".message button")
    shows(browser, ".message button", "Show less")
    go(browser, f"#/jobs?user={user.id}")
    wait(browser, lambda: "use tool" in text(browser, "tbody tr"), "the list")
    assert is_plain(browser)
    with phone(browser):
        assert too_wide(browser) == []
    assert complaints(browser) == []


def test_drain_and_resume(browser, board):
    wait_until(lambda: len(instances(board)) == 2, 30, "two workers")
    name = next(iter(instances(board).values()))
    enter(browser, board, "#/workers")
    press_in_row(browser, name, "drain")
    say_yes(browser)
    wait(browser, lambda: "drained" in row_of(browser, name), "it is drained")
    assert [one["draining"] for one in api(board, "/api/workers").values()
            if one["instance"] == name] == [True]
    press_in_row(browser, name, "resume")
    say_yes(browser)
    wait(browser, lambda: "free" in row_of(browser, name), "it takes jobs again")
    assert complaints(browser) == []


def gone_after(browser, board):
    """Kills a worker; seconds until the page shows it as gone."""
    pid = board.pid("worker-2")
    wait_until(lambda: pid in instances(board), 30, "the worker is known")
    name = instances(board)[pid]
    wait(browser, lambda: "free" in row_of(browser, name), "the page shows it")
    start = time.monotonic()
    board.kill("worker", 2)
    wait(browser, lambda: "gone" in row_of(browser, name), "it is shown as gone")
    return time.monotonic() - start


def test_killed_worker(browser, board):
    """Seen within 5 s, long before its lease ends; a busy machine has three tries."""
    enter(browser, board, "#/workers")
    took = []
    while not took or (min(took) > 5 * slow() and len(took) < 3):
        took.append(gone_after(browser, board))
    assert min(took) <= 5 * slow(), took
    shot(browser, "dashboard-worker-gone")
    wait_until(lambda: len(instances(board)) == 2, 30, "its replacement is there")


def test_monitor_away(browser, board):
    """The page says so, waits, and goes on by itself with the same history."""
    enter(browser, board)
    wait(browser, lambda: history_of(counts(board)) in text(browser, ".chart p"), "the history")
    service(board, "down", "monitor-1")
    try:
        shows(browser, "#live", "Connection lost")
        shows(browser, "#lost", "trying again")
        shot(browser, "dashboard-lost")
    finally:
        service(board, "up", "monitor-1")
    live(browser)
    assert text(browser, "#lost") == ""
    wait(browser, lambda: history_of(counts(board)) in text(browser, ".chart p"), "the history")
    shows(browser, "h1", "All is well")


QUEUE_AWAY = """
    const real = window.fetch;
    window.seen = {asked: 0, hidden: 0};
    window.fetch = async (path, options) => {
        if (path.startsWith("/api/stats"))
            return new Response('{"detail": "jobs does not answer"}', {status: 503});
        const answer = await real(path, options);
        if (path === "/api/workers")
            return new Response(JSON.stringify(Object.fromEntries(Object.entries(
                await answer.json()).map(([name, one]) =>
                [name, {...one, running: null, capacity: null}]))));
        if (path !== "/api/overview")
            return answer;
        window.seen.asked++;
        const none = (...names) => Object.fromEntries(names.map((name) => [name, null]));
        return new Response(JSON.stringify({...await answer.json(), ok: false,
            problems: ["jobs can't be accepted: jobs does not answer"],
            queue: none("queued", "running"), rates: none("submitted", "completed", "failed"),
            latency: none("wait", "run", "total"),
            workers: {count: 2, ...none("capacity", "running", "draining")}}));
    };
    const notice = document.querySelector("main > [role=alert]");
    new MutationObserver(() => { window.seen.hidden += notice.hidden; })
        .observe(notice, {attributes: true, attributeFilter: ["hidden"]});"""


def test_what_is_not_known_is_not_called_nothing(browser, board):
    """As when the queue can't be asked."""
    enter(browser, board)
    live(browser)
    browser.execute_script(QUEUE_AWAY)
    wait(browser, lambda: text(browser, "main > [role=alert]") == "jobs does not answer", "said")
    said = text(browser, ".numbers")
    for wrong in ("none failed", "no job ended", "of 0", "NaN", "null", "undefined"):
        assert wrong not in said, said
    assert said.count("not known at the moment") == 4, said
    begun = browser.execute_script("window.seen.hidden = 0; return window.seen.asked")
    wait(browser, lambda: browser.execute_script("return window.seen.asked") > begun + 1, "polled")
    assert browser.execute_script("return window.seen.hidden") == 0, "the notice comes and goes"
    go(browser, "#/workers")
    wait(browser, lambda: "what they run is not known" in text(browser, "main > p"), "said")
    assert "free" not in text(browser, "main table")


def a_job(board):
    rows = board.sql("SELECT id FROM job_records ORDER BY created_at DESC LIMIT 1")
    return f"#/job/{rows[0][0]}" if rows else f"#/job/{somebody(board).done('Hi')['job_id']}"


def test_every_page(browser, board):
    """Light, dark, on a telephone: no serious fault, nothing sticks out, nothing comes from
    elsewhere, nothing is complained of."""
    pages = {**PAGES, "job": a_job(board)}
    enter(browser, board)
    for scheme in ("light", "dark"):
        with prefers(browser, color_scheme=scheme):
            for name, page in pages.items():
                go(browser, page)
                assert axe(browser) == [], (name, scheme)
                shot(browser, f"dashboard-{name}-{scheme}")
    with phone(browser):
        for name, page in pages.items():
            go(browser, page)
            assert too_wide(browser) == [], name
            shot(browser, f"dashboard-{name}-phone")
    assert foreign(browser, board.monitor_url) == []
    assert complaints(browser) == []


def test_keyboard(browser, board):
    """The skip link comes first; the pages are reached by Tab; colours can be changed."""
    enter(browser, board)
    browser.refresh()
    live(browser)
    body = find(browser, "body")
    body.send_keys(Keys.TAB)
    active = browser.switch_to.active_element
    assert active.text == "Skip to the content"
    active.send_keys(Keys.ENTER)
    wait(browser, lambda: browser.execute_script("return document.activeElement.id") == "main",
         "the content has the focus")
    shows(browser, "h1", "All is well")
    before = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    button = browser.find_element(By.CSS_SELECTOR, "[data-theme-switch]")
    button.send_keys(Keys.ENTER)
    after = "return getComputedStyle(document.body).backgroundColor"
    wait(browser, lambda: browser.execute_script(after) != before, "other colours")
    browser.refresh()
    live(browser)
    assert browser.execute_script(after) != before
