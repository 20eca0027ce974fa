"""The public functions: differences on plain tensors, and runs from Python."""

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
    """Eq. 4: each review's vector minus the mean of what the other users wrote about the same item.

    Args:
        vectors: [N, E], one row a review.
        users: author of each row.
        items: item of each row.

    Returns:
        diff [N, E] float32, zero where nobody else reviewed the item; peers [N] int64, how many others did.

    Raises:
        DepError: the three differ in length.
    """
    from dep.data.vectors.difference import differences as of_rows

    return of_rows(vectors, users, items)


@dataclass(frozen=True)
class Run:
    """A finished run.

    `rows` and `comparisons` are those of results.json: every number with its interval, and every paired test.
    """

    folder: Path
    rows: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]

    @property
    def report(self) -> Path:
        """The page for a browser."""
        return self.folder / "report.html"

    def predictions(self, arm: str, seed: int = 0) -> list[dict[str, Any]]:
        """What an arm generated and the likelihood of the real reviews, a dictionary a test review.

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
        folder: as `runs/demo`.

    Raises:
        MissingFile: there are no results.
    """
    path = Path(folder) / "results.json"
    if not path.is_file():
        raise MissingFile(str(path), "the results of a run", "none", "finish it with `dep run`")
    results = read_json(path)
    return Run(Path(folder), results["rows"], results["comparisons"])


def run(configuration: str | Path, *overrides: str) -> Run:
    """Run every stage, as `dep run` does, and read the results.

    Args:
        configuration: a YAML file or its name, as `demo`.
        overrides: `key=value` words.

    Raises:
        DepError: the configuration is wrong, or an arm failed.
    """
    from rich.console import Console

    from dep.commands.base import Command
    from dep.commands.run import main

    if bad := [word for word in overrides if "=" not in word]:
        raise DepError(repr(bad[0]), "key=value", "a word without =")
    command = Command("run", [str(configuration)], list(overrides), Console(soft_wrap=True))
    main(command)
    settings, _ = command.configs
    return load_run(Path(settings.runs) / settings.name)
