from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from dep.config.loader import load
from dep.evaluation import metrics
from dep.evaluation.metrics import METRICS, MetricsConfig, TextMetric, build_metric, build_metrics
from dep.evaluation.metrics.bleu import Bleu, bleu_of_sums
from dep.evaluation.metrics.nll import NLL
from dep.evaluation.metrics.rouge import Rouge1
from dep.evaluation.scores import score_examples, summarise
from dep.evaluation.significance import mean_interval, paired
from dep.utils.errors import DepError
from dep.utils.registry import ComponentConfig

REFERENCES = ["a great film and it never ends", "the music was loud and long", "i loved it all the way"]
REFERENCES += ["bad bad sound"]
OURS = ["a great film and it ends", "the music was loud and bad", "i loved it not at all", "bad loud sound"]
THEIRS = ["a bad film and it never ends", "this music is loud and long", "i hated it", "a sound"]
PLACES = [
    ("Books/1", "Books", "u1"),
    ("Books/4", "Books", "u2"),
    ("CDs/0", "CDs", "u1"),
    ("CDs/3", "CDs", "u3"),
]


def table(texts, nll):
    return score_examples(predictions(texts, nll), {"nll": NLL(), "rouge1": Rouge1(), "bleu": Bleu()})


def predictions(texts, nll):
    return [
        {"key": key, "category": category, "user": user, "prediction": text, "reference": reference, "nll": n}
        for (key, category, user), text, reference, n in zip(PLACES, texts, REFERENCES, nll, strict=True)
    ]


@pytest.fixture
def arms():
    return {
        ("dep", 0): table(OURS, [0.1, 0.2, 0.3, 0.4]),
        ("dep", 1): table(REFERENCES, [0.3, 0.2, 0.1, 0.0]),
        ("rag", 0): table(THEIRS, [0.5, 0.6, 0.7, 0.9]),
    }


def pick(rows, **fields):
    matches = [row for row in rows if all(row[name] == value for name, value in fields.items())]
    assert len(matches) == 1, f"{len(matches)} rows for {fields}"
    return matches[0]


def test_a_score_row_has_a_column_for_each_metric_and_counts_for_bleu():
    scored = table(OURS, [0.1, 0.2, 0.3, 0.4])
    assert list(scored[0]) == ["key", "category", "user", "nll", "rouge1", "bleu"]
    assert [row["rouge1"] for row in scored] == Rouge1().per_example(OURS, REFERENCES)
    assert [row["nll"] for row in scored] == [0.1, 0.2, 0.3, 0.4]
    assert len(scored) == 4
    assert scored[0]["bleu"][:2] == [6, 7]


def test_the_summary_has_exactly_the_columns_of_a_results_file(arms):
    summary = summarise(arms, [("dep", "rag")], "demo", n_boot=20)
    assert set(summary) == {"rows", "comparisons"}
    columns = {"run", "arm", "label", "category", "metric", "value", "ci_low", "ci_high", "n", "seed"}
    assert {frozenset(row) for row in summary["rows"]} == {frozenset(columns)}
    columns = {"a", "b", "category", "metric", "delta", "ci_low", "ci_high", "p", "n"}
    assert {frozenset(row) for row in summary["comparisons"]} == {frozenset(columns)}
    # dep: seeds 0, 1 and their average; rag: one seed. Each in 2 categories and all, with 3 metrics.
    assert len(summary["rows"]) == (3 + 1) * 3 * 3
    assert len(summary["comparisons"]) == 3 * 3


def test_the_row_of_a_seed_is_the_mean_over_its_examples_with_an_interval_over_users(arms):
    rows = summarise(arms, [], "demo", n_boot=50, seed=4)["rows"]
    row = pick(rows, arm="rag", category="all", metric="nll", seed=0)
    expected = mean_interval([0.5, 0.6, 0.7, 0.9], ["u1", "u2", "u1", "u3"], n_boot=50, seed=4)
    assert (row["value"], row["ci_low"], row["ci_high"], row["n"]) == pytest.approx(expected)
    assert pick(rows, arm="rag", category="CDs", metric="nll")["value"] == pytest.approx(0.8)
    assert row["run"] == "demo"


def test_seeds_are_averaged_for_each_example(arms):
    rows = summarise(arms, [], "demo", n_boot=50)["rows"]
    row = pick(rows, arm="dep", category="Books", metric="nll", seed=None)
    assert row["value"] == pytest.approx(0.2)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((0.2, 0.2))  # both examples average to 0.2
    assert row["n"] == 2
    assert not [row for row in rows if row["arm"] == "rag" and row["seed"] is None]


def test_corpus_bleu_is_averaged_over_seeds_and_not_pooled(arms):
    rows = summarise(arms, [], "demo", n_boot=20)["rows"]
    single = Bleu().corpus(OURS, REFERENCES)
    assert pick(rows, arm="dep", category="all", metric="bleu", seed=0)["value"] == pytest.approx(single)
    average = pick(rows, arm="dep", category="all", metric="bleu", seed=None)
    assert average["value"] == pytest.approx((single + 100) / 2)
    pooled = [sum(c) for c in zip(*Bleu().statistics(OURS + REFERENCES, REFERENCES * 2), strict=True)]
    assert average["value"] != pytest.approx(float(bleu_of_sums(np.array(pooled, dtype=float))))


def test_arms_are_compared_on_averages_over_their_seeds(arms):
    comparisons = summarise(arms, [("dep", "rag")], "demo", n_boot=50, seed=4)["comparisons"]
    row = pick(comparisons, category="all", metric="nll")
    expected = paired([0.2] * 4, [0.5, 0.6, 0.7, 0.9], ["u1", "u2", "u1", "u3"], n_boot=50, seed=4)
    assert (row["delta"], row["ci_low"], row["ci_high"], row["p"], row["n"]) == pytest.approx(expected)
    assert row["delta"] < 0  # a − b in nats: dep is better
    bleu = pick(comparisons, category="all", metric="bleu")
    both = (Bleu().corpus(OURS, REFERENCES) + 100) / 2
    assert bleu["delta"] == pytest.approx(both - Bleu().corpus(THEIRS, REFERENCES))


