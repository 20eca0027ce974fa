"""The sweep of experiments/wandb_sweep.yaml without a server: `python -m experiments.sweep --trials 20`.

Optuna proposes, `dep train` trains, the best validation value of the arm is the score; test examples are never asked.
Trials are kept in runs/sweep/trials.db: the same command goes on where it was, and an adapter that was trained before
is taken from the cache.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from dep import cli

SPACE = Path(__file__).with_name("wandb_sweep.yaml")


def propose(trial: optuna.Trial, parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A value for each parameter, from W&B's description of it.

    Raises:
        ValueError: a distribution that is neither a list of values nor (log-)uniform.
    """
    found: dict[str, Any] = {}
    for name, given in parameters.items():
        kind = given.get("distribution", "categorical" if "values" in given else "uniform")
        if kind == "categorical":
            found[name] = trial.suggest_categorical(name, list(given["values"]))
        elif kind in ("uniform", "log_uniform_values"):
            found[name] = trial.suggest_float(name, given["min"], given["max"], log=kind != "uniform")
        else:
            raise ValueError(f"{name}: expected values, uniform or log_uniform_values, found {kind!r}")
    return found


def best_value(arm: Path, metric: str, goal: str) -> float:
    """The best validation value in the metrics of an arm's training, all seeds averaged."""
    values = []
    for path in sorted(arm.glob("seed*/metrics.csv")):
        with path.open(newline="") as file:
            column = [float(row[metric]) for row in csv.DictReader(file) if row.get(metric)]
        values.append(min(column) if goal == "minimize" else max(column))
    if not values:
        raise FileNotFoundError(f"{arm}: no metrics.csv with {metric}; the training of this trial did not end")
    return sum(values) / len(values)


def sweep(space: Mapping[str, Any], runs: Path, trials: int, overrides: Sequence[str], console: Console) -> Any:
    """Run trials until `trials` are finished, counting those of earlier calls.

    Args:
        space: W&B's sweep file.
        runs: folder of runs.
        trials: how many in all.
        overrides: `key=value` for every trial.
        console: where the table goes.
    """
    (runs / "sweep").mkdir(parents=True, exist_ok=True)
    metric, goal = space["metric"]["name"], space["metric"]["goal"]
    verb, file, *fixed = [word for word in space["command"][1:] if not word.startswith(("wandb=", "${"))]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="dep", storage=f"sqlite:///{runs / 'sweep' / 'trials.db'}", load_if_exists=True, direction=goal,
        sampler=optuna.samplers.TPESampler(seed=len(overrides)),
    )  # fmt: skip

    def objective(trial: optuna.Trial) -> float:
        words = [f"{name}={value}" for name, value in propose(trial, space["parameters"]).items()]
        name = f"sweep/trial{trial.number}"
        code = cli.main([verb, file, *fixed, f"runs={runs}", f"name={name}", *overrides, *words])
        if code:
            raise optuna.TrialPruned(f"dep {verb} ended with {code}")
        return best_value(runs / name / "dep", metric, goal)

    finished = sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials)
    study.optimize(objective, n_trials=max(0, trials - finished))
    console.print(_table(study, metric))
    return study


def _table(study: Any, metric: str) -> Table:
    done = [trial for trial in study.trials if trial.value is not None]
    if not done:
        raise ValueError("no trial was finished; what went wrong stands above, and the same command tries again")
    done.sort(key=lambda trial: trial.value, reverse=study.direction.name == "MAXIMIZE")
    table = Table(title=f"{len(done)} trials, best first")
    for name in ("trial", metric, *done[0].params):
        table.add_column(name, justify="right")
    for trial in done[:10]:
        table.add_row(str(trial.number), f"{trial.value:.4f}", *(f"{value:.4g}" for value in trial.params.values()))
    return table


def main(argv: Sequence[str]) -> None:
    """Parse and sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20, help="finished trials in all, those of earlier calls too")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    args = parser.parse_intermixed_args(argv)
    space = OmegaConf.to_container(OmegaConf.load(SPACE))
    assert isinstance(space, dict)
    sweep(space, args.runs, args.trials, args.overrides, Console(soft_wrap=True))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1:])
