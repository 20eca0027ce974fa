"""The public functions: compute differences of plain tensors, start a run, and read a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dep.utils.atomic_io import read_json, read_rows
from dep.utils.errors import DepError, MissingFile

if TYPE_CHECKING:
    from torch import Tensor


def differences(vectors: Tensor, users: Sequence[str], items: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Compute Eq. 4: each review's vector minus the mean vector of the other users' reviews of the same item.

    Args:
        vectors: [N, E] embeddings, one row for each of N reviews.
        users: N names, the author of each row.
        items: N names, the item of each row.

    Returns:
        diff [N, E] float32, zero where nobody else reviewed the item, and peers [N] int64, the number of other users'
        reviews in the mean.

    Raises:
        DepError: the three arguments differ in length.
    """
    from dep.data.vectors.difference import differences as compute

    return compute(vectors, users, items)


@dataclass(frozen=True)
class Run:
    """The results of a finished run.

    `rows` and `comparisons` are read from results.json.
    """

    folder: Path
    rows: list[dict[str, Any]]
    """One dictionary for each arm, seed, category and metric: the value and its interval."""
    comparisons: list[dict[str, Any]]
    """One dictionary for each compared pair of arms, category and metric: the difference and its paired test."""

    @property
    def report(self) -> Path:
        """Path of the HTML report."""
        return self.folder / "report.html"

    def predictions(self, arm: str, seed: int = 0) -> list[dict[str, Any]]:
        """Read an arm's predictions.

        Args:
            arm: name of an arm of the run.
            seed: one of the run's seeds.

        Returns:
            One dictionary for each test review: its key, the generated text, the real text and its likelihood (`nll`,
            in nats per token).

        Raises:
            MissingFile: the run has no such arm or seed.
        """
        path = self.folder / arm / f"seed{seed}" / "predictions.jsonl"
        if not path.is_file():
            arms = sorted({p.parents[1].name for p in self.folder.glob("*/seed*/predictions.jsonl")})
            raise MissingFile(str(path), "an arm of this run", "none", f"its arms are {', '.join(arms) or 'none'}")
        return read_rows(path)


def load_run(folder: str | Path) -> Run:
    """Read a finished run.

    Args:
        folder: the run's folder, such as `runs/demo`.

    Raises:
        MissingFile: the folder has no results.json.
    """
    path = Path(folder) / "results.json"
    if not path.is_file():
        raise MissingFile(str(path), "the results of a run", "none", "finish it with `dep run`")
    results = read_json(path)
    return Run(Path(folder), results["rows"], results["comparisons"])


def run(configuration: str | Path, *overrides: str) -> Run:
    """Run every stage, as `dep run` does, and read the results.

    Args:
        configuration: path of a YAML file, or its name, such as `demo`.
        overrides: settings as `key=value`.

    Returns:
        The finished run.

    Raises:
        DepError: the configuration is invalid, or an arm failed.
    """
    from rich.console import Console

    from dep.commands.base import Command
    from dep.commands.run import main

    if bad := [word for word in overrides if "=" not in word]:
        raise DepError(repr(bad[0]), "key=value", "a word without =", "write overrides as train.lr=1e-4")
    command = Command("run", [str(configuration)], list(overrides), Console(soft_wrap=True))
    main(command)
    settings, _ = command.configs
    return load_run(Path(settings.runs) / settings.name)
