/* A job's events. EventSource can't send the Authorization header, so the stream is read by fetch;
   what EventSource does, parse and resume, is done here. */

import { ApiError, errorOf } from "./api.js";
import { sleep } from "./store.js";

export const ENDED = ["completed", "failed", "cancelled"];

const LINE_MAX = 8 << 20;
const FIRST_PAUSE_MS = 300;
const MOST_PAUSE_MS = 5000;
// The server sends a comment every 15 s: without anything for so long the connection is dead.
const SILENCE_MS = 40000;

/** Lines of a byte stream, as the HTML standard ends them: LF, CRLF or CR. */
async function* readLines(body, heard) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    try {
        for (;;) {
            const { done, value } = await reader.read();
            if (done)
                return;
            heard();
            rest += value;
            // A CR at the end may be half of a CRLF.
            const lines = rest.split(/\r\n|\n|\r(?!$)/u);
            rest = lines.pop();
            if (rest.length > LINE_MAX)
                throw new ApiError(0, "A line of the stream is too long");
            yield* lines;
        }
    } finally {
        reader.cancel().catch(() => {});
    }
}

/** Events of a text/event-stream: {number, type, data}. */
export async function* readEvents(body, heard = () => {}) {
    let event = { number: null, type: "message", data: [] };
    for await (const line of readLines(body, heard)) {
        if (line === "") {
            if (event.data.length)
                yield { ...event, data: JSON.parse(event.data.join("\n")) };
            event = { number: event.number, type: "message", data: [] };
            continue;
        }
        const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/su.exec(line);
        if (field === "id")
            event.number = Number(value);
        else if (field === "event")
            event.type = value;
        else if (field === "data")
            event.data.push(value);
    }
}

/** One connection: its events behind `after`, or a single null when there will be none; aborted
    when it has gone silent. */
async function* connect(api, jobId, { after, partial, signal, opened }) {
    const silence = new AbortController();
    let timer;
    const heard = () => {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(new ApiError(0, "silence")), SILENCE_MS);
    };
    heard();
    try {
        const response = await api.events(jobId, after, partial,
            AbortSignal.any([signal, silence.signal]));
        if (!response.ok)
            throw await errorOf(response);
        opened();
        if (response.status === 204)
            yield null;
        else
            yield* readEvents(response.body, heard);
    } finally {
        clearTimeout(timer);
    }
}

const isLast = (event) => event.type === "status" && ENDED.includes(event.data.status);

/** All events of a job, in order and each once, until its last one, whatever happens to the
    connection in between. lost(error): it was lost and is tried again; lost(null): it is back.
    partial: with `partial` events between them, which have no number; some may be missing.
    Throws an ApiError for what won't pass: the job is unknown, the sign-in has ended. */
export async function* follow(api, jobId, signal, { lost = () => {}, partial = false } = {}) {
    let after = 0;
    let pause = FIRST_PAUSE_MS;
    for (;;) {
        let wait = 0;
        try {
            const opened = () => lost(null);
            for await (const event of connect(api, jobId, { after, partial, signal, opened })) {
                if (event === null)
                    return;
                pause = FIRST_PAUSE_MS;
                if (event.type !== "partial") {
                    if (event.number <= after)
                        continue;
                    after = event.number;
                }
                yield event;
                if (isLast(event))
                    return;
            }
        } catch (error) {
            signal.throwIfAborted();
            if (error instanceof ApiError && !error.passes)
                throw error;
            wait = (error.retryAfter ?? 0) * 1000;
            lost(error);
        }
        await sleep(Math.max(pause, wait), signal);
        pause = Math.min(pause * 2, MOST_PAUSE_MS);
    }
}
