/* The model's answers are Markdown. markdown-it reads them (HTML in them stays text); its tokens
   become elements here, so that nothing of an answer is ever parsed as HTML, no picture is loaded,
   and links lead only where links of strangers may. */

import MarkdownIt from "./vendor/markdown-it.js";
import { h } from "./dom.js";
import { folded, visible } from "./style/text.js";

const reader = new MarkdownIt({ html: false, linkify: false, breaks: true, maxNesting: 40 });
// Markdown up to here, plain text behind it: a million elements would stop the page.
const LIMIT = 128 * 1024;
const ELEMENTS_MAX = 15000;
const TAGS = new Set(["p", "strong", "em", "s", "ul", "ol", "li", "blockquote", "h1", "h2", "h3",
    "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"]);
const INLINE = new Set(["STRONG", "EM", "S", "A", "SPAN"]);
const ALIGN = /^text-align:(left|center|right)$/u;

/** Only where a reader may be led without a surprise; else null. */
export function safeLink(address) {
    if (!/^(https?:\/\/|mailto:)/iu.test(address))
        return null;
    try {
        const url = new URL(address);
        return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
    } catch {
        return null;
    }
}

function link(address) {
    const href = safeLink(address);
    return href === null ? h("span")
        : h("a", { href, rel: "noopener noreferrer", target: "_blank", title: href });
}

/** The page has h1 and h2 of its own, so an answer's headings begin at the third level. */
function opened(token) {
    if (token.type === "link_open")
        return link(token.attrGet("href") ?? "");
    if (!TAGS.has(token.tag))
        return h("span");
    const level = /^h([1-6])$/u.exec(token.tag)?.[1];
    const element = h(level ? `h${Math.min(6, Number(level) + 2)}` : token.tag);
    const align = ALIGN.exec(token.attrGet("style") ?? "")?.[1];
    if (align)
        element.classList.add(`align-${align}`);
    if (token.tag === "ol" && /^\d{1,9}$/u.test(token.attrGet("start") ?? ""))
        element.start = Number(token.attrGet("start"));
    return element;
}

/** A wide table scrolls in a frame of its own. */
function framed(element) {
    return element.tagName !== "TABLE" ? element
        : h("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": "Table" },
            element);
}

function leaf(token) {
    switch (token.type) {
    case "text":
        return visible(token.content);
    case "code_inline":
        return h("code", { dir: "ltr" }, visible(token.content));
    case "fence":
    case "code_block":
        return h("pre", { dir: "ltr" }, h("code", {}, visible(token.content)));
    case "softbreak":
    case "hardbreak":
        return h("br");
    case "hr":
        return h("hr");
    case "image": // its text, and where it would have been
        return h("span", {}, visible(token.content || "picture"), " (",
            Object.assign(link(token.attrGet("src") ?? ""), { textContent: "picture" }), ")");
    default:
        return visible(token.content);
    }
}

/** A direction is looked for among the children, again with each that comes: so it is set last. */
function closed(element) {
    if (!INLINE.has(element.tagName))
        element.dir = "auto";
}

function build(tokens, root) {
    const open = [root];
    for (const token of tokens) {
        if (token.hidden)
            continue;
        const parent = open.at(-1);
        if (token.type === "inline") {
            build(token.children, parent);
        } else if (token.nesting === 1) {
            const element = opened(token);
            parent.append(framed(element));
            open.push(element);
        } else if (token.nesting === -1) {
            if (open.length > 1)
                closed(open.pop());
        } else {
            parent.append(leaf(token));
        }
    }
    return root;
}

/** How many elements there will be, about. */
function size(tokens) {
    let sum = 0;
    for (const { nesting, children } of tokens)
        sum += (nesting >= 0 ? 1 : 0) + (children ? size(children) : 0);
    return sum;
}

/** Shows Markdown of a stranger's in an element. */
export function showMarkdown(element, text) {
    const source = String(text ?? "");
    const end = source.length <= LIMIT ? source.length
        : source.lastIndexOf("\n", LIMIT) + 1 || LIMIT;
    const tokens = reader.parse(source.slice(0, end), {});
    const fits = size(tokens) <= ELEMENTS_MAX;
    const rest = fits ? source.slice(end) : source;
    element.classList.add("markdown");
    element.replaceChildren(fits ? build(tokens, document.createDocumentFragment()) : "");
    if (rest)
        element.append(folded(h("div"), rest));
    element.dir = "auto";
    return element;
}
