"""The chat page in a real browser: signing in, asking, watching, deciding, going back."""
import json
import re
from urllib.parse import quote

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from app_page import (address, all_of, answered, ask, click, click_on, enter, has, idle,
                      is_running, press, texts, write)
from asking import post_run, use
from client import begin_sign_in, consent, fresh_email, http
from pages import (axe, complaints, find, foreign, new_tab, phone, prefers, requested, shot,
                   too_wide, wait)
from side import Side

pytest_plugins = ["asking_stacks", "pages"]
pytestmark = pytest.mark.page


def jobs_of(user):
    return user.get("/jobs", params={"limit": 100}).json()["jobs"]


def kept(browser, name):
    return browser.execute_script("return sessionStorage.getItem(arguments[0])",
                                  "mcpbus-chat-" + name)


def choose(browser, *scopes):
    for box in all_of(browser, "input[name=scope]"):
        if (box.get_attribute("value") in scopes) != box.is_selected():
            box.click()


def allow(browser, email, *denied):
    """On the consent page."""
    field = find(browser, "#email")
    field.clear()
    field.send_keys(email)
    for scope in denied:
        find(browser, f"input[type=checkbox][value$='/auth/{scope}']").click()
    find(browser, "#allow").click()


def test_sign_in_and_out(browser, asking):
    """From the other name of this host, through the consent page, with one scope denied."""
    browser.get(asking.url + "/app")
    find(browser, "input[name=scope]")
    shot(browser, "app-sign-in")
    choose(browser, "gmail_readonly", "drive")
    press(browser, "Sign in with Google")
    allow(browser, fresh_email("grace.hopper"), "drive")
    has(browser, "Not granted: See, edit, create and delete all of your Google Drive", ".notice")
    shot(browser, "app-welcome")
    assert browser.current_url.startswith(address(asking))
    find(browser, "#open-account").click()
    has(browser, "Read your Gmail messages", "#account")
    assert "Drive" not in texts(browser, "#account")[0]
    shot(browser, "app-account")
    token = kept(browser, "token").strip('"')
    click(browser, "#sign-out")
    has(browser, "You are signed out.", ".notice")
    assert kept(browser, "token") is None
    assert asking.get("/me", token).status_code == 401
    seen = list(requested(browser, asking.vars["PUBLIC_URL"]))
    assert seen and not [one for one in seen if token in one]
    assert complaints(browser) == []


@pytest.mark.slow
def test_sign_in_denied(browser, asking):
    browser.get(address(asking))
    press(browser, "Sign in with Google")
    click(browser, "#deny")
    has(browser, "You have not allowed it", ".notice")
    assert kept(browser, "token") is None


def test_a_sign_in_that_another_tab_began_is_not_adopted(browser, asking):
    """Nor one that a stranger's link brings: the token stays on the page that shows it."""
    browser.get(address(asking))
    find(browser, "input[name=scope]")
    browser.execute_script("""sessionStorage.setItem("mcpbus-chat-sign-in",
        JSON.stringify({state: "another", back: ""}))""")
    browser.get(consent(begin_sign_in(asking, ["drive"])["auth_url"], fresh_email("mallory")))
    find(browser, "#token")
    browser.get(address(asking))
    find(browser, "input[name=scope]")
    assert kept(browser, "token") is None
    new_tab(browser)
    browser.get(consent(begin_sign_in(asking, ["drive"])["auth_url"], fresh_email("mallory")))
    find(browser, "#token")
    assert browser.current_url.startswith(asking.vars["PUBLIC_URL"] + "/auth/callback")


def test_steps_show_while_the_run_goes_on(browser, asking):
    """And a reload in the middle loses nothing."""
    user = enter(browser, asking)
    message, text = use("look")
    find(browser, "#message").send_keys("[sandbox:slow=1]", Keys.SHIFT, Keys.ENTER, Keys.NULL,
                                        message, Keys.ENTER)
    has(browser, "look", ".tool summary")
    assert is_running(browser) and not all_of(browser, ".answer")
    shot(browser, "app-running")
    browser.refresh()
    has(browser, "look", ".tool summary")
    assert f"look: {text}" in answered(browser)[0]
    click(browser, ".tool summary")
    has(browser, f"look: {text}", ".tool .output")
    has(browser, "tokens (", ".turn footer")
    shot(browser, "app-answer")
    assert [job["message"] for job in jobs_of(user)] == [f"[sandbox:slow=1]\n{message}"]
    assert re.search(r"#/c/[0-9a-f]{32}$", browser.current_url)
    assert complaints(browser) == []


