"""Command that shows where a training step on SmolLM2 spends its time: `python -m experiments.bench.step_profile`.

The step is that of the benchmark `smollm2_share`: four prompts with text, whose beginnings are kept. Operations are
counted in one thread, so that processor time is work and not waiting.
"""

from __future__ import annotations

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from experiments.bench import smollm2
from experiments.bench.measure import seconds
from experiments.bench.products import Products

GROUPS = {
    "matrix products of the layers": ("mm", "addmm", "bmm", "linear"),
    "attention, forward": ("_scaled_dot_product_flash_attention_for_cpu",),
    "attention, backward": ("_scaled_dot_product_flash_attention_for_cpu_backward",),
    "copies (concatenation of kept and new keys, layout)": ("cat", "copy_", "clone", "contiguous", "index", "gather"),
}
"""Names of torch's operations by what they are for; all others count as element by element."""
OTHER = "element by element (norms, rotary positions, gates, sums of gradients)"


def group(operation: str) -> str:
    """Return the group of an operation, such as `aten::mm`."""
    name = operation.removeprefix("aten::")
    return next((label for label, names in GROUPS.items() if name in names), OTHER)


def main(console: Console) -> None:
    """Profile one step and print the share of each group of operations."""
    torch.set_num_threads(1)
    step = smollm2.kept_step()
    step()  # the first call computes the beginnings
    with Products() as products:
        step()
    least = seconds(products.replay())
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    spent: dict[str, float] = {}
    for event in profiler.key_averages():
        spent[group(event.key)] = spent.get(group(event.key), 0.0) + event.self_cpu_time_total / 1e6
    total = sum(spent.values())
    table = Table(title=f"A step of {total:.1f} s in one thread", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("operations")
    for name in ("seconds", "share"):
        table.add_column(name, justify="right")
    for label, value in sorted(spent.items(), key=lambda pair: -pair[1]):
        table.add_row(label, f"{value:.2f}", f"{value / total:.0%}")
    console.print(table)
    console.print(
        f"Its {products.gflop:,.0f} GFLOP of products alone take {least:.1f} s ({products.gflop / least:,.0f} GFLOP/s)."
    )


if __name__ == "__main__":
    main(Console(soft_wrap=True))
