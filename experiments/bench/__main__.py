"""`make bench`: every benchmark, or those named, into runs/bench/results.json, a table and a plot.

python -m experiments.bench [step demo prompts differences bandwidth linear generation embedding embedding8
    embedding16 encode encode8 encode16 startup]
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from dep.arm import write_text
from dep.progress import stage
from experiments.bench import differences, embedding, generation, prompts, startup, step
from experiments.bench.measure import Case, Row, measure

matplotlib.use("Agg")
from matplotlib import pyplot as plt

CASES: dict[str, Callable[[], Case]] = {
    "step": step.case,
    "demo": step.demo,
    "prompts": prompts.case,
    "differences": differences.against_loop,
    "bandwidth": differences.against_copy,
    "linear": differences.against_fewer,
    "generation": generation.case,
    "embedding": embedding.by_users,
    "embedding8": lambda: embedding.by_users("openvino_int8"),
    "embedding16": lambda: embedding.by_users("openvino", "bfloat16"),
    "encode": embedding.by_encode,
    "encode8": lambda: embedding.by_encode("openvino_int8"),
    "encode16": lambda: embedding.by_encode("openvino", "bfloat16"),
    "startup": startup.case,
}


def main(names: Sequence[str], folder: Path, console: Console) -> list[Row]:
    """Measure the named benchmarks; the rows of others are kept from an earlier call.

    Raises:
        ValueError: a name that there is no benchmark of, or results that differ.
    """
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise ValueError(f"bench: expected names among {', '.join(CASES)}, found {unknown[0]!r}")
    device = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    path = folder / "results.json"
    rows = {row["name"]: Row(**row) for row in json.loads(path.read_text())["rows"]} if path.is_file() else {}
    for name in names or CASES:
        if name.endswith("16") and not embedding.has_bfloat16():
            console.print(f"{name}: left out, as this processor has no units for bfloat16")
            continue
        case = CASES[name]()
        with stage(name, case.repeats + 1) as advance:
            row = measure(case, device, advance)
        rows[row.name] = row
        write_text(path, json.dumps({"rows": [r._asdict() for r in rows.values()]}, indent=1) + "\n")
    console.print(table(list(rows.values())))
    write_text(folder / "ratios.svg", plot(list(rows.values())))
    console.print(f"[bold]bench[/] {path} and {folder / 'ratios.svg'}")
    return list(rows.values())


def table(rows: Sequence[Row]) -> Table:
    """For a terminal."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column("ours, and the alternative", overflow="fold")
    for name in ("a second", "times as fast", "to reach"):
        shown.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        reached = "[green]" if row.ratio_median >= row.goal else "[red]"
        unit = row.unit.removesuffix("/s")
        shown.add_row(
            f"[bold]{row.name}[/]: {row.what}", f"{_short(row.ours)} {unit}",
            f"{reached}{row.ratio_median:,.1f}[/] ({row.ratio_min:,.1f} to {row.ratio_max:,.1f})", f"{row.goal:g}",
        )  # fmt: skip
        shown.add_row(f"  {row.against}", _short(row.alternative), "", "", end_section=True)
    return shown


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def plot(rows: Sequence[Row]) -> str:
    """The ratios as bars on a logarithmic axis, with their range, and what was to be reached as a mark."""
    import io

    figure, ax = plt.subplots(figsize=(8, 0.5 * len(rows) + 1.2), layout="constrained")
    for at, row in enumerate(rows):
        error = [[row.ratio_median - row.ratio_min], [row.ratio_max - row.ratio_median]]
        ax.barh(at, row.ratio_median, xerr=error, capsize=3, color="C0")
        ax.plot([row.goal, row.goal], [at - 0.4, at + 0.4], color="C3", linewidth=2)
    ax.set_yticks(range(len(rows)), [row.name for row in rows])
    ax.invert_yaxis()
    ax.set(xscale="log", xlabel="times as fast as the alternative (red: to reach)")
    out = io.StringIO()
    figure.savefig(out, format="svg")
    plt.close(figure)
    return out.getvalue()


if __name__ == "__main__":
    main(sys.argv[1:], Path("runs/bench"), Console(soft_wrap=False))
