"""Command that checks that a change moves no result: `python -m experiments.same <commit>` (`make same REF=<commit>`).

It runs a fixed set of small jobs on the code of the commit and on a copy of the working tree and compares all numbers:
predictions and scores byte by byte; results, adapters' tensors, training curves, costs and the probe value by value.
The outputs of a commit are cached in cache/same/<commit>.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from safetensors import safe_open

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / "cache" / "same"
SMALL = ["source.users=40", "source.circles=2", "seeds=[0]", "wandb=disabled"]
"""Overrides of every job, valid for both versions of the code."""


class Job(NamedTuple):
    """A `dep` command; all jobs of one version share a cache."""

    name: str
    words: list[str]


JOBS = (
    Job("demo", ["run", "conf/demo.yaml"]),
    Job("ablation", ["run", "conf/ablation.yaml", "arms=[his_notext,dep_ae]", "compare=[dep_ae - his_notext]"]),
    Job("profile", ["run", "conf/table1.yaml", "arms=[rag,dpl]", "compare=[dpl - rag]"]),
    Job("user_llm", ["run", "conf/table1.yaml", "arms=[user_llm,user_llm_cross]", "compare=[]"]),
    Job("probe", ["probe", "conf/demo.yaml"]),
    Job("report", ["report", "conf/demo.yaml"]),
)
"""The job `report` writes the report of the job `demo` again from its scores."""

_NAMES = {
    "soft_prompt.source.": "soft_prompt.adapter.", "adapter.encoder.his_": "adapter.encoder.standardizer.",
    "adapter.his_": "adapter.standardizers.his.", "adapter.diff_": "adapter.standardizers.diff.",
}  # fmt: skip
"""Earlier part of trained tensors' names -> present part."""
_ADDED = ("asked", "kept")
"""Fields of predictions that later commits added."""
_CURVES = ("train_", "val_", "lr")
"""Prefixes of the columns of metrics.csv that are compared; speeds are not."""
_COSTS = ("gflops", "kv_bytes", "user_bytes")


def main(argv: Sequence[str]) -> int:
    """Run the jobs of both versions and compare; returns 0 if all jobs are equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ref", help="the commit that the working tree is compared with")
    parser.add_argument(
        "--keep", action="store_true", help="keep the outputs of the working tree, to look at a difference"
    )
    args = parser.parse_args(argv)
    commit = _git("rev-parse", "--verify", f"{args.ref}^{{commit}}")
    console = Console(soft_wrap=True)
    before = _outputs(commit, console)
    after = _outputs(None, console)
    table = Table(title=f"Working tree against {commit[:12]}", title_justify="left")
    for name in ("job", "values compared", "outcome"):
        table.add_column(name)
    different = 0
    examples: list[str] = []
    for job in JOBS:
        new, old = dict(values(after / job.name)), dict(values(before / job.name))
        changed = [key for key in old | new if old.get(key) != new.get(key)]
        different += bool(changed) or not old
        outcome = f"{len(changed)} differ, e.g. {changed[0]}" if changed else "equal" if old else "nothing to compare"
        table.add_row(job.name, f"{len(old):,}", outcome)
        examples += [
            f"  {job.name}: {key}: {old.get(key, 'absent')} before, {new.get(key, 'absent')} after"
            for key in changed[:10]
        ]
    console.print(table)
    for line in examples:
        console.print(line)
    if not args.keep:
        subprocess.run(["rm", "-rf", str(after)], check=True)
    console.print("equal for all jobs" if not different else f"{different} of {len(JOBS)} jobs differ")
    return int(bool(different))


def _outputs(commit: str | None, console: Console) -> Path:
    """Return the folder of one version's outputs and run the jobs that are missing; None is the working tree."""
    jobs_digest = hashlib.sha256(json.dumps([JOBS, SMALL]).encode()).hexdigest()[:8]
    home = HOME / (f"{commit[:12]}-{jobs_digest}" if commit else "working-tree")
    if commit is None:
        subprocess.run(["rm", "-rf", str(home)], check=True)
    done = home / "done"
    tree = home / "tree"
    tree.mkdir(parents=True, exist_ok=True)
    if not done.exists():
        _check_out(commit, tree)
    for job in JOBS:
        folder = home / job.name
        if (folder / "finished").exists():
            continue
        console.print(f"{commit[:12] if commit else 'working tree'}: dep {' '.join(job.words)}", markup=False)
        words = [
            *job.words,
            *SMALL,
            f"runs={home / 'runs'}",
            f"cache={home / 'cache'}",
            f"source.folder={home / 'worlds'}",
        ]
        name = "demo" if job.name == "report" else job.name
        log = home / f"{job.name}.log"
        with log.open("w") as file:
            code = subprocess.run(
                [sys.executable, "-m", "dep.cli", *words, f"name={name}"], cwd=tree, stdout=file, stderr=file,
                env=os.environ | {"PYTHONPATH": str(tree), "DEP_TRACEBACK": "1"} | _wordnet(), check=False,
            ).returncode  # fmt: skip
        if code:
            console.print(log.read_text()[-3000:], highlight=False, markup=False)
            raise SystemExit(f"dep {' '.join(words)} ended with exit code {code} in {tree}; its log is {log}")
        _copy_compared(home / "runs" / name, folder)
        (folder / "finished").touch()
    if commit is not None:
        done.touch()
    return home


