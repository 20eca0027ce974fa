"""The configurations of public sets read their folders, given nothing but `source.folder`."""

from __future__ import annotations

from pathlib import Path

import pytest

from dep.config.loader import load
from dep.config.schema import build
from dep.data.protocol import prepare
from dep.data.statistics import statistics_of
from dep.types import Corpus

CONF = Path(__file__).resolve().parents[3] / "conf"


@pytest.mark.parametrize(
    ("name", "folder", "test_examples"),
    [
        ("digital_music", "amazon2014_digital_music", 133),
        ("musical_instruments", "amazon2014_musical_instruments", 176),
        ("imdb", "imdb_reviews", 537),
        ("film_critics", "film_critics", 624),
    ],
)
def test_a_public_set_is_read_and_filtered_from_its_folder_alone(
    shared_data: Path, name: str, folder: str, test_examples: int
) -> None:
    if not (shared_data / folder).is_dir():
        pytest.skip(f"no real reviews at {shared_data / folder}")
    config = load([CONF / "data" / f"{name}.yaml"], [f"source.folder={shared_data / folder}"])
    dataset = prepare(build(config, "source"), config.protocol)
    (corpus,) = dataset.corpora.values()
    tests = [row for row in statistics_of(dataset.corpora, dataset.examples).splits if row.split == "test"]
    assert tests[0].examples == test_examples
    assert all(review.text and len(review.text) >= config.protocol.min_text_chars - 40 for review in corpus.reviews)
    check = {"imdb": _imdb, "film_critics": _film_critics}.get(name)
    if check:
        check(corpus)


def _imdb(corpus: Corpus) -> None:
    assert not any("<br" in review.text for review in corpus.reviews), "tags are removed"
    ratings = [review.rating for review in corpus.reviews]
    assert all(1 <= rating <= 5 for rating in ratings if rating == rating)
    assert 0 < sum(rating != rating for rating in ratings) < len(ratings) / 5, "a rating above 10 is missing"
    assert min(review.time for review in corpus.reviews) > 880_000_000_000, "dates are read"


def _film_critics(corpus: Corpus) -> None:
    assert {review.title for review in corpus.reviews} == {"Fresh", "Rotten"}
    assert any(review.rating != review.rating for review in corpus.reviews), "unrated quotes stay"
    assert all(item.title for item in corpus.items.values())
