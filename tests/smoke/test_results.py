"""Tests of what a finished run contains, on a very small world."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

import dep
from dep import cli
from dep.config.loader import load_arms
from dep.pipeline.adapter_folder import FILES, load_adapter
from dep.pipeline.builders import build_data
from dep.pipeline.resources import Resources


def test_every_arm_has_all_seven_metrics_with_intervals_in_every_category(finished: Path) -> None:
    results = json.loads((finished / "runs/arms/results.json").read_text())
    assert len({row["arm"] for row in results["rows"]}) == 10
    names = {"rouge1", "rougeL", "meteor", "bleu", "bertscore", "style", "nll"}
    assert {row["metric"] for row in results["rows"]} == names
    assert {row["category"] for row in results["rows"]} == {"all", "Books", "CDs_and_Vinyl", "Movies_and_TV"}
    for row in results["rows"]:
        assert set(row) == {"run", "arm", "label", "category", "metric", "value", "ci_low", "ci_high", "n", "seed"}
        assert row["ci_low"] <= row["value"] <= row["ci_high"]
    for row in results["comparisons"]:
        assert set(row) == {"a", "b", "category", "metric", "delta", "ci_low", "ci_high", "p", "n"}
    assert {row["n"] for row in results["comparisons"] if row["category"] == "all"} == {9}


def test_the_run_folder_has_the_report_and_its_inputs(finished: Path) -> None:
    text = (finished / "runs/arms/report.html").read_text()
    assert "DEP (w/o text)" in text
    for name in ("config.yaml", "run.json", "showcase.json"):
        assert (finished / "runs/arms" / name).is_file()


def test_only_training_batches_after_the_first_epoch_have_noise_on_their_vectors(
    finished: Path, conf: Path, small: list[str]
) -> None:
    with contextlib.chdir(finished):
        run, configs = load_arms([conf / "arms.yaml"], [*small, "train.input_noise=0.5"])
        resources = Resources(run, Console(quiet=True))
        arms = {arm.name: arm for arm in resources.arms(configs, [0])}
        data, warm_start = build_data(resources, arms["dep"]), build_data(resources, arms["dep_notext"])
        data.trainer = warm_start.trainer = SimpleNamespace(current_epoch=0, global_rank=0, world_size=1)
        train, val = next(iter(data.train_dataloader())), next(iter(data.val_dataloader()))
        first = next(iter(warm_start.train_dataloader()))
    assert 0.4 < train.noise["his"][train.present["his"]].std() < 0.6
    assert not val.noise
    assert not first.noise


def test_no_test_target_is_in_a_prompt_or_a_training_example(finished: Path, conf: Path, small: list[str]) -> None:
    with contextlib.chdir(finished):
        config, _ = load_arms([conf / "arms.yaml"], small)
        dataset = Resources(config, Console(quiet=True)).prepared(config)
    tested = {(e.category, e.row) for e in dataset.examples if e.split == "test"}
    trained = {(e.category, row) for e in dataset.examples if e.split == "train" for row in (*e.profile, e.row)}
    assert tested
    assert not tested & trained
    assert all(e.row not in e.profile for e in dataset.examples)


def test_dep_and_its_shuffled_control_share_one_adapter(finished: Path) -> None:
    arms = finished / "runs/arms"
    adapters = [(arms / name / "seed0/adapter.safetensors").read_bytes() for name in ("dep", "shuffled")]
    assert adapters[0] == adapters[1]
    predictions = [(arms / name / "seed0/predictions.jsonl").read_text() for name in ("dep", "shuffled")]
    assert predictions[0] != predictions[1]


def test_the_command_in_the_report_repeats_the_run(finished: Path, conf: Path, small: list[str]) -> None:
    command = json.loads((finished / "runs/arms/run.json").read_text())["command"]
    assert shlex.split(command) == ["dep", "run", str(conf / "arms.yaml"), *small]


def test_an_adapter_folder_is_sufficient_to_rebuild_the_trained_module(
    finished: Path, tmp_path: Path, conf: Path, small: list[str]
) -> None:
    trained = finished / "runs/arms/dep/seed0"
    for name in FILES:
        shutil.copyfile(trained / name, tmp_path / name)
    module, *_ = load_adapter(tmp_path)
    rows = {row["key"]: row for row in map(json.loads, (trained / "predictions.jsonl").read_text().splitlines())}
    with contextlib.chdir(finished):
        run, configs = load_arms([conf / "arms.yaml"], small)
        resources = Resources(run, Console(quiet=True))
        data = build_data(resources, next(arm for arm in resources.arms(configs, [0]) if arm.name == "dep"))
        prompt = data.prompts(data.requests("test"))[0]
        with torch.no_grad():
            sums, counts = module.example_nll(data.collate([prompt]))
    assert float(sums[0] / counts[0]) == pytest.approx(rows[prompt.key]["nll"], rel=1e-4)
    assert "trained parameters" in (tmp_path / "README.md").read_text()
    (tmp_path / "adapter_config.json").unlink()
    with pytest.raises(FileNotFoundError, match="expected the configuration of an adapter, found none"):
        load_adapter(tmp_path)


@pytest.mark.parametrize("name", ["dep", "constant_notext", "his_notext"])
def test_a_personalizer_gives_the_llm_what_the_run_gave_it(
    finished: Path, conf: Path, small: list[str], name: str
) -> None:
    with contextlib.chdir(finished):
        run, configs = load_arms([conf / "arms.yaml"], small)
        resources = Resources(run, Console(quiet=True))
        arm = next(arm for arm in resources.arms(configs, [0]) if arm.name == name)
        data = build_data(resources, arm)
        example = data.requests("test").examples[0]
        corpus, pool = data.prepared.corpora[example.category], data.prepared.pool[example.category]
        expected = data.prompts(data.requests("test"))[0]
        writer = dep.Personalizer.from_pretrained(finished / f"runs/arms/{name}/seed0")
    target = corpus.reviews[example.row]
    item = corpus.items[target.item]
    history = []
    for row in example.profile:
        past = corpus.reviews[row]
        peers = [
            other.text
            for at, other in enumerate(corpus.reviews)
            if other.item == past.item and other.user != past.user and pool[at]
        ]
        title, description = corpus.items[past.item].title, corpus.items[past.item].description
        history.append(dep.PastReview(title, past.text, past.rating, past.title, description, past.time, peers))
    request = writer._requests(dep.Ask(history, item.title, target.rating, target.title, item.description))
    prompt = writer._writer.builder.build(request)
    assert prompt.ids == expected.ids
    for branch, vectors in expected.vectors.items():
        for ours, theirs in zip(prompt.vectors[branch], vectors, strict=True):
            assert torch.allclose(ours, theirs, atol=1e-5)
    asked = {"item": item.title, "rating": target.rating, "title": target.title, "description": item.description}
    text = writer.generate(history, **asked)
    assert text
    assert writer.generate(history, **asked) == text


def test_the_lines_of_the_readme_for_one_user_run_as_written(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    (lines,) = (block for block in re.findall(r"```python\n(.*?)```", readme, re.S) if "Personalizer" in block)
    monkeypatch.chdir(finished)
    exec(compile(lines.replace("runs/demo/", "runs/arms/"), "README.md", "exec"), {"dep": dep})
    assert capsys.readouterr().out.strip()


def test_two_arms_with_one_label_both_appear_in_results_costs_and_report(
    tmp_path: Path, conf: Path, small: list[str]
) -> None:
    (tmp_path / "conf" / "arm").mkdir(parents=True)
    (tmp_path / "conf" / "twins.yaml").write_text(
        f"base: {conf / 'synthetic.yaml'}\nname: twins\narms: [one, other]\ncompare: [one - other]\n"
    )
    (tmp_path / "conf" / "arm" / "one.yaml").write_text("label: The same\nmethod: {kind: rag}\n")
    (tmp_path / "conf" / "arm" / "other.yaml").write_text("label: The same\nmethod: {kind: non_perso}\n")
    with contextlib.chdir(tmp_path):
        assert cli.main(["run", "twins", *small]) == 0
    results = json.loads((tmp_path / "runs/twins/results.json").read_text())
    assert {row["arm"] for row in results["rows"]} == {"one", "other"}
    assert {(row["a"], row["b"]) for row in results["comparisons"]} == {("one", "other")}
    assert set(json.loads((tmp_path / "runs/twins/run.json").read_text())["costs"]) == {"one", "other"}
    report = (tmp_path / "runs/twins/report.html").read_text()
    assert "The same (one)" in report
    assert "The same (other)" in report
