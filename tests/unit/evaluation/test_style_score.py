"""The style score: features of writing style, and nearness to one's own past against that to other users'."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

from dep.evaluation.metrics import MetricsConfig, build_metric, build_metrics
from dep.evaluation.metrics.style import Style
from dep.evaluation.style_features import FUNCTION_WORDS, MARKS, style_features
from dep.pipeline.stages.evaluate import with_past_texts
from dep.types import Corpus, Example, Item, Review

LOUD = ["WOW!! It is GREAT! BUY IT!!", "NO! Not for ME!! AWFUL!", "YES!! I LOVE IT! SO LOUD!"]
CALM = [
    "the strings, which are rather old, have a tone that is, on the whole, quite pleasant",
    "although the bow was short, it is, as far as one can tell, well made",
    "a drum, however large, must be tuned, and this one was not",
]
DRY = ["It works. It is small. It was cheap.", "It broke. I sent it back.", "It is fine. It does what it should."]


def rows(*predictions: str) -> list[dict[str, Any]]:
    """One request of each of three users, whose past reviews are the texts above."""
    return [
        {"key": f"A/{at}", "category": "A", "user": user, "prediction": text, "reference": past[0], "past_texts": past}
        for at, (user, past, text) in enumerate(zip("lcd", (LOUD, CALM, DRY), predictions, strict=True))
    ]


def test_a_text_in_its_users_style_scores_above_zero_and_one_in_a_strangers_below() -> None:
    loud, calm, dry = "OH!! I HATE IT! BAD!", "a harp, although heavy, is, on the whole, a joy", "It is ok. It fits."
    assert min(Style().score(rows(loud, calm, dry))) > 0.2
    assert max(Style().score(rows(calm, loud, calm))) < 0


def test_the_score_is_the_cosine_with_the_own_past_less_the_mean_cosine_with_other_users_pasts() -> None:
    texts = [*LOUD, *CALM, *DRY]
    features = style_features(texts)
    spread = np.where(features.std(0) > 0, features.std(0), np.inf)
    z = np.clip((features - features.mean(0)) / spread, -3, 3)
    x = np.clip((style_features(["So, it is LOUD."])[0] - features.mean(0)) / spread, -3, 3)
    centres = [z[:3].mean(0), z[3:6].mean(0), z[6:].mean(0)]
    cosines = [float(c @ x / np.linalg.norm(c) / np.linalg.norm(x)) for c in centres]
    score = Style().score(rows("So, it is LOUD.", "", ""))[0]
    assert score == pytest.approx(cosines[0] - (cosines[1] + cosines[2]) / 2)


def test_the_ceiling_is_the_score_of_the_real_reviews() -> None:
    asked = rows("", "", "")
    real = Style().score([row | {"prediction": row["reference"]} for row in asked])
    assert Style().ceiling(asked) == pytest.approx(np.mean(np.asarray(real, dtype=float)))
    assert Style().ceiling(asked) > 0.2


def test_strangers_are_of_the_same_category_where_it_has_any() -> None:
    several = [
        *rows("It is ok.", "It is ok.", "It is ok."),
        *[r | {"category": "B"} for r in rows("", "", "It is ok.")],
    ]
    assert Style().score(several)[5] == pytest.approx(Style().score(several)[2])
    alone = [*rows("It is ok.", "", "")[:2], rows("", "", "It is ok.")[2] | {"category": "B"}]
    assert Style().score(alone)[2] == pytest.approx(Style().score(rows("", "", "It is ok."))[2])


def test_no_words_no_past_and_no_stranger_score_zero() -> None:
    without = [row | {"past_texts": []} if row["user"] == "d" else row for row in rows("!!!", "It is.", "It is.")]
    values = Style().score(without)
    assert values[0] == values[2] == 0 != values[1]
    assert Style().score(rows("It is.", "", "")[:1]) == [0.0]


def test_features_are_roots_of_shares_and_meet_no_case() -> None:
    row = style_features(["The harp, THE harp."])[0]
    assert row[FUNCTION_WORDS.index("the")] == pytest.approx(sqrt(2 / 4))
    assert row[len(FUNCTION_WORDS) + MARKS.index(",")] == pytest.approx(sqrt(1 / 19))
    assert style_features(["don’t"])[0].tolist() == style_features(["don't"])[0].tolist()
    assert style_features([]).shape[0] == 0
    assert not style_features(["...", ""]).any()


def test_runs_with_texts_compute_the_score_unless_they_name_other_metrics() -> None:
    assert "style" in build_metrics(MetricsConfig())
    assert "style" not in build_metrics(MetricsConfig(), texts=False)
    assert "style" not in build_metrics(MetricsConfig(names=["bleu"]))
    assert "words,marks" in build_metric("style").signature


def test_the_past_of_a_row_is_its_examples_profile() -> None:
    from dep.data.protocol import ReviewDataset

    reviews = [Review("ann", f"i{at}", f"text {at}", 5.0, "", at) for at in range(3)]
    corpus = Corpus("A", reviews, {f"i{at}": Item(f"i{at}", "") for at in range(3)})
    prepared = ReviewDataset({"A": corpus}, [Example("A", "test", 2, (0, 1))], {})
    assert with_past_texts([{"key": "A/2", "user": "ann"}], prepared) == [
        {"key": "A/2", "user": "ann", "past_texts": ["text 0", "text 1"]}
    ]
