/* One conversation: its turns, and what is asked next. Jobs with the same conversation_id belong
   together; the completed ones are what the model is told of before. */

import { announce } from "./announce.js";
import { Composer } from "./composer.js";
import { button, h, notice } from "./dom.js";
import { follow } from "./events.js";
import { keep, randomId, recall, sleep } from "./store.js";
import { oneLine } from "./style/text.js";
import { Turn } from "./turn.js";
import { welcome } from "./welcome.js";
import { inWords } from "./words.js";

const PAGE = 20;
const TRIES = 5;
// A browser has six connections to a server, for all tabs; those of streams are taken for long.
const STREAMS = 3;
// Lists cut messages and results at 4 KiB.
const MAY_BE_CUT = 1000;

const isWhole = (job) =>
    job.message.length < MAY_BE_CUT && (job.result?.length ?? 0) < MAY_BE_CUT;

/** Where an address leads: "#/c/ID" a conversation, "#/job/ID" a job that belongs to none. */
export function routeOf(hash) {
    const [, kind, id] = /^#\/(c|job)\/(.+)$/u.exec(hash) ?? [];
    try {
        return kind ? { kind, id: decodeURIComponent(id) } : { kind: "new" };
    } catch {
        return { kind: "new" };
    }
}

export function hashOf({ kind, id }) {
    return kind === "new" ? "#/" : `#/${kind}/${encodeURIComponent(id)}`;
}

export class Chat {
    /** changed(): a job has begun, ended, or waits: lists of them are out of date. */
    constructor(api, user, changed) {
        this.api = api;
        this.user = user;
        this.changed = changed;
        this.turns = [];
        this.composer = new Composer({ send: (text) => this.ask(text), stop: () => this.stop() });
        this.list = h("ol", { class: "turns", "aria-label": "Conversation" });
        this.before = h("div", { class: "before" });
        this.toEnd = button("↓ Newest", () => this.scroll(true),
            { class: "to-end small", hidden: true });
        this.element = h("div", { class: "chat" },
            h("h1", { class: "sr-only" }, "Conversation"), this.before, this.list,
            h("div", { class: "dock" }, this.toEnd, this.composer.element));
        this.onScroll = () => this.showToEnd();
        addEventListener("scroll", this.onScroll, { passive: true });
    }

    close() {
        this.closed = true;
        this.opened?.abort();
        this.sending?.abort();
        removeEventListener("scroll", this.onScroll);
    }

    // Opening

    async open(route) {
        if (this.route && hashOf(route) === hashOf(this.route))
            return;
        this.route = route;
        this.opened?.abort();
        this.opened = new AbortController();
        this.turns = [];
        this.list.replaceChildren();
        this.before.replaceChildren();
        this.composer.quiet();
        this.update();
        await this.load(this.opened.signal);
    }

    async load(signal) {
        const first = this.turns.length === 0;
        if (this.route.kind !== "new")
            this.before.replaceChildren(h("p", { class: "muted" }, "Loading…"));
        try {
            const jobs = await this.fetch(signal);
            this.prepend(jobs.jobs, signal);
            this.showBefore(jobs.total, signal);
            if (first)
                this.scroll(true);
            this.resubmit();
        } catch (error) {
            if (!signal.aborted)
                this.before.replaceChildren(notice("bad", inWords(error),
                    button("Try again", () => this.load(signal), { class: "small" })));
        }
    }

    async fetch(signal) {
        if (this.route.kind === "new")
            return { jobs: [], total: 0 };
        if (this.route.kind === "job")
            return { jobs: [await this.api.job(this.route.id, signal)], total: 1 };
        return this.api.jobs({ conversation_id: this.route.id, limit: PAGE,
            offset: this.turns.filter((turn) => turn.job.job_id).length }, signal);
    }

