/* Building the page and keeping it up to date: only what has changed is touched, so that focus,
   selection and what is unfolded stay. */
import { foreign, oneLine } from "/style/text.js";

/** h("p", {class: "muted", on: {click: f}}, "text", node…): strings become text, never HTML. */
export function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (name === "on")
            Object.entries(value).forEach(([type, f]) => element.addEventListener(type, f));
        else if (typeof value === "boolean" && !name.startsWith("aria-"))
            element.toggleAttribute(name, value);
        else if (value !== null && value !== undefined)
            element.setAttribute(name, String(value));
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return element;
}

/** Puts a text of ours into an element. */
export function say(element, text) {
    const value = String(text);
    if (element.textContent !== value)
        element.textContent = value;
    return element;
}

/** An attribute; null takes it away. */
export function mark(element, name, value) {
    if (value === null || value === undefined)
        element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value))
        element.setAttribute(name, String(value));
    return element;
}

/** A text of strangers, on one line, isolated from the text around it. */
export function bdi(text, limit = 200) {
    const element = foreign(h("bdi"), oneLine(text, limit));
    element.classList.add("line");
    return element;
}

/** Calls show(element) only when key differs from the last time. */
const keys = new WeakMap();
export function when(element, key, show) {
    const value = typeof key === "string" ? key : JSON.stringify(key);
    if (keys.get(element) === value)
        return;
    keys.set(element, value);
    show(element);
}

/** Children of parent, one for each item: made once for a key, then updated. */
export function keyed(parent, items, key, make, update) {
    const wanted = new Map(items.map((item) => [String(key(item)), item]));
    const have = new Map();
    for (const child of [...parent.children]) {
        if (wanted.has(child.dataset.key))
            have.set(child.dataset.key, child);
        else
            child.remove();
    }
    let at = parent.firstElementChild;
    for (const [name, item] of wanted) {
        let node = have.get(name);
        if (!node) {
            node = make(item);
            node.dataset.key = name;
        }
        update(node, item);
        if (node === at)
            at = at.nextElementSibling;
        else
            parent.insertBefore(node, at);
    }
}

function cellOf(column) {
    const tag = column.rowHead ? "th" : "td";
    return h(tag, {
        role: column.rowHead ? "rowheader" : "cell",
        scope: column.rowHead ? "row" : null,
        class: [column.num ? "num" : "", column.class ?? ""].join(" ").trim() || null,
        "data-head": column.head,
    });
}

/** A table whose rows follow its items; on a telephone each row is a card (style.css), so the roles
    are said. columns: {head, of(item): what it depends on, show(cell, item)?, num?, rowHead?,
    class?}. Without show, of's text is the cell's. */
export class Table {
    constructor(label, columns, key, empty) {
        this.columns = columns;
        this.key = key;
        this.body = h("tbody", { role: "rowgroup" });
        this.table = h("table", { role: "table", "aria-label": label, class: "cards" },
            h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((column) =>
                h("th", { role: "columnheader", scope: "col", class: column.num ? "num" : null },
                    column.head)))), this.body);
        this.frame = h("div", { class: "table-frame", tabindex: 0, role: "region",
            "aria-label": label }, this.table);
        this.empty = h("p", { class: "empty muted", hidden: true }, empty);
        this.element = h("div", {}, this.frame, this.empty);
    }

    set(items, rowClass) {
        this.frame.hidden = items.length === 0;
        this.empty.hidden = items.length > 0;
        keyed(this.body, items, this.key,
            () => h("tr", { role: "row" }, this.columns.map(cellOf)),
            (row, item) => {
                if (rowClass)
                    mark(row, "class", rowClass(item) || null);
                this.columns.forEach((column, i) => {
                    const cell = row.children[i];
                    const value = column.of(item);
                    when(cell, value ?? "", () => {
                        if (column.show)
                            column.show(cell, item);
                        else
                            say(cell, value ?? "–");
                    });
                });
            });
    }
}

/** What a call was refused with; it may quote strangers. Said once, not again with each poll. */
export function sayFault(element, error) {
    if (element.dataset.fault === error.message && element.querySelector("bdi"))
        return;
    element.dataset.fault = error.message;
    element.replaceChildren(bdi(error.message, 400));
}

/** Asks; resolves to true when the reader says yes. text: a string or nodes. */
export function confirm(title, text, yes, danger = false) {
    return new Promise((resolve) => {
        const dialog = h("dialog", { "aria-labelledby": "dialog-title" },
            h("h2", { id: "dialog-title" }, title), h("p", {}, ...[text].flat()),
            h("form", { method: "dialog", class: "row end" },
                h("button", { value: "no", autofocus: true }, "Leave it"),
                h("button", { value: "yes", class: danger ? "primary danger" : "primary" }, yes)));
        dialog.addEventListener("close", () => {
            dialog.remove();
            resolve(dialog.returnValue === "yes");
        });
        document.body.append(dialog);
        dialog.showModal();
    });
}

/** A line that says what happened, read out, gone by itself or with the next one. */
export function toast(text, kind = "good") {
    document.querySelector(".toast")?.remove();
    const element = h("div", { class: `toast notice ${kind}`,
        role: kind === "bad" ? "alert" : "status" }, bdi(text, 400));
    document.body.append(element);
    setTimeout(() => element.remove(), kind === "bad" ? 12000 : 5000);
}
