/* What a tab keeps over a reload: its token, what is typed, what is being sent. In sessionStorage,
   which no other tab sees, so that two tabs may be two people. */

const PREFIX = "mcpbus-chat-";

export function recall(name) {
    try {
        return JSON.parse(sessionStorage.getItem(PREFIX + name));
    } catch {
        return null;
    }
}

/** null forgets it. */
export function keep(name, value) {
    try {
        if (value === null)
            sessionStorage.removeItem(PREFIX + name);
        else
            sessionStorage.setItem(PREFIX + name, JSON.stringify(value));
    } catch {
        // A browser that keeps nothing still works until the next reload.
    }
}

/** 128 random bits. crypto.randomUUID exists only on https and localhost. */
export function randomId() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function sleep(ms, signal) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
            signal?.removeEventListener("abort", stop);
            resolve();
        }, ms);
        const stop = () => {
            clearTimeout(timer);
            reject(signal.reason);
        };
        if (signal?.aborted)
            stop();
        else
            signal?.addEventListener("abort", stop, { once: true });
    });
}
