/* The chat page of mcpbus: it shows that everything works, and how a front end of your own can be
   built. What it needs of the server is in api.js, events.js and session.js; docs/chat.md
   explains. */

import { Account, missing } from "./account.js";
import { Api } from "./api.js";
import { Chat, routeOf } from "./chat.js";
import { button, h, notice } from "./dom.js";
import { History } from "./history.js";
import { renewInTime, Session, signedIn, signIn } from "./session.js";
import { SignIn } from "./signin.js";
import { keep, recall } from "./store.js";
import { inWords } from "./words.js";

const RENEW_MS = 10 * 60 * 1000;

const main = document.getElementById("main");
const sidebar = document.getElementById("history");
const opener = document.getElementById("open-history");

const session = new Session(() => ended());
const api = new Api(session);
const account = new Account(api,
    { menu: document.getElementById("account"), opener: document.getElementById("open-account") },
    { changeAccess: () => showSignIn(null), left });
let chat = null;
let past = null;

function fold(open) {
    sidebar.classList.toggle("open", open);
    opener.setAttribute("aria-expanded", String(open));
}

function clear() {
    chat?.close();
    past?.close();
    chat = past = null;
    account.hide();
    fold(false);
    sidebar.hidden = opener.hidden = true;
    sidebar.replaceChildren();
    document.title = "mcpbus chat";
}

function showSignIn(problem) {
    clear();
    main.replaceChildren(new SignIn(api, problem).element);
}

/** Signed out on purpose: nothing of this user's stays in the tab. */
function left(text) {
    session.set(null);
    for (const name of ["draft", "pending"])
        keep(name, null);
    history.replaceState(null, "", "#/");
    showSignIn(text);
}

/** The token has stopped working. What is on the page, and what was typed, stays. */
function ended() {
    if (!chat)
        return;
    const scopes = recall("scopes");
    const begin = () => scopes ? signIn(api, scopes).catch(complain) : showSignIn(null);
    chat.composer.say("warn",
        "Your sign-in has ended. Sign in again: what you have typed is kept.",
        button("Sign in again", begin, { class: "primary small", id: "sign-in-again" }));
}

function complain(error) {
    chat.composer.say("bad", inWords(error));
}

async function showChat() {
    const [{ user }, grants, { available_scopes: scopes }] =
        await Promise.all([api.me(), api.grants(), api.scopes()]);
    clear();
    await renewInTime(api, session, user);
    past = new History(api, sidebar, () => fold(false));
    chat = new Chat(api, { ...user, granted: grants.granted_scopes }, () => past?.refresh());
    account.show(user, grants, scopes);
    sidebar.hidden = opener.hidden = false;
    main.replaceChildren(chat.element);
    past.refresh();
    await chat.open(routeOf(location.hash));
    return missing(grants, scopes).map((name) => scopes[name]?.description ?? name);
}

function inDoubt(problem) {
    return problem.includes("access_denied")
        ? "You have not allowed it, so nothing was granted. Try again when you like."
        : `The sign-in failed: ${problem}`;
}

async function start() {
    const result = signedIn();
    if (result?.token)
        session.set(result.token);
    if (!session.token) {
        showSignIn(result?.problem ? inDoubt(result.problem) : null);
        return;
    }
    try {
        const denied = await showChat();
        if (result?.token && denied.length)
            chat.composer.say("warn",
                `Not granted: ${denied.join("; ")}. Tools that need it are left out.`);
    } catch (error) {
        if (error.status === 401)
            showSignIn("Your sign-in has ended: sign in again.");
        else
            main.replaceChildren(h("div", { class: "welcome" },
                notice("bad", inWords(error), button("Try again", start, { class: "small" }))));
    }
}

addEventListener("hashchange", () => {
    chat?.open(routeOf(location.hash));
    past?.mark();
});

opener.addEventListener("click", () => {
    fold(!sidebar.classList.contains("open"));
    sidebar.querySelector("a")?.focus();
});

addEventListener("keydown", (event) => {
    const elsewhere = document.querySelector(":popover-open, dialog[open]") ||
        event.target.closest?.("input");
    if (event.key !== "Escape" || event.isComposing || elsewhere)
        return;
    if (sidebar.classList.contains("open")) {
        fold(false);
        opener.focus();
    } else if (chat?.composer.running) {
        chat.stop();
    }
});

document.addEventListener("visibilitychange", () => {
    if (!document.hidden)
        past?.refresh();
});

setInterval(async () => {
    if (!chat || !session.token)
        return;
    try {
        await renewInTime(api, session, (await api.me()).user);
    } catch {
        // The next time, or the next call says what is wrong.
    }
}, RENEW_MS);

start();
