"""`python -m experiments.serving canaries|load|kill [requests=N] [users=N] [at_once=N] [tokens=N] [adapter=NAME]`.

The adapter is one of the built-in LLM that nobody trained, or, with `adapter=smollm2_english`, that of the package.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from dep.utils.errors import DepError
from dep.utils.progress import quiet
from experiments.serving.canaries import compare
from experiments.serving.kill import kill
from experiments.serving.kill_update import kill_update
from experiments.serving.load import load
from experiments.serving.rate import matrix_rate
from experiments.serving.world import build


def main(words: list[str]) -> None:
    """Run one measurement and print its table."""
    quiet()
    numbers, adapter = {"requests": 1000, "users": 50, "at_once": 16, "tokens": 8}, ""
    names = [word for word in words if "=" not in word]
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name not in (*numbers, "adapter"):
            raise DepError(name, ", ".join((*numbers, "adapter")), "another name")
        if name == "adapter":
            adapter = value
        elif equals:
            numbers[name] = int(value)
    if len(names) != 1 or names[0] not in ("canaries", "load", "kill"):
        raise DepError("experiments.serving", "canaries, load or kill", " ".join(names) or "none")
    if adapter and names[0] == "kill":
        raise DepError(
            "experiments.serving kill", "the built-in LLM, whose run `dep update` reads", f"adapter={adapter}"
        )
    table = Table(title=names[0], title_justify="left", show_header=False)
    with tempfile.TemporaryDirectory() as folder:
        world, home, before = build(Path(folder), adapter), Path(folder), matrix_rate()
        if names[0] == "canaries":
            rows = compare(world, home, numbers["requests"], numbers["users"]).rows()
        elif names[0] == "load":
            rows = load(
                world, home, numbers["requests"], numbers["at_once"], numbers["tokens"], numbers["users"]
            ).rows()
        else:
            found = [asdict(kill(world, home, posts)) for posts in (1, 7, 40)]
            rows = [(name, ", ".join(str(one[name]) for one in found)) for name in found[0]]
            updates = [asdict(kill_update(world, home, batches)) for batches in (1, 2, 3)]
            rows += [(f"dep update: {name}", ", ".join(str(one[name]) for one in updates)) for name in updates[0]]
        rates = ", ".join(f"{rate:.0f}" for rate in (before, matrix_rate()))
        rows.append((f"GFLOP/s of a matrix product before and after, threads: {torch.get_num_threads()}", rates))
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