    /** Newest first, as lists are; before what is there. */
    prepend(jobs, signal) {
        const known = new Set(this.turns.map((turn) => turn.job.job_id));
        const turns = jobs.filter((job) => !known.has(job.job_id)).map((job) => this.turn(job));
        for (const turn of turns) {
            this.turns.unshift(turn);
            this.list.prepend(turn.element);
        }
        const running = turns.filter((turn) => !turn.ended);
        for (let i = 0; i < STREAMS; i++)
            this.replay(running, signal);
        this.replay(turns.filter((turn) => turn.ended), signal);
        this.update();
    }

    /** One after the other; takes them from the list. */
    async replay(turns, signal) {
        while (turns.length && !signal.aborted)
            await this.watch(turns.shift(), signal);
    }

    showBefore(total, signal) {
        const more = total > this.turns.length;
        const empty = this.turns.length === 0 && !this.interrupted();
        this.before.replaceChildren(...[
            more ? button("Show earlier ones", () => this.load(signal), { class: "small" }) : null,
            empty ? welcome(this.user, (text) => this.ask(text)) : null,
        ].filter(Boolean));
    }

    turn(job) {
        return new Turn(job, {
            decide: (one, ids, reason) => ids === null ? this.api.deny(one.job_id, reason)
                : this.api.approve(one.job_id, ids),
            again: (message) => this.ask(message),
            changed: () => this.changed(),
            decided: () => this.composer.focusOnDesk(),
            draw: (change) => this.keepEnd(change),
        });
    }

    // Watching

    async watch(turn, signal) {
        const lost = (error) => turn.trouble(error &&
            "The connection was lost: trying again. The job goes on…");
        const was = turn.ended;
        try {
            const options = { lost, partial: !was };
            for await (const event of follow(this.api, turn.job.job_id, signal, options))
                this.keepEnd(() => turn.apply(event));
            const job = was && isWhole(turn.job) ? turn.job
                : await this.result(turn.job.job_id, signal);
            this.keepEnd(() => turn.finish(job));
        } catch (error) {
            if (!signal.aborted)
                this.lose(turn, error);
        }
        if (!was && !signal.aborted) {
            this.update();
            this.changed();
        }
    }

    lose(turn, error) {
        turn.trouble(error.status === 401
            ? "Your sign-in has ended. The job goes on without this page."
            : error.status === 404 ? "This job isn't there any more." : inWords(error));
        turn.lost = true;
    }

    /** The whole job; patient, for its end is known already. */
    async result(id, signal) {
        for (let tries = 1; ; tries++) {
            try {
                return await this.api.job(id, signal);
            } catch (error) {
                if (!error.passes || tries >= TRIES)
                    throw error;
                await sleep((error.retryAfter ?? tries) * 1000, signal);
            }
        }
    }

    get running() {
        return this.turns.filter((turn) => !turn.ended && !turn.lost);
    }

    update() {
        this.composer.setRunning(this.running.length > 0);
        const first = this.turns[0]?.job.message;
        document.title = first ? `${oneLine(first, 40)} – mcpbus chat` : "mcpbus chat";
    }

    // Asking

    /** A key that is made once and kept until the answer is known: however often this is sent, by
        a reload or a lost answer, it makes one job. */
    ask(text) {
        if (this.running.length)
            return;
        if (this.route.kind !== "c") {
            this.opened.abort();
            this.opened = new AbortController();
            this.turns = [];
            this.list.replaceChildren();
            this.route = { kind: "c", id: randomId() };
            history.pushState(null, "", hashOf(this.route));
        }
        const before = recall("pending");
        const again = before?.failed && before.user === this.user.id && before.message === text &&
            before.conversation_id === this.route.id;
        this.submit({ key: again ? before.key : randomId(), message: text, user: this.user.id,
            conversation_id: this.route.id });
    }

    /** What a reload has interrupted, or null; nothing of somebody who was signed in before. */
    interrupted() {
        const pending = recall("pending");
        const here = this.route.kind === "c" && pending?.conversation_id === this.route.id &&
            pending.user === this.user.id;
        return here && !pending.failed && !this.sending ? pending : null;
    }

