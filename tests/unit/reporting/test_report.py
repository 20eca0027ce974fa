from __future__ import annotations

import io
import json
import re
from collections import Counter
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dep.evaluation import metrics
from dep.evaluation.metrics import TextMetric
from dep.reporting import print_costs, print_table, write_report
from dep.reporting.charts import _ticks, intervals, key, thinned
from dep.reporting.cost_table import HEADS
from dep.reporting.tables import categories, main_table
from dep.reporting.verdicts import in_words, verdicts
from dep.utils.errors import DepError
from dep.utils.registry import ComponentConfig

LABELS = {
    "non_perso": "Non-Perso", "rag": "RAG", "constant": "Constant prompt (w/o text)", "notext": "DEP (w/o text)",
    "his": "DEP (w/o text, his)", "shuffled": "DEP shuffled (w/o text)", "dep": "DEP",
}  # fmt: skip
METHODS = tuple(LABELS.values())
CATEGORIES = ("Books", "Digital_Music", "all")
METRICS = {"rouge1": 0.3, "rougeL": 0.2, "meteor": 0.25, "bleu": 4.0, "bertscore": 0.85, "nll": 0.6}
ATTACK = "<script>alert('x')</script> & \"quoted\" | **bold** {{ 7 * 7 }}"


def row(arm: str, category: str, metric: str, value: float, seed: int | None) -> dict[str, Any]:
    place = {"run": "demo", "arm": arm, "label": LABELS.get(arm, arm), "category": category, "metric": metric}
    return {**place, "value": value, "ci_low": value * 0.97, "ci_high": value * 1.03, "n": 240, "seed": seed}


def comparison(
    metric: str, delta: float, half: float, p: float, category: str = "all", b: str = "rag"
) -> dict[str, Any]:
    interval = {"delta": delta, "ci_low": delta - half, "ci_high": delta + half}
    return {"a": "dep", "b": b, "category": category, "metric": metric, **interval, "p": p, "n": 240}


def results() -> dict[str, Any]:
    rows = []
    for at, arm in enumerate(LABELS):
        for category in CATEGORIES:
            for metric, base in METRICS.items():
                value = base * (1 + 0.03 * at * (-1 if metric == "nll" else 1))
                seeds = [None, 0, 1] if LABELS[arm].startswith("DEP") else [0]
                for seed in seeds:
                    rows.append(row(arm, category, metric, value + (seed or 0) * 1e-3, seed))
    comparisons = [
        comparison(metric, delta, half, p, category, b)
        for category in CATEGORIES
        for b in ("rag", "non_perso")
        for metric, delta, half, p in (
            ("nll", -0.0123, 0.004, 0.0005),
            ("rouge1", 0.021, 0.01, 0.0005),
            ("rougeL", -0.02, 0.01, 0.0005),
            ("meteor", 0.003, 0.01, 0.4),
            ("bleu", 0.3, 0.2, 0.03),
        )
    ]
    return {"rows": rows, "comparisons": comparisons}


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run folder with everything that a report can show."""
    folder = tmp_path / "demo"
    review = {"item_title": "An earlier item", "rating": 4.0, "title": "Fine", "text": f"Earlier: {ATTACK}"}
    shown = {
        "key": "Books/7", "category": "Books", "user": "u1", "item_title": f"Item {ATTACK}", "rating": 5.0,
        "item_description": "A book.", "title": ATTACK, "reference": f"True: {ATTACK}",
        "past_reviews": [review, {**review, "rating": None}], "peer_reviews": [{"item_title": "x", "text": ATTACK}],
        "predictions": {arm: f"{arm} wrote {ATTACK}" for arm in list(LABELS)[:-1]} | {"dep": None},
        "steps": {"PAG": [{"system": ATTACK, "prompt": ATTACK, "prompt_tokens": 9, "text": ATTACK}]},
    }  # fmt: skip
    run = {
        "name": "demo", "started": "2026-11-21 10:00:00", "seconds": 192.4, "command": "dep run conf/demo.yaml",
        "config": {"train": {"lr": 3e-3, "schedule": "linear"}, "seeds": [0, 1], "wandb": None},
        "statistics": {
            "corpora": [{"category": "Books", "users": 80, "items": 120, "reviews": 1120}],
            "splits": [{"split": "test", "category": "Books", "examples": 80, "profile_mean": 12.0, "profile_sd": 1.0,
                        "output_mean": 180.0, "output_sd": 40.0}],
        },
        "costs": {
            "dep": {"trains": True, "trainable": 41_216, "frozen": 3_200_000, "train_seconds": 61.2,
                    "prompt_tokens": 310.4, "calls": 1.0, "gflops": 0.71, "user_bytes": 6144.0},
            ATTACK: {"trains": False, "prompt_tokens": 99.0, "calls": 2.5, "gflops": None, "user_bytes": None},
        },
        "signatures": {"rouge1": "rouge1|stemmer:no|rouge_score:0.1.2", "nll": "nll|per token"},
    }  # fmt: skip
    steps = "".join(f"{0 if s < 50 else 1},{s},{3 - s / 50},{'' if s % 25 else 1 + 1 / (s + 1)}\n" for s in range(100))
    for arm, seed in (("dep", 0), ("dep", 1), ("constant", 0)):
        (folder / arm / f"seed{seed}").mkdir(parents=True)
        (folder / arm / f"seed{seed}" / "metrics.csv").write_text(f"epoch,step,train_nll,val_nll\n{steps}")
        prediction = {**shown, "item": "b7", "prediction": f"{arm} {ATTACK}"}
        (folder / arm / f"seed{seed}" / "predictions.jsonl").write_text(json.dumps(prediction) + "\n")
    for name, content in (("results", results()), ("run", run), ("showcase", [shown] * 4)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


class Page(HTMLParser):
    """Collects what a test asks for; raises where tags do not match."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_parses_and_names_every_method_category_and_setting(run_dir: Path) -> None:
    path = write_report(run_dir)
    page = Page(path.read_text())
    assert path == run_dir / "report.html"
    for expected in (
        *METHODS,
        "Books",
        "Digital Music",
        "dep run conf/demo.yaml",
        "0:03:12",
        "train.schedule",
        "1,120",
    ):
        assert expected in page.text
    assert len(page.ids) == len(set(page.ids))
    assert not list(run_dir.glob("*.tmp"))


