"""Builds the table of what each arm (a compared system) costs, for the page, the Markdown file and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADS = {
    "Trained parameters": "trained", "Share of the LLM": "of LLM", "Training, s": "sec.", "Prompt tokens": "tokens",
    "Past reviews": "past", "LLM calls": "calls", "Operations, GFLOP": "GFLOP", "Stored per user, bytes": "bytes",
    "Training for a new user, s": "user s",
}  # fmt: skip
"""For each column of the page its short form in the terminal."""
HEADING = "What each method costs"
NOTE = (
    "Trained parameters and training time include pretraining; the time is in seconds, while other arms may have run. "
    "A request's tokens and LLM calls include those that write a profile. Past reviews: those that all prompts kept, "
    "of those that their requests asked for. Operations are torch's count for reading the request and its real review "
    "once. Stored per user are the texts, vectors and profile that the next request needs. The last column, if any, "
    "is the time to train for one user."
)


def cost_cells(costs: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Format each arm's costs as a row of cells, one for each of `cost_heads`; a cell is empty if nothing was measured.

    Args:
        costs: the costs of each arm by its name, from `dep.pipeline.request_cost.costs`.
    """
    columns = len(cost_heads(costs))
    return {arm: _cells(row)[:columns] for arm, row in costs.items()}


def cost_heads(costs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the columns of these costs: all of `HEADS`, the last only if some method trains for each user."""
    trained = any(row.get("user_seconds") is not None for row in costs.values())
    return dict(list(HEADS.items())[: None if trained else -1])


def _cells(row: Mapping[str, Any]) -> list[str]:
    trains = bool(row["trains"])
    return [
        f"{row['trainable']:,}" if trains else "none",
        f"{100 * row['trainable'] / row['frozen']:.1f}%" if trains else "",
        _format("{:,.0f}", row.get("train_seconds")) if trains else "",
        f"{row['prompt_tokens']:,.0f}",
        _past(row.get("past_reviews")),
        f"{row['calls']:.1f}",
        _format("{:.2f}", row.get("gflops")),
        _format("{:,.0f}", row.get("user_bytes")),
        _format("{:.1f}", row.get("user_seconds")),
    ]


def _past(counts: Mapping[str, int] | None) -> str:
    """Format how many of the requested past reviews are in the prompts."""
    return f"{counts['kept']:,} of {counts['asked']:,}" if counts and counts["asked"] else ""


def _format(form: str, value: float | None) -> str:
    return "" if value is None else form.format(value)
