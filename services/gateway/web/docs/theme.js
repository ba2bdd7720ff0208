/* Swagger UI has its dark colours under a class of its own. */
"use strict";
(() => {
    const root = document.documentElement;
    const system = matchMedia("(prefers-color-scheme: dark)");

    function follow() {
        const theme = root.dataset.theme || (system.matches ? "dark" : "light");
        root.classList.toggle("dark-mode", theme === "dark");
    }

    follow();
    document.addEventListener("themechange", follow);
})();
