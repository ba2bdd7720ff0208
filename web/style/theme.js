/* Light or dark. Loaded in <head> as a plain script, so that the first paint is right already.
   Without a choice the system's is followed. A <button data-theme-switch> on the page changes it;
   the page hears of it by the event "themechange" on document. */
"use strict";
(() => {
    const KEY = "mcpbus-theme";
    const system = matchMedia("(prefers-color-scheme: dark)");

    function chosen() {
        try {
            const value = localStorage.getItem(KEY);
            return value === "dark" || value === "light" ? value : null;
        } catch {
            return null;
        }
    }

    function keep(value) {
        try {
            localStorage.setItem(KEY, value);
        } catch {
            // A browser that keeps nothing still changes this page.
        }
    }

    function current() {
        return document.documentElement.dataset.theme || (system.matches ? "dark" : "light");
    }

    function label() {
        const next = current() === "dark" ? "light" : "dark";
        for (const button of document.querySelectorAll("[data-theme-switch]")) {
            button.setAttribute("aria-label", `Switch to ${next} colours`);
            button.title = `Switch to ${next} colours`;
        }
    }

    function changed() {
        label();
        document.dispatchEvent(new Event("themechange"));
    }

    if (chosen())
        document.documentElement.dataset.theme = chosen();

    document.addEventListener("DOMContentLoaded", label);
    system.addEventListener("change", changed);
    document.addEventListener("click", (event) => {
        if (!(event.target instanceof Element) || !event.target.closest("[data-theme-switch]"))
            return;
        const next = current() === "dark" ? "light" : "dark";
        document.documentElement.dataset.theme = next;
        keep(next);
        changed();
    });
})();
