/* Where the user writes. What is typed is kept over a reload and over signing in again. */

import { button, h } from "./dom.js";
import { keep, recall } from "./store.js";

const BYTES_MAX = 256 * 1024;

export class Composer {
    /** actions: {send(text), stop()} */
    constructor(actions) {
        this.actions = actions;
        this.running = false;
        this.text = h("textarea", { id: "message", rows: 1, enterkeyhint: "send",
            placeholder: "Say what you need", "aria-label": "Message",
            "aria-describedby": "composer-hint",
            on: { input: () => this.typed(), keydown: (event) => this.key(event) } });
        this.send = h("button", { class: "primary", id: "send" }, "Send");
        this.stop = button("Stop", () => this.actions.stop(),
            { class: "danger", id: "stop", hidden: true });
        this.hint = h("p", { class: "small muted", id: "composer-hint" });
        this.notices = h("div", { class: "notices", role: "alert" });
        this.element = h("form",
            { class: "composer", on: { submit: (event) => this.submit(event) } },
            this.notices,
            h("div", { class: "box" }, this.text, this.send, this.stop), this.hint);
        this.set(recall("draft") ?? "");
        this.setRunning(false);
    }

    set(text) {
        this.text.value = text;
        this.typed();
    }

    typed() {
        keep("draft", this.text.value || null);
        this.text.style.height = "auto";
        this.text.style.height = `${this.text.scrollHeight + 2}px`;
    }

    key(event) {
        // While an input method composes, Enter belongs to it.
        if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            this.submit();
        }
    }

    submit(event) {
        event?.preventDefault();
        const text = this.text.value.trim();
        if (!text || this.running)
            return;
        if (new TextEncoder().encode(text).length > BYTES_MAX) {
            this.say("bad", "That is too long: a message may have 256 KiB.");
            return;
        }
        this.set("");
        this.actions.send(text);
    }

    /** One thing at a time: while it runs there is Stop in the place of Send. */
    setRunning(running) {
        this.running = running;
        // Who has pressed Stop stands nowhere now.
        const lost = !running && this.stop.disabled &&
            [document.body, this.stop].includes(document.activeElement);
        this.send.hidden = running;
        this.stop.hidden = !running;
        this.stop.disabled = false;
        this.hint.textContent = running ? "Esc stops · you may type on meanwhile"
            : "Enter sends · Shift+Enter begins a new line";
        if (lost)
            this.focusOnDesk();
    }

    say(kind, text, ...actions) {
        this.notices.replaceChildren(h("div", { class: `notice ${kind}` },
            h("span", { class: "grow" }, text), ...actions,
            button("Close", () => this.quiet(), { class: "plain small" })));
    }

    quiet() {
        this.notices.replaceChildren();
    }

    /** Not where a keyboard on the glass would come up unasked. */
    focusOnDesk() {
        if (matchMedia("(hover: hover)").matches)
            this.focus();
    }

    focus() {
        this.text.focus();
    }
}
