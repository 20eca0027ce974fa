"""Shows the results of `experiments.study.headroom` as a table and a plot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib import pyplot as plt

from experiments.paper.figures import svg
from experiments.study.page import Section

Row = Mapping[str, Any]
HEADS = ("K", "had K", "own", "stranger's", "own − stranger's (95%)", "own − none (95%)", "prompt tokens")


def section(result: Mapping[str, Any]) -> Section:
    """Return the section with the table and the plot of one headroom.json."""
    rows = [_cells(str(row["past_reviews"]), f"{row['had_all']:,}", row) for row in result["rows"]]
    if result["oppu"]:
        rows.append(_cells("LoRA of each user (OPPU)", "–", result["oppu"]))
    note = (
        "NLL in nats a token of the real review (lower is better), when the prompt shows K past reviews of the user's "
        f"own or of a stranger as text. All rows have the same {result['n']:,} requests of {result['users']:,} users; "
        "one with fewer past reviews shows all it has, and its stranger as many. Intervals are over users."
    )
    if result["left_out"]:
        note += f" For lack of time these were left out: {', '.join(result['left_out'])}."
    return Section("Headroom: what past reviews as text are worth", note, HEADS, rows, _plot(result))


def difference(compared: Mapping[str, float] | None) -> str:
    """Format a paired difference with its interval."""
    if compared is None:
        return "–"
    text = f"{compared['delta']:+.4f} ({compared['low']:+.4f} to {compared['high']:+.4f})"
    return text.replace("-", "−")


def _cells(name: str, had: str, row: Row) -> list[str]:
    stranger = f"{row['stranger']['value']:.4f}" if row["stranger"] else "–"
    differences = (difference(row["own_less_stranger"]), difference(row["own_less_none"]))
    return [name, had, f"{row['own']['value']:.4f}", stranger, *differences, f"{row['prompt_tokens']:,.0f}"]


def _plot(result: Mapping[str, Any]) -> str:
    """Draw NLL over K for own and for a stranger's reviews, with their intervals, and OPPU as a horizontal line."""
    figure, ax = plt.subplots(figsize=(6.5, 3.6))
    for at, (field, label) in enumerate((("own", "the user's reviews"), ("stranger", "a stranger's reviews"))):
        points = [(row["past_reviews"], row[field] or row["own"]) for row in result["rows"]]
        if points:
            x, intervals = zip(*points, strict=True)
            ax.plot(x, [i["value"] for i in intervals], marker="o", label=label, color=f"C{at}")
            ax.fill_between(
                x, [i["low"] for i in intervals], [i["high"] for i in intervals], alpha=0.12, color=f"C{at}"
            )
    if result["oppu"]:
        ax.axhline(result["oppu"]["own"]["value"], color="C2", linestyle="--", label="LoRA of each user (OPPU)")
    ax.set_xscale("symlog", base=2, linthresh=1)
    ticks = [row["past_reviews"] for row in result["rows"]]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set(xlabel="K, past reviews in the prompt", ylabel="NLL ↓")
    ax.legend(frameon=False)
    return svg(figure)
