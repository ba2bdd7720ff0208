/* Signing in: which scopes the jobs may use. */

import { button, h, notice } from "./dom.js";
import { continues, signIn } from "./session.js";
import { recall } from "./store.js";
import { inWords } from "./words.js";

/** Without a choice of the user's: what only reads. */
const isModest = (name) => name.endsWith("_readonly");

function title(name) {
    const words = name.replaceAll("_", " ").replace(/\breadonly\b/u, "(read only)");
    return words.charAt(0).toUpperCase() + words.slice(1);
}

function choice(name, { description }, checked) {
    const id = `scope-${name}`;
    return h("li", { class: "scope" },
        h("input", { type: "checkbox", id, name: "scope", value: name, checked,
            "aria-describedby": `${id}-text` }),
        h("div", {}, h("label", { for: id }, title(name)),
            h("p", { class: "small muted", id: `${id}-text` }, description)));
}

export class SignIn {
    /** problem: why the last sign-in failed, or another thing to say first; may be null. */
    constructor(api, problem) {
        this.api = api;
        this.faults = h("div", { role: "alert" }, problem ? notice("warn", problem) : null);
        this.list = h("ul", { class: "scopes" }, h("li", { class: "muted" }, "Loading…"));
        this.submit = h("button", { class: "primary", disabled: true }, "Sign in with Google");
        this.element = h("section", { class: "welcome card" },
            h("h1", {}, "Ask, and watch it being done"),
            h("p", {}, "Say what you need. A model works with the tools that you allow, and you " +
                "see each step while it happens."),
            this.faults,
            h("form", { on: { submit: (event) => this.go(event) } },
                h("fieldset", {},
                    h("legend", {}, "What may it use of your Google account?"), this.list),
                h("div", { class: "row" }, this.submit,
                    h("span", { class: "small muted" },
                        "Google asks you once more. You can change it later."))));
        this.load();
    }

    async load() {
        try {
            const { available_scopes: scopes } = await this.api.scopes();
            const chosen = continues() ?? recall("scopes");
            this.list.replaceChildren(...Object.entries(scopes).map(([name, scope]) =>
                choice(name, scope, chosen ? chosen.includes(name) : isModest(name))));
            this.submit.disabled = false;
            if (continues())
                await this.begin();
        } catch (error) {
            this.fail(error, button("Try again", () => this.load(), { class: "small" }));
        }
    }

    chosen() {
        return [...this.list.querySelectorAll("input:checked")].map((box) => box.value);
    }

    async begin() {
        this.submit.disabled = true;
        this.faults.replaceChildren();
        try {
            await signIn(this.api, this.chosen());
        } catch (error) {
            this.fail(error);
        }
        this.submit.disabled = false;
    }

    go(event) {
        event.preventDefault();
        this.begin();
    }

    fail(error, ...actions) {
        this.faults.replaceChildren(notice("bad", inWords(error), ...actions));
    }
}
