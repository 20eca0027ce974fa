"""Writes a run's requests for systems outside of the package: requests.jsonl, one JSON object a line.

    key, category, user, item, item_title, item_description, rating, title    the review to write
    past_reviews   earlier reviews, oldest first: item, item_title, item_description, rating, title, text, time
    stranger       the key of another user's request, whose past reviews a second file of predictions is made from

The real reviews are left out. They are in the run's own predictions.jsonl files.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from dep.config.schema import build
from dep.data.prompts.requests import Requests
from dep.judging.finished_run import FinishedRun
from dep.methods.controls.shuffled import donors
from dep.types import Item, Review
from dep.utils.atomic_io import write_rows


def write_requests(run: FinishedRun, path: Path) -> int:
    """Write the run's requests to `path`, and return how many there are.

    Raises:
        DepError: the reviews are not those of the run, or all requests belong to one user.
    """
    examples = {example.key: example for example in run.dataset.examples if example.split == "test"}
    asked = [examples[key] for key in run.requests]
    requests = Requests(asked, run.dataset.corpora, None, build(run.config, "retriever"), 0)
    stranger_of = donors(requests, seed=0)
    rows = []
    for at, example in enumerate(asked):
        corpus = run.dataset.corpora[example.category]
        target = corpus.reviews[example.row]
        rows.append(
            {
                "key": example.key, "category": example.category, "user": target.user,
                **_item(corpus.items[target.item]), "rating": _rating(target), "title": target.title,
                "past_reviews": [_past(corpus.reviews[row], corpus.items[corpus.reviews[row].item])
                                 for row in example.profile],
                "stranger": asked[stranger_of[at]].key,
            }
        )  # fmt: skip
    write_rows(path, rows)
    return len(rows)


def _past(review: Review, item: Item) -> dict[str, Any]:
    said = {"rating": _rating(review), "title": review.title, "text": review.text, "time": review.time}
    return _item(item) | said


def _item(item: Item) -> dict[str, str]:
    return {"item": item.item, "item_title": item.title, "item_description": item.description}


def _rating(review: Review) -> float | None:
    """Return the stars; None if the review has none."""
    return None if math.isnan(review.rating) else review.rating
