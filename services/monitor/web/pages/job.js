/* One job: what was asked, who, where, what happened when, what came out; cancel and retry. */
import { get, poll, post } from "/pages/api.js";
import { bdi, confirm, h, sayFault, toast, when } from "/pages/dom.js";
import { ago, count, dollars, duration, fullTime, now, toMs } from "/pages/format.js";
import { stateBadge } from "/pages/jobs.js";
import { timeline } from "/pages/timeline.js";
import { TimelineView } from "/pages/timeline_view.js";
import { folded } from "/style/text.js";

const POLL_MS = 1000;
const ENDED = ["completed", "failed", "cancelled"];
const EVENTS_MAX = 5000;
const MESSAGE_SHOWN = 1000;

function fact(label) {
    const value = h("dd", {});
    return { value, element: h("div", {}, h("dt", {}, label), value) };
}

function time(value) {
    return value ? h("time", { datetime: value, title: fullTime(value) },
        `${fullTime(value)} (${ago(value)})`) : "–";
}

function lasted(from, to) {
    return from ? duration(Math.max(0, (to ? toMs(to) : now()) - toMs(from))) : "–";
}

/** From the events when the job itself doesn't tell. */
function startOf(job, events) {
    return job.started_at ?? events.find((event) => event.type === "status"
        && event.data?.status === "running")?.data.timestamp ?? null;
}

function costOf(job, events) {
    if (Number.isFinite(job.token_usage?.cost))
        return job.token_usage.cost;
    const seen = new Set();
    let cost = null;
    for (const { data } of events) {
        if (Number.isFinite(data?.model_call?.cost) && !seen.has(data.turn)) {
            seen.add(data.turn);
            cost = (cost ?? 0) + data.model_call.cost;
        }
    }
    return cost;
}

function tokens(usage) {
    if (!usage)
        return "–";
    const cached = usage.cached_tokens ? ` (${count(usage.cached_tokens)} from a cache)` : "";
    return `${count(usage.total_tokens)}: ${count(usage.input_tokens)} read${cached}, ` +
        `${count(usage.output_tokens)} written`;
}

function facts() {
    const all = {};
    const element = h("dl", { class: "facts" });
    for (const [key, label] of [["user", "User"], ["where", "Worker"], ["attempt", "Attempt"],
        ["created", "Submitted"], ["ended", "Ended"], ["waited", "Waited"], ["ran", "Ran"],
        ["tokens", "Tokens"], ["cost", "Cost"]]) {
        all[key] = fact(label);
        element.append(all[key].element);
    }
    const put = (key, value, show) => when(all[key].value, value, () =>
        all[key].value.replaceChildren(show ? show() : value));
    return { element, set: (job, where, events) => setFacts(put, job, where, events) };
}

function setFacts(put, job, where, events) {
    const started = startOf(job, events);
    const ended = ENDED.includes(job.status);
    put("user", job.user_id ?? "", () => h("a", { class: "mono",
        href: `#/jobs?user=${encodeURIComponent(job.user_id)}` }, bdi(job.user_id, 100)));
    const place = [where?.instance, where?.host].filter(Boolean).join(" on ");
    put("where", place, () => (place ? bdi(place, 120) : ended ? "–" : "none yet"));
    put("attempt", String(where?.attempt ?? job.attempt ?? "–"));
    put("created", `${job.created_at} ${ago(job.created_at)}`, () => time(job.created_at));
    put("ended", `${job.completed_at} ${ago(job.completed_at)}`, () => time(job.completed_at));
    put("waited", started || !ended ? lasted(job.created_at, started) : "–");
    put("ran", lasted(started, ended ? job.completed_at ?? job.updated_at : null));
    put("tokens", tokens(job.token_usage));
    put("cost", dollars(costOf(job, events)));
}

const ASK = {
    cancel: ["Cancel this job?", "A running job is stopped within a second. What its tools have " +
        "done stays done.", "Cancel the job", true],
    retry: ["Run this job again?", "The same message is submitted as a new job, for its user: " +
        "tools that act (send a mail, for one) act again.", "Run it again", false],
};

