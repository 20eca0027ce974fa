"""Headroom: own and strangers' reviews as text on the same requests, within the time that is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dep.utils.atomic_io import read_rows
from dep.utils.errors import DepError
from experiments.study import headroom
from experiments.study.headroom import Headroom, measure, settings_of, summarise
from experiments.study.headroom_report import section

CONF = str(Path(__file__).resolve().parents[3] / "conf" / "demo.yaml")
SMALL = [
    "source.users=16", "source.circles=2", "source.items_per_circle=12", "protocol.test_examples=3",
    "generate.progress=false", "threads=0", "wandb=disabled", "jobs=1",
    "embedder={kind: style, dim: 8}",
]  # fmt: skip


def predictions(nll: float, kept: list[int]) -> list[dict[str, Any]]:
    """Two requests of each of three users; every other request has an NLL of 1 more."""
    return [
        {"key": f"k{at}", "user": f"u{at // 2}", "nll": nll + at % 2, "kept": count, "prompt_tokens": 10 * count}
        for at, count in enumerate(kept)
    ]


def test_a_row_compares_own_and_strangers_reviews_and_counts_who_had_enough() -> None:
    measured = {
        "rag@history=0": predictions(3.0, [0] * 6),
        "rag@history=4": predictions(2.0, [4, 4, 4, 4, 3, 1]),
        "rag_stranger@history=4": predictions(2.5, [4, 4, 4, 4, 3, 1])[::-1],
        "oppu": predictions(1.0, [0] * 6),
    }
    found = summarise(measured, [0, 2, 4])
    none, four = found["rows"]
    assert (found["n"], found["users"]) == (6, 3)
    assert (none["past_reviews"], none["stranger"], none["own_less_none"]) == (0, None, None)
    assert (four["past_reviews"], four["had_all"], four["own"]["value"]) == (4, 4, pytest.approx(2.5))
    assert four["own_less_stranger"]["delta"] == pytest.approx(-0.5)
    assert four["own_less_none"]["delta"] == pytest.approx(-1.0)
    assert found["oppu"]["own_less_none"]["delta"] == pytest.approx(-2.0)
    assert found["requests"][1] == {
        "key": "k1", "user": "u0", "rag@history=0": 4.0, "rag@history=4": 3.0, "rag_stranger@history=4": 3.5,
        "oppu": 2.0,
    }  # fmt: skip


def test_the_table_and_the_plot_name_what_was_left_out() -> None:
    found = summarise({"rag@history=0": predictions(3.0, [0] * 6), "oppu": predictions(1.0, [0] * 6)}, [0])
    shown = section(found | {"left_out": ["rag@history=16"]})
    assert shown.rows[0] == ["0", "6", "3.5000", "–", "–", "–", "0"]
    assert shown.rows[1][0] == "LoRA of each user (OPPU)"
    assert "rag@history=16" in shown.note
    assert "stranger" in shown.picture


def test_settings_come_from_words_over_those_of_the_file() -> None:
    assert settings_of(["headroom.minutes=5", "name=x"], {"past_reviews": [0, 8]}) == Headroom([0, 8], 5.0)
    with pytest.raises(DepError, match=r"headroom\.minutes=20.*minute"):
        settings_of(["headroom.minute=5"])


def test_own_and_strangers_reviews_are_measured_on_the_same_requests_and_nothing_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*SMALL, "name=try", f"runs={tmp_path / 'runs'}", f"cache={tmp_path / 'cache'}"]
    console = Console(quiet=True)
    path = measure([CONF], words, Headroom([0, 2], 20.0), console)
    assert path == tmp_path / "runs" / "try" / "headroom.json"
    first = json.loads(path.read_text("utf-8"))
    assert [(row["past_reviews"], row["had_all"]) for row in first["rows"]] == [(0, 3), (2, 3)]
    assert {len(request) for request in first["requests"]} == {2 + 3 + 1}, "key, user, three prompts, a LoRA a user"
    folder = tmp_path / "runs" / "try_headroom"
    own, other = (
        read_rows(folder / arm / "seed0" / "predictions.jsonl") for arm in ("rag@history=2", "rag_stranger@history=2")
    )
    assert [row["key"] for row in own] == [row["key"] for row in other]
    assert [row["nll"] for row in own] != [row["nll"] for row in other]
    assert [row["kept"] for row in own] == [row["kept"] for row in other]

    monkeypatch.setattr(headroom, "_tokens", lambda resources, arm: pytest.fail(f"{arm.name} is measured again"))
    assert json.loads(measure([CONF], words, Headroom([0, 2], 20.0), console).read_text("utf-8")) == first

    monkeypatch.undo()
    path = measure([CONF], words, Headroom([0, 1, 2, 4], 0.0), console)
    found = json.loads(path.read_text("utf-8"))
    assert [row["past_reviews"] for row in found["rows"]] == [0, 1, 2]
    assert found["left_out"] == ["rag@history=4", "rag_stranger@history=4"]
