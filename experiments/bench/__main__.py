"""Command that runs all or the named benchmarks: `make bench`.

It writes runs/bench/results.json and a plot, and prints a table.

python -m experiments.bench [step demo prompts differences bandwidth linear generation embedding embedding8
    embedding16 encode encode8 encode16 startup smollm2_step smollm2_step_bare smollm2_likelihood
    smollm2_generation smollm2_share]
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console

from dep.utils.progress import stage
from experiments.bench import differences, embedding, generation, prompts, smollm2, startup, step
from experiments.bench.measure import Case, Row, measure
from experiments.bench.table import command, merge, show

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
    "smollm2_step": lambda: smollm2.step(True),
    "smollm2_step_bare": lambda: smollm2.step(False),
    "smollm2_likelihood": smollm2.likelihood,
    "smollm2_generation": smollm2.generation,
    "smollm2_share": smollm2.share,
}


def main(names: Sequence[str], folder: Path, console: Console) -> list[Row]:
    """Run the named benchmarks, or all, and return their rows with those of earlier calls.

    Raises:
        ValueError: a name is unknown, or the two results of a benchmark differ.
    """
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise ValueError(f"bench: expected names among {', '.join(CASES)}, found {unknown[0]!r}")
    device = f"{_processor()}, {torch.get_num_threads()} threads"
    all_rows: list[Row] = []
    for name in names or CASES:
        if name.endswith("16") and not embedding.has_bfloat16():
            console.print(f"{name}: skipped, because this processor has no bfloat16 instructions")
            continue
        case = CASES[name]()
        with stage(name, case.repeats + 1) as advance:
            row = measure(case, device, advance)
        all_rows = merge([row], folder)
    show(all_rows, folder, console)
    return all_rows


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


if __name__ == "__main__":
    sys.exit(command(lambda: main(sys.argv[1:], Path("runs/bench"), Console(soft_wrap=False)), __doc__))
