/* The frame around the pages: which one is shown, is the connection there, keys, signing out. */
import { get, onConnection, post } from "/pages/api.js";
import { say } from "/pages/dom.js";
import { errors } from "/pages/errors.js";
import { ago } from "/pages/format.js";
import { job } from "/pages/job.js";
import { jobs } from "/pages/jobs.js";
import { overview } from "/pages/overview.js";
import { system } from "/pages/system.js";
import { workers } from "/pages/workers.js";

/* A page is a function of (main, parameters, signal, rest of the path), which fills main and polls
   until signal. */
const PAGES = { "": overview, workers, jobs, job, errors, system };
const TITLES = { "": "Overview", workers: "Workers", jobs: "Jobs", job: "Job", errors: "Errors",
    system: "System" };
const main = document.getElementById("main");
let leave = null;

function route() {
    const [path, query] = location.hash.replace(/^#\/?/, "").split("?", 2);
    const [name, ...rest] = path.split("/");
    const known = Object.hasOwn(PAGES, name) ? name : "";
    return { name: known, rest: rest.join("/"), params: new URLSearchParams(query ?? "") };
}

function unescaped(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

function show() {
    const { name, rest, params } = route();
    const first = leave === null;
    leave?.abort();
    leave = new AbortController();
    document.title = `${TITLES[name]} · mcpbus`;
    for (const link of document.querySelectorAll("#nav a")) {
        const own = link.getAttribute("href").replace(/^#\/?/, "");
        if (own === (name === "job" ? "jobs" : name))
            link.setAttribute("aria-current", "page");
        else
            link.removeAttribute("aria-current");
    }
    main.replaceChildren();
    main.className = `page page-${name || "overview"}`;
    PAGES[name](main, params, leave.signal, unescaped(rest));
    if (!first) {
        scrollTo(0, 0);
        main.focus({ preventScroll: true });
    }
}

function showConnection({ failures, since, detail }) {
    const live = document.getElementById("live");
    const lost = document.getElementById("lost");
    live.className = failures ? "badge bad" : "badge good";
    say(live, failures ? "Connection lost" : "Live");
    if (failures)
        say(lost, `Connection lost ${ago(since)}, trying again… What you see is from before. ` +
            `(${detail})`);
    lost.hidden = !failures;
    document.body.classList.toggle("is-lost", failures > 0);
}

function typing(target) {
    return target instanceof HTMLElement
        && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

function keyPressed(event) {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)
        || document.querySelector("dialog[open]"))
        return;
    event.preventDefault();
    if (route().name !== "jobs")
        location.hash = "#/jobs?find";
    document.getElementById("search")?.focus();
}

async function signOut() {
    try {
        await post("/logout");
    } catch {
        // The page of the sign-in tells whether it worked.
    }
    location.assign("/login");
}

/** Back to where the reader was before he had to sign in. */
function returnToPage() {
    try {
        const page = sessionStorage.getItem("mcpbus-monitor-page");
        sessionStorage.removeItem("mcpbus-monitor-page");
        if (page && page.startsWith("#/") && !location.hash)
            history.replaceState(null, "", page);
    } catch {
        // Without storage it is the overview.
    }
}

async function whoAmI() {
    const session = await get("/api/session").catch(() => null);
    if (session?.name)
        document.getElementById("sign-out").title = `Signed in as ${session.name}`;
}

document.addEventListener("newversion", () => {
    document.getElementById("updated").hidden = false;
});
document.getElementById("reload").addEventListener("click", () => location.reload());
// What follows # names the page, so the link itself leads nowhere.
document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
});
document.getElementById("sign-out").addEventListener("click", signOut);
document.addEventListener("keydown", keyPressed);
addEventListener("hashchange", show);
onConnection(showConnection);
returnToPage();
show();
whoAmI();