    resubmit() {
        const pending = this.interrupted();
        if (pending)
            this.submit(pending);
    }

    async submit(pending) {
        const signal = this.opened.signal;
        const turn = this.turn({ message: pending.message, status: "pending" });
        keep("pending", pending);
        this.before.querySelector(".welcome")?.remove();
        this.composer.quiet();
        this.turns.push(turn);
        this.list.append(turn.element);
        // Not the conversation's signal: who leaves it has asked all the same.
        const sending = this.sending = new AbortController();
        sending.of = signal;
        this.update();
        this.scroll(true);
        try {
            const { job_id: id } = await this.post(pending, turn, sending.signal);
            if (this.closed)
                return;
            keep("pending", null);
            this.accept(turn, id, signal);
            if (sending.signal.aborted)
                this.cancel([id]);
        } catch (error) {
            if (!this.closed)
                this.refused(pending, turn, error, sending.signal.aborted);
        }
        if (this.sending === sending)
            this.sending = null;
    }

    async post({ key, message, conversation_id }, turn, signal) {
        const request = { message, conversation_id,
            time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone };
        for (let tries = 1; ; tries++) {
            try {
                // Not aborted: what has arrived is a job, whose id is needed to stop it.
                return await this.api.run(request, key);
            } catch (error) {
                if (error.status === 422 && request.time_zone && /time_zone/u.test(error.detail)) {
                    delete request.time_zone; // one that the server does not know
                    continue;
                }
                if (!error.passes || error.status === 429 || tries >= TRIES)
                    throw error;
                turn.trouble("The server does not answer: trying again…");
                await sleep((error.retryAfter ?? tries) * 1000, signal);
            }
        }
    }

    accept(turn, id, signal) {
        this.changed();
        if (signal.aborted)
            return;
        // A resubmitted one may be in the list already.
        const twin = this.turns.find((one) => one.job.job_id === id);
        if (twin) {
            this.turns = this.turns.filter((one) => one !== turn);
            turn.element.remove();
            this.update();
            return;
        }
        turn.job.job_id = id;
        this.watch(turn, signal);
    }

    /** Nothing that was typed is lost: it stands in the box again. */
    refused(pending, turn, error, stopped) {
        keep("pending", error.status === 409 ? null : { ...pending, failed: true });
        this.turns = this.turns.filter((one) => one !== turn);
        turn.element.remove();
        const typed = this.composer.text.value;
        this.composer.set(typed ? `${pending.message}\n${typed}` : pending.message);
        if (error.status !== 401 && !stopped)
            this.composer.say("bad", inWords(error));
        this.update();
        this.composer.focus();
    }

    async stop() {
        this.composer.stop.disabled = true;
        announce("Stopping");
        if (this.sending?.of === this.opened.signal) {
            this.sending.abort(new DOMException("stopped", "AbortError"));
            return;
        }
        await this.cancel(this.running.map((turn) => turn.job.job_id));
    }

    async cancel(ids) {
        try {
            await Promise.all(ids.map((id) => this.api.cancel(id)));
        } catch (error) {
            this.composer.say("bad", inWords(error));
            this.composer.stop.disabled = false;
        }
    }

    // Scrolling: who reads the newest goes on doing so, who reads further up is left there.

    atEnd() {
        const root = document.documentElement;
        return root.scrollHeight - root.clientHeight - root.scrollTop < 80;
    }

    /** Where the end is, is asked once a picture: laying out the page for each of thousands of
        events would take minutes. */
    keepEnd(change) {
        if (!this.frame) {
            const was = this.atEnd();
            this.frame = requestAnimationFrame(() => {
                this.frame = 0;
                if (was)
                    this.scroll(false);
                this.showToEnd();
            });
        }
        change();
    }

    scroll(focus) {
        scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
        this.showToEnd();
        if (focus)
            this.composer.focusOnDesk();
    }

    showToEnd() {
        this.toEnd.hidden = this.atEnd() || this.turns.length === 0;
    }
}

