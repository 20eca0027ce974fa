"""The whole road on a very small world: every arm, twice, interrupted, and to the same bytes."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import dep.pipeline.resources
import dep.pipeline.stages.evaluate
from dep import cli
from dep.config.loader import load_arms
from dep.inference.generator import Generate
from dep.pipeline import scheduler as jobs
from dep.pipeline.builders import build_data
from dep.pipeline.resources import Resources
from dep.training.trainer import Train

CONF = Path(__file__).resolve().parents[2] / "conf"
SMALL = [
    "source.users=16", "source.circles=2", "source.items_per_circle=12", "protocol.targets_used=1",
    "protocol.test_examples=9", "protocol.val_examples=4", "evaluate.n_boot=40", "generate.max_new_tokens=24",
    "generate.progress=false", "train.progress=false", "seeds=[0]", "threads=0", "wandb=disabled",
]  # fmt: skip


def run(folder: Path, verb: str = "run", *overrides: str, conf: str = "arms.yaml") -> int:
    with contextlib.chdir(folder):
        return cli.main([verb, str(CONF / conf), *SMALL, *overrides])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    assert run(folder) == 0
    return folder


def files(folder: Path) -> dict[str, bytes]:
    kept = ("results.json", "predictions.jsonl", "scores.jsonl", "adapter.safetensors")
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted((folder / "runs").rglob("*")) if p.name in kept}


def test_every_arm_gives_all_six_scores_in_every_category_with_intervals(finished: Path) -> None:
    results = json.loads((finished / "runs/arms/results.json").read_text())
    assert len({row["arm"] for row in results["rows"]}) == 10
    assert {row["metric"] for row in results["rows"]} == {"rouge1", "rougeL", "meteor", "bleu", "bertscore", "nll"}
    assert {row["category"] for row in results["rows"]} == {"all", "Books", "CDs_and_Vinyl", "Movies_and_TV"}
    for row in results["rows"]:
        assert set(row) == {"run", "arm", "label", "category", "metric", "value", "ci_low", "ci_high", "n", "seed"}
        assert row["ci_low"] <= row["value"] <= row["ci_high"]
    for row in results["comparisons"]:
        assert set(row) == {"a", "b", "category", "metric", "delta", "ci_low", "ci_high", "p", "n"}
    assert {row["n"] for row in results["comparisons"] if row["category"] == "all"} == {9}


def test_the_report_stands_beside_the_results(finished: Path) -> None:
    text = (finished / "runs/arms/report.html").read_text()
    assert "DEP (w/o text)" in text
    for name in ("config.yaml", "run.json", "showcase.json"):
        assert (finished / "runs/arms" / name).is_file()


def test_vectors_have_noise_in_training_batches_after_the_first_pass_alone(finished: Path) -> None:
    from types import SimpleNamespace

    from rich.console import Console

    with contextlib.chdir(finished):
        run, configs = load_arms([CONF / "arms.yaml"], [*SMALL, "train.input_noise=0.5"])
        made = Resources(run, Console(quiet=True))
        data = build_data(made, next(arm for arm in made.arms(configs, [0]) if arm.name == "dep"))
        data.trainer = SimpleNamespace(current_epoch=0, global_rank=0, world_size=1)
        trained, checked = next(iter(data.train_dataloader())), next(iter(data.val_dataloader()))
        first = build_data(made, next(arm for arm in made.arms(configs, [0]) if arm.name == "dep_notext"))
        first.trainer = data.trainer
        unseen = next(iter(first.train_dataloader()))
    assert 0.4 < trained.noise["his"][trained.present["his"]].std() < 0.6
    assert not checked.noise
    assert not unseen.noise


def test_no_target_of_the_test_split_is_in_any_prompt_or_training_example(finished: Path) -> None:
    from rich.console import Console

    with contextlib.chdir(finished):
        config, _ = load_arms([CONF / "arms.yaml"], SMALL)
        made = Resources(config, Console(quiet=True)).prepared(config)
    tested = {(e.category, e.row) for e in made.examples if e.split == "test"}
    trained = {(e.category, row) for e in made.examples if e.split == "train" for row in (*e.profile, e.row)}
    assert tested
    assert not tested & trained
    assert all(e.row not in e.profile for e in made.examples)


def test_dep_and_its_shuffled_control_share_one_adapter(finished: Path) -> None:
    arms = finished / "runs/arms"
    same = [(arms / name / "seed0/adapter.safetensors").read_bytes() for name in ("dep", "shuffled")]
    assert same[0] == same[1]
    rows = [(arms / name / "seed0/predictions.jsonl").read_text() for name in ("dep", "shuffled")]
    assert rows[0] != rows[1]


def test_an_arm_without_texts_is_what_the_arm_with_texts_goes_on_from(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []
    fit = Train.fit

    def watched(self: Any, module: Any, data: Any, folder: Path, *rest: Any) -> Path:
        folders.append(folder)
        return fit(self, module, data, folder, *rest)

    monkeypatch.setattr(Train, "fit", watched)
    assert run(finished, "train", "arms=[dep,dep_notext]", "compare=[]", "name=two", "cache=cache2") == 0
    assert len(folders) == 2
    arms = finished / "runs"
    for name in ("dep", "dep_notext"):
        now, before = (arms / of / name / "seed0/adapter.safetensors" for of in ("two", "arms"))
        assert now.read_bytes() == before.read_bytes()
    assert (arms / "two/dep/seed0/adapter.safetensors").read_bytes() != now.read_bytes()


def test_no_epoch_left_for_the_texts_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(finished, "train", "arms=[dep]", "compare=[]", "name=none", "train.epochs=1") != 0
    assert "train.warm_start_epochs: expected fewer than train.epochs = 1" in " ".join(capsys.readouterr().err.split())


def test_a_second_call_trains_and_writes_nothing_anew(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(finished)
    how = json.loads((finished / "runs/arms/run.json").read_text())

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("already done")

    monkeypatch.setattr(Train, "fit", refuse)
    monkeypatch.setattr(Generate, "__call__", refuse)
    monkeypatch.setattr("dep.pipeline.stages.evaluate.score_examples", refuse)
    monkeypatch.setattr("dep.pipeline.summary.summarise", refuse)
    assert run(finished) == 0
    assert files(finished) == before
    assert json.loads((finished / "runs/arms/run.json").read_text()) == how


@pytest.mark.parametrize("where", ["runs", "cache"])
def test_what_was_cut_short_is_made_again(finished: Path, tmp_path: Path, where: str) -> None:
    """Predictions, scores and adapter, in the run's own folder or where other runs left them."""
    words = ("arms=[rag,dep]", "compare=[dep - rag]", "name=again")
    shutil.copytree(finished / "cache", tmp_path / "cache")
    assert run(tmp_path, "run", *words) == 0
    before = files(tmp_path)
    if where == "cache":
        shutil.rmtree(tmp_path / "runs")
    for name in ("predictions", "scores", "adapter"):
        cut = [p for p in (tmp_path / where).rglob("*") if p.is_file() and name in str(p.relative_to(tmp_path))]
        for path in cut:
            if path.suffix in (".jsonl", ".safetensors"):
                path.write_bytes(path.read_bytes()[:-100])
    assert run(tmp_path, "run", *words) == 0
    assert files(tmp_path) == before