def test_stop(browser, asking):
    user = enter(browser, asking)
    ask(browser, "[sandbox:slow=60] Say hello")
    has(browser, "Thinking…", ".state")
    write(browser, "What I type meanwhile")
    find(browser, "#message").send_keys(Keys.ESCAPE)
    has(browser, "Stopped.", ".notice")
    idle(browser)
    assert jobs_of(user)[0]["status"] == "cancelled"
    assert find(browser, "#message").get_property("value") == "What I type meanwhile"


def with_mouse(browser):
    """A browser without a window has none; without one, no keyboard on the glass is opened."""
    browser.execute_script("window.matchMedia = () => ({ matches: true });")


def test_approval(browser, asking):
    """One of two calls is approved; the next question's is denied, with a reason."""
    enter(browser, asking)
    with_mouse(browser)
    message, text = use("look", "send", "send")
    ask(browser, message)
    boxes = wait(browser, lambda: all_of(browser, ".approval input[type=checkbox]"), "the question")
    assert asking.acts(text) == ["look"]
    boxes[1].click()
    has(browser, "approval", "#history .badge")
    shot(browser, "app-approval")
    press(browser, "Approve 1, deny 1")
    answered(browser)
    assert browser.switch_to.active_element.get_attribute("id") == "message"
    assert asking.acts(text) == ["look", "send"]
    has(browser, "1 call approved, 1 call denied.", ".decision")
    states = [one.get_attribute("data-state") for one in all_of(browser, ".tool")]
    assert sorted(states) == ["denied", "done", "done"]
    message, text = use("send")
    ask(browser, message)
    find(browser, ".approval input[type=text]").send_keys("Not on a Friday")
    press(browser, "Deny")
    assert "The reason given: Not on a Friday" in answered(browser, 2)[-1]
    assert asking.acts(text) == []
    assert complaints(browser) == []


HOSTILE = """<script>window.pwned = 1</script><img src=x onerror="window.pwned = 2">
[link](javascript:window.pwned=3) [data](data:text/html,x)
[here](/docs) [ftp](ftp://a.example/) ![picture](http://203.0.113.1/x.png)
[good](https://example.com/a?b) \u202egnp.exe\u202c \x07\x1b[31m # *text* <https://a.example/>
"""


def test_hostile_texts_stay_text(browser, asking):
    enter(browser, asking)
    ask(browser, HOSTILE + "x" * 3000)
    answered(browser)
    message = 'use tool look with {"text": "<script>window.pwned = 4</script> \u202ecod.exe"}'
    ask(browser, message)
    answered(browser, 2)
    click(browser, ".tool summary")
    has(browser, "<script>window.pwned = 4</script>", ".tool .output")
    has(browser, "U+202E", ".tool .output")
    ask(browser, "\u202e" * 5000 + "y" * 200000)
    answered(browser, 3)
    assert "<script>window.pwned = 1</script>" in texts(browser, ".turns")[0]
    assert browser.execute_script("return window.pwned ?? null") is None
    assert all_of(browser, ".turns script, .turns img, .turns iframe, .turns style") == []
    links = all_of(browser, ".turns a")
    assert {one.get_attribute("href") for one in links} == {
        "https://example.com/a?b", "http://203.0.113.1/x.png", "https://a.example/"}
    assert {one.get_attribute("rel") for one in links} == {"noopener noreferrer"}
    assert too_wide(browser) == []
    shot(browser, "app-hostile")
    assert foreign(browser, asking.vars["PUBLIC_URL"]) == []
    assert complaints(browser) == []


