/* Brokers, replicas of the services, PostgreSQL. */
import { get, poll } from "/pages/api.js";
import { Table, bdi, h, sayFault, when } from "/pages/dom.js";
import { bytes, count, duration, setClock } from "/pages/format.js";

const POLL_MS = 2000;

function badge(cell, good, yes, no) {
    cell.replaceChildren(good ? h("span", { class: "badge good" }, yes)
        : h("span", { class: "badge bad long" }, bdi(no, 200)));
}

const strange = (pick, limit = 80) => ({ of: (one) => pick(one) ?? "–",
    show: (cell, one) => cell.replaceChildren(bdi(pick(one) ?? "–", limit)) });

function replicaTable() {
    const well = (one) => one.reachable !== false && !one.problem;
    return new Table("Replicas", [
        { head: "Service", rowHead: true, ...strange((one) => one.service) },
        { head: "State", of: (one) => [well(one), one.problem], show: (cell, one) =>
            badge(cell, well(one), "well", one.problem || "does not answer") },
        { head: "Instance", ...strange((one) => one.instance) },
        { head: "Host", ...strange((one) => one.host) },
        { head: "Up for", num: true, of: (one) => duration(one.uptime_ms) },
        { head: "Memory", num: true, of: (one) => bytes(one.memory_bytes) },
        { head: "Requests now", num: true, of: (one) => count(one.requests) },
        { head: "Process", num: true, of: (one) => (one.pid ? String(one.pid) : "–") },
        { head: "Version", ...strange((one) => one.version, 30) },
    ], (one) => JSON.stringify([one.service, one.instance, one.host, one.pid]),
    "No service has answered.");
}

function brokerTable() {
    return new Table("Brokers", [
        { head: "Broker", rowHead: true, ...strange((one) => one.endpoint, 200) },
        { head: "State", of: (one) => Boolean(one.connected), show: (cell, one) =>
            badge(cell, one.connected, "connected", "not connected") },
    ], (one) => one.endpoint, "No broker is configured.");
}

function standbyTable() {
    return new Table("PostgreSQL's standbys", [
        { head: "Standby", rowHead: true, ...strange((one) => one.name) },
        { head: "State", ...strange((one) => one.state, 40) },
        { head: "Synchronous", ...strange((one) => one.sync_state, 40) },
        { head: "Behind", num: true, of: (one) => bytes(one.lag_bytes) },
    ], (one) => one.name, "");
}

function databaseRows(db) {
    return [
        ["Server", db.server], ["Version", db.version], ["Role", db.role],
        ["Part", db.in_recovery ? "standby: it takes no writes" : "primary"],
        ["Answers in", duration(db.answer_ms)],
        ["Connections", `${count(db.connections)} of ${count(db.max_connections)}`],
        ["Size", bytes(db.database_bytes)],
        ["Oldest transaction", db.oldest_transaction_ms === null ? "none"
            : duration(db.oldest_transaction_ms)],
        ["Durability", `synchronous_commit = ${db.synchronous_commit}`],
    ];
}

function databaseCard() {
    const state = h("span", {});
    const list = h("dl", { class: "facts" });
    const standbys = standbyTable();
    const element = h("section", { class: "card stack", "aria-labelledby": "database" },
        h("div", { class: "row" }, h("h2", { id: "database" }, "PostgreSQL"), state), list,
        standbys.element);
    return { element, set: (db) => {
        when(state, db.problem ?? "", () => badge(state, !db.problem, "well", db.problem));
        const rows = db.problem ? [] : databaseRows(db);
        list.hidden = rows.length === 0;
        when(list, rows, () => list.replaceChildren(...rows.map(([label, value]) =>
            h("div", {}, h("dt", {}, label), h("dd", {}, bdi(value ?? "–", 200))))));
        standbys.element.hidden = !db.replicas?.length;
        standbys.set(db.replicas ?? []);
    } };
}

export function system(main, params, signal) {
    const note = h("p", { class: "muted" }, "Loading…");
    const replicas = replicaTable();
    const brokers = brokerTable();
    const database = databaseCard();
    const body = h("div", { class: "stack", hidden: true },
        h("h2", {}, "Services"), replicas.element, h("h2", {}, "Brokers"), brokers.element,
        database.element);
    main.append(h("h1", {}, "System"), note, body);
    poll(async () => {
        const data = await get("/api/overview", signal);
        setClock(data.now);
        note.hidden = true;
        body.hidden = false;
        const list = [...(data.replicas ?? [])].sort((a, b) =>
            (`${a.service} ${a.instance}` < `${b.service} ${b.instance}` ? -1 : 1));
        replicas.set(list);
        brokers.set(data.brokers ?? []);
        database.set(data.database ?? { problem: "not known" });
    }, () => POLL_MS, signal, (error) => {
        note.hidden = false;
        sayFault(note, error);
    });
}
