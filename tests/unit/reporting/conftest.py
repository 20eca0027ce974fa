"""Shared fixtures of the report's tests: results, a run folder with everything that a report shows, a page parser."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

LABELS = {
    "non_perso": "Non-Perso", "rag": "RAG", "constant": "Constant prompt (w/o text)", "notext": "DEP (w/o text)",
    "his": "DEP (w/o text, his)", "shuffled": "DEP shuffled (w/o text)", "dep": "DEP",
}  # fmt: skip
CATEGORIES = ("Books", "Digital_Music", "all")
METRICS = {"rouge1": 0.3, "rougeL": 0.2, "meteor": 0.25, "bleu": 4.0, "bertscore": 0.85, "nll": 0.6}
ATTACK = "<script>alert('x')</script> & \"quoted\" | **bold** {{ 7 * 7 }}"


def make_row(arm: str, category: str, metric: str, value: float, seed: int | None) -> dict[str, Any]:
    place = {"run": "demo", "arm": arm, "label": LABELS.get(arm, arm), "category": category, "metric": metric}
    return {**place, "value": value, "ci_low": value * 0.97, "ci_high": value * 1.03, "n": 240, "seed": seed}


def make_comparison(
    metric: str, delta: float, half: float, p: float, category: str = "all", b: str = "rag"
) -> dict[str, Any]:
    interval = {"delta": delta, "ci_low": delta - half, "ci_high": delta + half}
    return {"a": "dep", "b": b, "category": category, "metric": metric, **interval, "p": p, "n": 240}


def make_results() -> dict[str, Any]:
    rows = []
    for number, arm in enumerate(LABELS):
        for category in CATEGORIES:
            for metric, base in METRICS.items():
                value = base * (1 + 0.03 * number * (-1 if metric == "nll" else 1))
                seeds = [None, 0, 1] if LABELS[arm].startswith("DEP") else [0]
                for seed in seeds:
                    rows.append(make_row(arm, category, metric, value + (seed or 0) * 1e-3, seed))
    comparisons = [
        make_comparison(metric, delta, half, p, category, b)
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
def row() -> Callable[..., dict[str, Any]]:
    """Return a function that makes a row of results.json from (arm, category, metric, value, seed)."""
    return make_row


@pytest.fixture
def comparison() -> Callable[..., dict[str, Any]]:
    """Return a function that makes a comparison of DEP with another arm from (metric, delta, half width, p)."""
    return make_comparison


@pytest.fixture
def results() -> dict[str, Any]:
    """Return results of seven arms in three categories; DEP's arms have two seeds and their mean."""
    return make_results()


@pytest.fixture
def labels() -> dict[str, str]:
    """Return the labels of the arms in `results`, by name."""
    return dict(LABELS)


@pytest.fixture
def metrics() -> list[str]:
    """Return the metrics in `results`, in the order of tables."""
    return list(METRICS)


@pytest.fixture
def attack() -> str:
    """Return a text that would break a page or a Markdown table without escaping."""
    return ATTACK


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Return a run folder with everything that a report can show."""
    folder = tmp_path / "demo"
    review = {"item_title": "An earlier item", "rating": 4.0, "title": "Fine", "text": f"Earlier: {ATTACK}"}
    example = {
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
        prediction = {**example, "item": "b7", "prediction": f"{arm} {ATTACK}"}
        (folder / arm / f"seed{seed}" / "predictions.jsonl").write_text(json.dumps(prediction) + "\n")
    for name, content in (("results", make_results()), ("run", run), ("showcase", [example] * 4)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


class Page(HTMLParser):
    """Parses a page, collects tags, ids, attributes and words, and checks that tags match."""

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


@pytest.fixture
def parse() -> type[Page]:
    """Return the page parser."""
    return Page