def _wordnet() -> dict[str, str]:
    """Return the environment variable that names this tree's WordNet, for copies of the tree that have none."""
    fetched = ROOT / ".cache" / "wordnet"
    return {"DEP_WORDNET": str(fetched)} if fetched.is_dir() else {}


def _check_out(commit: str | None, tree: Path) -> None:
    """Write the files of a commit, or the tracked and untracked files of the working tree, to `tree`."""
    if commit is not None:
        archive = subprocess.Popen(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE)
        with tarfile.open(fileobj=archive.stdout, mode="r|") as tar:
            tar.extractall(tree, filter="data")
        archive.wait()
        return
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())


def _copy_compared(run: Path, folder: Path) -> None:
    """Copy the files that are compared, because a later job may overwrite them."""
    patterns = ("*.json", "*.jsonl", "*.csv", "*.safetensors", "report.md")
    for path in (path for pattern in patterns for path in run.rglob(pattern)):
        if "wandb" not in path.parts and "checkpoints" not in path.parts:
            target = folder / path.relative_to(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())


def values(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of everything that has to be equal; the name says where the value is from."""
    names = _arm_names(folder)
    for path in sorted(folder.rglob("*")):
        where = str(path.relative_to(folder))
        if path.name in ("predictions.jsonl", "scores.jsonl"):
            for at, line in enumerate(path.read_text("utf-8").splitlines()):
                row = {name: value for name, value in json.loads(line).items() if name not in _ADDED}
                yield f"{where}:{at}", json.dumps(row)
        elif path.suffix == ".safetensors":
            yield from _tensors(where, path)
        elif path.name == "metrics.csv":
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    yield from (
                        (f"{where}:{row['step']}:{column}", value)
                        for column, value in row.items()
                        if value and column.startswith(_CURVES)
                    )
        elif path.name == "cost.json":
            costs = json.loads(path.read_text("utf-8"))
            yield from ((f"{where}:{name}", costs[name]) for name in _COSTS)
        elif path.name == "probe.json":
            yield where, json.loads(path.read_text("utf-8"))
        elif path.name == "results.json":
            yield from _results(json.loads(path.read_text("utf-8")), names)
        elif path.name == "showcase.json":
            for example in json.loads(path.read_text("utf-8")):
                for name, text in example["predictions"].items():
                    yield f"showcase:{example['key']}:{names.get(name, name)}", text
                yield f"showcase:{example['key']}:peers", [row["text"] for row in example["peer_reviews"]]


def _arm_names(folder: Path) -> dict[str, str]:
    """Return label -> name of all arms, for results of earlier versions, which are keyed by label."""
    run = folder / "run.json"
    labels = json.loads(run.read_text("utf-8")).get("labels", {}) if run.is_file() else {}
    return {label: name for name, label in labels.items()}


def _results(results: dict[str, Any], names: dict[str, str]) -> Iterator[tuple[str, Any]]:
    for row in results["rows"]:
        arm = row.get("arm") or names[row["method"]]
        value = [row[name] for name in ("value", "ci_low", "ci_high", "n")]
        yield f"results:{arm}:{row['category']}:{row['metric']}:{row['seed']}", value
    for row in results["comparisons"]:
        a, b = (names.get(row[side], row[side]) for side in ("a", "b"))
        value = [row[name] for name in ("delta", "ci_low", "ci_high", "p", "n")]
        yield f"comparison:{a} - {b}:{row['category']}:{row['metric']}", value


def _tensors(where: str, path: Path) -> Iterator[tuple[str, Any]]:
    with safe_open(path, "np") as file:
        for name in file.keys():  # noqa: SIM118  # no mapping
            tensor = file.get_tensor(name)
            present_name = name
            for earlier, present in _NAMES.items():
                present_name = present_name.replace(earlier, present)
            digest = hashlib.sha256(tensor.tobytes()).hexdigest()
            yield f"{where}:{present_name}", [list(tensor.shape), str(tensor.dtype), digest]


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
