/* The three charts of the overview, and how far back they look. */
import { get } from "/pages/api.js";
import { Chart } from "/pages/chart.js";
import { h, mark } from "/pages/dom.js";
import { count, duration, plural, rate } from "/pages/format.js";

const SPANS = [[900, "15 min"], [3600, "1 h"], [21600, "6 h"], [86400, "24 h"], [604800, "7 d"],
    [2592000, "30 d"]];
const NAMES = { 900: "15 minutes", 3600: "hour", 21600: "6 hours", 86400: "24 hours",
    604800: "7 days", 2592000: "30 days" };

/** How long the charts may be old: a month doesn't change within seconds. */
const refreshMs = (span) => (span <= 3600 ? 3000 : span <= 21600 ? 10000 : 60000);

/** Columns over all steps of the span that are over: those that the server left out had nothing.
    The one that still lasts counts in sums alone: as a point it would look like a fall. */
function columns(answer, span) {
    const { step, now: end } = answer;
    const first = Math.floor((end - span) / step) * step + step;
    const points = new Map((answer.points ?? []).map((point) => [point.at, point]));
    const times = [];
    for (let time = first; time + step <= end; time += step)
        times.push(time);
    const of = (pick, missing) => times.map((time) => {
        const point = points.get(time);
        return point ? pick(point) ?? missing : missing;
    });
    return { times, of, points: [...points.values()].filter((point) => point.at >= first) };
}

const sum = (points, key) => points.reduce((all, point) => all + (point[key] ?? 0), 0);
const most = (values) => values.reduce((max, value) => Math.max(max, value ?? 0), 0);

/** Per second where there are many, else per minute: 0.02 a second says nothing to anybody. */
function throughput(chart, data, step, range, span) {
    const ended = ["completed", "failed", "cancelled"].map((key) => sum(data.points, key));
    const per = (key) => data.of((point) => (point[key] ?? 0) / step, 0);
    const values = ["completed", "failed", "cancelled", "submitted"].map(per);
    const quiet = most(values.flat()) < 1;
    chart.setUnit(quiet);
    chart.set([data.times, ...values.map((column) =>
        (quiet ? column.map((value) => value * 60) : column))], ...range,
    `In the last ${NAMES[span]} ${plural(ended[0], "job")} completed, ${count(ended[1])} failed, ` +
        `${count(ended[2])} cancelled.`);
}

function latency(chart, data, range) {
    const of = (kind, key) => data.of((point) => point[kind]?.[key] ?? null, null);
    const values = [of("total", "p50"), of("total", "p95"), of("total", "p99"), of("wait", "p50"),
        of("wait", "p95")];
    const worst = most(values[1]);
    chart.set([data.times, ...values], ...range, worst
        ? `In the worst step 95 of 100 jobs took up to ${duration(worst)} from submission to the ` +
            `end, of that up to ${duration(most(values[4]))} waiting.`
        : "No job ended in this time.");
}

function depth(chart, data, range) {
    // Of a queue that stays empty nothing is written; what is written without it was not looked at.
    const known = (key) => data.of((point) => point[key] ?? NaN, 0)
        .map((value) => (Number.isNaN(value) ? null : value));
    const [queued, running] = [known("queued"), known("running")];
    chart.set([data.times, queued, running], ...range,
        `Whenever it was looked at, at most ${count(most(queued))} waited and ` +
        `${count(most(running))} ran.`);
}

function makeCharts() {
    let unit = "/s";
    const jobs = new Chart("Throughput", [
        { label: "completed", colour: "--good", fill: true }, { label: "failed", colour: "--bad" },
        { label: "cancelled", colour: "--quiet" },
        { label: "submitted", colour: "--accent", dash: [4, 4] },
    ], (value) => (typeof value === "number" ? `${rate(value)}${unit}` : "–"));
    jobs.setUnit = (perMinute) => {
        unit = perMinute ? "/min" : "/s";
    };
    const times = new Chart("Time to the result", [
        { label: "half", colour: "--accent", fill: true }, { label: "95 %", colour: "--violet" },
        { label: "99 %", colour: "--bad" },
        { label: "waiting, half", colour: "--quiet", dash: [4, 4] },
        { label: "waiting, 95 %", colour: "--warn", dash: [4, 4] },
    ], duration);
    const queue = new Chart("Queue", [
        { label: "waiting", colour: "--warn", fill: true },
        { label: "running", colour: "--accent" },
    ], count, true);
    return { jobs, times, queue };
}

function spanSwitch(span, choose) {
    return h("div", { class: "choices", role: "group", "aria-label": "Time shown" },
        SPANS.map(([seconds, label]) => h("button", { type: "button", "data-span": seconds,
            "aria-pressed": seconds === span, on: { click: () => choose(seconds) } }, label)));
}

/** params: span, seconds. refresh() asks the server when what is shown is old enough. */
export function charts(params, signal) {
    const asked = Number(params.get("span"));
    let span = SPANS.some(([seconds]) => seconds === asked) ? asked : 900;
    let fresh = 0;
    const all = makeCharts();
    const choices = spanSwitch(span, async (seconds) => {
        span = seconds;
        fresh = 0;
        history.replaceState(null, "", `#/?span=${seconds}`);
        for (const button of choices.children)
            mark(button, "aria-pressed", Number(button.dataset.span) === seconds);
        await refresh().catch(() => {
            // The poll tells of a lost connection.
        });
    });
    const element = h("section", { class: "stack", "aria-label": "Over time" },
        h("div", { class: "row spread" }, h("h2", {}, "Over time"), choices),
        h("div", { class: "charts" }, all.jobs.element, all.times.element, all.queue.element));

    async function refresh() {
        if (Date.now() - fresh < refreshMs(span))
            return;
        const wanted = span;
        const answer = await get(`/api/stats?span=${wanted}`, signal);
        if (wanted !== span)
            return;
        fresh = Date.now();
        const data = columns(answer, wanted);
        const range = [answer.now - wanted, answer.now];
        throughput(all.jobs, data, answer.step, range, wanted);
        latency(all.times, data, range);
        depth(all.queue, data, range);
    }

    signal.addEventListener("abort", () => Object.values(all).forEach((chart) => chart.destroy()));
    return { element, refresh };
}
