"""Shared parts of the smoke tests: a very small configuration of conf/arms.yaml, and one finished run of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dep import cli
from dep.pipeline import request_cost

CONF = Path(__file__).resolve().parents[2] / "conf"
SMALL = [
    "source.users=16", "source.circles=2", "source.items_per_circle=12", "protocol.targets_used=1",
    "protocol.test_examples=9", "protocol.val_examples=4", "evaluate.n_boot=40", "generate.max_new_tokens=24",
    "generate.progress=false", "train.progress=false", "seeds=[0]", "threads=0", "wandb=disabled",
    "compressor.latent=64",
]  # fmt: skip
COMPARED = ("results.json", "predictions.jsonl", "scores.jsonl", "adapter.safetensors")


@pytest.fixture(scope="session", autouse=True)
def _costs_of_two_requests() -> Iterator[None]:
    """Measure an arm's costs on two requests: on eight that takes longer than to answer all requests of a small run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request_cost, "_SAMPLE", 2)
        yield


@pytest.fixture(scope="session")
def conf() -> Path:
    """Return the folder of the configurations."""
    return CONF


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Return the overrides that make a run small."""
    return list(SMALL)


@pytest.fixture(scope="session")
def run() -> Callable[..., int]:
    """Return a function that runs a verb on the small conf/arms.yaml in a folder and returns the exit code."""

    def call(folder: Path, verb: str = "run", *overrides: str) -> int:
        with contextlib.chdir(folder):
            return cli.main([verb, str(CONF / "arms.yaml"), *SMALL, *overrides])

    return call


@pytest.fixture(scope="session")
def outputs() -> Callable[[Path], dict[str, bytes]]:
    """Return a function that reads the files of all runs in a folder that must not depend on how they were made."""

    def read(folder: Path) -> dict[str, bytes]:
        paths = (path for path in sorted((folder / "runs").rglob("*")) if path.name in COMPARED)
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}

    return read


@pytest.fixture(scope="session")
def finished(made_once: Callable[..., Path], run: Callable[..., int]) -> Path:
    """Return a folder in which all arms of the small conf/arms.yaml have been run; tests may add runs to it."""

    def fill(folder: Path) -> None:
        assert run(folder) == 0

    return made_once("finished", fill)