def test_rows_are_paired_by_key_in_any_order(arms):
    straight = summarise(arms, [("dep", "rag")], "demo", n_boot=50)
    arms["rag", 0] = arms["rag", 0][::-1]
    assert summarise(arms, [("dep", "rag")], "demo", n_boot=50) == straight


def test_a_metric_that_one_arm_lacks_is_left_out_of_its_rows_and_comparisons(arms):
    arms["rag", 0] = [{**row, "nll": None} for row in arms["rag", 0]]
    summary = summarise(arms, [("dep", "rag")], "demo", n_boot=20)
    assert {row["metric"] for row in summary["rows"] if row["arm"] == "rag"} == {"rouge1", "bleu"}
    assert {row["metric"] for row in summary["rows"] if row["arm"] == "dep"} == {"rouge1", "bleu", "nll"}
    assert {row["metric"] for row in summary["comparisons"]} == {"rouge1", "bleu"}


def test_comparing_arms_with_different_examples_is_refused(arms):
    arms["rag", 0] = arms["rag", 0][1:]
    with pytest.raises(ValueError, match=r"dep and rag have different examples: rag lacks 1 \(Books/1\)"):
        summarise(arms, [("dep", "rag")], "demo")
    summarise(arms, [], "demo", n_boot=5)  # without a comparison there is no error


def test_seeds_with_different_examples_are_refused(arms):
    arms["dep", 1] = arms["dep", 1][:-1]
    with pytest.raises(ValueError, match=r"dep, seed 1 lacks 1 \(CDs/3\)"):
        summarise(arms, [], "demo")


def test_a_key_that_occurs_twice_is_refused(arms):
    arms["rag", 0] = [*arms["rag", 0], arms["rag", 0][0]]
    with pytest.raises(ValueError, match="rag, seed 0: 5 score rows but 4 keys"):
        summarise(arms, [], "demo")


def test_a_metric_that_only_some_rows_have_is_refused(arms):
    del arms["rag", 0][2]["rouge1"]
    with pytest.raises(ValueError, match="rouge1: 1 of 4 score rows lack it, the first is CDs/0"):
        summarise(arms, [], "demo")


def test_comparing_an_arm_without_scores_is_refused(arms):
    with pytest.raises(ValueError, match=r"no scores of \['pag'\]; there are \['dep', 'rag'\]"):
        summarise(arms, [("dep", "pag")], "demo")


def test_a_bleu_column_without_counts_is_refused(arms):
    arms["rag", 0] = [{**row, "bleu": 3.1} for row in arms["rag", 0]]
    with pytest.raises(ValueError, match="bleu: expected the 10 counts"):
        summarise(arms, [], "demo")


class Words(TextMetric):
    name = "words"
    label = "Words"
    unit = "words"
    decimals = 1

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        kind: str = "words"
        least: int = 0

    @property
    def signature(self):
        return f"words|least:{self.config.least}"

    def per_example(self, predictions, references, *, progress=False):
        return [float(max(self.config.least, len(text.split()))) for text in predictions]


def test_a_registered_metric_gets_rows_without_further_changes(monkeypatch):
    monkeypatch.setattr(METRICS, "_members", dict(METRICS._members))
    METRICS.add(Words.Config, f"{__name__}:Words")
    assert "words" in MetricsConfig().names
    scored = score_examples(predictions(OURS, [0.1] * 4), {"words": build_metric("words"), "nll": NLL()})
    rows = summarise({("dep", 0): scored}, [], "demo", n_boot=5)["rows"]
    assert [row["metric"] for row in rows if row["category"] == "all"] == ["nll", "words"]
    assert pick(rows, category="all", metric="words")["value"] == np.mean([len(text.split()) for text in OURS])


def test_a_column_that_is_not_a_known_metric_is_refused(arms):
    arms["rag", 0] = [{**row, "novelty": 1.0} for row in arms["rag", 0]]
    with pytest.raises(DepError, match="metric 'novelty': expected one of"):
        summarise(arms, [], "demo", n_boot=5)


def test_a_configuration_names_a_metric_by_module_and_class_with_its_settings(monkeypatch, tmp_path):
    monkeypatch.setattr(metrics, "_LOADED", {})
    target = f"{__name__}:Words"
    file = tmp_path / "run.yaml"
    file.write_text(f"evaluate: {{metrics: {{names: [bleu, {target!r}], settings: {{{target!r}: {{least: 6}}}}}}}}\n")
    built = build_metrics(load([file]).evaluate.metrics)
    assert list(built) == ["nll", "bleu", "words"]
    assert built["words"].per_example(["one"], ["two"]) == [6.0]
    file.write_text(f"evaluate: {{metrics: {{names: [{target!r}], settings: {{{target!r}: {{most: 6}}}}}}}}\n")
    with pytest.raises(DepError, match="most"):
        load([file])


def test_two_arms_with_one_label_have_separate_rows(arms):
    rows = summarise(arms, [], "demo", n_boot=5, labels={"dep": "DEP", "rag": "DEP"})["rows"]
    assert {(row["arm"], row["label"]) for row in rows} == {("dep", "DEP"), ("rag", "DEP")}


def test_metric_modules_import_no_heavy_package():
    heavy = "{'torch', 'transformers', 'nltk', 'sacrebleu'}"
    script = f"import sys, dep.evaluation.metrics; print(*({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
