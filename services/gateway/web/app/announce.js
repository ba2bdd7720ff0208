/* What a screen reader is told of a run: its newest state, at most every two seconds. The stream
   itself is no live region, for it would be read over and over. */

const PAUSE_MS = 2000;

let waiting = null;
let timer = null;

function speak() {
    timer = null;
    if (waiting === null)
        return;
    document.getElementById("announcer").textContent = waiting;
    waiting = null;
    timer = setTimeout(speak, PAUSE_MS);
}

export function announce(text) {
    waiting = text.slice(0, 400);
    if (timer === null)
        speak();
}
