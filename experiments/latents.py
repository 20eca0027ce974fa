"""Compares kinds of compressor on the vectors of a run on the built-in world, and prints a table.

    python -m experiments.latents runs/demo

Each compressor is fitted without labels to the differences of every second user, for several weights γ of its sparsity
loss (or several k). On the other users are measured: L0, dead units and explained variance, and how well single units
and a linear probe tell what was planted. Both are chosen or fitted on the first half of the users. No language model is
loaded.

    saying   the author often mentions a concept        said     this review mentions it
    manner   the author's tone, or favourite article    probe    the linear probe, a ceiling for any unit
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

import dep
from dep.data.synthetic.language import CONCEPTS
from dep.data.synthetic.trait_probe import fit
from dep.data.synthetic.truth import truth_of
from dep.evaluation.latents import aucs, best_units
from dep.models.compressors import COMPRESSORS
from dep.pipeline.run_data import RunData
from dep.training.compressor_fit import code_of, fit_compressor

Settings = Mapping[str, Any]
TRIED: dict[str, list[tuple[Settings, float]]] = {
    "sae": [({}, gamma) for gamma in (1e-3, 0.1, 1.0, 10.0)],
    "topk": [({"k": k}, 0.0) for k in (16, 32, 64)],
    "jumprelu": [({}, gamma) for gamma in (0.1, 1.0, 10.0)],
    "l1": [({}, gamma) for gamma in (0.3, 1.0, 3.0)],
}
"""For each kind its settings, and γ."""


@dataclass(frozen=True)
class Reviews:
    """Standardised vectors of reviews, and what was planted in them."""

    x_NE: Tensor
    users: list[str]
    first_N: Tensor
    """Whether the author is in the half that chooses."""
    planted: dict[str, tuple[Tensor, list[str]]]
    """For each kind of label: bool [N, C], and the labels' names."""


class Found(NamedTuple):
    """What single units of a code tell on the second half of the users: the mean AUC for each kind of label."""

    saying: float
    said: float
    manner: float


def read(data: RunData) -> Reviews:
    """Read the differences of all reviews with peers, in all categories."""
    x, users, saying, said, manner = [], [], [], [], []
    manners: list[str] = []
    for category in data.categories:
        vectors, reviews = data.vectors(category), data.corpus(category).reviews
        source = cast(Any, data.resources.source)
        truth = truth_of(source.path, category)["users"]
        for row in (vectors.peers_N > 0).nonzero()[:, 0].tolist():
            review, author = reviews[row], truth[reviews[row].user]
            words = set(review.text.lower().replace(".", " ").split())
            x.append(vectors.diff_NE[row])
            users.append(f"{category}/{review.user}")
            saying.append([concept in author["sayings"] for concept in CONCEPTS])
            said.append([concept in words for concept in CONCEPTS])
            manner.append((author["tone"], author["article"]))
    manners = sorted({name for pair in manner for name in pair})
    half = {user: at % 2 for at, user in enumerate(sorted(set(users)))}  # as in `best_units`
    first_N = torch.tensor([half[user] == 0 for user in users])
    x_NE = torch.stack(x).float()
    x_NE = (x_NE - x_NE[first_N].mean(0)) / x_NE[first_N].std(0).clamp(min=1e-6)
    labels = {
        "saying": (torch.tensor(saying), list(CONCEPTS)),
        "said": (torch.tensor(said), list(CONCEPTS)),
        "manner": (torch.tensor([[name in pair for name in manners] for pair in manner]), manners),
    }
    return Reviews(x_NE, users, first_N, labels)


def units(reviews: Reviews, z_NZ: Tensor) -> Found:
    """Measure the best unit for each label."""
    return Found(*(fmean(r.auc for r in best_units(z_NZ, *of, reviews.users)) for of in reviews.planted.values()))


def probe(reviews: Reviews, ridge: float = 1e-1) -> Found:
    """Measure a ridge regression for each label."""
    x_NE, first_N = reviews.x_NE.double(), reviews.first_N
    found = []
    for label_NC, _ in reviews.planted.values():
        score_MC = fit(x_NE[first_N], label_NC[first_N].double(), ridge)(x_NE[~first_N])
        auc_C = aucs(score_MC, label_NC[~first_N]).diagonal()
        found.append(float(auc_C[~auc_C.isnan()].mean()))
    return Found(*found)


def row(name: str, weight: str, found: Found, code: tuple[float, float, float] | None = None) -> str:
    """Format a row of the table."""
    measured = f"{code[0]:.0f} | {code[1]:.0%} | {code[2]:.2f}" if code else "– | – | –"
    return f"| {name} | {weight} | {measured} | {found.saying:.3f} | {found.said:.3f} | {found.manner:.3f} |"


def main(folder: str, latent: int = 256, steps: int = 1000) -> None:
    """Print the table of a run."""
    reviews, start = read(dep.load_run(folder).data), time.process_time()
    second_NE, count = reviews.x_NE[~reviews.first_N], len(set(reviews.users))
    print(f"{len(reviews.users)} differences of {count} users, {latent} units, {steps} steps of 64 vectors\n")
    print("| code | γ or k | L0 | dead | EV | saying | said | manner |\n|---|---|---|---|---|---|---|---|")
    print(row("linear probe", "", probe(reviews)))
    random_EZ = torch.randn(reviews.x_NE.shape[1], latent, generator=torch.Generator().manual_seed(0))
    print(row("random directions", "", units(reviews, reviews.x_NE @ random_EZ)), flush=True)
    for kind, tried in TRIED.items():
        for settings, gamma in tried:
            config = COMPRESSORS.config_class(kind)(latent=latent, activation="relu", **settings)  # type: ignore[call-arg]
            fitted = fit_compressor(config, reviews.x_NE[reviews.first_N], gamma, steps, progress=False)
            with torch.no_grad():
                z_NZ = cast(nn.Module, fitted)(reviews.x_NE).latent
            weight = f"k = {settings['k']}" if settings else f"{gamma:g}"
            print(row(kind, weight, units(reviews, z_NZ), code_of(fitted, second_NE)), flush=True)
    print(f"\n{time.process_time() - start:.0f} s of processor time")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
