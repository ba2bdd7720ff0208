/* The REST API: one function for each call that this page makes. The answers' form is described in
   /openapi.json. */

const TIMEOUT_MS = 30000;

/** What the server refused. `detail`: its words; `retryAfter`: seconds, when it said so. status 0:
    there was no answer. */
export class ApiError extends Error {
    constructor(status, detail, retryAfter = null) {
        super(detail);
        this.status = status;
        this.detail = detail;
        this.retryAfter = retryAfter;
    }

    /** Whether the same call may succeed a little later. */
    get passes() {
        return [0, 408, 429, 500, 502, 503, 504].includes(this.status);
    }
}

/** The `detail` of an error is a text, or FastAPI's list of what is wrong with the request. */
function detailOf(body) {
    if (Array.isArray(body?.detail))
        return body.detail.map((one) => `${one.loc?.at(-1) ?? "request"}: ${one.msg}`).join("; ");
    return typeof body?.detail === "string" ? body.detail : "";
}

export async function errorOf(response) {
    const body = await response.json().catch(() => null);
    const after = Number(response.headers.get("Retry-After"));
    return new ApiError(response.status, detailOf(body), after > 0 ? after : null);
}

export class Api {
    /** session: {token, ended()}; ended() is called when the server no longer takes the token. */
    constructor(session) {
        this.session = session;
    }

    /** The Response, whatever its status but 401. Rejects with an ApiError of status 0 when nothing
        came back; with the signal's reason when that was aborted. */
    async fetch(method, path, { body, headers = {}, signal } = {}) {
        const token = this.session.token;
        const all = { Accept: "application/json", ...headers };
        if (token)
            all.Authorization = `Bearer ${token}`;
        if (body !== undefined)
            all["Content-Type"] = "application/json";
        let response;
        try {
            response = await fetch(path, {
                method, headers: all, signal,
                body: body === undefined ? undefined : JSON.stringify(body),
                cache: "no-store", credentials: "omit", redirect: "error",
            });
        } catch (error) {
            if (signal?.aborted && signal.reason?.name !== "TimeoutError")
                throw signal.reason;
            throw new ApiError(0, error.message);
        }
        if (response.status !== 401)
            return response;
        if (token === this.session.token)
            this.session.ended();
        throw await errorOf(response);
    }

    async json(method, path, { signal, ...options } = {}) {
        const limit = AbortSignal.timeout(TIMEOUT_MS);
        const either = signal ? AbortSignal.any([signal, limit]) : limit;
        const response = await this.fetch(method, path, { ...options, signal: either });
        if (!response.ok)
            throw await errorOf(response);
        return response.json().catch((error) => {
            throw new ApiError(0, error.message);
        });
    }

    scopes() {
        return this.json("GET", "/auth/scopes");
    }

    /** → {auth_url, state, …}: where the browser is to go to sign in. */
    beginSignIn(scopes) {
        return this.json("POST", "/auth/scopes", { body: { scopes } });
    }

    me() {
        return this.json("GET", "/me");
    }

    /** → {requested_scopes, granted_scopes, …} */
    grants() {
        return this.json("GET", "/auth/status");
    }

    /** → {access_token, …}: a fresh one, good for a day. */
    renew() {
        return this.json("POST", "/auth/login");
    }

    signOut() {
        return this.json("DELETE", "/auth/logout");
    }

    forgetMe() {
        return this.json("DELETE", "/me");
    }

    /** → {job_id}. The same key gives the same job, however often it is sent. */
    run(request, key, signal) {
        return this.json("POST", "/run",
            { body: request, signal, headers: { "Idempotency-Key": key } });
    }

    job(id, signal) {
        return this.json("GET", `/result/${encodeURIComponent(id)}`, { signal });
    }

    /** → {jobs, total}, newest first. query: {limit, offset, conversation_id}. */
    jobs(query, signal) {
        return this.json("GET", `/jobs?${new URLSearchParams(query)}`, { signal });
    }

    /** The Response of a stream of events that come after number `after`; partial: with the words
        of an answer as they are written. */
    events(id, after, partial, signal) {
        const query = partial ? "?partial=true" : "";
        return this.fetch("GET", `/jobs/${encodeURIComponent(id)}/events${query}`, {
            signal, headers: { Accept: "text/event-stream", "Last-Event-ID": String(after) } });
    }

    cancel(id) {
        return this.json("POST", `/jobs/${encodeURIComponent(id)}/cancel`);
    }

    /** Approves these calls; the job's other ones that wait are denied. */
    approve(id, callIds) {
        return this.json("POST", `/jobs/${encodeURIComponent(id)}/approve`,
            { body: { call_ids: callIds } });
    }

    deny(id, reason) {
        return this.json("POST", `/jobs/${encodeURIComponent(id)}/deny`,
            { body: reason ? { reason } : {} });
    }
}
