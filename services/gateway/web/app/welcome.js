/* What an empty conversation shows: that one is signed in, and what one might ask. */

import { button, h } from "./dom.js";
import { oneLine, visible } from "./style/text.js";

const IDEAS = [
    [/gmail/u, "List my recent emails"],
    [/calendar/u, "What is on my calendar this week?"],
    [/drive/u, "Which files in my Drive have changed lately?"],
    [/spreadsheets/u, "Which spreadsheets do I have?"],
    [null, "What can you do for me?"],
];

/** user: {name, granted: Google's scopes}; ask(text). */
export function welcome(user, ask) {
    const granted = user.granted.join(" ");
    const name = oneLine(user.name ?? user.email ?? "", 60);
    return h("section", { class: "welcome" },
        h("h2", { class: "hello" }, "What do you need",
            name ? [", ", h("bdi", {}, visible(name))] : null, "?"),
        h("p", { class: "muted" }, "A model works on it with the tools that you have allowed. " +
            "You see each step, and can stop it at any time."),
        h("ul", { class: "ideas" }, IDEAS.filter(([scope]) => !scope || scope.test(granted))
            .map(([, text]) => h("li", {}, button(text, () => ask(text))))));
}
