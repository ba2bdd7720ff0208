/* On the page /auth/callback: takes the token over to /app, when this tab has begun the sign-in
   there (session.js). For everybody else that page stays as it is. */

const PREFIX = "mcpbus-chat-";

function take(name) {
    const value = JSON.parse(sessionStorage.getItem(PREFIX + name));
    sessionStorage.removeItem(PREFIX + name);
    return value;
}

function adopt() {
    const state = new URLSearchParams(location.search).get("state");
    const begun = JSON.parse(sessionStorage.getItem(`${PREFIX}sign-in`));
    if (!state || begun?.state !== state)
        return;
    take("sign-in");
    const token = document.getElementById("token")?.value;
    const problem = document.getElementById("detail")?.textContent;
    sessionStorage.setItem(`${PREFIX}signed-in`, JSON.stringify(token ? { token } : { problem }));
    // Replaced, so that neither the token's page nor the used code stays in the history.
    location.replace(`/app${begun.back}`);
}

try {
    adopt();
} catch {
    // A browser that keeps nothing: the token is on the page.
}
