"""Command that runs the sweep of experiments/wandb_sweep.yaml without a server.

    python -m experiments.sweep --trials 20

Optuna proposes values, `dep train` trains, and the arm's best validation value is the score. Test examples are not
used. Trials are stored in runs/sweep/trials.db, so the same command continues an interrupted sweep. An adapter that was
trained before comes from the cache.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from dep import cli
from experiments.validation import best_value

SPACE = Path(__file__).with_name("wandb_sweep.yaml")


def propose(trial: optuna.Trial, parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Propose a value for each parameter of a W&B sweep file.

    Raises:
        ValueError: a distribution is neither a list of values nor (log-)uniform.
    """
    values: dict[str, Any] = {}
    for name, parameter in parameters.items():
        kind = parameter.get("distribution", "categorical" if "values" in parameter else "uniform")
        if kind == "categorical":
            values[name] = trial.suggest_categorical(name, list(parameter["values"]))
        elif kind in ("uniform", "log_uniform_values"):
            values[name] = trial.suggest_float(name, parameter["min"], parameter["max"], log=kind != "uniform")
        else:
            raise ValueError(f"{name}: expected values, uniform or log_uniform_values, found {kind!r}")
    return values


def sweep(space: Mapping[str, Any], runs: Path, trials: int, overrides: Sequence[str], console: Console) -> Any:
    """Run trials until `trials` of them have finished, including those of earlier calls.

    Args:
        space: content of the W&B sweep file.
        runs: folder of runs.
        trials: total number of finished trials.
        overrides: `key=value` for every trial.
        console: console for the table.

    Returns:
        The Optuna study.
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
            raise optuna.TrialPruned(f"dep {verb} ended with exit code {code}")
        return best_value(runs / name / "dep", metric, goal)

    finished = sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials)
    study.optimize(objective, n_trials=max(0, trials - finished))
    console.print(_table(study, metric))
    return study


def _table(study: Any, metric: str) -> Table:
    done = [trial for trial in study.trials if trial.value is not None]
    if not done:
        raise ValueError("no trial finished; see the error above, and run the same command to try again")
    done.sort(key=lambda trial: trial.value, reverse=study.direction.name == "MAXIMIZE")
    table = Table(title=f"{len(done)} trials, best first")
    for name in ("trial", metric, *done[0].params):
        table.add_column(name, justify="right")
    for trial in done[:10]:
        table.add_row(str(trial.number), f"{trial.value:.4f}", *(f"{value:.4g}" for value in trial.params.values()))
    return table


def main(argv: Sequence[str]) -> None:
    """Parse the command line and run the sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--trials", type=int, default=20, help="total number of finished trials, including earlier calls"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    args = parser.parse_intermixed_args(argv)
    space = OmegaConf.to_container(OmegaConf.load(SPACE))
    assert isinstance(space, dict)
    sweep(space, args.runs, args.trials, args.overrides, Console(soft_wrap=True))  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1:])
