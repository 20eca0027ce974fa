"""The study: which sets it runs, its criteria on hand-made scores, and its page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dep.config.words import read_yaml
from dep.pipeline.user_gains import UserGain
from dep.utils.atomic_io import write_json, write_rows, write_text
from dep.utils.errors import DepError
from experiments.study import __main__ as study
from experiments.study import groups, report
from experiments.study.criteria import best_arm, criteria

KNOWN = read_yaml(study.SETS)
ARMS = {
    "constant_notext": 4.0, "dep_notext": 3.8, "shuffled_notext": 4.1, "rag": 3.7, "constant": 3.6, "dep": 3.5,
    "shuffled": 3.8,
}  # fmt: skip
"""The NLL of each arm in the hand-made run."""


def write_run(run: Path, nll: dict[str, float], own: float = 3.7, stranger: float = 3.9) -> None:
    """Write a run of six users with two requests each; users differ, and all arms differ equally for every user."""
    people = [(f"Books/{at}", f"u{at // 2}", 0.1 * (at // 2)) for at in range(12)]
    for arm, value in nll.items():
        for seed, more in ((0, 0.01), (1, -0.01)):
            place = run / arm / f"seed{seed}"
            rows = [{"key": k, "category": "Books", "user": u, "nll": value + offset + more} for k, u, offset in people]
            write_rows(place / "scores.jsonl", rows)
            write_text(place / "metrics.csv", f"epoch,val_nll\n0,{value + 0.5}\n1,{value}\n")
    cells = [
        {"run": "r", "arm": arm, "label": arm.upper(), "category": "all", "metric": "nll", "value": value, "n": 12,
         "ci_low": value - 0.1, "ci_high": value + 0.1, "seed": None}
        for arm, value in nll.items()
    ]  # fmt: skip
    pair = {"a": "dep_notext", "b": "constant_notext", "category": "all", "metric": "nll", "delta": -0.2, "p": 0.001}
    comparisons = [pair | {"ci_low": -0.3, "ci_high": -0.1, "n": 12}]
    facts = {arm: {"role": "own", "label": arm.upper(), "varied": {}} for arm in nll}
    write_json(run / "results.json", {"rows": cells, "comparisons": comparisons, "arms": facts})
    requests = [{"key": k, "user": u, "rag@history=8": own, "rag_stranger@history=8": stranger} for k, u, _ in people]
    interval = {"value": own, "low": own, "high": own, "n": 12}
    compared = {"delta": own - stranger, "low": -0.3, "high": -0.1, "p": 0.01, "n": 12}
    row = {
        "past_reviews": 8, "had_all": 3, "own": interval, "stranger": interval | {"value": stranger},
        "own_less_stranger": compared, "own_less_none": None, "prompt_tokens": 900.0,
    }  # fmt: skip
    headroom = {"run": "r", "n": 12, "users": 6, "rows": [row], "oppu": None, "left_out": [], "requests": requests}
    write_json(run / "headroom.json", headroom)


def test_every_set_of_the_study_is_a_run_of_its_own_with_three_seeds() -> None:
    for each in study.chosen(KNOWN["sets"], [], ""):
        assert (each.config.name, each.config.seeds) == (f"study_{each.name}", [0, 1, 2])
        assert {"rag", "rag_stranger", "constant_notext", "dep_published_notext"} <= set(each.config.arms)
        assert {name for pair in KNOWN["strangers"].items() for name in pair} <= set(each.config.arms)


def test_words_choose_sets_and_change_settings_and_the_data_folder() -> None:
    (only,) = study.chosen(KNOWN["sets"], ["digital_music", "seeds=[0]", "headroom.minutes=1"], "/data")
    assert only.name == "digital_music"
    assert only.overrides[-2:] == ["source.folder=/data/amazon2014_digital_music", "seeds=[0]"]
    with pytest.raises(DepError, match=r"digital_musik.*one of english, musical_instruments"):
        study.chosen(KNOWN["sets"], ["digital_musik"], "")


def test_a_set_that_is_absent_is_left_out_with_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert study.main(["imdb", "musical_instruments", "--data", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "imdb is left out" in printed
    assert "musical_instruments is left out" in printed


def test_a_set_runs_headroom_probe_and_arms_and_a_failed_step_does_not_stop_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[str] = []

    def failing(*args: Any) -> None:
        calls.append("headroom")
        raise DepError("no time")

    monkeypatch.setattr(study, "measure", failing)
    monkeypatch.setattr(study.cli, "main", lambda words: calls.append(words[0]) or 0)
    monkeypatch.setattr(study.report, "write", lambda runs, names, strangers, console: calls.append(*names))
    monkeypatch.chdir(tmp_path)
    assert study.main(["english", f"cache={tmp_path}", "source.users=16"]) == 2
    assert calls == ["headroom", "probe", "run", "english"]


def test_the_criteria_compare_the_best_arm_with_its_controls_and_with_a_third_of_the_headroom(tmp_path: Path) -> None:
    write_run(tmp_path, ARMS)
    found = criteria(tmp_path, KNOWN["strangers"])
    assert [round(part.value, 6) for part in found] == [0.2, round(0.2 - 0.2 / 3, 6), 0.3, 0.1, 0.2, 0.1]
    assert {part.outcome for part in found} == {"holds"}
    assert [part.counts for part in found] == [True, True, True, True, True, True]
    assert "DEP_NOTEXT" in found[0].text
    assert "8 past reviews" in found[1].text


def test_a_small_gain_does_not_reach_a_third_of_a_large_headroom(tmp_path: Path) -> None:
    write_run(tmp_path, ARMS | {"dep_notext": 3.9}, own=3.0, stranger=3.9)
    outcomes = {part.text: part.outcome for part in criteria(tmp_path, KNOWN["strangers"])}
    assert outcomes["DEP_NOTEXT better than CONSTANT_NOTEXT"] == "holds"
    assert [text for text, outcome in outcomes.items() if outcome == "opposite"] == [
        "DEP_NOTEXT: gain over CONSTANT_NOTEXT less a third of what 8 past reviews win over a stranger's"
    ]


def test_the_strongest_control_decides_the_share_and_every_control_must_be_beaten(tmp_path: Path) -> None:
    write_run(tmp_path, ARMS | {"memory_constant_notext": 3.85, "memory_constant": 3.45})
    found = {part.text: part for part in criteria(tmp_path, KNOWN["strangers"])}
    share = "DEP_NOTEXT: gain over MEMORY_CONSTANT_NOTEXT less a third of what 8 past reviews win over a stranger's"
    assert found[share].value == pytest.approx(0.05 - 0.2 / 3)
    assert found["DEP_NOTEXT better than MEMORY_CONSTANT_NOTEXT"].outcome == "holds"
    assert found["DEP better than MEMORY_CONSTANT"].outcome == "opposite"
    assert not found["with another user's vectors worse than CONSTANT_NOTEXT"].counts


def test_the_best_arm_is_chosen_by_validation_and_not_by_test(tmp_path: Path) -> None:
    write_run(tmp_path, {"a": 3.0, "b": 2.0})
    for seed in (0, 1):
        write_text(tmp_path / "b" / f"seed{seed}" / "metrics.csv", "epoch,val_nll\n0,9.0\n")
    assert best_arm(tmp_path, ["a", "b"]) == "a"
    assert best_arm(tmp_path, []) is None


def test_a_run_without_the_arms_or_headroom_has_fewer_parts(tmp_path: Path) -> None:
    write_run(tmp_path, {name: ARMS[name] for name in ("rag", "constant_notext", "dep_notext", "shuffled_notext")})
    (tmp_path / "headroom.json").unlink()
    assert len(criteria(tmp_path, KNOWN["strangers"])) == 3
    write_run(tmp_path / "other", {"rag": 3.0})
    assert criteria(tmp_path / "other", KNOWN["strangers"]) == []


def test_the_page_has_the_verdicts_of_all_sets_and_the_tables_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [
        UserGain("Books", f"u{at}", at / 5, {"dep_notext": 0.1 * at, "dep": 0.2}, at, 6.0 - at) for at in range(6)
    ]
    monkeypatch.setattr(groups, "user_gains", lambda run, arms, baseline: people)
    write_run(tmp_path / "a", ARMS)
    names = {"books": tmp_path / "a", "absent": tmp_path / "b"}
    page = report.write(tmp_path, names, KNOWN["strangers"], Console(quiet=True))
    markdown = (tmp_path / "study" / "report.md").read_text("utf-8")
    for text in (
        "| books | all of these: 6 of 6 parts hold |  |  | holds |", "## absent", "Who gains",
        "| uniqueness: like the mean user (up to 0.5) | 3 | +0.1000",
        "| DEP_NOTEXT − CONSTANT_NOTEXT | NLL | −0.2000 |",
        "| 8 | 3 | 3.7000 | 3.9000 | −0.2000 (−0.3000 to −0.1000) | – | 900 |",
    ):  # fmt: skip
        assert text in markdown
    assert "<svg" in page.read_text("utf-8")
    rows = json.loads((tmp_path / "study" / "verdicts.json").read_text("utf-8"))
    assert set(rows[0]) == {"set", "criterion", "value", "interval", "holds"}
