/* The answer while the model writes it: the words of `partial` events, which have no number, may be
   left out by the server, and are void once the `message` of their turn is there. */

import { h } from "./dom.js";
import { showMarkdown } from "./markdown.js";

// What is longer is shown when it is whole.
const TEXT_MAX = 64 * 1024;
const PAUSE_MS = 100;
// A draft is drawn as a whole each time. For each moment that this takes, so many are left to
// everything else: a long one is drawn less often.
const REST = 9;

/** Shows Markdown in an element that shows the beginning of it: what is the same stays, and with it
    what a reader has selected there, or scrolled. */
function grow(element, text) {
    const made = showMarkdown(h("div"), text);
    const old = [...element.childNodes];
    const fresh = [...made.childNodes];
    const change = fresh.findIndex((node, i) =>
        !old[i]?.isEqualNode(node) || node.querySelector?.("button")); // it knows its text
    const same = change < 0 ? fresh.length : change;
    old.slice(same).forEach((node) => node.remove());
    // It is looked for again with each child that comes or goes.
    made.removeAttribute("dir");
    element.removeAttribute("dir");
    element.append(...fresh.slice(same));
    element.dir = "auto";
}

/** Without a last line that is the beginning of a mark: below a text, the "-" of a list would make
    that text a heading for a moment. */
function settled(text) {
    const at = text.lastIndexOf("\n") + 1;
    const last = text.slice(at);
    return at > 0 && last.length < 20 && /^[\s\-=*_+>#`~|:]*$/u.test(last)
        ? text.slice(0, at) : text;
}

export class Draft {
    /** draw(change): has change() draw it; where it is in the page then is the caller's affair. */
    constructor(draw) {
        this.draw = draw;
        this.attempt = 0;
        this.done = 0;
        this.rested = 0;
        this.clear();
    }

    /** The element, when it is in the page; else null. */
    get shown() {
        return this.element.parentNode ? this.element : null;
    }

    clear() {
        clearTimeout(this.timer);
        this.element?.remove();
        // A live region would read the same words again and again; this one is not even finished.
        this.element = h("div", { class: "draft markdown", "aria-busy": "true" });
        this.timer = null;
        this.turn = 0;
        this.next = null;
        this.text = "";
    }

    /** A partial event: whether it is of what is being written. Behind one that is missing, the
        others of that turn would make no sense. */
    add({ turn, attempt, part, text }) {
        if (typeof text !== "string" || turn <= this.done || attempt < this.attempt)
            return false;
        if (turn !== this.turn || attempt !== this.attempt)
            this.clear();
        this.turn = turn;
        this.attempt = attempt;
        if (part !== 0 && part !== this.next) {
            this.next = null;
            return true;
        }
        this.next = part + 1;
        this.text = (part === 0 ? text : this.text + text).slice(0, TEXT_MAX)
            .replace(/[\ud800-\udbff]$/u, "");
        this.timer ??= setTimeout(() => this.show(), Math.max(0, this.rested - performance.now()));
        return true;
    }

    show() {
        this.timer = null;
        const began = performance.now();
        this.draw(() => grow(this.element, settled(this.text)));
        const now = performance.now();
        this.rested = now + Math.max(PAUSE_MS, (now - began) * REST);
    }

    /** An attempt begins, or has been given up: what those up to this one have written is void. */
    drop(attempt) {
        if (this.attempt <= attempt)
            this.clear();
    }

    /** A turn has ended without a text. */
    end(turn) {
        this.done = Math.max(this.done, turn);
        if (this.turn <= this.done)
            this.clear();
    }

    /** A turn's whole text, in an element that shows it: the draft's, if it was that turn's. */
    finish(turn, text) {
        const element = turn === this.turn && this.shown || h("div", { class: "markdown" });
        grow(element, text);
        element.classList.replace("draft", "answer") || element.classList.add("answer");
        element.removeAttribute("aria-busy");
        if (element === this.element)
            this.element = null;
        this.end(turn);
        return element;
    }
}
