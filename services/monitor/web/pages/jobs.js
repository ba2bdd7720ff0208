/* All users' jobs, newest first: filters, search, pages, live. */
import { get, poll } from "/pages/api.js";
import { Table, bdi, h, mark, say, sayFault } from "/pages/dom.js";
import { ago, at, count, duration, fullTime, now, plural, toMs } from "/pages/format.js";

const POLL_MS = 2000;
const SEARCH_MS = 4000; // a search reads thousands of rows
const PAGE = 50;
const STATES = ["pending", "running", "completed", "failed", "cancelled"];

/* The end of a UUIDv7 tells jobs apart, its beginning only when they were made. */
export function jobLink(id) {
    const text = id.length > 16 ? `…${id.slice(-12)}` : id;
    return h("a", { href: `#/job/${encodeURIComponent(id)}`, class: "mono" }, bdi(text, 40));
}

export function stateBadge(status) {
    const known = STATES.includes(status) ? status : "quiet";
    return h("span", { class: `badge ${known}` }, bdi(status ?? "unknown", 20));
}

function took(job) {
    const from = toMs(job.started_at ?? job.created_at);
    if (job.completed_at)
        return duration(Math.max(0, toMs(job.completed_at) - from));
    return job.started_at && job.status === "running"
        ? `${duration(Math.max(0, now() - from))} so far` : "–";
}

function columns(filter) {
    return [
        { head: "Job", rowHead: true, class: "nowrap", of: (j) => j.job_id,
            show: (cell, j) => cell.replaceChildren(jobLink(j.job_id)) },
        { head: "State", class: "nowrap", of: (j) => j.status, show: (cell, j) =>
            cell.replaceChildren(stateBadge(j.status)) },
        { head: "Message", class: "wide", of: (j) => [j.message, j.error_message],
            show: (cell, j) => {
                cell.replaceChildren(bdi(j.message || "(empty)", 160));
                if (j.error_message)
                    cell.append(h("div", { class: "fault small" }, bdi(j.error_message, 160)));
            } },
        { head: "User", class: "nowrap", of: (j) => j.user_id,
            show: (cell, j) => cell.replaceChildren(h("a", { href: filter({ user: j.user_id }),
                class: "mono small", title: "Only this user's jobs" }, bdi(j.user_id, 14))) },
        { head: "Submitted", class: "nowrap", of: (j) => [at(j.created_at), ago(j.created_at)],
            show: (cell, j) => cell.replaceChildren(h("time", { datetime: j.created_at,
                title: fullTime(j.created_at) }, ago(j.created_at))) },
        { head: "Took", num: true, of: took },
        { head: "Tokens", num: true, of: (j) => count(j.token_usage?.total_tokens) },
    ];
}

/** heads: of the columns that are wanted. filter: the address of jobs that fit more values. */
export function jobTable(label, heads, filter, empty = "There is no job yet.") {
    return new Table(label, columns(filter).filter((one) => !heads || heads.includes(one.head)),
        (job) => job.job_id, empty);
}

function hashOf(values) {
    const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
    return `#/jobs${query.size ? `?${query}` : ""}`;
}

function filters(values, change) {
    const search = h("input", { type: "search", id: "search", name: "q", value: values.q,
        maxlength: 200, autocomplete: "off", placeholder: "id, message or error" });
    const user = h("input", { id: "user", name: "user", value: values.user, maxlength: 256,
        autocomplete: "off", placeholder: "user id" });
    const status = h("select", { id: "status", name: "status" }, h("option", { value: "" }, "all"),
        STATES.map((state) => h("option", { value: state, selected: state === values.status },
            state)));
    const read = () => change({ q: search.value.trim(), user: user.value.trim(),
        status: status.value });
    status.addEventListener("change", read);
    return h("form", { class: "filters card", role: "search", on: { submit: (event) => {
        event.preventDefault();
        read();
    } } },
    h("div", { class: "field grow" }, h("label", { for: "search" }, "Search ",
        h("kbd", { "aria-hidden": "true" }, "/")), search),
    h("div", { class: "field" }, h("label", { for: "status" }, "State"), status),
    h("div", { class: "field" }, h("label", { for: "user" }, "User"), user),
    h("button", { class: "primary" }, "Show"),
    values.q || values.user || values.status
        ? h("a", { class: "button", href: "#/jobs" }, "Show all jobs") : null);
}

function pager(values, live) {
    const newest = h("a", { class: "button", href: hashOf({ ...values, before: "" }),
        hidden: !values.before }, "Newest");
    const older = h("a", { class: "button", hidden: true }, "Older");
    const pause = h("button", { type: "button", class: "small", "aria-pressed": "false", on: {
        click: () => {
            live.paused = !live.paused;
            say(pause, live.paused ? "Go on" : "Pause");
            mark(pause, "aria-pressed", live.paused);
            if (!live.paused)
                live.again();
        } } }, "Pause");
    const element = h("nav", { class: "row", "aria-label": "Pages of jobs" }, newest, older);
    return { pause, older, element };
}

export function jobs(main, params, signal) {
    const values = Object.fromEntries(["q", "user", "status", "before"].map((name) =>
        [name, params.get(name) ?? ""]));
    const live = { paused: false, again: () => {} };
    const fits = (more) => hashOf({ ...values, before: "", ...more });
    const isFiltered = values.q || values.user || values.status;
    const table = jobTable("Jobs", null, fits, isFiltered ? "No job fits." : undefined);
    const summary = h("p", { class: "muted small" }, "Loading…");
    const pages = pager(values, live);
    table.element.hidden = true;
    main.append(h("h1", {}, "Jobs"),
        filters(values, (next) => { location.hash = hashOf(next); }),
        h("div", { class: "row spread" }, summary, pages.pause), table.element, pages.element);
    if (params.has("find"))
        setTimeout(() => document.getElementById("search")?.focus());

    const query = new URLSearchParams({ limit: PAGE });
    for (const [name, value] of Object.entries(values)) {
        if (value)
            query.set(name, value);
    }
    live.again = poll(async () => {
        if (live.paused)
            return;
        const answer = await get(`/api/jobs?${query}`, signal);
        const list = answer.jobs ?? [];
        const which = values.before ? "older ones" : "newest first";
        say(summary, `${plural(list.length, "job")}, ${which}` +
            (isFiltered ? ", of those that fit" : ""));
        table.element.hidden = false;
        table.set(list);
        pages.older.hidden = list.length < PAGE;
        if (list.length)
            mark(pages.older, "href", hashOf({ ...values, before: list.at(-1).job_id }));
    }, () => (isFiltered ? SEARCH_MS : POLL_MS), signal, (error) => sayFault(summary, error));
}
