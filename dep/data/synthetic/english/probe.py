"""Probes whether the vector of one review in the English world predicts the planted traits of its author.

The English world is a set of synthetic reviews by users whose traits are known (`dep.data.synthetic.english`). For each
trait, a ridge regression (as in `dep.data.synthetic.trait_probe`) scores the trait's values from the vector of one
review. The result is the AUC within a review: how often a value that the author has is scored above one that the author
does not have. With two values, this is the share of correct answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dep.data.synthetic.english.authors import CASE, CONTRACTIONS, PUNCTUATION
from dep.data.synthetic.english.phrase_files import TONES
from dep.data.synthetic.trait_probe import TraitRow, probe_labels
from dep.data.synthetic.truth import truth_of
from dep.data.vectors.store import Vectors
from dep.types import Corpus

VALUES = {
    "tone": TONES,
    "punctuation": tuple(dict.fromkeys(PUNCTUATION)),
    "case": tuple(dict.fromkeys(CASE)),
    "contractions": tuple(dict.fromkeys(CONTRACTIONS)),
    "leniency": ("lenient", "strict"),
    "emoji": ("some", "none"),
}
"""Traits with few values, and these values."""


def planted(
    corpora: Mapping[str, Corpus], vectors: Mapping[str, Vectors], folder: Path, ridge: float = 0.1
) -> list[TraitRow]:
    """Run the probe on `his`, on `diff` and on `both`, for every trait; each category has regressions of its own.

    `his` is a review's own vector, `diff` its difference from peers (`dep.types.Vectors`), and `both` one after the
    other. Reviews without peers are left out. In addition to the traits there is a row `sayings, not facts`, in which
    the author's sayings are scored against the facts of the reviewed product. A review expresses both in the same
    words, so that only other users' reviews of the product show which is which.

    Args:
        corpora: the reviews by category.
        vectors: the vectors of the reviews by category.
        folder: the folder with `truth_<category>.json` of each category, which holds the planted traits.
        ridge: weight of the penalty, per review.

    Returns:
        A row for each trait and kind of vector. The rows of a trait follow one another: `his`, `diff`, `both`.
    """
    result: dict[tuple[str, str], TraitRow] = {}
    for category, corpus in corpora.items():
        truth = truth_of(folder, category)
        users, items = truth["users"], truth["items"]
        rows = (vectors[category].peers_N > 0).nonzero()[:, 0].tolist()
        authors = [corpus.reviews[row].user for row in rows]
        his_NE, diff_NE = (x[rows].double() for x in (vectors[category].his_NE, vectors[category].diff_NE))
        labels = {}
        for trait in ("sayings", "aspects", *VALUES):
            values = VALUES.get(trait) or tuple(sorted({value for user in users.values() for value in user[trait]}))
            has_NC = torch.tensor([_has(users[author], trait, values) for author in authors]).double()
            labels[trait] = has_NC, 1 - has_NC
            if trait == "sayings":
                facts = [items[corpus.reviews[row].item]["facts"] for row in rows]
                fact_NC = torch.tensor([[value in of_item for value in values] for of_item in facts]).double()
                labels["sayings, not facts"] = has_NC, fact_NC * (1 - has_NC)
        for row in probe_labels(his_NE, diff_NE, labels, authors, ridge):
            before = result.get((row.trait, row.vectors))
            auc_U = torch.cat([before.auc_U, row.auc_U]) if before else row.auc_U
            result[row.trait, row.vectors] = replace(row, auc_U=auc_U, n=row.n + (before.n if before else 0))
    return list(result.values())


def _has(user: Mapping[str, Any], trait: str, values: tuple[str, ...]) -> list[bool]:
    own = user[trait]
    if trait == "leniency":
        own = "lenient" if own > 0 else "strict"
    elif trait == "emoji":
        own = "some" if own else "none"
    return [value in own if isinstance(own, list) else value == own for value in values]
