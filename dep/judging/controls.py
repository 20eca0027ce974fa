"""Finds the controls of a run: the arms that tell what the gain of a judged system is made of.

An arm is one system of a run, with its settings. An arm's part follows from its configuration, not from its name or
label.

    part             the arm                                              what a gain over it shows
    non_perso        knows nothing of the user                            the whole gain
    rag              shows past reviews as text to an untrained LLM       what texts alone do not give
    constant         trained, with the same soft tokens for every user    what training alone does not give
    stranger         gets another user's vectors at test time             that it matters whose vectors are given
    peers            is trained on differences from another item's peers  that it matters who the peers are
    stranger_texts   RAG with another user's past reviews                 that it matters whose texts are shown
    own              the run's own method, DEP as the run configures it   that a system is better than ours
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dep.config.words import read_yaml

Part = Literal["non_perso", "rag", "constant", "stranger", "peers", "stranger_texts", "own"]

PARTS: dict[Part, str] = {
    "non_perso": "Non-Perso", "rag": "RAG", "constant": "a constant prompt", "stranger": "a stranger's vectors",
    "peers": "wrong peers", "stranger_texts": "a stranger's texts", "own": "the run's own method",
}  # fmt: skip
"""Each part with its name in sentences."""
ARM_OF: dict[Part, str] = {
    "non_perso": "non_perso", "rag": "rag", "constant": "constant", "stranger": "shuffled", "peers": "other_peers",
}  # fmt: skip
"""The arm in conf/arm that has a part; a report names the parts in here that a run lacks."""
_ONLY_TEXT = ("non_perso", "rag")
"""Parts that do not depend on whether DEP's prompt shows texts."""


@dataclass(frozen=True)
class RunArm:
    """An arm of a finished run."""

    name: str
    label: str
    part: Part | None
    """Its part as a control; None for any other arm."""
    text: bool
    """Whether its prompts hold the texts of past reviews."""
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Missing:
    """A part that no arm of the run has."""

    part: Part
    words: str
    """The part's name in sentences."""
    arm: str
    """The arm that has it."""


def arms_of(folder: Path, labels: Mapping[str, str]) -> list[RunArm]:
    """Return the arms of a run in the order of its results.

    Args:
        folder: the run's folder.
        labels: the label of each arm by its name.
    """
    run = read_yaml(folder / "config.yaml")
    found = []
    for name, label in labels.items():
        seeds = sorted(int(path.parent.name.removeprefix("seed")) for path in folder.glob(f"{name}/seed*/scores.jsonl"))
        config = folder / name / f"seed{seeds[0]}" / "config.yaml" if seeds else folder
        if seeds and config.is_file():
            values = read_yaml(config)
            found.append(RunArm(name, label, part_of(values, run), _text(values), tuple(seeds)))
    return found


def part_of(arm: Mapping[str, Any], run: Mapping[str, Any]) -> Part | None:
    """Return the part of an arm, from its configuration and the run's, both as plain values whose leaves are texts."""
    method = arm["method"]
    kind, wrong = method["kind"], arm["difference"]["weighting"] == "other_item"
    if kind in ("non_perso", "rag", "constant"):
        return kind
    if kind == "rag_stranger":
        return "stranger_texts"
    if kind == "shuffled":
        return "stranger" if method.get("of", "dep") == "dep" and not wrong else None
    if kind == "trained" and method["vectors"] == "others":
        return "stranger"
    if kind == "dep" and wrong:
        return "peers"
    plain = all(arm[section] == run[section] for section in ("compressor", "difference", "soft_prompt"))
    return "own" if kind in ("dep", "trained") and plain else None


def chosen(arms: list[RunArm], text: bool) -> dict[Part, RunArm]:
    """Choose an arm for each part that the run has, in the order of `PARTS`.

    Args:
        arms: the run's arms.
        text: whether the judged system reads texts of past reviews; an arm that does the same is preferred, and among
            those the arm with the usual name.
    """
    found: dict[Part, RunArm] = {}
    for part in PARTS:
        having = [arm for arm in arms if arm.part == part]
        usual = {ARM_OF.get(part, "dep"), f"{ARM_OF.get(part, 'dep')}_notext"}
        if having:
            found[part] = min(having, key=lambda arm: (arm.text != text, arm.name not in usual))
    return found


def missing(arms: list[RunArm], text: bool) -> list[Missing]:
    """Return the parts that the run lacks, of those that every judgement needs.

    Args:
        arms: the run's arms.
        text: whether the judged system reads texts of past reviews.
    """
    suffix = "" if text else "_notext"
    absent = [part for part in ARM_OF if all(arm.part != part for arm in arms)]
    return [Missing(part, PARTS[part], ARM_OF[part] + ("" if part in _ONLY_TEXT else suffix)) for part in absent]


def command_with(run: Mapping[str, Any], arms: list[str], lacking: list[Missing]) -> str:
    """Return the command that adds the missing arms to a run; results that exist are not computed again.

    Args:
        run: the content of run.json.
        arms: the names of the run's arms, as its configuration lists them.
        lacking: what is missing.
    """
    if not lacking:
        return ""
    words = f"arms=[{','.join([*arms, *(part.arm for part in lacking)])}]"
    typed = [
        word for word in shlex.split(run.get("command") or "dep run CONFIGURATION") if not word.startswith("arms=")
    ]
    typed[1] = "run"  # the run may have ended with `dep report`
    return shlex.join([*typed, words])


def _text(arm: Mapping[str, Any]) -> bool:
    prompt = arm["prompt"]
    kind = arm["method"]["kind"]
    return kind.startswith("rag") or (kind != "non_perso" and str(prompt["text"]).lower() == "true")
