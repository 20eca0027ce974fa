"""`dep cost` prints what each arm costs per request and training example; it needs no weights.

An arm is one system of a comparison with its settings.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dep.commands.base import Command
from dep.config.schema import RunConfig
from dep.models.backbones.cost import CARDS, architecture, estimate, kv_bytes, reading_flops, training_flops
from dep.models.backbones.geometry import parameters
from dep.pipeline.arm import Arm
from dep.pipeline.backbone_check import check_backbones
from dep.pipeline.resources import Resources
from dep.pipeline.workload import arm_load, example_counts, trained_parameters

_UNITS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_COLUMNS = ("arm", "trained", "tokens", "read", "train", "KV", "GB")


def main(command: Command) -> None:
    """Print the cost of every arm, computed from the backbone's architecture."""
    _, configs = command.configs
    for warning in check_backbones(configs):
        command.console.print(f"[yellow]warning[/] {escape(warning)}", highlight=False)
    show(command.resources, configs, command.console)


def show(resources: Resources, configs: Mapping[str, RunConfig], console: Console) -> None:
    """Print a table with a line for each arm, and explain how its columns are computed."""
    counts, source = example_counts(resources)
    title = f"What the arms of {resources.config.name} cost"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "arm" else "right", no_wrap=True)
    for name, config in configs.items():
        arm = Arm(name, config, 0, "")
        shape, load, trained = architecture(config.backbone), arm_load(resources, arm, counts), trained_parameters(arm)
        length = load.prompt + load.target
        cost = estimate(config.backbone, load, CARDS[0], trained)
        table.add_row(
            name, short(trained) if trained else "-", f"{load.prompt:.0f} + {load.target:.0f}",
            short(reading_flops(shape, length, load.target)),
            short(training_flops(shape, length, load.target)) if trained else "-",
            short(kv_bytes(shape, load.prompt, 2)),
            f"{cost.train_gb:.1f}, {cost.generate_gb:.1f}" if trained else f"{cost.generate_gb:.1f}",
        )  # fmt: skip
    console.print(table)
    total = parameters(architecture(resources.config.backbone)).total
    console.print(
        f"The LLM has {short(total)} parameters. Tokens: mean lengths of prompt + review. Read: operations "
        "of a forward pass over both. Train: operations of a forward and backward pass, without the saving from the "
        "prompts' shared prefix. KV: bytes of the prompt's keys and values. GB: memory to train, and to generate, in "
        "bfloat16, including 1.5 GB for the CUDA context."
    )
    console.print(source)


def short(value: float) -> str:
    """Format a number with three digits and a metric prefix, as in `7.62G`."""
    for size, letter in _UNITS:
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
