"""The chat page shows an answer while the model writes it: mostly from a stream that the test writes
itself, where everything can happen."""
import json

import pytest

from app_page import all_of, answered, ask, click, enter, has, texts
from pages import axe, complaints, find, new_tab, shot, too_wide, wait

pytest_plugins = ["asking_stacks", "live_model", "pages", "shared_stacks"]
pytestmark = pytest.mark.page

# What the page asks of the one job is answered by the test.
PLAY = """
    const real = window.fetch;
    const encoder = new TextEncoder();
    window.asked = [];
    window.tell = (text) => window.stream.enqueue(encoder.encode(text));
    window.fetch = (path, options) => {
        const answer = (body) => Promise.resolve(new Response(body));
        if (path === "/run")
            return answer('{"job_id": "played"}');
        if (path === "/result/played")
            return answer(JSON.stringify({...window.job, job_id: "played"}));
        if (!path.startsWith("/jobs/played/events"))
            return real(path, options);
        window.asked.push([path, options.headers["Last-Event-ID"]]);
        return answer(new ReadableStream({start: (stream) => { window.stream = stream; }}));
    };"""
TIME = "2026-01-31T12:00:00.000000Z"


class Played:
    """A job whose events the test tells."""

    def __init__(self, browser):
        self.browser = browser
        self.number = 0
        browser.execute_script(PLAY)
        ask(browser, "Say hello")
        wait(browser, lambda: browser.execute_script("return Boolean(window.stream)"), "a stream")
        self.tell(("status", {"status": "running", "attempt": 1}))

    def tell(self, *events):
        """(type, data) of each; only the partial ones have no number."""
        text = ""
        for kind, data in events:
            if kind != "partial":
                self.number += 1
                text += f"id: {self.number}\n"
            text += f"event: {kind}\ndata: {json.dumps({'timestamp': TIME, **data})}\n\n"
        self.browser.execute_script("window.tell(arguments[0])", text)

    def write(self, *parts, turn=1, attempt=1, first=0):
        self.tell(*(part_of(text, part, turn, attempt) for part, text in enumerate(parts, first)))

    def end(self, result, status="completed"):
        self.browser.execute_script("window.job = arguments[0]", {
            "status": status, "message": "Say hello", "result": result, "created_at": TIME,
            "completed_at": TIME, "token_usage": None, "error_message": None})
        self.tell(("status", {"status": status}))
        return answered(self.browser)


def part_of(text, part, turn=1, attempt=1):
    return "partial", {"turn": turn, "attempt": attempt, "part": part, "text": text}


def message(text, turn=1):
    return "message", {"turn": turn, "text": text}


def draft(browser, *lines):
    """Waits until these lines are what is being written, alone."""
    wait(browser, lambda: [line for text in texts(browser, ".draft") for line in text.splitlines()
                           if line] == list(lines), f"a draft of {lines}")


def test_the_answer_grows(browser, asking):
    """To be seen, not to be heard; what a reader has selected stays selected."""
    enter(browser, asking)
    played = Played(browser)
    assert browser.execute_script("return window.asked") == [
        ["/jobs/played/events?partial=true", "0"]]
    played.write("# Title\n\nThe **fir")
    draft(browser, "Title", "The **fir")
    assert texts(browser, ".state") == ["Writing…"] and all_of(browser, ".answer") == []
    browser.execute_script(
        "getSelection().selectAllChildren(document.querySelector('.draft h3'))")
    played.write("st** word", first=1)
    draft(browser, "Title", "The first word")
    assert texts(browser, ".draft strong") == ["first"]
    assert browser.execute_script("""
        const one = document.querySelector(".draft");
        window.kept = one.firstElementChild;
        return [one.ariaBusy, one.closest("[aria-live], [role=log], [role=status], [role=alert]"),
                document.getElementById("announcer").textContent];""") == ["true", None, ""]
    assert axe(browser) == []
    shot(browser, "app-writing")
    played.tell(message("# Title\n\nThe **first** word, and the last."))
    wait(browser, lambda: texts(browser, ".answer"), "the answer")
    assert texts(browser, ".draft") == []
    assert browser.execute_script("""return [window.kept === document.querySelector(".answer h3"),
        String(getSelection()), document.querySelector("[aria-busy]")];""") == [True, "Title", None]
    played.write("late")
    played.tell(("progress", {"message": "A notice"}))
    has(browser, "A notice", ".steps")
    assert texts(browser, ".state") == ["Thinking…"]
    played.write("The second", turn=2)
    draft(browser, "The second")
    played.tell(message("A second answer.", 2))
    assert played.end("A second answer.") == ["Title\n\nThe first word, and the last.",
                                              "A second answer."]
    wait(browser, lambda: "Answer: A second answer." in find(browser, "#announcer").text, "the end")
    assert complaints(browser) == []


def test_parts_that_are_missing_or_void(browser, asking):
    """What comes behind a gap is left out, as far as the turn begins anew; so is what a lost attempt
    has written, and what comes too late."""
    enter(browser, asking)
    played = Played(browser)
    played.write("in the middle", first=3)
    played.write("One, ", "two, ")
    played.write("four, ", "five, ", first=3)
    draft(browser, "One, two,")
    played.write("two, ", first=2)
    played.write("One, two, three, four, ", "five.")
    draft(browser, "One, two, three, four, five.")
    played.tell(("status", {"status": "pending"}))
    draft(browser)
    # The words may be faster than the event that tells of the attempt.
    played.write("Again ", attempt=2)
    played.write("of the first", first=5)
    played.tell(("progress", {"message": "A notice"}), ("status", {"status": "running", "attempt": 2}))
    played.write("from here", attempt=2, first=1)
    draft(browser, "Again from here")
    assert browser.execute_script("return document.querySelector('.steps').lastChild.className") \
        .startswith("draft")
    played.write("of the next ", turn=2, attempt=2)
    draft(browser, "of the next")
    played.tell(message("Again from here."))
    played.write("turn", turn=2, attempt=2, first=1)
    draft(browser, "of the next turn")
    assert texts(browser, ".answer, .draft") == ["Again from here.", "of the next turn"]
    played.tell(("tool_call", {"id": "a", "name": "a__b", "arguments": {}, "turn": 2}))
    draft(browser)
    played.write("unfinished", turn=3, attempt=2)
    draft(browser, "unfinished")
    assert played.end(None, "cancelled") == ["Again from here."]
    assert all_of(browser, ".draft") == []