@pytest.mark.slow
def test_stop_while_it_is_being_sent(browser, asking):
    """What has arrived by then is a job all the same: it is stopped, not forgotten."""
    user = enter(browser, asking)
    with_mouse(browser)
    browser.execute_script("""
        const real = window.fetch;
        window.fetch = async (path, options) => {
            const answer = await real(path, {...options, signal: undefined});
            if (path === "/run") {
                await new Promise(go => { window.go = go; });
                options.signal?.throwIfAborted();
            }
            return answer;
        };""")
    ask(browser, "[sandbox:slow=60] Say hello")
    wait(browser, lambda: browser.execute_script("return Boolean(window.go)"), "it has arrived")
    click(browser, "#stop")
    browser.execute_script("window.go()")
    has(browser, "Stopped.", ".notice")
    assert [job["status"] for job in jobs_of(user)] == ["cancelled"]
    assert browser.switch_to.active_element.get_attribute("id") == "message"


@pytest.mark.slow
def test_many_that_run_at_once(browser, asking):
    """Their streams leave connections for everything else; and those of a conversation that one has
    left are not shown as running for ever."""
    user = enter(browser, asking)
    for number in range(8):
        post_run(user, f"[sandbox:slow=60] {number}", conversation_id="many")
    browser.get(address(asking) + "#/c/many")
    wait(browser, lambda: len(all_of(browser, ".turn")) == 8, "eight turns")
    has(browser, "running", "#history .badge")
    press(browser, "New conversation", "a")
    for job in jobs_of(user)[1:]:
        user.post(f"/jobs/{job['job_id']}/cancel")
    browser.back()
    wait(browser, lambda: len(all_of(browser, ".turn")) == 8, "eight turns")
    click(browser, "#stop")
    assert len(answered(browser, 8)) == 0
    assert {job["status"] for job in jobs_of(user)} == {"cancelled"}


BOMBS = {"marks": "*a* " * 60000, "lists": "- a\n" * 60000, "quotes": "> " * 120000,
         "brackets": "[" * 240000}


@pytest.mark.slow
def test_an_answer_of_any_size_is_shown_whole(browser, asking):
    enter(browser, asking)
    browser.set_script_timeout(60)
    show = """
        const [source, done] = arguments;
        import("/app/markdown.js").then(({showMarkdown}) => {
            const shown = showMarkdown(document.createElement("div"), source);
            document.body.append(shown);
            shown.querySelector("button")?.click();
            const found = [shown.textContent, shown.querySelectorAll("*").length];
            shown.remove();
            done(found);
        });"""
    for name, text in BOMBS.items():
        assert browser.execute_async_script(show, text)[1] < 20000, name
    long = "**first**\n\n" + ("word " * 40 + "\n") * 2000 + "the last"
    text, _ = browser.execute_async_script(show, long)
    assert text.startswith("first") and "the last" in text


@pytest.mark.slow
def test_thousands_of_events(browser, asking):
    enter(browser, asking)
    browser.execute_script("""
        const real = window.fetch;
        const events = [["status", {status: "running"}]];
        for (let i = 0; i < 2500; i++)
            events.push(["tool_call", {id: `${i}`, name: "a__b", arguments: {i}}],
                ["tool_result", {id: `${i}`, content: "x".repeat(100)}]);
        const text = events.map(([type, data], i) =>
            `id: ${i + 1}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`).join("");
        window.fetch = (path, options) => !path.includes("/events") ? real(path, options)
            : options.headers["Last-Event-ID"] === "0" ? Promise.resolve(new Response(text))
            : new Promise(() => {});""")
    ask(browser, "[sandbox:slow=60] Say hello")
    wait(browser, lambda: browser.execute_script("""
        return document.querySelectorAll(".tool[data-state=done]").length === 2500;"""), "all")
    click(browser, "#stop")