def test_fresh_trains_generates_and_scores_again_to_the_same_bytes(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fit, texts, score = Train.fit, Generate.__call__, dep.pipeline.stages.evaluate.score_examples

    def counted(name: str, real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return real(*args, **kwargs)

        return call

    words = ("arms=[dep]", "compare=[]", "name=fresh")
    shutil.copytree(finished / "cache", tmp_path / "cache")
    assert run(tmp_path, "run", *words) == 0
    before = files(tmp_path)
    monkeypatch.setattr(Train, "fit", counted("fit", fit))
    monkeypatch.setattr(Generate, "__call__", counted("texts", texts))
    monkeypatch.setattr(dep.pipeline.stages.evaluate, "score_examples", counted("score", score))
    assert run(tmp_path, "run", "--fresh", *words) == 0
    assert calls == ["fit", "fit", "texts", "score"], "the warm start is trained again too"
    assert files(tmp_path) == before


def test_the_command_in_the_report_can_be_typed_again(finished: Path) -> None:
    command = json.loads((finished / "runs/arms/run.json").read_text())["command"]
    assert shlex.split(command) == ["dep", "run", str(CONF / "arms.yaml"), *SMALL]


def test_another_run_takes_equal_arms_from_the_cache(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("another run has made it")

    monkeypatch.setattr(Train, "fit", refuse)
    monkeypatch.setattr(dep.pipeline.resources, "load_backbone", refuse)
    arms = ("arms=[rag,dep]", "compare=[dep - rag]", "name=other")
    for verb in ("train", "generate", "evaluate"):
        assert run(finished, verb, *arms) == 0
    for name in ("predictions.jsonl", "scores.jsonl", "adapter.safetensors"):
        first, second = (finished / "runs" / of / "dep/seed0" / name for of in ("arms", "other"))
        assert first.read_bytes() == second.read_bytes()
    monkeypatch.undo()
    assert run(finished, "report", *arms) == 0
    reused = json.loads((finished / "runs/other/run.json").read_text())["reused"]
    assert reused == {
        "arms": 2, "training_arms": 1, "adapters": 1, "taken_adapters": 1, "taken_predictions": 2, "taken_scores": 2,
        "vectors": 1,
    }  # fmt: skip
    assert "the reviews of 2 arms" in " ".join((finished / "runs/other/report.html").read_text().split())
    shutil.rmtree(finished / "runs/other")
    shared = json.loads((finished / "runs/arms/run.json").read_text())["reused"]
    assert (shared["training_arms"], shared["adapters"], shared["taken_adapters"]) == (8, 6, 0), "shuffled share DEP's"


def test_the_same_seed_gives_the_same_bytes_also_after_an_interruption(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Generate.texts
    calls = 0

    def interrupted(self: Generate, batch: object) -> list[str]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(self, batch)  # type: ignore[arg-type]

    shutil.copytree(finished / "cache", tmp_path / "cache", ignore=shutil.ignore_patterns("predictions", "scores"))
    arms = ("arms=[non_perso,dep]", "compare=[dep - non_perso]", "generate.batch_size=2")
    with monkeypatch.context() as patch:
        patch.setattr(Generate, "texts", interrupted)
        assert run(tmp_path, "run", *arms) == 130
    partial = tmp_path / "runs/arms/non_perso/seed0/predictions.partial.jsonl"
    assert len(partial.read_text().splitlines()) == 4, "what was written is kept"
    assert run(tmp_path, "run", *arms) == 0
    for name in ("predictions.jsonl", "scores.jsonl"):
        for arm in ("non_perso", "dep"):
            where = Path("runs/arms") / arm / "seed0" / name
            assert (tmp_path / where).read_bytes() == (finished / where).read_bytes(), where


def test_parallel_arms_give_the_bytes_of_arms_one_after_another(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arms = ("arms=[non_perso,dep,shuffled]", "compare=[dep - shuffled]", "threads=1", "evaluate.metrics.names=[meteor]")
    threads = torch.get_num_threads()
    try:
        for cores, home in ((1, tmp_path / "one"), (2, tmp_path / "two")):
            made = shutil.ignore_patterns("adapters", "predictions", "scores")
            shutil.copytree(finished / "cache", home / "cache", ignore=made)
            monkeypatch.setattr(jobs, "_cores", lambda cores=cores: cores)
            assert run(home, "run", *arms) == 0
    finally:
        torch.set_num_threads(threads)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert "3 arms, 2 in parallel" in capfd.readouterr().out


def test_an_arm_that_fails_is_named_and_does_not_stop_the_others(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(jobs, "_cores", lambda: 2)
    blocked = tmp_path / "runs/arms/rag/seed0"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    arms = ("arms=[rag,non_perso]", "compare=[]", "threads=1", f"cache={finished / 'cache'}")
    assert run(tmp_path, "generate", *arms) == 2
    said = capfd.readouterr().err
    assert "1 of 2 arms failed" in said
    assert "rag, seed 0" in said
    assert (tmp_path / "runs/arms/non_perso/seed0/predictions.jsonl").is_file()


def test_stages_one_by_one_say_what_is_missing_before_them(
    finished: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = shutil.ignore_patterns("adapters", "predictions", "scores")
    shutil.copytree(finished / "cache", tmp_path / "cache", ignore=made)
    arms = ("arms=[dep]", "compare=[]", "name=staged")
    assert run(tmp_path, "generate", *arms) == 2
    assert "dep train" in capfd.readouterr().err
    assert run(tmp_path, "evaluate", *arms) == 2
    assert "dep generate" in capfd.readouterr().err
    assert run(tmp_path, "report", *arms) == 2
    assert "dep evaluate" in capfd.readouterr().err


def test_the_probe_needs_no_language_model(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dep.pipeline.resources, "load_backbone", lambda *_: pytest.fail("a language model was loaded"))
    assert run(finished, "probe", "protocol.test_examples=null") == 0
    found = json.loads((finished / "runs/arms/probe.json").read_text())
    assert {row["vectors"] for row in found["planted"]} == {"his", "diff", "both"}


def test_the_papers_recipe_ends_in_one_line_that_says_what_is_missing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with contextlib.chdir(tmp_path):
        assert cli.main(["run", str(CONF / "paper.yaml")]) == 2
    said = capfd.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert "SnowCharmQ/DPL-main" in said
    assert "folder" in said


def test_help_comes_without_importing_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from dep import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_notebook_runs_on_a_finished_run(finished: Path) -> None:
    import subprocess
    import sys

    root = CONF.parent
    where = {"DEP_RUN": str(finished / "runs/arms"), "DEP_METRIC": "nll", "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "pytest", "-q", "--nbmake", "-p", "no:cacheprovider", "notebooks"]
    done = subprocess.run(command, cwd=root, env=os.environ | where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_plan_says_what_is_there_and_what_is_to_do_and_makes_nothing(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    before = {p for p in finished.rglob("*") if p.is_file()}
    assert run(finished, "run", "--plan", "name=planned", "seeds=[0,1]") == 0
    lines = {
        line.split()[0]: " ".join(line.split()[1:]) for line in capsys.readouterr().out.splitlines() if line.strip()
    }
    assert lines["dep"].startswith("0, 1 1 cached, 1 after dep_notext 1 cached, 1 to do")
    assert lines["shuffled"].startswith("0, 1 1 cached, 1 with dep 1 cached, 1 to do")
    assert lines["rag"].startswith("0, 1 - 1 cached, 1 to do")
    assert run(finished, "run", "--plan") == 0
    assert "this machine: 0" in capsys.readouterr().out
    assert {p for p in finished.rglob("*") if p.is_file()} == before


def test_the_paper_is_planned_for_two_cards_without_its_model_or_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", str(CONF / "paper.yaml"), "--plan"]) == 0
    said = capsys.readouterr().out
    assert "80 GB, bf16" in said
    assert "24 GB, NF4" in said
    assert "Estimates, not measurements" in said


def test_every_arm_is_a_run_of_weights_and_biases_with_its_losses_scores_and_generations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    begun, logged = [], []
    true_init = wandb.init

    def init(**given: object) -> object:
        run = true_init(**(given | {"mode": "disabled"}))
        begun.append((given, run))
        monkeypatch.setattr(run, "log", lambda row, *_, **__: logged.append(row))
        return run

    monkeypatch.setattr(wandb, "init", init)
    assert run(tmp_path, "run", "wandb=offline", "arms=[dep]", "compare=[]", "prompt.history=2") == 0
    (first, _), (training, _), (scoring, scored) = begun
    assert (first["group"], first["tags"]) == ("arms", ["dep_notext", "dep"]), "the warm start"
    assert first["id"] != training["id"] == scoring["id"], "one run: training, then scores"
    assert (training["group"], training["mode"], training["tags"]) == ("arms", "offline", ["dep", "dep"])
    assert training["config"]["prompt"]["history"] == 2  # type: ignore[index]
    names = {name for row in logged for name in row}
    wanted = {"train_lm", "train_recon", "train_sparse", "train_mean_activation", "train_dead_units", "lr", "val_nll"}
    assert wanted | {"tokens_per_second", "generations"} <= names
    assert {"test_nll", "test_bleu", "test_meteor"} <= set(scored.summary.keys())


def test_an_adapter_folder_alone_builds_the_module_that_was_trained(finished: Path, tmp_path: Path) -> None:
    from rich.console import Console

    from dep.pipeline.adapter_folder import FILES, load_adapter
    from dep.pipeline.builders import build_data

    trained = finished / "runs/arms/dep/seed0"
    for name in FILES:
        shutil.copyfile(trained / name, tmp_path / name)
    module, _ = load_adapter(tmp_path)
    rows = {row["key"]: row for row in map(json.loads, (trained / "predictions.jsonl").read_text().splitlines())}
    with contextlib.chdir(finished):
        run, configs = load_arms([CONF / "arms.yaml"], SMALL)
        made = Resources(run, Console(quiet=True))
        data = build_data(made, next(arm for arm in made.arms(configs, [0]) if arm.name == "dep"))
        prompt = data.prompts(data.requests("test"))[0]
        with torch.no_grad():
            sums, counts = module.example_nll(data.collate([prompt]))
    assert float(sums[0] / counts[0]) == pytest.approx(rows[prompt.key]["nll"], rel=1e-4)
    assert "trained parameters" in (tmp_path / "README.md").read_text()
    (tmp_path / "adapter_config.json").unlink()
    with pytest.raises(FileNotFoundError, match="expected the configuration of an adapter, found none"):
        load_adapter(tmp_path)


def test_two_arms_of_one_label_both_appear_in_results_costs_and_report(tmp_path: Path) -> None:
    (tmp_path / "conf" / "arm").mkdir(parents=True)
    (tmp_path / "conf" / "twins.yaml").write_text(
        f"base: {CONF / 'synthetic.yaml'}\nname: twins\narms: [one, other]\ncompare: [one - other]\n"
    )
    (tmp_path / "conf" / "arm" / "one.yaml").write_text("label: The same\nmethod: {kind: rag}\n")
    (tmp_path / "conf" / "arm" / "other.yaml").write_text("label: The same\nmethod: {kind: non_perso}\n")
    with contextlib.chdir(tmp_path):
        assert cli.main(["run", "twins", *SMALL]) == 0
    results = json.loads((tmp_path / "runs/twins/results.json").read_text())
    assert {row["arm"] for row in results["rows"]} == {"one", "other"}
    assert {(row["a"], row["b"]) for row in results["comparisons"]} == {("one", "other")}
    assert set(json.loads((tmp_path / "runs/twins/run.json").read_text())["costs"]) == {"one", "other"}
    report = (tmp_path / "runs/twins/report.html").read_text()
    assert "The same (one)" in report
    assert "The same (other)" in report


def test_prepare_embed_and_diff_work_by_themselves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "prepare", "arms=[dep]", "compare=[]") == 0
    assert list((tmp_path / "cache").glob("prepared-*/manifest.json"))
    assert not list((tmp_path / "cache").glob("vectors"))
    assert run(tmp_path, "embed", "arms=[dep]", "compare=[]") == 0
    assert list((tmp_path / "cache" / "vectors").rglob("shard-*"))
    assert not (tmp_path / "cache" / "adapters").exists()
    assert cli.main(["diff", str(CONF / "paper.yaml"), "official"]) == 0
    assert "difference.weighting" in capsys.readouterr().out
    assert cli.main(["diff", "paper"]) == 2
    assert "expected two configurations, found 1" in capsys.readouterr().err
