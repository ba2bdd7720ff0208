/* One job, as a turn of the conversation: what was asked, the steps, the answer. It is a function
   of the job's events, so a reload shows the same again; what is still being written is a preview. */

import { announce } from "./announce.js";
import { Approval } from "./approval.js";
import { ToolCard } from "./cards.js";
import { button, h, notice } from "./dom.js";
import { Draft } from "./draft.js";
import { ENDED } from "./events.js";
import { count, duration, fullTime, usage, when } from "./format.js";
import { showMarkdown } from "./markdown.js";
import { folded, foreign, oneLine } from "./style/text.js";

const WORKING = {
    pending: "Waiting for a worker…",
    running: "Thinking…",
    approval: "Waiting for your approval",
};

export class Turn {
    /** job: as the API gives it, or {message} alone while it is being sent.
        actions: {decide(job, ids, reason), again(message), changed(), decided(), draw(change)};
        decided: the button that had the focus is gone; draw: calls change(), which makes the page
        longer. */
    constructor(job, actions) {
        this.job = job;
        this.actions = actions;
        this.cards = new Map();
        this.denied = new Set();
        this.answers = [];
        this.attempt = 1;
        this.draft = new Draft((change) => actions.draw(() => {
            change();
            if (!this.draft.shown)
                this.add(this.draft.element);
        }));
        this.question = h("div", { class: "question" });
        this.steps = h("div", { class: "steps" });
        this.state = h("p", { class: "state muted" });
        this.foot = h("footer", { class: "small muted row" });
        this.element = h("li", { class: "turn" },
            h("article", {},
                foreign(h("h2", { class: "sr-only" }), `You asked: ${oneLine(job.message, 80)}`),
                this.question, this.steps, this.state, this.foot));
        this.asked = job.message;
        folded(this.question, job.message);
        // Of an old one the events are only repeated: nothing of it is running, or news.
        this.old = this.ended;
        this.show(job.job_id ? WORKING[job.status] : "Sending…");
    }

    get ended() {
        return ENDED.includes(this.job.status);
    }

    show(text) {
        this.state.hidden = !text;
        this.state.textContent = text ?? "";
    }

    changed() {
        if (!this.old)
            this.actions.changed();
    }

    showWork(state = this.job.status) {
        this.show(this.old ? null : WORKING[this.approval ? "approval" : state]);
    }

    tell(text) {
        if (!this.old)
            announce(text);
    }

    /** What stands below while there is no connection; null: there is one again. */
    trouble(text) {
        if (text)
            this.show(text);
        else
            this.showWork();
    }

    /** One event, in order. */
    apply({ type, data }) {
        switch (type) {
        case "status":
            this.setStatus(data);
            break;
        case "message":
            this.say(data.text ?? "", data.turn);
            break;
        case "partial":
            if (this.draft.add(data))
                this.show("Writing…");
            break;
        case "tool_call":
            this.draft.end(data.turn ?? 0);
            this.callTool(data);
            break;
        case "tool_result":
            this.cards.get(data.id)?.finish(data, this.denied.has(data.id));
            break;
        case "progress":
            this.advance(data);
            break;
        case "waiting_approval":
            this.ask(data);
            break;
        case "approval":
            this.decided(data);
            break;
        default: // of a newer server
        }
    }

    setStatus({ status, attempt, timestamp, error_message: error }) {
        const ended = ENDED.includes(status);
        if (ended || !this.old)
            this.job.status = status;
        this.voidDraft(status, attempt);
        if (status === "running")
            this.startedAt = Date.parse(timestamp);
        if (attempt > 1)
            this.remark(`Attempt ${attempt}: it goes on where it was.`);
        if (!ended) {
            this.showWork();
            return;
        }
        this.show(null);
        this.closeApproval(null);
        this.cards.forEach((card) => card.lose());
        this.job.error_message = error ?? this.job.error_message;
        this.job.completed_at = timestamp;
        this.tell(status === "completed" ? `Answer: ${oneLine(this.answers.at(-1)?.text ?? "", 300)}`
            : status === "failed" ? `It failed: ${oneLine(error ?? "", 300)}` : "Stopped.");
    }

    /** The first words may come before the attempt that writes them is known to run. */
    voidDraft(status, attempt) {
        if (status === "running")
            this.attempt = attempt ?? 1;
        this.draft.drop(ENDED.includes(status) ? Infinity
            : status === "running" ? this.attempt - 1 : this.attempt);
    }

