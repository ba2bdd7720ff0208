"""The plot of a run's results.json: python3 plot.py results.json speed.svg"""
import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "mcpbus", "svg.fonttype": "none", "font.size": 9,
                            "axes.spines.top": False, "axes.spines.right": False})
import matplotlib.pyplot as plt  # noqa: E402

OURS, PEER, OTHER = "#1f6f8b", "#d1603d", "#9aa5b1"
UNITS = {"lone_p50_ms": "ms", "lone_p99_ms": "ms", "memory_mb": "MB", "start_ms": "ms"}


def number(value, name=""):
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text} {UNITS[name]}" if name in UNITS else f"{text}/s"


def draw_ratios(axes, results):
    names = [name for name in results["what"] if name in results.get("ratios", {})][::-1]
    values = [results["ratios"][name] for name in names]
    axes.set_xscale("log")
    axes.barh(range(len(names)), [max(value, 1) - min(value, 1) for value in values], height=0.6,
              left=[min(value, 1) for value in values],
              color=[OURS if value >= 1 else PEER for value in values])
    axes.set_xlim(0.1, max(values, default=1) * 30)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), [results["what"][name] for name in names])
    axes.set_title("times better than FastAPI + Celery + Redis", loc="left")
    for place, (name, value) in enumerate(zip(names, values)):
        axes.text(max(value, 1) * 1.1, place, f"{value:.3g} ×  ({number(results['ours'][name], name)},"
                  f" peer {number(results['peer'][name], name)})", va="center", fontsize=7)


def draw_curve(axes, results):
    for who, colour in (("ours", OURS), ("peer", PEER)):
        figures = results[who]
        points = sorted(int(name[6:]) for name in figures
                        if name.startswith("curve_") and name.count("_") == 1)
        for part, style in (("p50", "-"), ("p90", "--"), ("p99", ":")):
            axes.plot(points, [figures[f"curve_{n}_{part}_ms"] for n in points], style,
                      color=colour, marker=".", label=f"{who}, {part}")
        for n in points:
            axes.annotate(number(figures[f"curve_{n}"]), (n, figures[f"curve_{n}_p50_ms"]),
                          textcoords="offset points", xytext=(0, -9), ha="left", fontsize=6,
                          color=colour)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("connections")
    axes.set_ylabel("ms")
    axes.legend(fontsize=6, ncol=2, frameon=False)
    axes.set_title("POST /run: latency against load (and accepted/s)", loc="left")


def draw_npm(axes, results):
    groups = (("accept", "accept_running"), ("drain", "drain"), ("live", "end_to_end"))
    bars = [("ours, by HTTP", [results["ours"].get(own, 0) for _, own in groups], OURS)]
    shades = ("#5b6770", OTHER, "#c3cad1", "#dfe3e7")
    for (name, figures), shade in zip(results["npm"].items(), shades):
        bars.append((name, [figures[theirs] for theirs, _ in groups], shade))
    width = 0.8 / len(bars)
    for place, (name, values, colour) in enumerate(bars):
        spots = [i + (place - len(bars) / 2 + 0.5) * width for i in range(len(groups))]
        axes.bar(spots, values, width * 0.92, color=colour, label=name)
        for x, value in zip(spots, values):
            axes.text(x, value, f"{value / 1000:.1f}", ha="center", va="bottom", fontsize=6)
    axes.set_xticks(range(len(groups)), ["accepted, 64 callers", "drain", "live"])
    axes.set_ylabel("jobs/s (labels: thousands)")
    axes.legend(fontsize=6, frameon=False)
    axes.set_title("the queue alone, beside npm's (in process, no HTTP)", loc="left")


def draw(results, path):
    panels = [draw_ratios] if results.get("ratios") else []
    if any(name.startswith("curve_") for name in results.get("ours", {})):
        panels.append(draw_curve)
    if results.get("npm") and results.get("ours"):
        panels.append(draw_npm)
    if not panels:
        return
    figure, axes = plt.subplots(len(panels), 1, figsize=(8, 3.4 * len(panels)), squeeze=False)
    for draw_panel, place in zip(panels, axes[:, 0]):
        draw_panel(place, results)
    machine = results["machine"]
    figure.text(0.01, 0.003, f"{machine['cpu']}, {machine['cores']} cores shared with PostgreSQL and"
                f" the load generator; {results['date']}", fontsize=6, color="#555")
    figure.tight_layout(rect=(0, 0.01, 1, 1))
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(json.loads(pathlib.Path(sys.argv[1]).read_text()), sys.argv[2])