def test_each_category_has_a_button_that_controls_its_own_panel(run_dir: Path) -> None:
    page = Page(write_report(run_dir).read_text())
    controlled = [value for name, value in page.attributes if name == "aria-controls"]
    assert len(controlled) == 3
    assert set(controlled) <= set(page.ids)


def test_a_script_in_a_review_is_shown_and_not_run(run_dir: Path) -> None:
    html = write_report(run_dir).read_text()
    page = Page(html)
    assert page.tags["script"] == 1  # ours
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert") >= 8
    assert "{{ 7 * 7 }}" in page.text


def test_nothing_is_loaded_from_outside(run_dir: Path) -> None:
    html = write_report(run_dir).read_text()
    page = Page(html)
    assert not re.search(r"https?:|//\w|url\(|@import", html)
    assert not page.tags.keys() & {"link", "img", "iframe", "object", "embed"}
    linked = [value or "" for name, value in page.attributes if name in ("href", "src")]
    assert linked
    assert all((run_dir / name).is_file() for name in linked)
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_markdown_shows_a_review_as_it_is(run_dir: Path) -> None:
    write_report(run_dir)
    text = (run_dir / "report.md").read_text()
    assert "<script>" not in text
    assert "**bold**" not in text
    assert "| RAG |" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    cells = {line.replace("\\|", "").count("|") for line in tables}
    assert cells == {len(METRICS) + 2, len(HEADS) + 2, 10}


def test_what_each_method_was_given_stands_in_page_markdown_and_terminal(run_dir: Path) -> None:
    write_report(run_dir)
    costs = json.loads((run_dir / "run.json").read_text())["costs"]
    console = Console(width=100, file=io.StringIO())
    print_costs(costs, console, LABELS)
    assert isinstance(console.file, io.StringIO)
    for text in ((run_dir / "report.html").read_text(), (run_dir / "report.md").read_text(), console.file.getvalue()):
        assert "What each method costs" in text
        for cell in ("41,216", "1.3%", "310", "0.71", "6,144", "none", "2.5"):
            assert cell in text


