"""Draws Figure 2 (quality by number of past reviews) and Figure 3 (gain by uniqueness) of the paper as SVG text."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams |= {"svg.hashsalt": "dep", "font.family": "DejaVu Sans", "axes.spines.top": False}
matplotlib.rcParams |= {"axes.spines.right": False, "svg.fonttype": "none", "figure.constrained_layout.use": True}
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from dep.evaluation.metrics import metric_class  # noqa: E402
from dep.evaluation.uniqueness import Group  # noqa: E402
from dep.reporting.tables import title  # noqa: E402
from experiments.paper.cost import Point  # noqa: E402
from experiments.paper.varied import by_value  # noqa: E402

Curve = Sequence[tuple[float, float, float, float]]


def history(results: Mapping[str, Any], metrics: Sequence[str] = ("meteor", "nll")) -> str:
    """Draw Figure 2: each method's value over the number of past reviews K, with its interval as a band."""
    figure, axes = plt.subplots(1, len(metrics), figsize=(9, 3.2))
    position = by_value(results)
    for metric, ax in zip(metrics, axes, strict=True):
        lines: dict[str, list[tuple[int, float, float, float]]] = {}
        for row in results["rows"]:
            if row["arm"] in position and row["category"] == "all" and row["metric"] == metric:
                line, k = position[row["arm"]]
                lines.setdefault(line, []).append((k, row["value"], row["ci_low"], row["ci_high"]))
        for method, points in sorted(lines.items()):
            x, y, low, high = zip(*sorted(points), strict=True)
            ax.plot(x, y, marker="o", label=method)
            ax.fill_between(x, low, high, alpha=0.15)
        ax.set(xlabel="K, past reviews in the prompt", ylabel=title(metric))
        ax.legend(frameon=False)
    return svg(figure)


def cost(points_shown: Sequence[Point], metrics: Sequence[str] = ("nll", "meteor")) -> str:
    """Draw quality against operations per request: a line for each method, a dot for each length of history.

    The axis of quality covers each method's shortest and best history. A point beyond it, where the prompt is longer
    than the LLM can read, is drawn as an arrow at the edge.
    """
    figure, axes = plt.subplots(1, len(metrics), figsize=(9, 4))
    methods = {
        m: [point for point in points_shown if point.method == m] for m in dict.fromkeys(p.method for p in points_shown)
    }
    for metric, ax in zip(metrics, axes, strict=True):
        bottom, top = _limits(methods.values(), metric)
        for at, (method, points) in enumerate(methods.items()):
            x = [point.gflops for point in points]
            y, low, high = zip(*(point.values[metric] for point in points), strict=True)
            ax.plot(x, y, marker="o", label=method, color=f"C{at}")
            ax.fill_between(x, low, high, alpha=0.12, color=f"C{at}")
            for k, point in enumerate(points):
                edge = min(max(y[k], bottom), top)
                if edge != y[k]:
                    marker = "^" if edge == top else "v"
                    ax.plot(x[k], edge, marker=marker, color=f"C{at}", clip_on=False, linestyle="", zorder=3)
                if k in (0, len(points) - 1) or edge != y[k]:
                    below = edge == top
                    ax.annotate(
                        str(point.history), (x[k], edge), xytext=(0, -12 if below else 5), fontsize=7,
                        textcoords="offset points", ha="center", color=f"C{at}",
                    )  # fmt: skip
        ax.set(xscale="log", xlabel="GFLOP a request (log)", ylabel=title(metric), ylim=(bottom, top))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return svg(figure)


def _limits(methods: Collection[Sequence[Point]], metric: str) -> tuple[float, float]:
    """Return limits of the quality axis that include each method's shortest and best history with their intervals."""
    best = max if metric_class(metric).higher_is_better else min
    shown = [best(points, key=lambda point: point.values[metric][0]).values[metric] for points in methods]
    shown += [points[0].values[metric] for points in methods]
    low, high = min(low for _, low, _ in shown), max(high for _, _, high in shown)
    margin = 0.05 * (high - low) or 0.01
    return low - margin, high + margin


def groups(by_method: Mapping[str, Sequence[Group]], metric: str) -> str:
    """Draw Figure 3: each method's gain over Non-Perso for non-unique and unique users, with intervals."""
    figure, ax = plt.subplots(figsize=(5.5, 3.2))
    for at, pair in enumerate(by_method.values()):
        for side, group in enumerate(pair):
            gain, x = group.gain, at + 0.38 * side
            error = [[gain.value - gain.low], [gain.high - gain.value]]
            label = f"{group.name} users" if at == 0 else None
            ax.bar(x, gain.value, 0.34, yerr=error, capsize=3, color=f"C{side}", label=label)
    ax.axhline(0, color="0.3", linewidth=0.8)
    ax.set_xticks([at + 0.19 for at in range(len(by_method))], list(by_method))
    ax.set_ylabel(f"gain in {metric_class(metric).label} over Non-Perso")
    ax.legend(frameon=False)
    return svg(figure)


def curves(by_method: Mapping[str, Curve], metric: str) -> str:
    """Draw each method's gain over Non-Perso as a curve over the users' rank."""
    figure, ax = plt.subplots(figsize=(5.5, 3.2))
    for method, line in by_method.items():
        x, mean, low, high = zip(*line, strict=True)
        ax.plot(x, mean, label=method)
        ax.fill_between(x, low, high, alpha=0.15)
    ax.axhline(0, color="0.3", linewidth=0.8)
    ax.set(
        xlabel="uniqueness: rank of the user's distance to the mean user",
        ylabel=f"gain in {metric_class(metric).label}",
    )
    ax.legend(frameon=False)
    return svg(figure)


def svg(figure: Figure) -> str:
    """Return a figure as SVG text without a date, and close it."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    plt.close(figure)
    return out.getvalue().split("?>", 1)[1].split(">", 1)[1]
