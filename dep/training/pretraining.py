"""Pretraining of the user encoder, without the LLM: predict a user's next event from the earlier ones.

Shapes: L events of a user, M predicted events, I items of a category, E width of the vectors, W width of the encoder.
"""

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
"""Users in a batch."""
_CANDIDATES = 8192
"""Maximum number of items to choose from; of a larger catalogue, the batch's items and random others."""
_DECAY = 3.0
"""Weight decay; strong, since the encoder memorises a hundred users within a few passes."""
_OWN_LR = 3.0
"""Learning rate of the items' own vectors, as a multiple of the encoder's: each item is in few batches."""

Events = tuple[UserHistory, Tensor]
"""One user's L events in a category, oldest first, and the catalogue row [L] of each event's item."""


class PretrainMetrics(NamedTuple):
    """Mean losses of predicting the next event of held-out users, in nats per event, and baselines without encoder."""

    item: float
    """Loss of the next item."""
    item_by_frequency: float
    """Loss of predicting items by their frequency in training."""
    item_by_chance: float
    """Loss of a uniform prediction; lower than by frequency where items have too few reviews to count."""
    stars: float
    """Loss of the next item's stars."""
    stars_by_frequency: float
    """Loss of predicting stars by their frequency in training."""
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
    """Train the encoder to predict the next event, and measure it on held-out users.

    Args:
        encoder: trained in place.
        sequences: users' events by category; a random tenth of the users is held out for the measurement.
        catalogues: [I, E] embeddings of a category's I items.
        epochs: passes over the training users.
        lr: initial learning rate, which falls linearly to zero.
        seed: seed of the split, the order and dropout.

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
    """Measure the encoder on held-out users, and the baselines without it.

    Args:
        encoder: the trained encoder.
        held_out: events of the held-out users, by category.
        rest: events of the training users, whose frequencies (plus one for every item and star) are the baseline.
        catalogues: [I, E] embeddings of a category's items.
        own: [I, W] learned vectors of a category's items.
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
    """Split each category's users with two events or more into held-out users (a tenth) and the rest."""
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