async function act(verb, job, done) {
    if (!await confirm(...ASK[verb]))
        return;
    try {
        const answer = await post(`/api/jobs/${encodeURIComponent(job)}/${verb}`);
        toast(verb === "cancel" ? "The job is cancelled." : "It runs again, as a new job.");
        done(answer);
    } catch (error) {
        toast(`That did not work: ${error.message}`, "bad");
    }
}

function section(title, ...content) {
    return h("section", { class: "card stack", "aria-label": title }, h("h2", {}, title),
        ...content);
}

class JobPage {
    constructor(main, id, signal) {
        this.id = id;
        this.signal = signal;
        this.events = [];
        this.after = 0;
        this.state = h("span", { role: "status" });
        this.cancel = this.button("cancel", "Cancel", "danger", () => this.again());
        this.retry = this.button("retry", "Run again", "", (answer) => {
            location.hash = `#/job/${encodeURIComponent(answer.job_id)}`;
        });
        this.facts = facts();
        this.message = h("div", { class: "message" });
        this.error = h("div", { class: "error-text" });
        this.result = h("div", { class: "result" });
        this.view = new TimelineView();
        this.errorSection = section("Error", this.error);
        this.resultSection = section("Result", this.result);
        this.notice = h("p", { class: "notice warn", role: "alert", hidden: true });
        this.body = h("div", { class: "stack", hidden: true }, section("Message", this.message),
            this.errorSection, section("About", this.facts.element),
            section("What happened", this.view.element), this.resultSection);
        main.append(h("p", {}, h("a", { href: "#/jobs" }, "All jobs")),
            h("div", { class: "row spread" }, h("div", { class: "row" },
                h("h1", { class: "job-title" }, "Job ", bdi(id, 80)), this.state),
            h("div", { class: "row" }, this.cancel, this.retry)), this.notice, this.body);
    }

    button(verb, label, kind, done) {
        return h("button", { type: "button", class: kind, hidden: true, "data-do": verb,
            on: { click: () => act(verb, this.id, done) } }, label);
    }

    async load() {
        const answer = await get(`/api/jobs/${encodeURIComponent(this.id)}?after=${this.after}`,
            this.signal);
        for (const event of answer.events ?? []) {
            if (event.seq > this.after && this.events.length < EVENTS_MAX)
                this.events.push(event);
            this.after = Math.max(this.after, event.seq);
        }
        this.more = Boolean(answer.more) && (answer.events ?? []).length > 0;
        this.show(answer.job, answer.where);
    }

    show(job, where) {
        const ended = ENDED.includes(job.status);
        this.ended = ended;
        this.notice.hidden = true;
        this.body.hidden = false;
        when(this.state, [job.status, Boolean(job.waiting_approval)], () =>
            this.state.replaceChildren(job.waiting_approval
                ? h("span", { class: "badge waiting" }, "waiting for approval")
                : stateBadge(job.status)));
        this.cancel.hidden = ended;
        this.retry.hidden = !ended;
        when(this.message, job.message ?? "", () =>
            folded(this.message, job.message || "(empty)", MESSAGE_SHOWN));
        this.errorSection.hidden = !job.error_message;
        when(this.error, job.error_message ?? "", () => folded(this.error, job.error_message));
        this.resultSection.hidden = !job.result;
        when(this.result, job.result ?? "", () => folded(this.result, job.result));
        this.facts.set(job, where, this.events);
        const from = toMs(job.created_at);
        const to = ended ? toMs(job.completed_at ?? job.updated_at) : now();
        this.view.set(timeline(job.created_at, this.events), from, to,
            this.events.length >= EVENTS_MAX);
    }

    refused(error) {
        this.notice.hidden = false;
        sayFault(this.notice, error.status === 404
            ? { message: "There is no such job; it may have been deleted." } : error);
        this.ended = error.status === 404;
    }

    start() {
        this.again = poll(() => this.load(), () => (this.more ? 0 : this.ended ? 10000 : POLL_MS),
            this.signal, (error) => this.refused(error));
    }
}

export function job(main, params, signal, id) {
    new JobPage(main, id, signal).start();
}
