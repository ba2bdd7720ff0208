/* A chart over time (uPlot) with what it needs to be read without eyes or a mouse: a sentence, a
   table, a legend of buttons. */
import uPlot from "/vendor/uplot.js";
import { Table, h, mark, say } from "/pages/dom.js";
import { at } from "/pages/format.js";

const HEIGHT = 200;
const ROWS = 24;

/** A custom property as a colour that a canvas understands. */
function colour(element, name, alpha = 1) {
    const probe = element.ownerDocument.createElement("span");
    probe.hidden = true;
    probe.style.setProperty("color", alpha < 1
        ? `color-mix(in srgb, var(${name}) ${alpha * 100}%, transparent)` : `var(${name})`);
    element.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
}

const INTEGERS = [1, 2, 5].flatMap((n) => [0, 1, 2, 3, 4, 5, 6, 7, 8].map((e) => n * 10 ** e))
    .sort((a, b) => a - b);

/** series: [{label, colour: "--good", fill?, dash?}]; format(value): text; whole: values are
    integers, and a step that is not known lies between two that are. */
export class Chart {
    constructor(title, series, format, whole = false) {
        this.whole = whole;
        this.series = series;
        this.format = format;
        this.visible = series.map(() => true);
        this.hovered = null;
        this.data = null;
        this.plot = null;
        this.sentence = h("p", { class: "muted small" });
        this.canvas = h("div", { class: "plot", role: "img" });
        this.legend = h("div", { class: "legend", role: "group", "aria-label": `Lines: ${title}` },
            series.map((one, i) => this.legendButton(one, i)));
        this.table = new Table(`${title} as a table`, [
            { head: "Time", of: (row) => at(row[0]), rowHead: true },
            ...series.map((one, i) => ({
                head: one.label, num: true, of: (row) => format(row[i + 1]),
            })),
        ], (row) => row[0], "Nothing in this time.");
        this.details = h("details", { on: { toggle: () => this.fillTable() } },
            h("summary", { class: "small" }, "As a table"), this.table.element);
        this.element = h("figure", { class: "card chart" }, h("figcaption", {},
            h("h3", {}, title), this.sentence), this.canvas, this.legend, this.details);
        this.title = title;
        this.observer = new ResizeObserver(() => this.resize());
        this.observer.observe(this.canvas);
        this.repaint = () => this.rebuild();
        document.addEventListener("themechange", this.repaint);
    }

    legendButton(one, i) {
        const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
        swatch.style.setProperty("--swatch", `var(${one.colour})`);
        if (one.dash)
            swatch.classList.add("dashed");
        this.values ??= [];
        this.values[i] = h("span", { class: "num" });
        return h("button", { type: "button", class: "plain small", "aria-pressed": "true", on: {
            click: (event) => {
                this.visible[i] = !this.visible[i];
                mark(event.currentTarget, "aria-pressed", this.visible[i]);
                this.plot?.setSeries(i + 1, { show: this.visible[i] });
            } } }, swatch, one.label, this.values[i]);
    }

    /** data: [seconds, values of the first series, …]; from, to: what the axis spans. */
    set(data, from, to, sentence) {
        this.data = data;
        this.range = [from, to];
        say(this.sentence, sentence);
        mark(this.canvas, "aria-label", `Chart. ${this.title}: ${sentence}`);
        this.fillTable();
        if (this.plot)
            this.plot.setData(data);
        else
            this.rebuild();
        this.showValues();
    }

    rebuild() {
        this.plot?.destroy();
        this.plot = null;
        const width = this.canvas.clientWidth;
        if (!this.data || width === 0)
            return;
        this.plot = new uPlot(this.options(width), this.data, this.canvas);
    }

    options(width) {
        const font = "12px system-ui, sans-serif";
        const axis = {
            stroke: colour(this.canvas, "--text-2"), font,
            grid: { stroke: colour(this.canvas, "--line"), width: 1 },
            ticks: { stroke: colour(this.canvas, "--line"), width: 1, size: 4 },
        };
        return {
            width, height: HEIGHT, padding: [8, 12, 0, 0],
            legend: { show: false },
            cursor: { sync: { key: "mcpbus" }, drag: { x: false, y: false }, y: false },
            scales: {
                x: { range: () => this.range },
                y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] },
            },
            axes: [
                { ...axis, size: 30, space: 70, values: (_, splits) => this.times(splits) },
                { ...axis, size: 62, space: 40, ...(this.whole ? { incrs: INTEGERS } : {}),
                    values: (_, splits) => splits.map((value) => this.format(value)) },
            ],
            series: [{}, ...this.series.map((one, i) => ({
                label: one.label, show: this.visible[i], width: 2, spanGaps: this.whole,
                stroke: colour(this.canvas, one.colour), dash: one.dash,
                fill: one.fill ? colour(this.canvas, one.colour, 0.15) : undefined,
                points: { show: () => false, size: 6, filter: () => this.lonely(i) },
            }))],
            hooks: { setCursor: [(plot) => {
                this.hovered = plot.cursor.idx ?? null;
                this.showValues();
            }] },
        };
    }

    /** Steps with nothing on either side have no line: they are shown as points. */
    lonely(i) {
        const values = this.data[i + 1];
        const is = (at) => values[at] !== null && values[at] !== undefined;
        const found = values.map((_, at) => at)
            .filter((at) => is(at) && !is(at - 1) && !is(at + 1));
        return !this.whole && found.length ? found : null;
    }

    times(splits) {
        const long = this.range[1] - this.range[0] > 86400;
        const form = new Intl.DateTimeFormat("en-GB", long
            ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit" });
        let before = null;
        return splits.map((seconds) => {
            const text = form.format(seconds * 1000);
            const same = text === before;
            before = text;
            return same ? "" : text;
        });
    }

    resize() {
        const width = this.canvas.clientWidth;
        if (!this.plot)
            this.rebuild();
        else if (width && width !== this.plot.width)
            this.plot.setSize({ width, height: HEIGHT });
    }

    /** Under the pointer, else the newest. */
    showValues() {
        if (!this.data)
            return;
        const at = this.hovered ?? this.data[0].length - 1;
        this.series.forEach((_, i) => {
            const value = this.data[i + 1][at];
            say(this.values[i], value === null || value === undefined ? "" : this.format(value));
        });
    }

    fillTable() {
        if (!this.details.open || !this.data)
            return;
        const every = Math.max(1, Math.ceil(this.data[0].length / ROWS));
        const rows = this.data[0].map((_, i) => this.data.map((column) => column[i]))
            .filter((row, i) => i % every === 0 || i === this.data[0].length - 1)
            .filter((row) => row.slice(1).some((value) => value !== null));
        this.table.set(rows.reverse());
    }

    destroy() {
        this.observer.disconnect();
        document.removeEventListener("themechange", this.repaint);
        this.plot?.destroy();
    }
}
