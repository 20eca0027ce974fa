"""What there is to be won: the NLL of the real review by the number of past reviews that the prompt shows as text.

`python -m experiments.study.headroom conf/smollm2.yaml [conf/data/NAME.yaml] [key=value ...] [--plan]`

Each number K of past reviews is measured twice on the same requests: with the user's own reviews (`rag`) and with those
of another user (`rag_stranger`). Their difference is what the LLM learns about the user from text; the rest of the gain
over K = 0 is what any reviews would give. The arm `oppu` (a LoRA for each user) is a further row. The settings are
`headroom.past_reviews` (the numbers K) and `headroom.minutes` (a K that would exceed them is left out).
Results are runs/<name>/headroom.json, .html and .md; finished parts are not repeated.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.markup import escape

from dep.config.loader import load, load_arms
from dep.config.schema import RunConfig
from dep.evaluation.significance import mean_interval, paired
from dep.models.backbones.cost import architecture
from dep.models.backbones.geometry import position_limit
from dep.pipeline.arm import Arm
from dep.pipeline.builders import build_data
from dep.pipeline.plan import show
from dep.pipeline.resources import Resources
from dep.pipeline.run_lock import run_lock
from dep.pipeline.scheduler import check_arms, run_arms
from dep.pipeline.store import ArmStore
from dep.utils import progress
from dep.utils.atomic_io import read_rows, write_json
from dep.utils.errors import DepError, is_mendable
from experiments.study import page
from experiments.study.headroom_report import section

_ROWS_AT_ONCE = 32
"""Past reviews in a batch: long prompts are read a few at a time."""


@dataclass(frozen=True)
class Headroom:
    """Settings of the measurement."""

    past_reviews: list[int] = field(default_factory=lambda: [0, 1, 2, 4, 8, 16])
    """The numbers K of past reviews, each measured on all requests; one with fewer past reviews shows all it has."""
    minutes: float = 20.0
    """How long one call may measure; a K that would take longer than what is left is left out, with all above."""


def measure(
    files: Sequence[str], overrides: Sequence[str], settings: Headroom, console: Console, plan: bool = False
) -> Path | None:
    """Measure, and write headroom.json and its pages; return the path of the JSON file, or None after a plan.

    Raises:
        DepError: an invalid configuration, or reviews or models that are missing.
    """
    base = load(files, overrides)
    words = ["arms=[rag,rag_stranger]", "compare=[]", "evaluate.texts=false", f"name={base.name}_headroom"]
    if (limit := position_limit(architecture(base.backbone))) is not None:
        words.append(f"prompt.max_input_tokens={limit - base.prompt.max_target_tokens}")
    counts = sorted(set(settings.past_reviews))
    run, configs = load_arms(files, [*overrides, *words, f"vary={{prompt.history: {counts}}}"])
    configs.pop("rag_stranger@history=0", None)  # equal to rag@history=0
    configs = {name: _for_long_prompts(config) for name, config in configs.items()}
    oppu = load_arms(files, [*overrides, *words[1:], "arms=[oppu]"])[1]
    progress.quiet()
    resources = Resources(run, console)
    if plan:
        show(resources, run, {**configs, **oppu}, console)
        return None
    arms = {arm.name: arm for arm in resources.arms({**configs, **oppu}, run.seeds[:1])}
    check_arms(list(arms.values()), ["train", "generate"])
    with run_lock(Path(run.runs) / run.name):
        left_out = _run(resources, arms, counts, 60 * settings.minutes)
    measured = {name: read_rows(arm.folder / "predictions.jsonl") for name, arm in arms.items() if name not in left_out}
    folder = Path(run.runs) / base.name
    result = {"run": base.name, "backbone": base.backbone.name_or_path, **summarise(measured, counts)}
    result["left_out"] = left_out
    write_json(folder / "headroom.json", result)
    shown = section(result)
    page.write(folder, "headroom", f"Headroom of {base.name}", [shown])
    console.print(shown.terminal())
    console.print(shown.note)
    console.print(f"[bold]headroom[/] {folder / 'headroom.json'}")
    return folder / "headroom.json"


def _for_long_prompts(config: RunConfig) -> RunConfig:
    """Read a few long prompts at a time, and keep no beginnings, which would be gigabytes. This changes no number."""
    size = min(config.evaluate.batch_size, max(1, _ROWS_AT_ONCE // max(1, config.prompt.history)))
    backbone = replace(config.backbone, keep_prefixes=False)
    return replace(config, backbone=backbone, evaluate=replace(config.evaluate, batch_size=size))


def _run(resources: Resources, arms: Mapping[str, Arm], counts: Sequence[int], seconds: float) -> list[str]:
    """Run the arms of one K after another as long as the time allows; return the names of those that were left out."""
    left_out: list[str] = []
    read_s, read_tokens = 0.0, 0
    for count in counts:
        both = [arms[name] for name in (f"rag@history={count}", f"rag_stranger@history={count}") if name in arms]
        pending = [arm for arm in both if not _is_done(arm)]
        tokens = sum(_tokens(resources, arm) for arm in pending)
        expected_s = read_s / read_tokens * tokens if read_tokens else 0.0
        if pending and (left_out or read_s + expected_s > seconds):
            left_out += [arm.name for arm in both]
            continue
        started = time.monotonic()
        run_arms(resources, both, ["generate"])
        if pending:
            read_s, read_tokens = read_s + time.monotonic() - started, read_tokens + tokens
    if "oppu" in arms:
        if read_s > seconds and not _is_done(arms["oppu"]):
            return [*left_out, "oppu"]
        run_arms(resources, [arms["oppu"]], ["train", "generate"])
    return left_out


def _is_done(arm: Arm) -> bool:
    return ArmStore(arm).finished("generate") or ArmStore(arm).is_cached("generate")


def _tokens(resources: Resources, arm: Arm) -> int:
    data = build_data(resources, arm)
    prompts = data.prompts(arm.method.transform_test_requests(data.requests("test"), arm.seed))
    return sum(len(prompts[at].ids) + len(prompts[at].target) for at in range(len(prompts)))


def summarise(measured: Mapping[str, Sequence[Mapping[str, Any]]], counts: Sequence[int]) -> dict[str, Any]:
    """Compare own and strangers' reviews for each K, paired by request, with intervals over users.

    Args:
        measured: the rows of predictions.jsonl by arm: `rag@history=K`, `rag_stranger@history=K`, and maybe `oppu`.
        counts: the numbers K; one whose arm is missing has no row.

    Returns:
        `n` requests, `users`, `rows` (one for each K), `oppu` (a row or None), and each request's NLL in `requests`.
    """
    tables = {name: {str(row["key"]): row for row in rows} for name, rows in measured.items()}
    first = next(iter(tables.values()))
    keys, users = list(first), [str(row["user"]) for row in first.values()]

    def nll(name: str) -> list[float]:
        return [float(tables[name][key]["nll"]) for key in keys]

    def compared(a: str, b: str) -> dict[str, float] | None:
        return paired(nll(a), nll(b), users)._asdict() if {a, b} <= tables.keys() else None

    def row(name: str, stranger: str) -> dict[str, Any]:
        return {
            "own": mean_interval(nll(name), users)._asdict(),
            "stranger": mean_interval(nll(stranger), users)._asdict() if stranger in tables else None,
            "own_less_stranger": compared(name, stranger),
            "own_less_none": compared(name, "rag@history=0") if name != "rag@history=0" else None,
            "prompt_tokens": fmean(tables[name][key]["prompt_tokens"] for key in keys),
        }

    rows: list[dict[str, Any]] = []
    requests: list[dict[str, Any]] = [{"key": key, "user": user} for key, user in zip(keys, users, strict=True)]
    for count in counts:
        own, stranger = f"rag@history={count}", f"rag_stranger@history={count}"
        if own not in tables:
            continue
        had = sum(tables[own][key]["kept"] == count for key in keys)
        rows.append({"past_reviews": count, "had_all": had, **row(own, stranger)})
    for name in tables:
        for request, value in zip(requests, nll(name), strict=True):
            request[name] = value
    oppu = row("oppu", "") if "oppu" in tables else None
    return {"n": len(keys), "users": len(set(users)), "rows": rows, "oppu": oppu, "requests": requests}


def settings_of(words: Sequence[str], below: Mapping[str, Any] | None = None) -> Headroom:
    """Return the settings from words such as `headroom.minutes=5`, over those in `below`.

    Raises:
        DepError: there is no such setting, or its value has the wrong type.
    """
    own = OmegaConf.from_dotlist([word.removeprefix("headroom.") for word in words if word.startswith("headroom.")])
    try:
        settings = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Headroom), dict(below or {}), own))
    except OmegaConfBaseException as error:
        names = "headroom.past_reviews=[0,8] or headroom.minutes=20"
        raise DepError("headroom", names, str(error).splitlines()[0]) from error
    assert isinstance(settings, Headroom)
    return settings


def main(words: Sequence[str]) -> int:
    """Run the command; return the exit code: 0, or 2 for a mistake of the user."""
    console = Console(soft_wrap=True)
    files = [word for word in words if "=" not in word and word != "--plan"]
    overrides = [word for word in words if "=" in word and not word.startswith("headroom.")]
    try:
        measure(files, overrides, settings_of(words), console, plan="--plan" in words)
    except Exception as error:
        if not is_mendable(error):
            raise
        console.print(f"[bold red]error[/] {escape(str(error))}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
