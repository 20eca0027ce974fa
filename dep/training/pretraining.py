"""The user encoder's own task: from what a user did, tell what comes next. No LLM takes part."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dep.models.adapters.user_llm.encoder import STARS, UserEncoder
from dep.types import UserHistory, UserHistoryBatch
from dep.utils.progress import stage

_BATCH = 32
_CANDIDATES = 8192
"""Items to choose from at most; of a larger catalogue those of the batch and others at random."""
_DECAY = 3.0
"""Weight decay: a hundred users are learned by heart within a few passes."""
_OWN_LR = 3.0
"""Learning rate of what is learned of an item beyond its text, in those of the encoder: it is in few batches."""

Events = tuple[UserHistory, Tensor]
"""One user's events in a category, oldest first, and [L] which row of the catalogue each event's item is."""


class PretrainMetrics(NamedTuple):
    """How well the next event is told on users that were left out, in nats an event, beside what needs no encoder."""

    item: float
    item_by_frequency: float
    item_by_chance: float
    """All items alike: less than by frequency where items are reviewed too seldom to tell which are liked."""
    stars: float
    stars_by_frequency: float
    events: int


def pretrain(
    encoder: UserEncoder,
    sequences: Mapping[str, Sequence[Events]],
    catalogues: Mapping[str, Tensor],
    *,
    epochs: int,
    lr: float,
    seed: int,
) -> PretrainMetrics:
    """Train the encoder, and say how well it tells the next event.

    Args:
        encoder: trained in place.
        sequences: by category; every tenth user, by a seeded draw, is left out and measured on.
        catalogues: [I, E] embeddings of a category's items.
        epochs: passes over the others.
        lr: peak learning rate, falling to zero in a straight line.
        seed: of the draw, the order and dropout.

    Returns:
        The measurement.
    """
    left_out, rest = _split(sequences, seed)
    batches = [(category, chunk) for category, mine in rest.items() for chunk in _chunks(mine)]
    width, device = encoder.config.width, next(encoder.parameters()).device
    own = {c: nn.Parameter(torch.zeros(len(items), width, device=device)) for c, items in catalogues.items()}
    trained = [*encoder.parameters(), *own.values()]
    groups: list[dict[str, Any]] = [
        {"params": list(encoder.parameters())},
        {"params": list(own.values()), "lr": lr * _OWN_LR},
    ]
    optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=_DECAY)
    steps = max(1, epochs * len(batches))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    order = random.Random(seed)
    with torch.random.fork_rng(devices=[]), stage("pretrain the user encoder", steps) as advance:
        torch.manual_seed(seed)
        encoder.train()
        for _ in range(epochs):
            order.shuffle(batches)
            for category, chunk in batches:
                losses = _losses(encoder, chunk, catalogues[category], own[category])
                optimizer.zero_grad()
                torch.stack([loss_M.mean() for loss_M in losses]).sum().backward()
                torch.nn.utils.clip_grad_norm_(trained, 1.0)
                optimizer.step()
                scheduler.step()
                advance(1)
    return measure(encoder, left_out, rest, catalogues, own)


@torch.no_grad()
def measure(
    encoder: UserEncoder,
    left_out: Mapping[str, Sequence[Events]],
    rest: Mapping[str, Sequence[Events]],
    catalogues: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
) -> PretrainMetrics:
    """The encoder on `left_out`, beside how often items and stars come in `rest` (every one counted once more)."""
    encoder.eval()
    sums, events = torch.zeros(5, dtype=torch.float64), 0
    for category, mine in left_out.items():
        items_I, stars_S = torch.ones(len(catalogues[category])), torch.ones(STARS)
        for past, items in rest[category]:
            items_I += torch.bincount(items, minlength=len(items_I))
            stars_S += torch.bincount(_stars(past), minlength=STARS)
        item_nats_I, stars_nats_S = -(items_I / items_I.sum()).log(), -(stars_S / stars_S.sum()).log()
        for chunk in _chunks(mine):
            item_M, stars_M, _ = _losses(encoder, chunk, catalogues[category], own[category])
            next_items = torch.cat([items[1:] for _, items in chunk])
            next_stars = torch.cat([_stars(past)[1:] for past, _ in chunk])
            by_chance = torch.tensor(math.log(len(items_I)) * len(next_items))
            by_frequency = item_nats_I[next_items].sum(), stars_nats_S[next_stars].sum()
            told = [item_M.sum().cpu(), by_frequency[0], by_chance, stars_M.sum().cpu(), by_frequency[1]]
            sums += torch.stack(told).double()
            events += len(next_items)
    item, item_by_frequency, item_by_chance, stars, stars_by_frequency = (sums / max(1, events)).tolist()
    return PretrainMetrics(item, item_by_frequency, item_by_chance, stars, stars_by_frequency, events)


def _losses(
    encoder: UserEncoder, chunk: Sequence[Events], catalogue_IE: Tensor, own_IW: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    past = UserHistoryBatch.of([past for past, _ in chunk])
    items_BL = torch.nn.utils.rnn.pad_sequence([items for _, items in chunk], batch_first=True)
    if len(catalogue_IE) > _CANDIDATES and encoder.training:
        wanted, items_BL = items_BL.unique(return_inverse=True)
        others = torch.randint(len(catalogue_IE), (_CANDIDATES,))
        asked = torch.cat([wanted, others[~torch.isin(others, wanted)].unique()])
        catalogue_IE, own_IW = catalogue_IE[asked], own_IW[asked]
    moved, device = UserHistoryBatch(*(x.to(own_IW.device) for x in past)), own_IW.device
    item_M, stars_M, review_M, _ = encoder.next_event_losses(
        moved, items_BL.to(device), catalogue_IE.to(device), own_IW
    )
    return item_M, stars_M, review_M


def _stars(past: UserHistory) -> Tensor:
    return (past.rating.round().long() - 1).clamp(0, STARS - 1)


def _split(
    sequences: Mapping[str, Sequence[Events]], seed: int
) -> tuple[dict[str, list[Events]], dict[str, list[Events]]]:
    left_out: dict[str, list[Events]] = {}
    rest: dict[str, list[Events]] = {}
    for category, every in sequences.items():
        usable = [one for one in every if len(one[1]) > 1]
        random.Random(f"{seed}/{category}").shuffle(usable)
        cut = len(usable) // 10
        left_out[category], rest[category] = usable[:cut], usable[cut:]
    return left_out, rest


def _chunks(mine: Sequence[Events]) -> list[Sequence[Events]]:
    return [mine[at : at + _BATCH] for at in range(0, len(mine), _BATCH)]
