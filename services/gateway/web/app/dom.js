/* Making elements. Strings become text nodes, never HTML. */

/** h("p", {class: "muted", on: {click: f}}, "text", node…); null children are left out. */
export function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (name === "on")
            Object.entries(value).forEach(([type, f]) => element.addEventListener(type, f));
        else if (value === true)
            element.setAttribute(name, "");
        else if (value !== false && value !== null && value !== undefined)
            element.setAttribute(name, String(value));
    }
    const given = children.flat(Infinity);
    element.append(...given.filter((child) => child !== null && child !== undefined));
    return element;
}

export function button(text, onClick, attributes = {}) {
    return h("button", { type: "button", ...attributes, on: { click: onClick } }, text);
}

/** One thing to know or to do. kind: "", "good", "warn", "bad". */
export function notice(kind, text, ...actions) {
    return h("div", { class: `notice ${kind}`.trim() }, h("span", { class: "grow" }, text),
        ...actions);
}

/** Asks before something that can't be undone; resolves to true when the reader says yes. */
export function confirm(title, text, yes) {
    return new Promise((resolve) => {
        const dialog = h("dialog",
            { "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text" },
            h("h2", { id: "dialog-title" }, title),
            h("p", { id: "dialog-text" }, text),
            h("form", { method: "dialog", class: "row end" },
                h("button", { value: "no", autofocus: true }, "Leave it"),
                h("button", { value: "yes", class: "primary danger" }, yes)));
        dialog.addEventListener("close", () => {
            dialog.remove();
            resolve(dialog.returnValue === "yes");
        });
        document.body.append(dialog);
        dialog.showModal();
    });
}
