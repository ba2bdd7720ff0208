/* Client of mcpbus. `schema.ts` is made from the gateway's OpenAPI document; this file is what makes it
 * pleasant: errors that are thrown, a submit that can be repeated, a wait, events that resume. */
import createClient, { type Client } from "openapi-fetch";

import type { components, paths } from "./schema.js";
import { readEvents } from "./sse.js";

export type { components, operations, paths } from "./schema.js";

type Schemas = components["schemas"];
export type Job = Schemas["Job"];
export type JobList = Schemas["JobList"];
export type JobStatus = Schemas["JobStatus"];
export type RunRequest = Schemas["RunRequest"];
export type ScopeName = Schemas["ScopeChoice"]["scopes"][number];
export type SignIn = Schemas["SignIn"];
export type TokenUsage = Schemas["TokenUsage"];
export type WaitingCall = Schemas["WaitingCall"];

type EventData = Schemas["EventData"];
/** An event of a job: `switch (event.type)` tells what `event.data` is. `partial` ones have no number of
 * their own: theirs is that of the event before. */
export type JobEvent = {
    [Type in keyof EventData]: { id: number; type: Type; data: EventData[Type] };
}[keyof EventData];

export interface Options {
    /** Where the gateway is: "https://mcpbus.example". */
    baseUrl: string;
    /** The user's token, or what gives the one that is good now. */
    token?: string | (() => string | Promise<string>);
    /** In the place of the platform's. */
    fetch?: typeof fetch;
    /** How often a call is repeated that could not be made (429, 503, no connection). Default 4. */
    retries?: number;
}

export interface CallOptions {
    signal?: AbortSignal;
}

/** An answer that is not a good one. */
export class McpbusError extends Error {
    override readonly name = "McpbusError";

    constructor(
        readonly status: number,
        /** The text, or what is wrong with the request, item by item (422). */
        readonly detail: string | Schemas["ValidationError"]["detail"],
        /** For the operators: their logs have it. */
        readonly requestId: string,
        /** When the server says so. */
        readonly retryAfterSeconds: number | undefined,
    ) {
        super(`${status}: ${typeof detail === "string" ? detail : describe(detail)}`);
    }
}

const ENDED: readonly JobStatus[] = ["completed", "failed", "cancelled"];
const WAIT_SECONDS = 30;
const PAUSE_FIRST_MS = 250;
const PAUSE_MOST_MS = 10_000;

export function hasEnded(status: JobStatus): boolean {
    return ENDED.includes(status);
}

export class Mcpbus {
    /** Every call of the API, typed: `bus.api.GET("/jobs", { params: { query: { limit: 5 } } })`. */
    readonly api: Client<paths>;
    readonly #options: Options;
    readonly #fetch: typeof fetch;

    constructor(options: Options) {
        this.#options = { ...options, baseUrl: options.baseUrl.replace(/\/+$/, "") };
        this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
        this.api = createClient<paths>({
            baseUrl: this.#options.baseUrl,
            fetch: (request: Request) => this.#send(request),
        });
    }

    /** The scopes that a user may grant, by name. */
    async scopes(call: CallOptions = {}): Promise<Schemas["Scopes"]["available_scopes"]> {
        return good(await this.api.GET("/auth/scopes", { ...call })).available_scopes;
    }

    /** Where the user has to go to sign in; the page that follows shows the token. */
    async beginSignIn(scopes: ScopeName[], call: CallOptions = {}): Promise<SignIn> {
        return good(await this.api.POST("/auth/scopes", { body: { scopes }, ...call }));
    }

    /** A fresh token for the one in use. */
    async login(call: CallOptions = {}): Promise<Schemas["Login"]> {
        return good(await this.api.POST("/auth/login", { ...call }));
    }

    /** Ends all tokens of the user, everywhere. */
    async logout(call: CallOptions = {}): Promise<void> {
        good(await this.api.DELETE("/auth/logout", { ...call }));
    }

    async me(call: CallOptions = {}): Promise<Schemas["Me"]["user"]> {
        return good(await this.api.GET("/me", { ...call })).user;
    }

    /** Starts a job; its id. The job is committed then. It is safe to repeat the call with the same
     * `key`, which gives the same job; repetitions of ours use one in any case. */
    async run(request: string | RunRequest, call: CallOptions & { key?: string } = {}): Promise<string> {
        const { key = crypto.randomUUID(), ...rest } = call;
        const body = typeof request === "string" ? { message: request } : request;
        const params = { header: { "Idempotency-Key": key } };
        return good(await this.api.POST("/run", { body, params, ...rest })).job_id;
    }

    /** The job as it is now. */
    async job(jobId: string, call: CallOptions = {}): Promise<Job> {
        const params = { path: { job_id: jobId } };
        return good(await this.api.GET("/result/{job_id}", { params, ...call }));
    }

    /** The job once it has ended, however long that takes: `signal` ends the wait, not the job.
     * A job that waits for approval has not ended: `events` tells of it. */
    async wait(jobId: string, call: CallOptions = {}): Promise<Job> {
        for (;;) {
            const params = { path: { job_id: jobId }, query: { wait: WAIT_SECONDS } };
            const job = good(await this.api.GET("/result/{job_id}", { params, ...call }));
            if (hasEnded(job.status))
                return job;
        }
    }

    /** The user's jobs, newest first. */
    async jobs(
        query: NonNullable<paths["/jobs"]["get"]["parameters"]["query"]> = {},
        call: CallOptions = {},
    ): Promise<JobList> {
        return good(await this.api.GET("/jobs", { params: { query }, ...call }));
    }

