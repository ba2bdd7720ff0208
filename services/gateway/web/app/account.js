/* Who is signed in: what was granted, signing out, being forgotten. */

import { button, confirm, h, notice } from "./dom.js";
import { oneLine, visible } from "./style/text.js";
import { inWords } from "./words.js";

const FORGET = "Your conversations, jobs and sign-in are deleted here, and the access to your " +
    "Google account is given back. Nobody can undo that.";

/** The names of what was asked for and not granted. grants: of GET /auth/status; scopes: of GET
    /auth/scopes. */
export function missing(grants, scopes) {
    const granted = new Set(grants.granted_scopes);
    return grants.requested_scopes.filter((name) => !granted.has(scopes[name]?.scope));
}

export class Account {
    /** actions: {changeAccess(), left(text)}: left is called when the user has signed out or is
        forgotten. */
    constructor(api, { menu, opener }, actions) {
        this.api = api;
        this.menu = menu;
        this.opener = opener;
        this.actions = actions;
        this.faults = h("div", { role: "alert" });
    }

    show(user, grants, scopes) {
        const email = oneLine(user.email ?? "", 100);
        this.opener.replaceChildren(h("bdi", { class: "one-line" }, visible(email || "Account")));
        this.opener.setAttribute("aria-label", `Account of ${email || "the user"}`);
        const granted = Object.values(scopes)
            .filter(({ scope }) => grants.granted_scopes.includes(scope));
        this.menu.replaceChildren(
            h("p", {}, h("strong", {}, visible(oneLine(user.name ?? "", 100))), h("br"),
                h("span", { class: "muted small" }, visible(email))),
            h("h2", { class: "small" }, "What may be used of the Google account"),
            granted.length
                ? h("ul", { class: "small" }, granted.map((one) => h("li", {}, one.description)))
                : h("p", { class: "small muted" }, "Nothing."),
            this.faults,
            h("div", { class: "stack tight" },
                button("Change the access…", () => this.actions.changeAccess()),
                button("Sign out", () => this.signOut(), { id: "sign-out",
                    title: "Everywhere: all of your tokens stop working" }),
                button("Forget me…", () => this.forget(), { class: "danger", id: "forget" })));
        this.opener.hidden = false;
    }

    hide() {
        this.menu.hidePopover();
        this.menu.replaceChildren();
        this.opener.hidden = true;
    }

    async leave(call, text) {
        this.faults.replaceChildren();
        try {
            await call();
            this.actions.left(text);
        } catch (error) {
            if (error.status === 401)
                this.actions.left(text);
            else
                this.faults.replaceChildren(notice("bad", inWords(error)));
        }
    }

    signOut() {
        return this.leave(() => this.api.signOut(), "You are signed out.");
    }

    async forget() {
        if (await confirm("Forget me?", FORGET, "Delete everything"))
            await this.leave(() => this.api.forgetMe(),
                "You have been forgotten: nothing of yours is kept here.");
    }
}
