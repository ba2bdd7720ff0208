/* A job's events as spans of time: queued, each turn of the model, each call of a tool, retries,
   approvals, the end. Pure: events in, rows out.

   A row: {key, kind, title, foreign?: a name of strangers, from, to (ms; null: still going),
   state: "good" | "bad" | "warn" | "running" | "quiet", note, texts: [{label, text}]}. */
import { count, dollars, toMs } from "/pages/format.js";

const TERMINAL = { completed: "good", failed: "bad", cancelled: "quiet" };

const timeOf = (event) => toMs(event.data?.timestamp ?? event.timestamp);

function text(value) {
    return typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? "";
}

function usageNote(call) {
    const parts = [];
    if (Number.isFinite(call.input_tokens))
        parts.push(`${count(call.input_tokens)} tokens read, ${count(call.output_tokens)} written`);
    if (Number.isFinite(call.cost))
        parts.push(dollars(call.cost));
    return parts.join(", ");
}

/** Walks through the events; each kind of event opens and closes rows. */
class Walk {
    constructor(created) {
        this.rows = [];
        this.calls = new Map();
        this.turns = new Set();
        this.attempt = 0;
        this.free = NaN; // since when the model may have been at work
        this.ready = true; // nothing was to be prepared before the model was asked
        this.open("queued", "Queued", created, { state: "running" });
    }

    open(kind, title, from, more) {
        const row = { key: `${this.rows.length}`, kind, title, from, to: null, state: "quiet",
            note: "", texts: [], ...more };
        this.rows.push(row);
        return row;
    }

    close(row, to, state = "quiet") {
        if (row && row.to === null)
            Object.assign(row, { to, state });
    }

    closeAll(to) {
        for (const row of this.rows)
            this.close(row, to, row.kind === "tool" ? "warn" : "quiet");
        this.calls.clear();
    }

    /** The first event of a turn ends it; its own duration is better than what lay between. */
    turn(data, time) {
        const number = data.turn;
        if (!Number.isInteger(number) || this.turns.has(number))
            return;
        this.turns.add(number);
        const call = data.model_call ?? {};
        const free = Number.isNaN(this.free) ? time : this.free;
        const from = Number.isFinite(call.duration_ms)
            ? Math.max(free, time - call.duration_ms) : free;
        if (!this.ready && from > free)
            this.open("prepare", "Getting ready: tool servers start", free, { to: from });
        this.ready = true;
        this.open("model", `Model, answer ${number}`, from, { to: time, state: "model",
            foreign: call.model, note: usageNote({ ...data.usage, ...call }) });
    }

    status(data, time) {
        if (data.status === "running") {
            this.closeAll(time);
            this.attempt = data.attempt ?? this.attempt + 1;
            this.open("mark", this.attempt > 1 ? `Claimed again, attempt ${this.attempt}`
                : "Claimed by a worker", time, { to: time, state: "running" });
            this.free = time;
            this.ready = false;
        } else if (data.status === "pending" && this.attempt) {
            this.closeAll(time);
            this.open("retry", "Back in the queue", time, { state: "warn",
                texts: data.error_message ? [{ label: "Why", text: data.error_message }] : [] });
        } else if (Object.hasOwn(TERMINAL, data.status ?? "")) {
            this.closeAll(time);
            this.open("end", `The end: ${data.status}`, time, { to: time,
                state: TERMINAL[data.status],
                texts: data.error_message ? [{ label: "Error", text: data.error_message }] : [] });
        }
    }

    tool_call(data, time) {
        this.turn(data, time);
        const row = this.open("tool", "Tool", time, { foreign: data.name, state: "running",
            texts: [{ label: "Arguments", text: text(data.arguments ?? {}) }] });
        this.calls.set(data.id, row);
        this.free = time;
    }

    tool_result(data, time) {
        const row = this.calls.get(data.id) ?? this.open("tool", "Tool", time,
            { foreign: data.name });
        this.calls.delete(data.id);
        const ms = data.duration_ms;
        if (Number.isFinite(ms) && ms >= 0)
            row.from = Math.max(row.from, time - ms);
        this.close(row, time, data.is_error ? "bad" : "good");
        row.texts.push({ label: "Answer", text: text(data.content ?? "") });
        this.free = time;
    }

    message(data, time) {
        this.turn(data, time);
        const model = this.rows.findLast((row) => row.kind === "model");
        (model ?? this.open("model", "Model", time, { to: time, state: "model" }))
            .texts.push({ label: "Text", text: text(data.text ?? "") });
        this.free = time;
    }

    progress(data, time) {
        const share = Number.isFinite(data.progress) && Number.isFinite(data.total)
            ? ` ${data.progress} of ${data.total}` : "";
        this.open("mark", `Progress${share}`, time, { to: time, foreign: data.name ?? data.message,
            state: data.level === "warning" || data.level === "error" ? "warn" : "quiet",
            texts: data.message ? [{ label: "Message", text: text(data.message) }] : [] });
    }

    waiting_approval(data, time) {
        this.turn(data, time);
        const calls = Array.isArray(data.calls) ? data.calls : [];
        this.closeAll(time);
        this.open("approval", "Waiting for the user's approval", time, {
            state: "warn", texts: calls.map((call) => ({ label: "Call",
                text: `${call.name}\n${text(call.arguments ?? {})}` })) });
    }

    approval(data, time) {
        this.closeAll(time);
        const approved = data.decision === "approve";
        this.open("mark", approved ? "Approved by the user" : "Denied by the user", time, {
            to: time, state: approved ? "good" : "bad",
            texts: data.reason ? [{ label: "Reason", text: text(data.reason) }] : [] });
        this.open("queued", "Queued again", time, { state: "running" });
    }
}

export function timeline(created, events) {
    const walk = new Walk(toMs(created));
    let before = walk.rows[0].from;
    for (const event of events) {
        // Clocks of two machines may differ: time never runs backwards here.
        const time = Math.max(before, timeOf(event) || before);
        before = time;
        if (["status", "tool_call", "tool_result", "message", "progress", "waiting_approval",
            "approval"].includes(event.type))
            walk[event.type](event.data ?? {}, time);
    }
    return walk.rows;
}