    /** Stops a job; one that has ended is answered as it is. */
    async cancel(jobId: string, call: CallOptions = {}): Promise<Job> {
        const params = { path: { job_id: jobId } };
        return good(await this.api.POST("/jobs/{job_id}/cancel", { params, ...call }));
    }

    /** The job may make the tool calls that it waits with; with ids, those alone. */
    async approve(jobId: string, callIds?: string[], call: CallOptions = {}): Promise<Job> {
        const params = { path: { job_id: jobId } };
        const body = callIds ? { call_ids: callIds } : {};
        return good(await this.api.POST("/jobs/{job_id}/approve", { params, body, ...call }));
    }

    /** It may not; the model is told the reason. */
    async deny(jobId: string, reason?: string, call: CallOptions = {}): Promise<Job> {
        const params = { path: { job_id: jobId } };
        const body = reason === undefined ? {} : { reason };
        return good(await this.api.POST("/jobs/{job_id}/deny", { params, body, ...call }));
    }

    /** The job's events behind `after` (0: all) as they happen, to its end. A lost connection is made
     * anew behind the last event that came: none is missing, none comes twice. Later versions may have
     * more types of events: leave out what you don't know. With `partial` the model's words come between
     * them as it writes them; some of these may be missing. */
    async *events(
        jobId: string,
        call: CallOptions & { after?: number; partial?: boolean } = {},
    ): AsyncGenerator<JobEvent> {
        let { after = 0 } = call;
        for (let failures = 0; ;) {
            const before = after;
            try {
                const body = await this.#open(jobId, after, call);
                if (!body)
                    return;
                for await (const raw of readEvents(body)) {
                    const number = Number(raw.id || after);
                    const event = { id: number, type: raw.type, data: JSON.parse(raw.data) } as JobEvent;
                    after = event.id;
                    yield event;
                    if (event.type === "status" && hasEnded(event.data.status))
                        return;
                }
            } catch (error) {
                if (error instanceof McpbusError || call.signal?.aborted)
                    throw error;
                if (after === before && failures >= this.#retries)
                    throw error;
            }
            failures = after === before ? failures + 1 : 0;
            await pause(failures, undefined, call.signal);
        }
    }

    get #retries(): number {
        return this.#options.retries ?? 4;
    }

    /** The stream; null: the job has ended and there is nothing more. */
    async #open(
        jobId: string,
        after: number,
        { partial, signal }: CallOptions & { partial?: boolean },
    ): Promise<ReadableStream<Uint8Array> | null> {
        const { response, error } = await this.api.GET("/jobs/{job_id}/events", {
            params: {
                path: { job_id: jobId },
                ...(partial && { query: { partial } }),
                ...(after > 0 && { header: { "Last-Event-ID": after } }),
            },
            parseAs: "stream",
            headers: { Accept: "text/event-stream" },
            ...(signal && { signal }),
        });
        if (!response.ok)
            throw failure(response, error);
        return response.status === 204 ? null : response.body;
    }

    /** With the token; repeated as long as nothing has been done and nothing could be done twice. */
    async #send(request: Request): Promise<Response> {
        const { token } = this.#options;
        const value = typeof token === "function" ? await token() : token;
        if (value !== undefined)
            request.headers.set("Authorization", `Bearer ${value}`);
        const isSafe = request.method === "GET" || request.headers.has("Idempotency-Key");
        for (let count = 0; ; count++) {
            const isLast = count >= this.#retries;
            try {
                const response = await this.#fetch(request.clone());
                if (isLast || !(response.status === 429 || (response.status === 503 && isSafe)))
                    return await whole(response);
                await response.body?.cancel();
                await pause(count, retryAfter(response), request.signal);
            } catch (error) {
                if (isLast || !isSafe || request.signal.aborted)
                    throw error;
                await pause(count, undefined, request.signal);
            }
        }
    }
}

/* An answer is there when it is whole: a connection may be lost in the middle of it. Streams are read as
 * they come. */
async function whole(response: Response): Promise<Response> {
    const isStream = response.headers.get("Content-Type")?.startsWith("text/event-stream");
    if (isStream || !response.body)
        return response;
    return new Response(await response.arrayBuffer(), response);
}

function good<T>(answer: { data?: T; error?: unknown; response: Response }): T {
    if (answer.data === undefined)
        throw failure(answer.response, answer.error);
    return answer.data;
}

/* What stands between us and the gateway may answer in forms of its own. */
function failure(response: Response, error: unknown): McpbusError {
    const detail = typeof error === "object" && error !== null && "detail" in error ? error.detail : error;
    return new McpbusError(
        response.status,
        Array.isArray(detail) ? detail : typeof detail === "string" && detail ? detail : response.statusText,
        response.headers.get("X-Request-Id") ?? "",
        retryAfter(response),
    );
}

function describe(items: Schemas["ValidationError"]["detail"]): string {
    return items.map((item) => `${item.loc.join(".")}: ${item.msg}`).join("; ");
}

function retryAfter(response: Response): number | undefined {
    const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
    return Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined;
}

/* As long as the server says, else ever longer; a little more by chance, so that not all come at once. */
function pause(count: number, seconds?: number, signal?: AbortSignal | null): Promise<void> {
    const own = Math.min(PAUSE_FIRST_MS * 2 ** count, PAUSE_MOST_MS);
    const ms = (seconds === undefined ? own : Math.min(seconds * 1000, 60_000)) + Math.random() * PAUSE_FIRST_MS;
    return new Promise((resolve, reject) => {
        const stop = (): void => {
            clearTimeout(timer);
            reject(signal?.reason);
        };
        const timer = setTimeout(() => {
            signal?.removeEventListener("abort", stop);
            resolve();
        }, ms);
        if (signal?.aborted)
            stop();
        else
            signal?.addEventListener("abort", stop, { once: true });
    });
}
