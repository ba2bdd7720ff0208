/* Tool calls: a foldable card for each, with its arguments, progress and result. */

import { h } from "./dom.js";
import { duration } from "./format.js";
import { folded, foreign, oneLine, visible } from "./style/text.js";

const isPlain = (value) => value === null || typeof value !== "object";
const plainText = (value) => typeof value === "string" ? value : JSON.stringify(value);

/** What a person reads of "google__gmail_list_messages": the tool's name, the server's. */
export function splitName(name) {
    const at = String(name).indexOf("__");
    return at < 0 ? [String(name), ""] : [name.slice(at + 2), name.slice(0, at)];
}

/** Arguments on one line. */
function summary(value) {
    if (isPlain(value) || Array.isArray(value))
        return oneLine(plainText(value) ?? "", 120);
    const members = Object.entries(value).map(([name, one]) => `${name}: ${plainText(one)}`);
    return oneLine(members.join(", "), 120);
}

/** Arguments: an object's members one below the other. */
export function showArguments(value) {
    if (isPlain(value))
        return foreign(h("pre"), plainText(value) ?? "");
    if (Array.isArray(value))
        return foreign(h("pre"), JSON.stringify(value, null, 2));
    const members = Object.entries(value);
    if (members.length === 0)
        return h("p", { class: "muted small" }, "without arguments");
    return h("dl", { class: "arguments" }, members.map(([name, one]) => [
        foreign(h("dt"), name),
        folded(h("dd"), isPlain(one) ? plainText(one) : JSON.stringify(one, null, 2))]));
}

/** JSON is indented, everything else shown as it came. */
function readable(content) {
    if (!/^\s*[[{]/u.test(content))
        return content;
    try {
        return JSON.stringify(JSON.parse(content), null, 2);
    } catch {
        return content;
    }
}

const STATES = {
    running: ["running", "running"],
    done: ["good", "done"],
    error: ["bad", "failed"],
    denied: ["warn", "denied"],
    lost: ["warn", "no result"],
};

export class ToolCard {
    constructor({ name, arguments: given }) {
        const [tool, server] = splitName(name);
        this.name = name;
        this.tool = tool;
        this.open = true;
        this.state = h("span", { class: "badge" });
        this.took = h("span", { class: "muted small num" });
        this.progress = h("div", { class: "progress", hidden: true });
        this.result = h("div", { class: "result" });
        this.element = h("details", { class: "tool" },
            h("summary", {}, this.state,
                foreign(h("strong", { class: "mono" }), oneLine(tool, 80)),
                server ? h("span", { class: "muted small" }, visible(oneLine(server, 40))) : null,
                foreign(h("span", { class: "muted small hint" }), summary(given)), this.took),
            h("div", { class: "body" },
                h("h3", {}, "Arguments"), showArguments(given), this.progress, this.result));
        this.set("running");
    }

    set(state) {
        const [kind, words] = STATES[state];
        this.state.className = `badge ${kind}`;
        this.state.textContent = words;
        this.element.dataset.state = state;
    }

    /** data: of a tool_result event. */
    finish({ is_error: failed, content, duration_ms: took }, denied) {
        this.open = false;
        this.progress.hidden = true;
        this.set(denied ? "denied" : failed ? "error" : "done");
        if (typeof took === "number" && !denied)
            this.took.textContent = duration(took);
        const title = denied ? "What the model was told" : failed ? "What it said" : "Result";
        this.result.replaceChildren(h("h3", {}, title),
            folded(h("div", { class: "output mono", role: "group", "aria-label": title,
                tabindex: 0 }), readable(String(content ?? "")), 3000));
    }

    /** data: of a progress event. */
    advance({ progress, total, message }) {
        const known = typeof progress === "number" && total > 0;
        this.progress.hidden = false;
        this.progress.replaceChildren(
            h("progress", { "aria-label": `Progress of ${this.tool}`,
                ...(known ? { value: Math.min(progress, total), max: total } : {}) }),
            foreign(h("span", { class: "small muted" }), oneLine(message ?? "", 200)));
    }

    /** The run has ended without its result. */
    lose() {
        if (this.open)
            this.set("lost");
        this.open = false;
        this.progress.hidden = true;
    }
}
