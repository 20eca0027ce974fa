"""Measures how long a Personalizer with SmolLM2 takes to its first text, and prints a table.

    python -m experiments.first_text

The model is warm: it has answered a request before (`Personalizer.warm_up`). CPU seconds are those of all threads.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

import torch

import dep


class Row(NamedTuple):
    """One measured request."""

    asked: str
    tokens: int
    """Number of tokens of the prompt."""
    seconds: float
    """Seconds until the stream yields its first piece."""
    cpu: float
    """CPU seconds of all threads until then."""


def measured(p: dep.Personalizer, asked: str, ask: dep.Ask) -> Row:
    """Measure the first piece of a request's text."""
    start, cpu = time.perf_counter(), time.process_time()
    stream = p.stream(replace(ask, max_new_tokens=4))
    next(stream)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    for _ in stream:
        pass
    return Row(asked, p.prompt_tokens(ask), seconds, cpu)


def past(count: int, name: str) -> list[dep.PastReview]:
    """Return past reviews of about 30 words, with two peers each."""
    text = "strings that I never sleep without. " + "It sounds soft. " * 4
    return [
        dep.PastReview(
            f"{name} harp {number}", f"{name} {number}: {text}", 5.0,
            peers=[f"The {name} strings {number} are thin.", f"{name} {number} arrived late."],
        )
        for number in range(count)
    ]  # fmt: skip


def rows(p: dep.Personalizer) -> list[Row]:
    """Measure requests of new and of known users."""
    p.warm_up()
    first, other = dep.Ask(past(4, "Golden"), item="A drum", rating=4.0, title="Loud"), past(4, "Silver")
    return [
        measured(p, "a new user with one past review", replace(first, history=past(1, "Wooden"))),
        measured(p, "a new user with four past reviews", first),
        measured(p, "another new user with four past reviews", replace(first, history=other)),
        measured(p, "the same user, another item", replace(first, item="A horn")),
        measured(p, "the same user and item, another rating", replace(first, item="A horn", rating=1.0)),
    ]


def main() -> None:
    """Load the packaged adapter of SmolLM2 and print the table."""
    start = time.perf_counter()
    p = dep.Personalizer.from_pretrained("smollm2_english")
    print(f"loaded in {time.perf_counter() - start:.1f} s, {torch.get_num_threads()} threads\n")
    print("| request | prompt, tokens | first text, s | CPU, s |\n|---|---|---|---|")
    for row in rows(p):
        print(f"| {row.asked} | {row.tokens} | {row.seconds:.2f} | {row.cpu:.2f} |")


if __name__ == "__main__":
    main()