def test_only_the_mean_over_seeds_is_shown(run_dir: Path) -> None:
    table = main_table(results(), "all")
    cell = table.cells["dep", "rouge1"]
    assert cell.value == pytest.approx(0.3 * 1.18)
    assert cell.seeds == pytest.approx((0.354, 0.355))
    assert table.cells["rag", "rouge1"].seeds == ()


def test_the_best_is_the_highest_but_the_lowest_nll() -> None:
    table = main_table(results(), "Books")
    assert {key for key, cell in table.cells.items() if cell.best} == {("dep", metric) for metric in METRICS}
    assert table.cells["dep", "nll"].value == min(table.cells[arm, "nll"].value for arm in LABELS)


def test_several_seeds_without_their_mean_are_refused() -> None:
    rows = [row("dep", "all", "nll", 0.5, 0), row("dep", "all", "nll", 0.6, 1)]
    with pytest.raises(ValueError, match="seed null"):
        main_table({"rows": rows}, "all")


def test_pooling_one_category_is_not_shown_twice() -> None:
    rows = [row("dep", category, "nll", 0.5, 0) for category in ("Books", "all")]
    assert categories({"rows": rows}) == ["Books"]
    assert categories(results()) == ["all", "Books", "Digital_Music"]


def test_verdicts_know_which_direction_is_good_and_correct_for_the_pairs_of_a_metric() -> None:
    found = verdicts(results(), "Books")["dep", "rag"]
    assert {v.metric: v.text for v in found} == {
        "rouge1": "better",
        "rougeL": "worse",
        "meteor": "no difference shown",
        "bleu": "better, uncorrected",
        "nll": "better",
    }
    assert [v.holm for v in found] == pytest.approx([0.001, 0.001, 0.8, 0.06, 0.001])
    assert in_words(found) == (
        "better on ROUGE-1 and NLL; worse on ROUGE-L; better before correction on BLEU; no difference shown on METEOR"
    )
    one = {"comparisons": [row for row in results()["comparisons"] if row["b"] == "rag"]}
    assert {v.metric: v.text for v in verdicts(one, "Books")["dep", "rag"]}["bleu"] == "better"


def test_agreement_of_every_metric_is_said_in_short() -> None:
    rows = [comparison(metric, 0.02, 0.01, 0.001) for metric in ("rouge1", "rougeL", "meteor")]
    assert in_words(verdicts({"comparisons": rows}, "all")["dep", "rag"]) == "better on every metric"


def test_a_p_value_without_its_interval_is_no_verdict() -> None:
    (found,) = verdicts({"comparisons": [comparison("meteor", 0.01, 0.02, 0.001)]}, "all").values()
    assert found[0].text == "no difference shown"


def test_a_report_of_results_alone_is_written(run_dir: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    rows = [row("dep", "all", "nll", 0.5, 0)]
    (bare / "results.json").write_text(json.dumps({"rows": rows, "comparisons": []}))
    assert "0.5000" in Page(write_report(bare).read_text()).text


def test_without_a_showcase_the_predictions_are_shown(run_dir: Path) -> None:
    (run_dir / "showcase.json").unlink()
    text = Page(write_report(run_dir).read_text()).text
    assert f"constant {ATTACK}" in text
    assert "True:" in text


def test_missing_and_empty_results_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"results\.json.*dep report"):
        write_report(tmp_path)
    (tmp_path / "results.json").write_text('{"rows": []}')
    with pytest.raises(ValueError, match="expected `rows`, found none"):
        write_report(tmp_path)


@pytest.mark.parametrize("width", [160, 80])
def test_the_terminal_shows_every_method_and_verdict(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    print_table(results(), console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, said.splitlines())) <= width
    assert all(method in said for method in METHODS if width == 160 or len(method) < 15)
    assert ("0.343–0.365" in said) == (width == 160)
    assert "DEP − RAG" in said
    assert "better, uncorrected" in said


def test_axis_ticks_are_round_and_enclose_the_values() -> None:
    assert _ticks(0.0, 0.37) == [0.0, 0.1, 0.2, 0.3, 0.4]
    for low, high in ((0.6123, 0.6124), (-3.0, 4.5), (5.0, 5.0), (0.0, 0.0)):
        ticks = _ticks(low, high)
        assert ticks[0] <= low <= high <= ticks[-1]
        assert 2 <= len(ticks) <= 7


