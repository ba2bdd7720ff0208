"""The plots of scaling.py's results: python3 scaling_plot.py NAME NAME.json NAME.svg"""
import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "mcpbus", "svg.fonttype": "none", "font.size": 9,
                            "axes.spines.top": False, "axes.spines.right": False})
import matplotlib.pyplot as plt  # noqa: E402

COLOURS = ("#1f6f8b", "#d1603d", "#5b6770", "#9aa5b1", "#7a9e4e")
LABELS = {"accepted": "POST /run accepted", "ended": "jobs ended", "drained": "drain",
          "result": "GET /result", "jobs": "GET /jobs", "jobs_failed": "GET /jobs?status=failed"}


def lines(axes, points, names, style="-"):
    for name, colour in zip(names, COLOURS):
        axes.plot([point["x"] for point in points], [point[name] for point in points], style,
                  marker=".", color=colour, label=LABELS.get(name, name))


def bars(axes, points, names=("accepted", "ended")):
    for place, (name, colour) in enumerate(zip(names, COLOURS)):
        axes.barh([n + place * 0.4 for n in range(len(points))],
                  [point.get(name, 0) for point in points], 0.38, color=colour,
                  label=LABELS.get(name, name))
    axes.set_yticks([n + 0.2 for n in range(len(points))], [point["x"] for point in points])
    axes.invert_yaxis()
    axes.set_xlabel("a second")


def history(axes, points):
    lines(axes, points, ("accepted", "ended", "drained", "result", "jobs"))
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("jobs kept")
    axes.set_ylabel("a second")


def connections(axes, points):
    lines(axes, points, ("accepted", "ended"))
    axes.set_ylim(bottom=0)
    axes.set_xscale("log")
    axes.set_xlabel("connections")
    axes.set_ylabel("a second")
    other = axes.twinx()
    for name, style in (("p50_ms", "--"), ("p99_ms", ":")):
        other.plot([point["x"] for point in points], [point[name] for point in points], style,
                   color="#9aa5b1", label=f"POST /run, {name[:3]}")
    other.set_yscale("log")
    other.set_ylabel("ms")
    other.legend(fontsize=6, frameon=False, loc="upper left")


def held(axes, points):
    for holds, style in ((False, "--"), (True, "-")):
        some = [point for point in points if point["held"] == holds]
        for name, colour in zip(("accepted", "ended"), COLOURS):
            axes.plot([point["x"] for point in some], [point[name] for point in some], style,
                      marker=".", color=colour, label=LABELS[name] + (
                          ", a transaction held open" if holds else ""))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds")
    axes.set_ylabel("a second")


def retention(axes, points):
    bars(axes, points, ("accepted", "swept"))


DRAWINGS = {"history": history, "connections": connections, "replicas": bars, "workers": bars,
            "held": held, "retention": retention}


def draw(name, results, path):
    height = 1.2 + 0.28 * len(results["points"]) if name in ("replicas", "workers") else 3.4
    figure, axes = plt.subplots(figsize=(8, height))
    DRAWINGS[name](axes, results["points"])
    axes.legend(fontsize=6, frameon=False, loc="lower right")
    axes.set_title(" ".join(results["what"].split()), loc="left", fontsize=8)
    machine = results["machine"]
    figure.text(0.01, 0.005, f"{machine['cpu']}, {machine['cores']} cores shared with PostgreSQL"
                f" and the load generator; {results['date']}", fontsize=6, color="#555")
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(sys.argv[1], json.loads(pathlib.Path(sys.argv[2]).read_text()), sys.argv[3])
