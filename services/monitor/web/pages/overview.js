/* Is it well? In one sentence, in numbers, as a picture of a job's way, and over time. */
import { get, poll } from "/pages/api.js";
import { charts } from "/pages/history.js";
import { bdi, h, keyed, mark, say, sayFault } from "/pages/dom.js";
import { count, duration, plural, rate, setClock } from "/pages/format.js";
import { jobTable } from "/pages/jobs.js";
import { pathPicture } from "/pages/path.js";

const POLL_MS = 1500;
const NEWEST = 6;
const NEWEST_MS = 3000;

let version = null;

function healthCard() {
    const headline = h("h1", {});
    const problems = h("ul", { class: "problems" });
    const element = h("section", { class: "health notice", "aria-label": "Health" },
        h("div", { class: "health-text" }, headline, problems));
    return { element, set: (data) => setHealth(element, headline, problems, data) };
}

/** A sentence that a newcomer understands: is it well, and what is it doing? */
function headlineOf(data, problems) {
    if (problems.length)
        return problems.length === 1 ? "One thing needs attention"
            : `${problems.length} things need attention`;
    const running = data.queue?.running ?? 0;
    const queued = data.queue?.queued ?? 0;
    if (!running && !queued)
        return "All is well: nothing to do at the moment";
    return `All is well: ${plural(running, "job")} running, ` +
        `${queued ? `${count(queued)} waiting` : "none waiting"}`;
}

function setHealth(element, headline, list, data) {
    const problems = Array.isArray(data.problems) ? data.problems : [];
    const well = data.ok && problems.length === 0;
    mark(element, "class", `health notice ${well ? "good" : "bad"}`);
    say(headline, headlineOf(data, well ? [] : problems.length ? problems : [""]));
    list.hidden = problems.length === 0;
    keyed(list, problems.map((text, i) => ({ text, i })), (one) => `${one.i} ${one.text}`,
        (one) => h("li", {}, bdi(one.text, 400)), () => {});
}

const NUMBERS = [["rate", "Jobs ended"], ["queued", "Waiting in the queue"],
    ["running", "Running"], ["p50", "Half of the jobs take up to"],
    ["p95", "95 of 100 take up to"]];

function numbers() {
    const items = {};
    const element = h("dl", { class: "numbers" });
    for (const [key, label] of NUMBERS) {
        items[key] = { value: h("dd", { class: "big num", "data-number": key }),
            note: h("dd", { class: "muted small" }) };
        element.append(h("div", { class: "card number" }, h("dt", { class: "muted small" }, label),
            items[key].value, items[key].note));
    }
    const set = (key, value, note) => {
        say(items[key].value, value);
        say(items[key].note, note);
    };
    return { element, set: (data) => setNumbers(set, data) };
}

/** Per second, or per minute where that says more. */
function pace(perSecond, all) {
    return all < 1 ? `${rate(perSecond * 60)}/min` : `${rate(perSecond)}/s`;
}

/** What can't be told at the moment is said to be so: it is not nothing. */
const UNKNOWN = "not known at the moment";

function setNumbers(set, data) {
    const { queue = {}, rates = {}, latency = {}, workers = {} } = data;
    const known = Number.isFinite(rates.completed);
    const failed = rates.failed ?? 0;
    const ended = (rates.completed ?? NaN) + failed;
    set("rate", pace(ended, ended), !known ? UNKNOWN
        : failed ? `${pace(failed, ended)} failed` : "none failed");
    set("queued", count(queue.queued), known ? `${pace(rates.submitted, ended)} come in` : UNKNOWN);
    set("running", count(queue.running), Number.isFinite(workers.capacity)
        ? `of ${count(workers.capacity)} that ${plural(workers.count ?? 0, "worker")} can run at once`
        : UNKNOWN);
    setTimes(set, latency, known);
}

function setTimes(set, { wait, total }, known) {
    const p50 = wait?.p50 ?? null;
    const p99 = total?.p99 ?? null;
    set("p50", duration(total?.p50), !known ? UNKNOWN : p50 === null ? "no job ended in 5 minutes"
        : `half of them wait ${duration(p50)} at most`);
    set("p95", duration(total?.p95), p99 === null ? "" : `99 of 100 up to ${duration(p99)}`);
}

/** What the system does, by its newest examples. */
function newestJobs(signal) {
    const table = jobTable("Newest jobs", ["Job", "State", "Message", "Submitted", "Took"]);
    const element = h("div", { class: "stack" },
        h("div", { class: "row spread" }, h("h2", {}, "Newest jobs"),
            h("a", { href: "#/jobs" }, "All jobs")), table.element);
    let fresh = 0;
    return { element, refresh: async () => {
        if (Date.now() - fresh < NEWEST_MS)
            return;
        table.set((await get(`/api/jobs?limit=${NEWEST}`, signal)).jobs ?? []);
        fresh = Date.now();
    } };
}

/** A page from before an update may not fit its service any more. */
function noteVersion(data) {
    if (version && data.version !== version)
        document.dispatchEvent(new Event("newversion"));
    version = data.version;
}

export function overview(main, params, signal) {
    const health = healthCard();
    const big = numbers();
    const picture = pathPicture();
    const newest = newestJobs(signal);
    const time = charts(params, signal);
    const error = h("p", { class: "notice warn", role: "alert", hidden: true });
    const body = h("div", { class: "stack", hidden: true }, health.element, big.element,
        picture.element, time.element, newest.element);
    const loading = h("p", { class: "muted" }, "Loading…");
    main.append(loading, error, body);
    poll(async () => {
        const data = await get("/api/overview", signal);
        setClock(data.now);
        noteVersion(data);
        loading.remove();
        body.hidden = false;
        health.set(data);
        big.set(data);
        picture.set(data);
        await time.refresh();
        await newest.refresh();
        error.hidden = true;
    }, () => POLL_MS, signal, (refused) => {
        loading.remove();
        sayFault(error, refused);
        error.hidden = false;
    });
}
