/* Calls of the monitor's API: one request at a time, whatever the pages want; a page is polled
   until it is left. */
import { now } from "/pages/format.js";

const TIMEOUT_MS = 15000;
const HIDDEN_MS = 15000;
const RETRY_MS = [1000, 1000, 2000, 3000, 5000];

let last = Promise.resolve();
const listeners = new Set();
const state = { failures: 0, since: null, detail: "" };

/** What the server refused: its status and its words. */
export class Refused extends Error {
    constructor(status, detail) {
        super(detail);
        this.status = status;
    }
}

/** Calls back with {failures, since, detail} whenever the connection is lost or found again. */
export function onConnection(listener) {
    listeners.add(listener);
}

function connection(failures, detail = "") {
    const before = state.failures;
    state.failures = failures;
    state.detail = detail;
    if (failures === 1 && before === 0)
        state.since = now();
    for (const listener of listeners)
        listener(state);
}

/** Where the reader was is found again after signing in: the server never sees what follows #. */
function toLogin() {
    try {
        sessionStorage.setItem("mcpbus-monitor-page", location.hash);
    } catch {
        // Without storage it is the overview.
    }
    location.assign("/login");
    return new Promise(() => {});
}

function detailOf(body, response) {
    const detail = body?.detail;
    if (typeof detail === "string")
        return detail;
    if (Array.isArray(detail) && typeof detail[0]?.msg === "string")
        return detail[0].msg;
    return `The monitor answered ${response.status}.`;
}

async function request(method, path, signal, body) {
    const limit = AbortSignal.timeout(TIMEOUT_MS);
    const options = {
        method,
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
        headers: { Accept: "application/json" },
        cache: "no-store",
        credentials: "same-origin",
        redirect: "error",
    };
    if (method !== "GET") {
        options.headers["X-Requested-With"] = "mcpbus";
        options.headers["Content-Type"] = "application/json";
        options.body = JSON.stringify(body ?? {});
    }
    const response = await fetch(path, options);
    const answer = await response.json().catch(() => null);
    if (response.status === 401)
        return toLogin();
    if (!response.ok)
        throw new Refused(response.status, detailOf(answer, response));
    if (answer === null)
        throw new Error("The answer was cut off.");
    return answer;
}

/** A GET; they follow one another. signal: of the page that asks. */
export function get(path, signal) {
    const next = last.then(() => {
        signal?.throwIfAborted();
        return request("GET", path, signal);
    });
    last = next.catch(() => {});
    return next;
}

/** A POST, at once. */
export function post(path, body) {
    return request("POST", path, null, body);
}

function sleep(ms, signal, wake) {
    return new Promise((resolve) => {
        const done = () => {
            clearTimeout(timer);
            signal.removeEventListener("abort", done);
            document.removeEventListener("visibilitychange", seen);
            wake.now = null;
            resolve();
        };
        const seen = () => {
            if (!document.hidden)
                done();
        };
        const timer = setTimeout(done, ms);
        signal.addEventListener("abort", done);
        document.addEventListener("visibilitychange", seen);
        wake.now = done;
    });
}

/** Says what a failure means: true, the connection is lost and may come back. */
function isLoss(error) {
    return !(error instanceof Refused) || error.status === 502 || error.status === 504;
}

/** Calls work(signal) again and again, every() ms after it is done, until signal: seldom while the
    page is hidden, soon again after a failure. What the server itself refuses is work's to show: it
    gets it as failed(error). Returns a function that asks at once. */
export function poll(work, every, signal, failed) {
    const wake = { now: null };
    const loop = async () => {
        while (!signal.aborted) {
            let pause = document.hidden ? HIDDEN_MS : every();
            try {
                await work(signal);
                if (!signal.aborted)
                    connection(0);
            } catch (error) {
                if (signal.aborted)
                    return;
                if (isLoss(error)) {
                    connection(state.failures + 1, error.message);
                    pause = RETRY_MS[Math.min(state.failures, RETRY_MS.length) - 1];
                } else {
                    connection(0);
                    failed?.(error);
                }
            }
            await sleep(pause, signal, wake);
        }
    };
    loop();
    return () => wake.now?.();
}
