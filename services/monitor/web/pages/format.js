/* Numbers, times and sizes as people read them. */

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit",
    second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit",
    minute: "2-digit" });
const whole = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export function count(value) {
    if (!isNumber(value))
        return "–";
    return Math.abs(value) < 100000 ? plain.format(value) : compact.format(value);
}

export function rate(value) {
    if (!isNumber(value))
        return "–";
    if (value === 0)
        return "0";
    if (value < 0.1)
        return value.toFixed(2);
    return value < 10 ? value.toFixed(1).replace(".0", "") : count(value);
}

/** Milliseconds. */
export function duration(ms) {
    if (!isNumber(ms))
        return "–";
    if (ms < 1)
        return "0 ms";
    if (ms < 1000)
        return `${Math.round(ms)} ms`;
    const seconds = ms / 1000;
    if (seconds < 59.95)
        return `${seconds.toFixed(seconds < 10 ? 2 : 1).replace(/\.0+$/, "")} s`;
    const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
    const first = parts.findIndex(([size]) => seconds >= size);
    const [size, unit] = parts[first];
    const rest = Math.floor((seconds % size) / (parts[first + 1]?.[0] ?? 1));
    const next = parts[first + 1];
    return `${Math.floor(seconds / size)} ${unit}${next && rest ? ` ${rest} ${next[1]}` : ""}`;
}

export function bytes(value) {
    if (!isNumber(value))
        return "–";
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let at = 0;
    let rest = value;
    while (rest >= 1024 && at < units.length - 1) {
        rest /= 1024;
        at++;
    }
    return `${at && rest < 10 ? rest.toFixed(1) : Math.round(rest)} ${units[at]}`;
}

export function dollars(value) {
    if (!isNumber(value) || value === 0)
        return isNumber(value) ? "$0" : "–";
    return `$${value < 0.01 ? value.toFixed(5) : value.toFixed(value < 10 ? 3 : 2)}`;
}

/** RFC 3339, seconds or milliseconds since 1970: milliseconds; NaN for what is none. */
export function toMs(value) {
    if (isNumber(value))
        return value < 1e12 ? value * 1000 : value;
    return typeof value === "string" ? Date.parse(value) : NaN;
}

/** The server's clock less ours. */
let skew = 0;

export function setClock(serverNow) {
    const ms = toMs(serverNow);
    if (!Number.isNaN(ms))
        skew = ms - Date.now();
}

export function now() {
    return Date.now() + skew;
}

export function ago(value) {
    const ms = now() - toMs(value);
    if (Number.isNaN(ms))
        return "–";
    if (ms < 2000)
        return "just now";
    if (ms < 60000)
        return `${Math.floor(ms / 1000)} s ago`;
    if (ms < 3600000)
        return `${Math.floor(ms / 60000)} min ago`;
    if (ms < 86400000)
        return `${Math.floor(ms / 3600000)} h ago`;
    return `${Math.floor(ms / 86400000)} d ago`;
}

export function at(value) {
    const ms = toMs(value);
    if (Number.isNaN(ms))
        return "–";
    return (now() - ms < 43200000 ? clock : day).format(ms);
}

export function fullTime(value) {
    const ms = toMs(value);
    return Number.isNaN(ms) ? "" : whole.format(ms);
}

export function plural(number, word, many = `${word}s`) {
    return `${count(number)} ${number === 1 ? word : many}`;
}
