/* What goes wrong, the same fault once: how often, for how many users, since when. */
import { get, poll } from "/pages/api.js";
import { Table, bdi, h, say, sayFault } from "/pages/dom.js";
import { ago, count, fullTime, plural } from "/pages/format.js";
import { jobLink } from "/pages/jobs.js";

const POLL_MS = 5000;

function time(cell, value) {
    cell.replaceChildren(h("time", { datetime: value, title: fullTime(value) }, ago(value)));
}

function table() {
    return new Table("Errors", [
        { head: "Error", rowHead: true, class: "wide", of: (e) => [e.error, e.example],
            show: (cell, e) => {
                cell.replaceChildren(bdi(e.error, 300));
                if (e.example && e.example !== e.error)
                    cell.append(h("div", { class: "muted small" }, "for example: ",
                        bdi(e.example, 300)));
            } },
        { head: "Jobs", num: true, of: (e) => count(e.count) },
        { head: "Users", num: true, of: (e) => count(e.users) },
        { head: "First", class: "nowrap", of: (e) => [e.first_at, ago(e.first_at)],
            show: (cell, e) => time(cell, e.first_at) },
        { head: "Last", class: "nowrap", of: (e) => [e.last_at, ago(e.last_at)],
            show: (cell, e) => time(cell, e.last_at) },
        { head: "Newest job", class: "nowrap", of: (e) => e.job_id ?? "", show: (cell, e) =>
            cell.replaceChildren(e.job_id ? jobLink(e.job_id) : "–") },
    ], (e) => e.error, "No job has failed.");
}

export function errors(main, params, signal) {
    const summary = h("p", { class: "muted" }, "Loading…");
    const list = table();
    list.element.hidden = true;
    main.append(h("h1", {}, "Errors"), summary, list.element,
        h("p", {}, h("a", { href: "#/jobs?status=failed" }, "All failed jobs")));
    poll(async () => {
        const answer = await get("/api/errors", signal);
        const found = answer.errors ?? [];
        say(summary, found.length ? `${plural(found.length, "kind")} of error in the newest ` +
            `${plural(answer.looked_at, "failed job")}. Errors that differ only in numbers, ids ` +
            "and quoted parts are counted as one." : "Nothing has gone wrong.");
        list.element.hidden = false;
        list.set(found);
    }, () => POLL_MS, signal, (error) => sayFault(summary, error));
}
