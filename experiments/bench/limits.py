"""How fast embedding could be at all: operations that reviews need, what the processor does a second, where time goes.

    python -m experiments.bench.limits

The largest ratio to be had over calls user by user is (their seconds) / (operations of the real tokens / peak).
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from experiments.bench.embedding import LONGEST, by_encode, by_users, embedder, texts
from experiments.bench.measure import seconds

_ROWS = 8192
"""Of the matrix whose product tells the peak."""


def main(console: Console) -> None:
    """Print the table."""
    users, encode = by_users(), by_encode().alternative
    model = embedder("torch")._model
    shape = model[0].auto_model.config
    lengths = [
        min(LONGEST, len(ids)) for own in texts()[0] for ids in model.tokenizer(own, truncation=False)["input_ids"]
    ]
    real = sum(_operations(shape, length) for length in lengths)
    padded = len(lengths) * _operations(shape, LONGEST)
    with torch.inference_mode():
        peak = max(_product(shape.hidden_size, out) for out in (shape.hidden_size, shape.intermediate_size))
        took = {
            "a call a user, padded": (median(_times(users.alternative)), padded),
            "`encode`, sorted by length": (median(_times(encode)), real),
            "ours, OpenVINO float32": (median(_times(users.ours)), real),
        }
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            users.alternative()
    shown = Table(title=f"{len(lengths)} reviews, {sum(lengths):,} tokens", title_justify="left", box=SIMPLE_HEAD)
    for name in ("", "seconds", "GFLOP", "GFLOP a second", "of the peak"):
        shown.add_column(name, justify="right" if name else "left")
    shown.add_row("a matrix product of the model's shape", "", "", f"{peak / 1e9:,.0f}", "100%")
    for name, (spent, operations) in took.items():
        rate = operations / spent
        shown.add_row(name, f"{spent:.2f}", f"{operations / 1e9:,.0f}", f"{rate / 1e9:,.0f}", f"{rate / peak:.0%}")
    console.print(shown)
    console.print(
        f"at most {took['a call a user, padded'][0] * peak / real:.1f} times as fast as calls user by user, and "
        f"{took['`encode`, sorted by length'][0] * peak / real:.1f} times `encode`, with every operation at the peak"
    )
    every = sum(event.self_cpu_time_total for event in seen.key_averages())
    most = sorted(seen.key_averages(), key=lambda event: -event.self_cpu_time_total)[:4]
    shares = ", ".join(f"{event.key} {event.self_cpu_time_total / every:.0%}" for event in most)
    console.print(f"where the padded calls' time goes: {shares}")


def _operations(shape: object, tokens: int) -> float:
    """Of an encoder of BERT's shape on one text: linear layers, and attention's two products."""
    width, inner, layers = (getattr(shape, name) for name in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    return float(layers * tokens * (2 * (4 * width * width + 2 * width * inner) + 4 * tokens * width))


def _product(width: int, out: int) -> float:
    a, b = torch.randn(_ROWS, width), torch.randn(width, out)
    return 2.0 * _ROWS * width * out / min(_times(lambda: a @ b, 15))


def _times(call: Callable[[], object], calls: int = 3) -> list[float]:
    """Seconds of some calls, after one that warms up."""
    call()
    return [seconds(call) for _ in range(calls)]


if __name__ == "__main__":
    main(Console(soft_wrap=True))
