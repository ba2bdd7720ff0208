/* The way of a job as a picture: gateway, broker, jobs, worker, PostgreSQL, and how each one is. */
import { h, mark, say } from "/pages/dom.js";
import { count, duration } from "/pages/format.js";

const STEPS = [
    ["gateway", "Gateway", "takes requests", "#/system"],
    ["broker", "Broker", "carries messages", "#/system"],
    ["jobs", "Jobs", "keeps the queue", "#/system"],
    ["worker", "Worker", "runs the agents", "#/workers"],
    ["database", "PostgreSQL", "keeps everything", "#/system"],
];
const WORDS = { good: "well", warn: "in part", bad: "not there" };

function ofReplicas(list, service) {
    const own = list.filter((one) => one.service === service);
    const well = own.filter((one) => one.reachable !== false && !one.problem);
    const state = own.length === 0 || well.length === 0 ? "bad"
        : well.length < own.length ? "warn" : "good";
    return { state, note: own.length === 0 ? "none" : `${well.length} of ${own.length}` };
}

function ofBrokers(list) {
    const well = list.filter((one) => one.connected).length;
    return { state: well === 0 ? "bad" : well < list.length ? "warn" : "good",
        note: `${well} of ${list.length}` };
}

function ofWorkers(workers) {
    const state = !workers.count ? "bad" : workers.draining >= workers.count ? "warn" : "good";
    const draining = workers.draining ? `, ${count(workers.draining)} draining` : "";
    return { state, note: workers.count ? `${count(workers.count)}${draining}` : "none" };
}

function ofDatabase(database) {
    if (!database || database.problem)
        return { state: "bad", note: "no answer" };
    return { state: database.in_recovery ? "warn" : "good",
        note: `answers in ${duration(database.answer_ms)}` };
}

function statesOf(data) {
    const replicas = Array.isArray(data.replicas) ? data.replicas : [];
    return {
        gateway: ofReplicas(replicas, "gateway"),
        broker: ofBrokers(Array.isArray(data.brokers) ? data.brokers : []),
        jobs: ofReplicas(replicas, "jobs"),
        worker: ofWorkers(data.workers ?? {}),
        database: ofDatabase(data.database),
    };
}

export function pathPicture() {
    const nodes = {};
    const list = h("ol", { class: "path" }, STEPS.map(([key, name, does, href]) => {
        const badge = h("span", { class: "badge" });
        const note = h("span", { class: "muted small note" });
        nodes[key] = { badge, note };
        return h("li", {}, h("a", { href, class: "card node", "data-node": key },
            h("strong", {}, name), h("span", { class: "muted small" }, does),
            h("span", { class: "row" }, badge, note)));
    }));
    const element = h("section", { class: "stack", "aria-labelledby": "path-title" },
        h("div", {}, h("h2", { id: "path-title" }, "How a job travels"),
            h("p", { class: "muted small" }, "Each job is a request to an AI agent. It is kept " +
                "in PostgreSQL before it is accepted, so that none is lost; a worker lets the " +
                "model and its tools work on it.")), list);
    return { element, set: (data) => {
        for (const [key, { state, note }] of Object.entries(statesOf(data))) {
            mark(nodes[key].badge, "class", `badge ${state}`);
            say(nodes[key].badge, WORDS[state]);
            say(nodes[key].note, note);
        }
    } };
}