@pytest.mark.slow
def test_the_sign_in_ends(browser, asking):
    """Signed out elsewhere: nothing that was typed is lost, and the way back leads to the same
    conversation."""
    user = enter(browser, asking)
    ask(browser, "Say hello")
    answered(browser)
    where = browser.current_url
    assert user.delete("/auth/logout").status_code == 200
    wait(browser, lambda: user.get("/me").status_code == 401, "the token has ended")
    ask(browser, "And what I typed")
    has(browser, "Your sign-in has ended", ".notice")
    assert find(browser, "#message").get_property("value") == "And what I typed"
    shot(browser, "app-signed-out")
    click(browser, "#sign-in-again, .notice button")
    press(browser, "Sign in with Google")
    allow(browser, user.email)
    wait(browser, lambda: browser.current_url == where, "the way back")
    assert len(answered(browser)) == 1
    assert find(browser, "#message").get_property("value") == "And what I typed"
    find(browser, "#message").send_keys(Keys.ENTER)
    answered(browser, 2)


@pytest.mark.slow
def test_a_lost_answer_and_a_double_click_make_one_job(browser, asking):
    user = enter(browser, asking)
    browser.execute_script("""
        const real = window.fetch;
        let lost = 0;
        window.fetch = async (path, options) => {
            const answer = await real(path, options);
            if (path === "/run" && lost++ < 2)
                throw new TypeError("lost");
            return answer;
        };""")
    write(browser, "Say hello once")
    browser.execute_script("""
        const send = document.getElementById("send");
        send.click();
        send.click();""")
    answered(browser)
    assert [job["message"] for job in jobs_of(user)] == ["Say hello once"]


@pytest.mark.slow
def test_too_much_at_once(browser, asking):
    enter(browser, asking)
    browser.execute_script("""
        const real = window.fetch;
        window.fetch = (path, options) => path !== "/run" ? real(path, options)
            : Promise.resolve(new Response('{"detail": "Too many requests"}',
                {status: 429, headers: {"Retry-After": "7"}}));""")
    ask(browser, "Say hello")
    has(browser, "(in 7 seconds)", ".composer .notice")
    assert find(browser, "#message").get_property("value") == "Say hello"
    assert all_of(browser, ".turn") == []


def test_old_conversations(browser, asking):
    """Two of them, and a job that belongs to none; two tabs do not disturb each other."""
    user = enter(browser, asking)
    alone = user.done("Say hello to nobody")
    ask(browser, "Say hello to the first")
    answered(browser)
    ask(browser, "Say more to the first")
    answered(browser, 2)
    first_url, first = browser.current_url, browser.current_window_handle
    press(browser, "New conversation", "a")
    press(browser, "What can you do for me?")
    answered(browser)
    wait(browser, lambda: len(all_of(browser, "#history li")) == 3, "three conversations")
    assert find(browser, "#history a[aria-current]").text.startswith("What can you do")
    press(browser, "Say hello to the first", "#history bdi")
    assert len(answered(browser, 2)) == 2
    assert browser.current_url == first_url
    new_tab(browser)
    other = enter(browser, asking)
    ask(browser, "Say hello to the other")
    answered(browser)
    assert [job["message"] for job in jobs_of(other)] == ["Say hello to the other"]
    browser.switch_to.window(first)
    press(browser, "Say hello to nobody", "#history bdi")
    answered(browser)
    assert browser.current_url.endswith("#/job/" + quote(alone["job_id"]))
    shot(browser, "app-history")
    browser.back()
    assert len(answered(browser, 2)) == 2
    assert len(jobs_of(user)) == 4


EVENTS = [
    ("status", {"status": "running", "attempt": 2}),
    ("tool_call", {"id": "a", "name": "files__read", "arguments": [1, {"<b>": "\u202e"}]}),
    ("progress", {"name": "files__read", "progress": 3, "total": 4, "message": "<i>page</i> 3"}),
    ("progress", {"message": "The server \x07 broken could not be started", "level": "warning"}),
    ("of_a_newer_server", {"what": None}),
]


