"""Lets a trained adapter from a folder answer a run's requests, with the users' own vectors and with a stranger's.

The adapter keeps the prompt, compressor, projector, embedder, differences and backbone of its training; reviews, their
split, generation and metrics are those of the run. The answers are made by the stages of a run and cached by content,
so that an interrupted call continues.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dep.config.loader import from_dict
from dep.config.schema import RunConfig, as_dict
from dep.judging.finished_run import FinishedRun
from dep.judging.prediction_file import Answers
from dep.models.adapters import ADAPTERS
from dep.pipeline.arm import Arm
from dep.pipeline.content import backbone_identity
from dep.pipeline.resources import Resources
from dep.pipeline.stages.generate import generate
from dep.pipeline.stages.vectors import embed
from dep.utils.atomic_io import read_json, read_rows
from dep.utils.errors import DepError, MissingFile

_OF_TRAINING = (
    "soft_prompt", "compressor", "projector", "prompt", "backbone", "embedder", "retriever", "difference",
)  # fmt: skip
_VECTORS = ("own", "others")


@dataclass(frozen=True)
class AdapterAnswers:
    """What an adapter answered."""

    own: Answers
    stranger: Answers | None
    """The answers with another user's vectors; None for an adapter that reads none."""
    text: bool
    """Whether its prompts hold the texts of past reviews."""
    same_backbone: bool
    """Whether it was trained on the run's language model, so that likelihoods can be compared."""


def answer(run: FinishedRun, folder: Path, work: Path) -> AdapterAnswers:
    """Let an adapter answer all requests of a run.

    Args:
        run: the run.
        folder: the adapter's folder, with adapter_config.json and adapter.safetensors.
        work: the folder for the files of this work.

    Raises:
        MissingFile: a file of the adapter is missing.
        DepError: its backbone or embedder is not the one that it was trained with.
    """
    facts = read_json(folder / "adapter_config.json")
    if not facts or not (folder / "adapter.safetensors").is_file():
        raise MissingFile(
            str(folder), "adapter_config.json and adapter.safetensors", "a folder without them",
            "name the folder of a trained arm, as runs/demo/dep/seed0, or a file of predictions",
        )  # fmt: skip
    configs = {name: _config(run, facts, folder, work, name) for name in _VECTORS}
    resources = Resources(configs["own"], run.resources.console)
    arms = {name: Arm(name, config, facts["seed"], resources.fingerprint) for name, config in configs.items()}
    if arms["own"].needs_vectors:
        embed(resources, configs)
    if not ADAPTERS.component(arms["own"].configured[1].adapter).depends_on_user:
        del arms["others"]
    answers = {}
    for name, arm in arms.items():
        generate(resources, arm)
        rows = {row["key"]: row for row in read_rows(arm.folder / "predictions.jsonl")}
        if absent := run.requests.keys() - rows.keys():
            raise DepError(f"{arm.folder}: expected the run's requests, found none for {min(absent)}")
        answers[name] = {facts["seed"]: [rows[key] for key in run.requests]}
    same = backbone_identity(arms["own"].config) == backbone_identity(run.config)
    return AdapterAnswers(answers["own"], answers.get("others"), arms["own"].configured[0].text, same)


def _config(run: FinishedRun, facts: Mapping[str, Any], folder: Path, work: Path, vectors: str) -> RunConfig:
    """Return the run's configuration with the adapter's settings, for arms whose folders are in `work`."""
    values = as_dict(run.config) | {name: facts["config"][name] for name in _OF_TRAINING}
    values["method"] = {"kind": "trained", "adapter": str(folder.resolve()), "vectors": vectors}
    values |= {"warm_start": "", "vary": {}, "compare": [], "arms": [], "wandb": "disabled"}
    if (folder / "embedder.safetensors").is_file():
        values["embedder"]["fitted"] = str(folder.resolve())
    return replace(from_dict(values), runs=str(work.parent), name=work.name)