    /** Below the other steps, but above what is being written. */
    add(element) {
        this.steps.insertBefore(element, this.draft.shown);
    }

    /** A line of small print. */
    remark(text, kind = "muted") {
        this.add(foreign(h("p", { class: `small ${kind}` }), oneLine(text, 500)));
    }

    say(text, turn = 0) {
        const element = this.draft.finish(turn, text);
        this.answers.push({ text, element });
        if (element !== this.steps.lastElementChild)
            this.add(element);
        this.showWork("running");
    }

    callTool(data) {
        const card = new ToolCard(data);
        this.cards.set(data.id, card);
        this.add(card.element);
        if (!this.old)
            this.show(`Calling ${oneLine(card.tool, 60)}…`);
        this.tell(`Calling ${oneLine(card.tool, 60)}`);
    }

    /** A tool's progress goes to its card, the last one of that name that runs; a notice stands
        alone. */
    advance(data) {
        const card = [...this.cards.values()]
            .findLast((one) => one.open && one.name === data.name);
        if (card)
            card.advance(data);
        else if (data.message)
            this.remark(data.message, data.level === "warning" ? "warned" : "muted");
    }

    ask(data) {
        this.closeApproval(null);
        this.approval = new Approval(data,
            (ids, reason) => this.actions.decide(this.job, ids, reason));
        this.add(this.approval.element);
        this.showWork("approval");
        this.tell(`Your approval is needed for ${count(data.calls.length, "call")}.`);
        this.changed();
    }

    /** Calls that are denied get no tool_call of their own: their card is made here. */
    decided(data) {
        const calls = this.approval?.calls ?? [];
        const approved = data.decision === "approve"
            ? data.call_ids ?? calls.map((call) => call.id) : [];
        this.closeApproval(data);
        for (const call of calls.filter((one) => !approved.includes(one.id))) {
            this.denied.add(call.id);
            this.callTool(call);
        }
        this.showWork("pending");
        this.changed();
    }

    closeApproval(data) {
        const focus = document.activeElement;
        const lost = this.approval?.sent &&
            (focus === document.body || this.approval.element.contains(focus));
        this.approval?.close(data);
        this.approval = null;
        if (lost)
            this.actions.decided();
    }

    /** The last word: the job as GET /result gives it, with the whole answer and the tokens. */
    finish(job) {
        this.job = { ...this.job, ...job };
        const last = this.answers.at(-1);
        if (job.message !== this.asked) // lists cut it
            folded(this.question, job.message);
        if (job.status === "completed" && job.result !== null && job.result !== last?.text)
            this.replaceAnswer(job.result, last);
        if (job.status === "failed")
            this.fail(job);
        if (job.status === "cancelled")
            this.steps.append(notice("", "Stopped.", this.againButton()));
        this.showFoot(job);
    }

    /** An event's text is cut at 16 KiB; the result is whole. */
    replaceAnswer(result, last) {
        if (last && last.element === this.steps.lastElementChild)
            showMarkdown(last.element, result);
        else
            this.say(result);
        this.show(null);
    }

    fail(job) {
        const words = foreign(h("span", { class: "grow" }),
            oneLine(job.error_message ?? "", 2000));
        this.steps.append(h("div", { class: "notice bad" },
            h("strong", {}, "It failed."), words, this.againButton()));
        if (job.result && !this.answers.some((answer) => answer.text === job.result))
            this.say(job.result);
        this.show(null);
    }

    againButton() {
        return button("Ask again", () => this.actions.again(this.job.message), { class: "small" });
    }

    showFoot({ token_usage: tokens, created_at: created, completed_at: completed }) {
        const took = Date.parse(completed) - (this.startedAt ?? Date.parse(created));
        const parts = [
            h("time", { datetime: created, title: fullTime(created) }, when(created)),
            took >= 0 ? duration(took) : null,
            this.cards.size ? count(this.cards.size, "tool call") : null,
            usage(tokens)];
        this.foot.replaceChildren(
            ...parts.filter(Boolean).map((part) => h("span", {}, part)), this.copyButton());
    }

    /** Browsers give a clipboard to pages on https and localhost alone. */
    copyButton() {
        const text = this.job.result;
        if (!text || !navigator.clipboard)
            return "";
        const copy = button("Copy", async () => {
            await navigator.clipboard.writeText(text);
            copy.textContent = "Copied";
        }, { class: "plain small" });
        return copy;
    }
}
