/* Old conversations, newest first: the user's jobs (GET /jobs), put together by conversation_id. */

import { button, h, notice } from "./dom.js";
import { ENDED } from "./events.js";
import { fullTime, when } from "./format.js";
import { hashOf } from "./chat.js";
import { oneLine, visible } from "./style/text.js";
import { inWords } from "./words.js";

const PAGE = 100;
// Of the open conversation one hears; of what runs in others only by asking.
const RUNNING_MS = 5000;

const routeOf = (job) => job.conversation_id ? { kind: "c", id: job.conversation_id }
    : { kind: "job", id: job.job_id };

function stateOf(job) {
    if (job.waiting_approval)
        return ["waiting", "approval"];
    if (job.status === "failed")
        return ["failed", "failed"];
    return ENDED.includes(job.status) ? null : ["running", "running"];
}

export class History {
    /** chosen(): one was clicked. */
    constructor(api, element, chosen) {
        this.api = api;
        this.jobs = new Map();
        this.total = 0;
        this.list = h("ul", {});
        this.more = button("Show older", () => this.load(this.jobs.size),
            { class: "small", hidden: true });
        this.faults = h("div", {});
        this.element = element;
        element.replaceChildren(
            h("a", { class: "button", href: "#/", on: { click: chosen } }, "New conversation"),
            this.faults, this.list, this.more);
        this.list.addEventListener("click", chosen);
    }

    /** Many changes at once are one question. */
    refresh(ms = 200) {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.load(0), ms);
    }

    close() {
        this.closed = true;
        clearTimeout(this.timer);
    }

    async load(offset) {
        try {
            const { jobs, total } = await this.api.jobs({ limit: PAGE, offset });
            if (this.closed)
                return;
            jobs.forEach((job) => this.jobs.set(job.job_id, job));
            this.total = total;
            this.faults.replaceChildren();
            this.show();
        } catch (error) {
            if (error.status !== 401)
                this.faults.replaceChildren(notice("warn", inWords(error),
                    button("Try again", () => this.refresh(), { class: "small" })));
        }
    }

    /** [newest job, oldest job] of each conversation; the first question is its title. */
    conversations() {
        const found = new Map();
        const jobs = [...this.jobs.values()].sort((a, b) => a.created_at < b.created_at ? 1 : -1);
        for (const job of jobs) {
            const hash = hashOf(routeOf(job));
            found.set(hash, [found.get(hash)?.[0] ?? job, job]);
        }
        return found;
    }

    show() {
        const conversations = [...this.conversations()];
        this.more.hidden = this.jobs.size >= this.total;
        // What has not changed is left alone, so that no click falls between.
        const key = JSON.stringify(conversations.map(([hash, [newest, oldest]]) =>
            [hash, oldest.job_id, newest.job_id, stateOf(newest)]));
        if (key !== this.key)
            this.build(conversations);
        this.key = key;
        this.mark();
        const runs = conversations.some(([, [newest]]) => !ENDED.includes(newest.status));
        if (runs && !document.hidden)
            this.refresh(RUNNING_MS);
    }

    build(conversations) {
        const items = conversations.map(([hash, [newest, oldest]]) => {
            const state = stateOf(newest);
            return h("li", {}, h("a", { href: hash },
                h("bdi", { class: "one-line" }, visible(oneLine(oldest.message, 80))),
                h("span", { class: "row spread small muted" },
                    h("time", { datetime: newest.created_at, title: fullTime(newest.created_at) },
                        when(newest.created_at)),
                    state ? h("span", { class: `badge ${state[0]}` }, state[1]) : null)));
        });
        const focused = this.list.contains(document.activeElement)
            ? document.activeElement.hash : null;
        this.list.replaceChildren(...items);
        if (focused)
            this.links().find((link) => link.hash === focused)?.focus();
    }

    links() {
        return [...this.list.querySelectorAll("a")];
    }

    /** Which one is open. */
    mark() {
        for (const link of this.links()) {
            if (link.hash === location.hash)
                link.setAttribute("aria-current", "page");
            else
                link.removeAttribute("aria-current");
        }
    }
}
