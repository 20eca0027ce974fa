"""Command that prints the upper limit of the speed of embedding: `python -m experiments.bench.limits`.

It counts the operations of the reviews' real tokens, measures the processor's peak rate and shows where time is spent.
The largest possible speed-up over an alternative is (its seconds) / (operations of the real tokens / peak). The peak is
the faster of torch's and OpenVINO's matrix product with the model's shapes, in each precision.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from experiments.bench.embedding import LONGEST, by_encode, by_users, embedder, has_bfloat16, texts
from experiments.bench.measure import seconds

_ROWS = 2048
"""Rows of the matrix whose product gives the peak: eight texts at the token limit."""
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


def main(console: Console) -> None:
    """Measure and print the table."""
    users = by_users()
    model = embedder("torch")._model
    shape = model[0].auto_model.config
    lengths = [
        min(LONGEST, len(ids))
        for user_texts in texts()[0]
        for ids in model.tokenizer(user_texts, truncation=False)["input_ids"]
    ]
    real = sum(_operations(shape, length) for length in lengths)
    padded = len(lengths) * _operations(shape, LONGEST)
    table = Table(title=f"{len(lengths)} reviews, {sum(lengths):,} tokens", title_justify="left", box=SIMPLE_HEAD)
    for name in ("", "seconds", "GFLOP", "GFLOP a second", "of the peak"):
        table.add_column(name, justify="right" if name else "left")
    slowest, limits = 0.0, []
    for dtype in ["float32", *(["bfloat16"] if has_bfloat16() else [])]:
        encode = by_encode(dtype=dtype)
        calls = {"`encode`, sorted by length": (encode.alternative, real), "ours, by OpenVINO": (encode.ours, real)}
        if dtype == "float32":
            calls = {"a call a user, padded": (users.alternative, padded)} | calls
        with torch.inference_mode():
            peak = max(_peak(shape.hidden_size, out, dtype) for out in (shape.hidden_size, shape.intermediate_size))
            timed = {name: (median(_times(call)), operations) for name, (call, operations) in calls.items()}
        table.add_row(f"[bold]{dtype}[/]: a matrix product of the model's shape", "", "", f"{peak / 1e9:,.0f}", "100%")
        for name, (spent, operations) in timed.items():
            rate = operations / spent
            table.add_row(name, f"{spent:.2f}", f"{operations / 1e9:,.0f}", f"{rate / 1e9:,.0f}", f"{rate / peak:.0%}")
        slowest = slowest or timed["a call a user, padded"][0]
        least = real / peak
        limits.append(
            f"{dtype}: at most {slowest / least:.1f} times as fast as calls user by user in float32, and "
            f"{timed['`encode`, sorted by length'][0] / least:.1f} times as fast as `encode` in {dtype}"
        )
    console.print(table)
    console.print("if all operations of the real tokens ran at the peak rate\n" + "\n".join(limits))
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU]) as profiler:
        users.alternative()
    total = sum(event.self_cpu_time_total for event in profiler.key_averages())
    largest = sorted(profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)[:4]
    shares = ", ".join(f"{event.key} {event.self_cpu_time_total / total:.0%}" for event in largest)
    console.print(f"the padded calls spend their time in: {shares}")


def _operations(shape: object, tokens: int) -> float:
    """Return the operations of a BERT-shaped encoder on one text: linear layers and attention's two products."""
    width, inner, layers = (getattr(shape, name) for name in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    return float(layers * tokens * (2 * (4 * width * width + 2 * width * inner) + 4 * tokens * width))


def _peak(width: int, out: int, dtype: str) -> float:
    """Return the operations per second of [rows, width] x [width, out] by the faster library."""
    a, b = (torch.randn(size, dtype=getattr(torch, dtype)) for size in ((_ROWS, width), (width, out)))
    calls: list[Callable[[], object]] = [lambda: a @ b, _by_openvino(a.float(), b.float(), dtype)]
    return 2.0 * _ROWS * width * out / min(min(_times(call, 25)) for call in calls)


def _by_openvino(a: torch.Tensor, b: torch.Tensor, dtype: str) -> Callable[[], object]:
    import openvino
    from openvino import opset13 as ops

    x = ops.parameter(list(a.shape), dtype=openvino.Type.f32)
    product = openvino.Model([ops.matmul(x, ops.constant(b.numpy()), False, False)], [x])
    hints: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": _HINTS[dtype],
    }  # fmt: skip
    request = openvino.Core().compile_model(product, "CPU", hints).create_infer_request()
    request.infer({0: a.numpy()})
    return request.infer


def _times(call: Callable[[], object], calls: int = 3) -> list[float]:
    """Return the seconds of several calls, after one warm-up call."""
    call()
    return [seconds(call) for _ in range(calls)]


if __name__ == "__main__":
    main(Console(soft_wrap=True))
