/* Who is signed in, in this tab: the token, and the way to one. */

import { keep, recall } from "./store.js";

// A token is good for a day; one that has less than this left is exchanged for a fresh one.
const RENEW_BELOW_S = 6 * 3600;

export class Session {
    /** onEnd(): the token has stopped working (expired, or signed out elsewhere). */
    constructor(onEnd) {
        this.onEnd = onEnd;
        this.token = recall("token");
    }

    set(token) {
        this.token = token;
        keep("token", token);
    }

    ended() {
        this.set(null);
        this.onEnd();
    }
}

/** Exchanges the token for a fresh one when it gets old. user: of GET /me. */
export async function renewInTime(api, session, user) {
    if (user.exp - Date.now() / 1000 < RENEW_BELOW_S)
        session.set((await api.renew()).access_token);
}

/* The way to a token, which never stands in an address:
    1. POST /auth/scopes gives auth_url and state. This tab remembers the state and goes to
       auth_url.
    2. The user consents; Google sends the browser to /auth/callback?code&state.
    3. That page shows the token, and loads callback.js: when this very tab has begun the sign-in
       (it holds that state), the token is kept for it, and it comes back here. So nobody can slip
       us a sign-in of theirs by a link. */

const CONTINUE = /^#sign-in=([\w,]*)$/u;

/** Goes to sign in; doesn't return but for an error. back: the hash to come back to. */
export async function signIn(api, scopes, back = location.hash) {
    const { auth_url, state } = await api.beginSignIn(scopes);
    const here = new URL(auth_url).searchParams.get("redirect_uri");
    const origin = here ? new URL(here).origin : location.origin;
    keep("scopes", scopes);
    // The same gateway may be open under another name (127.0.0.1 for localhost), which has a
    // storage of its own: begin where the sign-in will come back to.
    if (origin !== location.origin && !continues()) {
        location.assign(`${origin}/app#sign-in=${scopes.join(",")}`);
        return new Promise(() => {});
    }
    keep("sign-in", { state, back: CONTINUE.test(back) ? "" : back });
    location.assign(auth_url);
    return new Promise(() => {});
}

/** The scopes of a sign-in that was begun under another name of this gateway; or null. */
export function continues() {
    return CONTINUE.exec(location.hash)?.[1].split(",").filter(Boolean) ?? null;
}

/** What callback.js has left: {token} or {problem}, each once; else null. */
export function signedIn() {
    const result = recall("signed-in");
    keep("signed-in", null);
    return result;
}
