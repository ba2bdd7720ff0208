/* Text of users, models and tools is shown as text, whatever is in it: never as HTML, in an element
   of its own direction, with the characters that would disturb the page made visible. */

// C0 and C1 but tab and newline; soft hyphen, zero width, marks of direction, embeddings,
// overrides, isolates, line and paragraph separators, invisible operators, the byte order mark,
// interlinear marks, tags; and halves of surrogate pairs.
const MARKED = new RegExp("[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e" +
    "\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb" +
    "\\u{e0000}-\\u{e007f}\\ud800-\\udfff]", "gu");

// Zero width joiners belong to words of some scripts and to emoji.
const JOINERS = /[\p{L}\p{M}\p{Extended_Pictographic}\ufe0f]/u;
const LIMIT = 4000;

function keeps(text, at, char) {
    if (char === "\r")
        return text[at + 1] === "\n";
    if (char !== "\u200c" && char !== "\u200d")
        return false;
    return JOINERS.test(Array.from(text.slice(Math.max(0, at - 2), at)).at(-1) ?? "");
}

function mark(char) {
    const code = char.codePointAt(0);
    const span = document.createElement("span");
    span.className = "mark";
    const hex = code.toString(16).toUpperCase();
    span.textContent = code < 0x80 ? `\\x${hex.padStart(2, "0")}` : `U+${hex.padStart(4, "0")}`;
    return span;
}

/** The nodes that show text: what disturbs is a mark, the rest are text nodes. */
export function visible(text) {
    const nodes = document.createDocumentFragment();
    let last = 0;
    let marks = 0;
    for (const found of text.matchAll(MARKED)) {
        if (keeps(text, found.index, found[0]))
            continue;
        // A text made of nothing else must not become a page of a million elements.
        if (++marks > 2000)
            break;
        nodes.append(text.slice(last, found.index), mark(found[0]));
        last = found.index + found[0].length;
    }
    const rest = text.slice(last);
    nodes.append(marks > 2000 ? rest.replace(MARKED, "\ufffd") : rest);
    return nodes;
}

/** Puts a text of unknown origin into an element. */
export function foreign(element, text) {
    element.classList.add("foreign");
    element.setAttribute("dir", "auto");
    element.replaceChildren(visible(String(text ?? "")));
    return element;
}

/** The text on one line of at most limit characters, for lists and titles. */
export function oneLine(text, limit = 200) {
    const flat = String(text ?? "").slice(0, limit * 4).replace(/\s+/gu, " ").trim();
    return flat.length > limit ? `${flat.slice(0, limit).replace(/[\ud800-\udbff]$/u, "")}…` : flat;
}

/** Puts a text into an element and folds it when it is long: a button shows the rest. */
export function folded(element, text, limit = LIMIT) {
    const whole = String(text ?? "");
    const body = document.createElement("div");
    const cut = whole.slice(0, limit).replace(/[\ud800-\udbff]$/u, "");
    element.replaceChildren(foreign(body, whole.length > limit ? `${cut}…` : whole));
    if (whole.length <= limit)
        return element;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "small";
    button.setAttribute("aria-expanded", "false");
    const say = (open) => {
        button.textContent = open ? "Show less"
            : `Show all ${whole.length.toLocaleString("en")} characters`;
        button.setAttribute("aria-expanded", String(open));
    };
    say(false);
    button.addEventListener("click", () => {
        const open = button.getAttribute("aria-expanded") !== "true";
        foreign(body, open ? whole : `${cut}…`);
        say(open);
    });
    element.append(button);
    return element;
}
