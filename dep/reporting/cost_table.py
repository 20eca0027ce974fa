"""What each method was given, as the page, the Markdown and the terminal show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADS = {
    "Trained parameters": "trained", "Share of the LLM": "of LLM", "Training, s": "sec.", "Prompt tokens": "tokens",
    "LLM calls": "calls", "Operations, GFLOP": "GFLOP", "Kept a user, bytes": "bytes",
}  # fmt: skip
"""Column of the page -> its short form in the terminal."""
LEAD = (
    "Trained counts what was learned in pretraining too, and so does its time (in seconds, beside other arms). A "
    "request's tokens and calls count those that write a profile. Operations are torch's count of reading the request "
    "and its real review once. Kept are the texts, vectors and profile of a user that the next request needs."
)


def given(costs: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """A cell for each of `HEADS` by arm name; empty where nothing was measured.

    Args:
        costs: as `dep.pipeline.request_cost.costs` makes them.
    """
    return {arm: _cells(row) for arm, row in costs.items()}


def _cells(row: Mapping[str, Any]) -> list[str]:
    trains = bool(row["trains"])
    return [
        f"{row['trainable']:,}" if trains else "none",
        f"{100 * row['trainable'] / row['frozen']:.1f}%" if trains else "",
        _format("{:,.0f}", row.get("train_seconds")) if trains else "",
        f"{row['prompt_tokens']:,.0f}",
        f"{row['calls']:.1f}",
        _format("{:.2f}", row.get("gflops")),
        _format("{:,.0f}", row.get("user_bytes")),
    ]


def _format(form: str, value: float | None) -> str:
    return "" if value is None else form.format(value)
