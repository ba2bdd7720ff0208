/* Calls that the user has to approve before they are made. */

import { button, h, notice } from "./dom.js";
import { count } from "./format.js";
import { showArguments, splitName } from "./cards.js";
import { oneLine, visible } from "./style/text.js";
import { inWords } from "./words.js";

const REASON_MAX = 2000;

export class Approval {
    /** data: of a waiting_approval event. decide(calls' ids or null, reason): approves those and
        denies the others; null: denies all. It may reject. */
    constructor({ calls }, decide) {
        this.calls = calls;
        this.decide = decide;
        this.boxes = calls.map(() => h("input", { type: "checkbox", checked: true,
            on: { change: () => this.label() } }));
        this.approve = button("", () => this.send(this.chosen()), { class: "primary" });
        this.deny = button(calls.length > 1 ? "Deny all" : "Deny", () => this.send(null));
        this.reason = h("input", { type: "text", maxlength: REASON_MAX, autocomplete: "off",
            placeholder: "Why not? The model is told (optional)",
            "aria-label": "Reason for a denial" });
        this.faults = h("div", { role: "alert" });
        this.element = h("section", { class: "approval", "aria-label": "Approval" },
            h("h3", {}, calls.length > 1 ? `May these ${calls.length} calls be made?`
                : "May this call be made?"),
            h("p", { class: "small muted" }, "Nothing of it happens before you have said so."),
            h("ul", {}, calls.map((call, i) => this.call(call, i))),
            h("div", { class: "row" }, this.approve, this.deny, this.reason), this.faults);
        this.label();
    }

    call({ name, arguments: given }, i) {
        const [tool, server] = splitName(name);
        const title = [h("strong", { class: "mono" }, visible(oneLine(tool, 80))), " ",
            server ? h("span", { class: "muted small" }, visible(oneLine(server, 40))) : null];
        const head = this.calls.length > 1
            ? h("label", { class: "row" }, this.boxes[i], h("span", {}, title))
            : h("div", {}, title);
        return h("li", {}, head, showArguments(given));
    }

    chosen() {
        return this.calls.filter((_, i) => this.boxes[i].checked).map((call) => call.id);
    }

    label() {
        const chosen = this.chosen().length;
        this.approve.disabled = chosen === 0;
        this.approve.textContent = this.calls.length === 1 ? "Approve"
            : chosen === this.calls.length ? `Approve all ${chosen}`
                : `Approve ${chosen}, deny ${this.calls.length - chosen}`;
    }

    busy(is) {
        for (const one of [this.approve, this.deny, this.reason, ...this.boxes])
            one.disabled = is;
        if (!is)
            this.label();
    }

    async send(ids) {
        this.busy(true);
        this.sent = true;
        this.faults.replaceChildren();
        try {
            await this.decide(ids, ids === null ? this.reason.value.trim() : "");
        } catch (error) {
            this.faults.replaceChildren(notice("bad", inWords(error)));
            this.busy(false);
        }
    }

    /** What was decided, here or elsewhere: takes the place of the question. data: of an approval
        event; null: the run has ended without one. */
    close(data) {
        if (!data) {
            this.element.replaceWith(h("p", { class: "small muted" },
                "Nobody has decided on these calls."));
            return;
        }
        const approved = data.decision === "approve" ? data.call_ids?.length ?? this.calls.length
            : 0;
        const denied = this.calls.length - approved;
        const parts = [approved ? `${count(approved, "call")} approved` : null,
            denied ? `${count(denied, "call")} denied` : null].filter(Boolean);
        this.element.replaceWith(h("p", { class: "small decision" }, `${parts.join(", ")}.`,
            data.reason ? [" Reason: ", h("bdi", {}, visible(oneLine(data.reason)))] : null));
    }
}