HOSTILE = ("<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'> ",
           "[link](javascript:window.pwned=3) \u202egnp.exe \x07 ![p](http://203.0.113.1/x",
           ".png)\n```html\n<b>", "bold</b>")


def test_hostile_words_stay_text(browser, asking):
    enter(browser, asking)
    played = Played(browser)
    for part, text in enumerate(HOSTILE):
        played.write(text, first=part)
        wait(browser, lambda: texts(browser, ".draft"), "a draft")
    wait(browser, lambda: texts(browser, ".draft pre") == ["<b>bold</b>"], "an open block of code")
    assert "<script>window.pwned = 1</script>" in texts(browser, ".draft")[0]
    assert "U+202E" in texts(browser, ".draft .mark") and too_wide(browser) == []
    assert all_of(browser, ".turns script, .turns img, .turns a:not([href='http://203.0.113.1/x.png'])") \
        == []
    # A list that begins is no line below a heading.
    played.write("Some words\n-")
    draft(browser, "Some words")
    assert texts(browser, ".draft p") == ["Some words"]
    played.write(" one\n", first=1)
    draft(browser, "Some words", "one")
    assert texts(browser, ".draft p") == ["Some words"] and len(all_of(browser, ".draft li")) == 1
    assert browser.execute_script("return window.pwned ?? null") is None
    assert played.end("Some words") == ["Some words"]
    assert complaints(browser) == []


SILENT = "[sandbox:stall] " + "say these words again, please, and then some more of them " * 6


def test_a_reload_while_it_is_written(browser, wide_stack):
    """By the sandbox, which says half of its answer and then nothing more."""
    enter(browser, wide_stack)
    ask(browser, SILENT)
    wait(browser, lambda: texts(browser, ".draft"), "a draft")
    written = wait(browser, lambda: browser.execute_script("""
        return document.querySelector(".draft")?.innerText;"""), "a draft")
    browser.refresh()
    wait(browser, lambda: any(written in text for text in texts(browser, ".draft")), "it again")
    assert texts(browser, ".state") == ["Writing…"] and all_of(browser, ".answer") == []
    click(browser, "#stop")
    has(browser, "Stopped.", ".notice")
    assert answered(browser) == [] and all_of(browser, ".draft") == []
    assert complaints(browser) == []


@pytest.mark.slow
def test_a_model_at_work(browser, live, model):
    """Two tabs, a tool, a gateway that dies: all of them show the same words."""
    user = enter(browser, live)
    first = browser.current_window_handle
    ask(browser, "Tell me *of this*")
    talk = model.talk("of this")
    talk.say("I **lo")
    draft(browser, "I **lo")
    talk.say("ok**.")
    draft(browser, "I look.")
    where = browser.current_url
    new_tab(browser)
    enter(browser, live, user)
    browser.get(where)
    draft(browser, "I look.")
    talk.call("google__gmail_list_labels")
    talk.end("tool_calls")
    talk = model.talk("of this", 2)
    talk.say("- one\n- tw")
    for tab in (browser.current_window_handle, first):
        browser.switch_to.window(tab)
        draft(browser, "one", "tw")
        assert texts(browser, ".answer") == ["I look."]
    live.kill("gateway", 1)
    live.kill("gateway", 2)
    talk.say("o\n- three")
    draft(browser, "one", "two", "three")
    talk.end()
    assert answered(browser)[0] == "I look." and len(all_of(browser, ".answer li")) == 3
    assert all_of(browser, ".draft") == []


COUNT = """
    const [make, pause, seconds, done] = arguments;
    import("/app/draft.js").then(({Draft}) => {
        let draws = 0;
        const began = performance.now();
        const draft = new Draft((change) => {
            draws++;
            change();
            document.body.append(draft.element);
            for (const end = performance.now() + pause; performance.now() < end;)
                ;
        });
        let part = 0;
        const text = "*a* **b** `c` - ".repeat(20) + "\\n\\n- ";
        const more = () => {
            for (let i = 0; i < make; i++)
                draft.add({turn: 1, attempt: 1, part: part++, text});
            const took = performance.now() - began;
            if (took < seconds * 1000)
                return setTimeout(more, 5);
            const found = {took, draws, length: draft.text.length,
                           shown: draft.element.textContent.length};
            draft.clear();
            done(found);
        };
        more();
    });"""


@pytest.mark.slow
def test_a_long_draft_costs_little(browser, asking):
    """It is drawn ever less often: at most a tenth of the time goes into it, whatever comes."""
    enter(browser, asking)
    browser.set_script_timeout(60)
    quick = browser.execute_async_script(COUNT, 1, 0, 2)
    assert 0 < quick["draws"] <= quick["took"] / 100 + 2, quick
    slow = browser.execute_async_script(COUNT, 1, 40, 3)
    assert 0 < slow["draws"] <= slow["took"] / 400 + 2, slow
    long = browser.execute_async_script(COUNT, 2000, 0, 3)
    assert long["length"] == 64 * 1024 and 0 < long["shown"] < 70000, long
