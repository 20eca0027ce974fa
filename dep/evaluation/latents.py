"""Describes the units of a compressor: when they are active, which words go with them, which planted traits they find.

A unit is a component of the latent z (Eq. 5). It is active for a review whose z is above zero.

Shape suffixes: N reviews, Z units, C labels.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dep.utils.errors import DepError

_WORD = re.compile(r"\w[\w'’-]*")


@dataclass(frozen=True)
class Unit:
    """What a unit does on some reviews."""

    unit: int
    active: float
    """The share of the reviews for which it is active."""
    largest: float
    """Its largest activation."""
    rows: list[int]
    """The reviews with its largest activations, the largest first."""
    words: list[str]
    """The words that separate these reviews from all others, the most separating first."""


class Recovered(NamedTuple):
    """How well the best unit finds a label on users that did not choose the unit."""

    label: str
    unit: int
    sign: int
    """1 if larger activations mean the label, and else -1."""
    auc: float
    """How often a review with the label is ranked above one without it, by this unit; 0.5 is chance."""
    n: int
    """Number of reviews with the label."""


def describe_units(z_NZ: Tensor, texts: Sequence[str], count: int = 8, top: int = 20, words: int = 6) -> list[Unit]:
    """Describe the units whose activations vary most.

    Args:
        z_NZ: the latents of N reviews.
        texts: their texts.
        count: number of units.
        top: number of reviews with a unit's largest activations; those that do not activate it are left out.
        words: number of words for each unit.

    Raises:
        DepError: there are not as many texts as latents.
    """
    if len(texts) != len(z_NZ):
        raise DepError("texts", f"{len(z_NZ)}, one for each latent", str(len(texts)))
    z_NZ, documents = z_NZ.detach().float(), [_words(text) for text in texts]
    found = []
    for unit in z_NZ.std(0).argsort(descending=True)[:count].tolist():
        z_N = z_NZ[:, unit]
        rows = [row for row in z_N.argsort(descending=True)[:top].tolist() if z_N[row] > 0]
        share = float((z_N > 0).float().mean())
        found.append(Unit(unit, share, float(z_N.max()), rows, separating_words(documents, rows, words)))
    return found


def separating_words(documents: Sequence[set[str]], rows: Sequence[int], count: int) -> list[str]:
    """Return the words that are more frequent in some documents than in the others, the most separating first.

    Words are ordered by the z-score of the log odds of occurring in a document, each count plus a half:

        z = (log odds inside - log odds outside) / sqrt(1/a + 1/b + 1/c + 1/d)

    with a and b the documents inside that have and lack the word, and c and d those outside.

    Args:
        documents: the words of each document.
        rows: the documents inside.
        count: the largest number of words; words with z below 0 are left out.
    """
    inside = Counter(word for row in rows for word in documents[row])
    everywhere = Counter(word for document in documents for word in document)
    others = len(documents) - len(rows)
    scores = {}
    for word, often in inside.items():
        a, c = often + 0.5, everywhere[word] - often + 0.5
        b, d = len(rows) - often + 0.5, others - (everywhere[word] - often) + 0.5
        scores[word] = (math.log(a / b) - math.log(c / d)) / math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    ordered = sorted(scores, key=lambda word: (-scores[word], word))
    return [word for word in ordered[:count] if scores[word] > 0]


def aucs(z_NZ: Tensor, label_NC: Tensor) -> Tensor:
    """Compute the AUC [Z, C] of each unit for each label; ties count half, and a label that all or none have is NaN.

    Args:
        z_NZ: the latents.
        label_NC: bool, which labels each review has.
    """
    z_ZN = z_NZ.detach().double().T.contiguous()
    ordered_ZN = z_ZN.sort(1).values
    below_ZN = torch.searchsorted(ordered_ZN, z_ZN)
    up_to_ZN = torch.searchsorted(ordered_ZN, z_ZN, right=True)
    rank_ZN = (below_ZN + up_to_ZN + 1).double() / 2
    has_NC = label_NC.double()
    positive_C = has_NC.sum(0)
    wins_ZC = rank_ZN @ has_NC - positive_C * (positive_C + 1) / 2
    return wins_ZC / (positive_C * (len(has_NC) - positive_C))


def best_units(z_NZ: Tensor, label_NC: Tensor, labels: Sequence[str], users: Sequence[str]) -> list[Recovered]:
    """Find the best unit for each label on half of the users, and measure its AUC on the other half.

    Among hundreds of units some separate any label by chance; on the users that chose the unit its AUC would be too
    large. Every second user, in the order of names, chooses.

    Args:
        z_NZ: the latents.
        label_NC: bool, which labels the author of each review has.
        labels: the names of the labels.
        users: the author of each review.

    Returns:
        One result for each label that some, but not all, reviews of each half have.
    """
    half = {user: at % 2 for at, user in enumerate(sorted(set(users)))}
    chooses_N = torch.tensor([half[user] == 0 for user in users])
    chosen_ZC, measured_ZC = (aucs(z_NZ[rows], label_NC[rows]) for rows in (chooses_N, ~chooses_N))
    found = []
    for at, label in enumerate(labels):
        if chosen_ZC[:, at].isnan().any() or measured_ZC[:, at].isnan().any():
            continue
        unit = int((chosen_ZC[:, at] - 0.5).abs().argmax())
        sign = 1 if chosen_ZC[unit, at] >= 0.5 else -1
        auc = 0.5 + sign * (float(measured_ZC[unit, at]) - 0.5)
        found.append(Recovered(label, unit, sign, auc, int(label_NC[:, at].sum())))
    return sorted(found, key=lambda one: -one.auc)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
