"""Pretrains the user encoder without the LLM: the encoder learns to predict a user's next event (review).

Shapes: L events of a user, M predicted events, I items of a category, E width of the vectors, W width of the encoder.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dep.models.adapters.user_llm.encoder import UserEncoder
from dep.types import STARS, UserHistory, UserHistoryBatch
from dep.utils.progress import stage

_BATCH = 32
"""Number of users in a batch."""
_CANDIDATES = 8192
"""Largest number of items that a prediction chooses from: the batch's items, and random others of the category."""
_DECAY = 3.0
"""Weight decay. It must be strong, since the encoder memorises a hundred users within a few epochs."""
_OWN_LR = 3.0
"""The learning rate of the items' own vectors is the encoder's times this, since each item is in few batches."""

Events = tuple[UserHistory, Tensor]
"""A user's L events in a category, oldest first, and for each the row [L] of its item in the category's catalogue."""


class PretrainMetrics(NamedTuple):
    """Mean losses in predicting held-out users' next events (nats per event), with the encoder and by baselines."""

    item: float
    """Loss of predicting the item."""
    item_by_frequency: float
    """Loss if items are predicted by their frequency in training."""
    item_by_chance: float
    """Loss if all items are equally likely, which is a better guess than frequency if items have few reviews."""
    stars: float
    """Loss of predicting the stars."""
    stars_by_frequency: float
    """Loss if stars are predicted by their frequency in training."""
    events: int
    """Number of predicted events."""


def pretrain(
    encoder: UserEncoder,
    sequences: Mapping[str, Sequence[Events]],
    catalogues: Mapping[str, Tensor],
    *,
    epochs: int,
    lr: float,
    seed: int,
) -> PretrainMetrics:
    """Train the encoder to predict next events, and measure it on held-out users.

    Args:
        encoder: the encoder, which is trained in place.
        sequences: the users' events by category; a random tenth of the users is held out.
        catalogues: for each category [I, E], the embeddings of its I items.
        epochs: number of passes over the training users.
        lr: initial learning rate, which falls linearly to zero.
        seed: seed of the split, of the order and of dropout.

    Returns:
        The metrics on the held-out users.
    """
    held_out, rest = _split(sequences, seed)
    batches = [(category, chunk) for category, users in rest.items() for chunk in _chunks(users)]
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
    return measure(encoder, held_out, rest, catalogues, own)


@torch.no_grad()
def measure(
    encoder: UserEncoder,
    held_out: Mapping[str, Sequence[Events]],
    rest: Mapping[str, Sequence[Events]],
    catalogues: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
) -> PretrainMetrics:
    """Measure the encoder and the baselines on held-out users.

    Args:
        encoder: the trained encoder.
        held_out: the events of the held-out users by category.
        rest: the events of the training users; the baselines predict by frequencies in these events, plus one.
        catalogues: for each category [I, E], the embeddings of its items.
        own: for each category [I, W], the learned vectors of its items.
    """
    encoder.eval()
    sums, events = torch.zeros(5, dtype=torch.float64), 0
    for category, users in held_out.items():
        items_I, stars_S = torch.ones(len(catalogues[category])), torch.ones(STARS)
        for history, items in rest[category]:
            items_I += torch.bincount(items, minlength=len(items_I))
            stars_S += torch.bincount(_stars(history), minlength=STARS)
        item_nats_I, stars_nats_S = -(items_I / items_I.sum()).log(), -(stars_S / stars_S.sum()).log()
        for chunk in _chunks(users):
            item_M, stars_M, _ = _losses(encoder, chunk, catalogues[category], own[category])
            next_items = torch.cat([items[1:] for _, items in chunk])
            next_stars = torch.cat([_stars(history)[1:] for history, _ in chunk])
            by_chance = torch.tensor(math.log(len(items_I)) * len(next_items))
            by_frequency = item_nats_I[next_items].sum(), stars_nats_S[next_stars].sum()
            totals = [item_M.sum().cpu(), by_frequency[0], by_chance, stars_M.sum().cpu(), by_frequency[1]]
            sums += torch.stack(totals).double()
            events += len(next_items)
    item, item_by_frequency, item_by_chance, stars, stars_by_frequency = (sums / max(1, events)).tolist()
    return PretrainMetrics(item, item_by_frequency, item_by_chance, stars, stars_by_frequency, events)


def _losses(
    encoder: UserEncoder, chunk: Sequence[Events], catalogue_IE: Tensor, own_IW: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    history = UserHistoryBatch.of([history for history, _ in chunk])
    items_BL = torch.nn.utils.rnn.pad_sequence([items for _, items in chunk], batch_first=True)
    if len(catalogue_IE) > _CANDIDATES and encoder.training:
        in_batch, items_BL = items_BL.unique(return_inverse=True)
        others = torch.randint(len(catalogue_IE), (_CANDIDATES,))
        candidates = torch.cat([in_batch, others[~torch.isin(others, in_batch)].unique()])
        catalogue_IE, own_IW = catalogue_IE[candidates], own_IW[candidates]
    moved, device = UserHistoryBatch(*(x.to(own_IW.device) for x in history)), own_IW.device
    item_M, stars_M, review_M, _ = encoder.next_event_losses(
        moved, items_BL.to(device), catalogue_IE.to(device), own_IW
    )
    return item_M, stars_M, review_M


def _stars(history: UserHistory) -> Tensor:
    return (history.rating.round().long() - 1).clamp(0, STARS - 1)


def _split(
    sequences: Mapping[str, Sequence[Events]], seed: int
) -> tuple[dict[str, list[Events]], dict[str, list[Events]]]:
    """Split the users with two events or more in each category into a held-out tenth and the rest."""
    held_out: dict[str, list[Events]] = {}
    rest: dict[str, list[Events]] = {}
    for category, users in sequences.items():
        usable = [events for events in users if len(events[1]) > 1]
        random.Random(f"{seed}/{category}").shuffle(usable)
        count = len(usable) // 10
        held_out[category], rest[category] = usable[:count], usable[count:]
    return held_out, rest


def _chunks(users: Sequence[Events]) -> list[Sequence[Events]]:
    return [users[at : at + _BATCH] for at in range(0, len(users), _BATCH)]
