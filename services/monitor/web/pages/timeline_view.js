/* The rows of timeline.js as a list with bars: where in the job's time each one lies. */
import { bdi, h, keyed, mark, say, when } from "/pages/dom.js";
import { duration, now } from "/pages/format.js";
import { folded } from "/style/text.js";

const SHOWN = 300;
const TOOL_WORDS = { good: "answered", bad: "answered with an error", warn: "no answer" };

function makeRow() {
    const title = h("span", { class: "step-title" });
    const time = h("span", { class: "num muted small step-time" });
    const bar = h("span", { class: "lane", "aria-hidden": "true" }, h("span", { class: "span" }));
    const note = h("span", { class: "muted small step-note" });
    const texts = h("div", { class: "texts" });
    const element = h("li", { class: "step" }, h("div", { class: "step-line" }, title, time, bar),
        note, texts);
    Object.assign(element, { parts: { title, time, bar, note, texts } });
    return element;
}

function setTitle(title, row) {
    when(title, [row.title, row.foreign ?? ""], () => {
        title.replaceChildren(row.title);
        if (row.foreign)
            title.append(" ", bdi(row.foreign, 100));
    });
}

/** What a tool was given and what it said, folded until somebody wants to see it. */
function setTexts(element, row) {
    when(element, row.texts, () => element.replaceChildren(...row.texts.map(({ label, text }) => {
        const body = h("div", { class: "step-text" });
        const details = h("details", {}, h("summary", { class: "small" }, label), body);
        details.addEventListener("toggle", () => {
            if (details.open && !body.hasChildNodes())
                folded(body, text, 2000);
        });
        return details;
    })));
}

function setRow(element, row, from, to) {
    const { title, time, bar, note, texts } = element.parts;
    const whole = Math.max(1, to - from);
    const end = row.to ?? Math.max(row.from, now());
    const left = Math.min(1, Math.max(0, (row.from - from) / whole));
    const width = Math.min(1 - left, Math.max(0, (end - row.from) / whole));
    mark(element, "class", `step ${row.kind} ${row.state}`);
    setTitle(title, row);
    const point = row.kind === "mark" || row.kind === "end";
    say(time, point ? `at ${duration(row.from - from)}`
        : `${duration(end - row.from)}${row.to === null ? " so far" : ""}`);
    const shape = bar.firstChild.style;
    shape.setProperty("inset-inline-start", `min(${(left * 100).toFixed(2)}%, 100% - 3px)`);
    shape.setProperty("width", `${(width * 100).toFixed(2)}%`);
    say(note, row.kind === "tool" && row.to !== null ? TOOL_WORDS[row.state] ?? "" : row.note);
    note.hidden = !note.textContent;
    setTexts(texts, row);
}

export class TimelineView {
    constructor() {
        this.list = h("ol", { class: "timeline" });
        this.shown = SHOWN;
        this.rest = h("button", { type: "button", class: "small", hidden: true, on: {
            click: () => {
                this.shown += SHOWN;
                this.last?.();
            } } });
        this.cut = h("p", { class: "muted small", hidden: true },
            "There are more events than this page keeps; the rest is left out.");
        this.element = h("div", { class: "stack" }, this.list, this.rest, this.cut);
    }

    set(rows, from, to, cut) {
        this.last = () => this.set(rows, from, to, cut);
        keyed(this.list, rows.slice(0, this.shown), (row) => row.key, makeRow,
            (element, row) => setRow(element, row, from, to));
        this.rest.hidden = rows.length <= this.shown;
        say(this.rest, `Show more of ${rows.length} steps`);
        this.cut.hidden = !cut;
    }
}