def test_thinning_keeps_the_mean() -> None:
    line = [(float(step), float(step % 7)) for step in range(1000)]
    short = thinned(line, 100)
    assert len(short) == 100
    assert sum(y for _, y in short) / 100 == pytest.approx(sum(y for _, y in line) / 1000)


def test_a_warning_stands_before_any_number(run_dir: Path) -> None:
    path = run_dir / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"warning": f"Know this: {ATTACK}"}))
    write_report(run_dir)
    html, markdown = ((run_dir / f"report.{kind}").read_text() for kind in ("html", "md"))
    assert html.index("Know this") < html.index("Results")
    assert markdown.index("Know this") < markdown.index("All categories")
    Page(html)
    assert "<script>alert" not in html + markdown


def test_the_key_names_the_colours_that_there_are() -> None:
    assert key(["other", "own", "own"]) == {"own": "DEP", "other": "other methods"}
    assert list(key(["control"])) == ["control"]


def test_colours_follow_the_methods_role_and_not_its_label() -> None:
    table = main_table({"rows": [row("mine", "all", "nll", 0.5, 0), row("dep", "all", "nll", 0.5, 0)]}, "all")
    chart = intervals(table, "nll", {"mine": "control"})
    assert 'class="dot control"' in chart
    assert 'class="dot other"' in chart
    assert "own" not in chart


def test_two_arms_of_one_label_are_both_shown_with_their_names(run_dir: Path) -> None:
    rows = [row(arm, "all", "nll", value, 0) | {"label": "DEP"} for arm, value in (("first", 0.5), ("second", 0.6))]
    results = {"rows": rows, "comparisons": [comparison("nll", -0.1, 0.01, 0.001) | {"a": "first", "b": "second"}]}
    (run_dir / "results.json").write_text(json.dumps(results))
    write_report(run_dir)
    console = Console(file=io.StringIO(), width=100)
    print_table(results, console)
    print_costs(dict.fromkeys(("first", "second"), PLAIN), console, {"first": "DEP", "second": "DEP"})
    assert isinstance(console.file, io.StringIO)
    for text in ((run_dir / "report.html").read_text(), (run_dir / "report.md").read_text(), console.file.getvalue()):
        assert "DEP (first)" in text
        assert "DEP (second)" in text
        assert "0.6000" in text


PLAIN = {"trains": False, "prompt_tokens": 99.0, "calls": 1.0}


class Surprise(TextMetric):
    name = "surprise"
    label = "Surprise"
    unit = "bits"
    decimals = 1
    higher_is_better = False

    @dataclass(kw_only=True)
    class Config(ComponentConfig):
        kind: str = "surprise"

    @property
    def signature(self) -> str:
        return "surprise"

    def per_example(self, predictions: Any, references: Any, *, progress: bool = False) -> list[float]:
        return [float(len(text)) for text in predictions]


def test_a_metric_of_ones_own_stands_in_table_chart_page_and_verdicts(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_LOADED", {})
    content = results() | {"metrics": {"surprise": f"{__name__}:Surprise"}}
    content["rows"] += [row(arm, category, "surprise", 7.25, 0) for arm in LABELS for category in CATEGORIES]
    content["comparisons"].append(comparison("surprise", -0.5, 0.1, 0.0005))
    (run_dir / "results.json").write_text(json.dumps(content))
    text = Page(write_report(run_dir).read_text()).text
    assert "Surprise ↓ bits" in text
    assert "Surprise ↓" in (run_dir / "report.md").read_text()
    assert main_table(content, "all").metrics == [*METRICS, "surprise"]
    assert {v.metric: v.text for v in verdicts(content, "all")["dep", "rag"]}["surprise"] == "better"
    console = Console(file=io.StringIO(), width=160)
    print_table(content, console)
    assert "Surprise ↓" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_metric_that_nobody_knows_is_an_error_and_not_left_out() -> None:
    with pytest.raises(DepError, match="metric 'novelty'"):
        main_table({"rows": [row("dep", "all", "novelty", 0.5, 0)]}, "all")
