"""Kept beginnings of prompts in a whole run: the same results as without, and safe against kills. Trained adapters."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dep import cli
from dep.inference.prefix_store import PrefixStore

BASE = [
    "arms=[rag,dep_notext]", "compare=[]", "prompt.slots=late", "source.users=8", "generate.max_new_tokens=4",
    "train.epochs=1", "train.warm_start_epochs=0", "evaluate.metrics.names=[rouge1]", "embedder={kind: style, dim: 8}",
]  # fmt: skip
KEPT = [*BASE, "backbone.keep_prefixes=true"]


def rows(folder: Path, arm: str = "dep_notext") -> dict[str, Any]:
    lines = (folder / "runs/arms" / arm / "seed0/predictions.jsonl").read_text().splitlines()
    return {row["key"]: row for row in map(json.loads, lines)}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, run: Callable[..., int]) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    assert run(folder, "run", *BASE) == 0
    return folder


def test_an_interrupted_run_continues_with_what_was_kept_and_ends_with_the_results_of_one_that_keeps_nothing(
    tmp_path: Path, plain: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    put, calls = PrefixStore._put, []

    def interrupted(self: PrefixStore, *args: Any) -> Any:
        calls.append(1)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return put(self, *args)

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(PrefixStore, "_put", interrupted)
        run(tmp_path, "run", *KEPT)
    kept = set((tmp_path / "cache/prefixes").rglob("*.safetensors"))
    assert len(kept) == 8
    assert run(tmp_path, "run", *KEPT) == 0
    assert kept < set((tmp_path / "cache/prefixes").rglob("*.safetensors"))
    assert not list((tmp_path / "cache/prefixes").rglob("*.tmp"))
    for arm in ("rag", "dep_notext"):
        own, expected = rows(tmp_path, arm), rows(plain, arm)
        assert own.keys() == expected.keys()
        for key, row in own.items():
            assert row["nll"] == pytest.approx(expected[key]["nll"], abs=2e-4)
            assert row["prompt_tokens"] == expected[key]["prompt_tokens"]


def test_a_trained_adapter_is_used_on_people_of_another_world(
    tmp_path: Path, plain: Path, conf: Path, small: list[str]
) -> None:
    adapter = plain / "runs/arms/dep_notext/seed0"
    trained = ["method.kind=trained", f"method.adapter={adapter}", f"embedder.fitted={adapter}"]
    settings = [*BASE[1:], *trained, "prompt.text=false"]
    nll = {}
    for vectors in ("own", "others"):
        with contextlib.chdir(tmp_path):
            name = [f"name={vectors}", f"method.vectors={vectors}", "source.seed=1"]
            assert cli.main(["run", str(conf / "synthetic.yaml"), *small, *settings, *name]) == 0
        results = json.loads((tmp_path / f"runs/{vectors}/results.json").read_text())["rows"]
        nll[vectors] = {row["metric"]: row["value"] for row in results if row["category"] == "all"}["nll"]
    assert nll["own"] != nll["others"]
    assert not list(tmp_path.glob("cache/adapters/*"))
