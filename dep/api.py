"""The public functions: compute differences of plain tensors, start a run, and read a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dep.utils.atomic_io import read_json, read_rows
from dep.utils.errors import DepError, MissingFile

if TYPE_CHECKING:
    from torch import Tensor

    from dep.pipeline.run_data import RunData
    from dep.pipeline.user_gains import Gains


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

    `rows` and `comparisons` are read from results.json, and the rest from the run's other files when it is asked for:

        run = dep.load_run("runs/demo")
        run.labels                                  # the label of each arm by its name
        run.nll("dep")                              # one value; `rows` has all metrics with their intervals
        run.scores("dep"), run.predictions("dep")   # one dictionary for each test review
        run.gains(["rag", "dep"]).halves("dep")     # what users gain
        run.data.vectors("Books").diff_NE           # reviews, vectors, test requests
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

    @cached_property
    def labels(self) -> dict[str, str]:
        """The label of each arm by the arm's name, in the order of the run."""
        return {row["arm"]: str(row["label"]) for row in self.rows}

    @property
    def costs(self) -> dict[str, dict[str, Any]]:
        """The costs of each arm by its name; `dep.pipeline.request_cost.costs` documents the keys."""
        costs: dict[str, dict[str, Any]] = read_json(self.folder / "run.json")["costs"]
        return costs

    @cached_property
    def data(self) -> RunData:
        """The run's reviews, vectors and test requests."""
        from dep.pipeline.run_data import RunData

        return RunData(self.folder)

    def gains(self, arms: Sequence[str], baseline: str = "non_perso", metric: str = "nll") -> Gains:
        """Compute what each user gains from some arms, averaged over the user's test reviews and the seeds.

        Args:
            arms: names of arms of the run.
            baseline: name of the arm that gains are measured against.
            metric: a column of scores.jsonl; not `bleu`, which is no mean over reviews.

        Raises:
            MissingFile: the run has no such arm.
        """
        from dep.pipeline.user_gains import Gains, user_gains

        return Gains(metric, user_gains(self.folder, arms, baseline, metric))

    def nll(self, arm: str, category: str = "all") -> float:
        """Return an arm's negative log likelihood of the real reviews, in nats per token: the mean over its seeds.

        Raises:
            DepError: the run has no such arm or category.
        """
        found = [r["value"] for r in self.rows if (r["arm"], r["category"], r["metric"]) == (arm, category, "nll")]
        if not found:
            raise DepError(f"NLL of {arm} in {category}", f"one of the arms {', '.join(self.labels)}", "none")
        return float(sum(found) / len(found))

    def scores(self, arm: str, seed: int = 0) -> list[dict[str, Any]]:
        """Read an arm's scores: one dictionary for each test review, with its key, user and value of each metric.

        Raises:
            MissingFile: the run has no such arm or seed.
        """
        return self._read(arm, seed, "scores.jsonl")

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
        return self._read(arm, seed, "predictions.jsonl")

    def _read(self, arm: str, seed: int, name: str) -> list[dict[str, Any]]:
        path = self.folder / arm / f"seed{seed}" / name
        if not path.is_file():
            arms = sorted({p.parents[1].name for p in self.folder.glob(f"*/seed*/{name}")})
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