@pytest.mark.slow
def test_every_kind_of_event(browser, asking):
    """Of a stream that breaks off after each of its pieces."""
    enter(browser, asking)
    text = "".join(f"id: {n}\nevent: {kind}\ndata: {json.dumps(data)}\n\n: ping\r\n\r\n"
                   for n, (kind, data) in enumerate(EVENTS, 1))
    browser.execute_script("""
        const real = window.fetch;
        const text = arguments[0];
        window.fetch = (path, options) => {
            if (!path.includes("/events"))
                return real(path, options);
            const after = Number(options.headers["Last-Event-ID"]);
            const from = after ? text.indexOf(`id: ${after + 1}\\n`) : 0;
            const piece = from < 0 ? "" : text.slice(from, from + 150);
            return Promise.resolve(new Response(piece));
        };""", text)
    ask(browser, "[sandbox:slow=60] Say hello")
    has(browser, "Attempt 2", ".steps")
    has(browser, "could not be started", ".steps .warned")
    bar = find(browser, ".tool progress")
    click(browser, ".tool summary")
    assert bar.get_property("value") == 3
    has(browser, "<i>page</i> 3", ".tool .progress")
    has(browser, "U+202E", ".tool pre")
    assert len(all_of(browser, ".tool")) == 1
    shot(browser, "app-progress")
    click(browser, "#stop")


def test_a_gateway_dies_in_the_middle(browser, asking):
    user = enter(browser, asking)
    message, text = use("look")
    ask(browser, f"[sandbox:slow=1] {message}")
    has(browser, "Thinking…", ".state")
    asking.kill("gateway")
    assert f"look: {text}" in answered(browser)[0]
    asking.wait_healthy()
    assert len(jobs_of(user)) == 1


@pytest.mark.slow
def test_forget_me(browser, asking):
    user = enter(browser, asking)
    ask(browser, "Say hello")
    answered(browser)
    find(browser, "#open-account").click()
    click(browser, "#forget")
    find(browser, "dialog")
    shot(browser, "app-forget")
    press(browser, "Leave it", "dialog button")
    assert user.get("/me").status_code == 200
    find(browser, "#open-account").click()
    click(browser, "#forget")
    press(browser, "Delete everything", "dialog button")
    has(browser, "You have been forgotten", ".notice")
    assert user.get("/me").status_code == 401


@pytest.mark.slow
def test_switched_off(asking):
    """Then a sign-in's page has no script either."""
    with Side(asking) as side:
        address_of = side.gateway({"CHAT_PAGE": "off", "PUBLIC_URL": asking.vars["PUBLIC_URL"]})
        assert http("GET", address_of + "/app").status_code == 404
        assert http("GET", address_of + "/app/main.js").status_code == 404
        assert http("GET", address_of + "/docs").status_code == 200
        page = http("GET", address_of + "/auth/callback?state=x")
        assert "script" not in page.text + page.headers["Content-Security-Policy"]


def check_look(browser, name):
    """What axe says, in both colours; wide and as on a telephone."""
    assert axe(browser) == []
    assert too_wide(browser) == []
    shot(browser, name)
    with prefers(browser, color_scheme="dark"):
        assert axe(browser, "color-contrast") == []
        shot(browser, name + "-dark")
        with phone(browser):
            assert too_wide(browser) == []
            shot(browser, name + "-phone")


def test_for_everybody(browser, asking):
    """Each view."""
    browser.get(address(asking))
    find(browser, "input[name=scope]")
    check_look(browser, "app-view-sign-in")
    enter(browser, asking)
    check_look(browser, "app-view-new")
    message, _ = use("look", "send", "send")
    ask(browser, f"{message}\n\n1. one\n\n| a | b |\n|---|---|\n| `c` | **d** |\n\n> quoted")
    find(browser, ".approval")
    check_look(browser, "app-view-approval")
    press(browser, "Deny all")
    answered(browser)
    for card in all_of(browser, ".tool summary"):
        click_on(browser, card)
    check_look(browser, "app-view-answer")
    with phone(browser):
        find(browser, "#open-history").click()
        wait(browser, find(browser, "#history li a").is_displayed, "the conversations")
        assert axe(browser) == []
        shot(browser, "app-view-history-phone")
        browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
        wait(browser, lambda: not find(browser, "#history li a").is_displayed(), "folded")
    assert complaints(browser) == []
