"""Kept beginnings of prompts in a whole run: the same results as without, shared by arms, safe against kills."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dep import cli
from dep.inference.prefix_store import PrefixStore

ARMS = ["arms=[rag,constant_notext,dep_notext]", "compare=[]", "prompt.slots=late"]


def rows(folder: Path, arm: str) -> dict[str, Any]:
    lines = (folder / "runs/arms" / arm / "seed0/predictions.jsonl").read_text().splitlines()
    return {row["key"]: row for row in map(json.loads, lines)}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, run: Callable[..., int]) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    assert run(folder, "run", *ARMS) == 0
    return folder


def test_a_run_with_kept_beginnings_has_the_results_of_one_without(
    tmp_path: Path, plain: Path, run: Callable[..., int]
) -> None:
    assert run(tmp_path, "run", *ARMS, "backbone.keep_prefixes=true") == 0
    for arm in ("rag", "constant_notext", "dep_notext"):
        kept, expected = rows(tmp_path, arm), rows(plain, arm)
        assert kept.keys() == expected.keys()
        for key, row in kept.items():
            assert row["nll"] == pytest.approx(expected[key]["nll"], abs=2e-4)
            assert row["prompt_tokens"] == expected[key]["prompt_tokens"]
    files = list((tmp_path / "cache/prefixes").rglob("*.safetensors"))
    assert files
    assert not list((tmp_path / "cache/prefixes").rglob("*.tmp"))


def test_an_interrupted_run_continues_with_what_was_kept(
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
        run(tmp_path, "run", *ARMS, "backbone.keep_prefixes=true")
    kept = set((tmp_path / "cache/prefixes").rglob("*.safetensors"))
    assert len(kept) == 8
    assert run(tmp_path, "run", *ARMS, "backbone.keep_prefixes=true") == 0
    assert kept <= set((tmp_path / "cache/prefixes").rglob("*.safetensors"))
    for key, row in rows(tmp_path, "dep_notext").items():
        assert row["nll"] == pytest.approx(rows(plain, "dep_notext")[key]["nll"], abs=2e-4)


def test_a_trained_adapter_writes_for_people_of_another_world(
    tmp_path: Path, plain: Path, conf: Path, small: list[str]
) -> None:
    adapter = plain / "runs/arms/dep_notext/seed0"
    settings = [f"method.adapter={adapter}", "method.kind=trained", "prompt.text=false", "prompt.slots=late"]
    for vectors in ("own", "others"):
        with contextlib.chdir(tmp_path):
            name = [f"name={vectors}", f"method.vectors={vectors}", "source.seed=1", "arms=[]", "compare=[]"]
            assert cli.main(["run", str(conf / "arms.yaml"), *small, *settings, *name]) == 0
    own, others = (json.loads((tmp_path / f"runs/{name}/results.json").read_text()) for name in ("own", "others"))
    value = {row["metric"]: row["value"] for row in own["rows"] if row["category"] == "all"}
    other = {row["metric"]: row["value"] for row in others["rows"] if row["category"] == "all"}
    assert value["nll"] != other["nll"]
    assert not list(tmp_path.glob("runs/own/**/adapter.safetensors"))
