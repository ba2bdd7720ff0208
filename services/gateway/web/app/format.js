/* Numbers and times as people read them. */

const plain = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const whole = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export function count(number, word) {
    return `${plain.format(number)} ${word}${number === 1 ? "" : "s"}`;
}

export function duration(ms) {
    if (ms < 1000)
        return `${Math.max(0, Math.round(ms))} ms`;
    if (ms < 60000)
        return `${(ms / 1000).toFixed(1)} s`;
    return `${Math.floor(ms / 60000)} min ${Math.round((ms % 60000) / 1000)} s`;
}

/** "14:03" today, else "26 Nov". */
export function when(timestamp) {
    const time = new Date(timestamp);
    if (Number.isNaN(time.getTime()))
        return "";
    return (time.toDateString() === new Date().toDateString() ? clock : day).format(time);
}

export function fullTime(timestamp) {
    const time = new Date(timestamp);
    return Number.isNaN(time.getTime()) ? "" : whole.format(time);
}

export function clockIn(seconds) {
    return new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" })
        .format(Date.now() + seconds * 1000);
}

/** {input_tokens, output_tokens, total_tokens, cost?} as text; null: there is nothing to tell. */
export function usage(tokens) {
    if (!tokens?.total_tokens)
        return null;
    const cost = tokens.cost > 0 ? `, $${tokens.cost.toPrecision(2)}` : "";
    return `${count(tokens.total_tokens, "token")} (${plain.format(tokens.input_tokens)} read, ` +
        `${plain.format(tokens.output_tokens)} written)${cost}`;
}
