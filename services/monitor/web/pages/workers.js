/* Who runs the agents: load, version, state; drain and resume. */
import { get, poll, post } from "/pages/api.js";
import { Table, bdi, confirm, h, say, sayFault, toast } from "/pages/dom.js";
import { ago, bytes, count, duration, now, plural } from "/pages/format.js";
import { oneLine } from "/style/text.js";

const POLL_MS = 1500;
const REMEMBERED_MS = 600000;

/** Workers that were there while this page was open are shown as gone for ten minutes. */
const seen = new Map();

function stateOf(worker) {
    if (worker.gone)
        return ["bad", `gone, last seen ${ago(worker.gone)}`];
    if (worker.reachable === false)
        return ["bad", "gone: does not answer"];
    if (worker.draining)
        return ["warn", worker.running ? `draining, ${plural(worker.running, "job")} left`
            : "drained"];
    if (!Number.isFinite(worker.running))
        return ["quiet", "there; its load is not known"];
    return worker.running ? ["running", "working"] : ["good", "free"];
}

function loadBar(cell, worker) {
    const running = worker.gone ? 0 : worker.running ?? 0;
    const share = worker.capacity ? Math.min(1, running / worker.capacity) : 0;
    const bar = h("span", { class: "bar", "aria-hidden": "true" }, h("span", {}));
    bar.firstChild.style.setProperty("width", `${share * 100}%`);
    if (share > 0.9)
        bar.classList.add("full");
    cell.replaceChildren(h("span", { class: "load" }, bar,
        h("span", { class: "num nowrap" }, Number.isFinite(worker.running ?? worker.gone)
            ? `${count(running)} of ${count(worker.capacity)}` : "–")));
}

async function order(worker, verb, again) {
    const drain = verb === "drain";
    if (!await confirm(drain ? "Drain this worker?" : "Let this worker take jobs again?",
        [bdi(worker.name, 80), drain ? " finishes what it runs and takes nothing new until it is " +
            "resumed. Other workers take what waits." : " takes jobs from the queue again."],
        drain ? "Drain" : "Resume"))
        return;
    try {
        await post(`/api/worker/${verb}/${encodeURIComponent(worker.name)}`);
        toast(drain ? "The worker is told to drain." : "The worker is told to go on.");
        again();
    } catch (error) {
        toast(`That did not work: ${error.message}`, "bad");
    }
}

/** The focus stays where it was when one button takes the other's place. */
function orderButton(cell, worker, again) {
    const focused = cell.contains(document.activeElement);
    cell.replaceChildren();
    if (worker.gone || worker.reachable === false)
        return;
    const verb = worker.draining ? "resume" : "drain";
    cell.append(h("button", { type: "button", class: "small", "data-do": verb,
        "aria-label": `${verb} ${oneLine(worker.name, 80)}`,
        on: { click: () => order(worker, verb, again) } }, worker.draining ? "Resume" : "Drain"));
    if (focused)
        cell.firstChild.focus();
}

function tableOf(again) {
    return new Table("Workers", [
        { head: "Worker", rowHead: true, of: (w) => w.name, show: (cell, w) =>
            cell.replaceChildren(bdi(w.name, 80)) },
        { head: "State", of: (w) => stateOf(w), show: (cell, w) => {
            const [kind, text] = stateOf(w);
            cell.replaceChildren(h("span", { class: `badge ${kind}` }, text));
        } },
        { head: "Load", of: (w) => [w.running, w.capacity, Boolean(w.gone)], show: loadBar },
        { head: "Memory", num: true, of: (w) => bytes(w.memory_bytes) },
        { head: "Up for", num: true, of: (w) => (w.gone ? "–" : duration(w.uptime_ms)) },
        { head: "Version", of: (w) => w.version ?? "", show: (cell, w) =>
            cell.replaceChildren(bdi(w.version ?? "–", 30)) },
        { head: "Host", of: (w) => w.host ?? "", show: (cell, w) =>
            cell.replaceChildren(bdi(w.host ?? "–", 60)) },
        { head: "Do", of: (w) => [w.draining, Boolean(w.gone), w.reachable !== false],
            show: (cell, w) => orderButton(cell, w, again) },
    ], (w) => w.name, "No worker is there: jobs are accepted and wait. Start one with " +
        "mcpbus-worker, or ./dev up --scale worker=2.");
}

/** What the server tells, and those that it told before and tells no more. */
function withGone(answer) {
    const time = now();
    const there = Object.entries(answer).map(([name, worker]) => ({ ...worker, name }));
    for (const worker of there) {
        if (worker.reachable !== false)
            seen.set(worker.name, { worker, at: time });
    }
    const gone = [];
    for (const [name, { worker, at }] of seen) {
        if (time - at > REMEMBERED_MS)
            seen.delete(name);
        else if (!Object.hasOwn(answer, name))
            gone.push({ ...worker, name, gone: at });
    }
    return [...there, ...gone].sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function workers(main, params, signal) {
    const summary = h("p", { class: "muted" }, "Loading…");
    let again = () => {};
    const table = tableOf(() => again());
    table.element.hidden = true;
    main.append(h("h1", {}, "Workers"), summary, table.element);
    again = poll(async () => {
        const answer = await get("/api/workers", signal);
        const list = withGone(answer);
        const well = list.filter((w) => !w.gone && w.reachable !== false);
        const running = well.reduce((all, w) => all + (w.running ?? 0), 0);
        const room = well.reduce((all, w) => all + (w.capacity ?? 0), 0);
        const known = well.every((w) => Number.isFinite(w.running));
        say(summary, `${plural(well.length, "worker")} there` + (known
            ? `, ${plural(running, "job")} running, room for ${count(room)} at once.`
            : "; what they run is not known at the moment."));
        table.element.hidden = false;
        table.set(list, (w) => (w.gone || w.reachable === false ? "gone" : ""));
    }, () => POLL_MS, signal, (error) => sayFault(summary, error));
}
