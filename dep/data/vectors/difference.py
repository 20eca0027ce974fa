"""Eq. 4: how a review differs from what others wrote about the same item.

    e_diff = (1/m) sum_j (e_his - e_uj) = e_his - (1/m) sum_j e_uj

    e_his -> his_NE    e_uj -> a peer's mean vector on the item    m -> peers_N    e_diff -> diff_NE

Peers are other *users*, as on paper: of a peer who reviewed the item several times, the mean of those
reviews counts once. Reviews by the author never do, whichever row they are in. The sums run once per item,
in float64: time is linear in reviews, and no order of rows moves a result by 1e-6.

`profile_distance` is the authors' code instead: peers weigh softmax_j(d_j / sum_k d_k), where d_j is the
distance between the two users' mean vectors, |mean_u - mean_j|, over all their reviews that count as a
peer's. Peers unlike the author thus weigh a little more; as the shares lie between 0 and 1, no weight is
more than e times another.

Time plays no part on paper, nor in the authors' code: a peer's later review enters an earlier example. `time="earlier"`
takes only what peers had written before the review that they are compared with.

`other_item` is a control that no paper has: uniform, but the peers are those of another item, the same one for all
reviews of an item. It has whatever a subtraction brings that does not come from comparing reviews of one thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from dep.data.vectors.settings import Weighting
from dep.utils.errors import DepError

_ROWS = 1024
"""Rows of an item weighed at once, to bound the distances to 1024 x m."""


def differences(
    his_NE: Tensor,
    users: Sequence[str] | Tensor,
    items: Sequence[str] | Tensor,
    weighting: Weighting = "uniform",
    pool_N: Tensor | None = None,
    times: Sequence[int] | None = None,
    out: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The difference-aware embedding of every review.

    Args:
        his_NE: [N, E] vectors of the reviews.
        users: author of each row, by name or by number [N].
        items: item of each row, by name or by number [N].
        weighting: how peers are weighed.
        pool_N: [N] bool, rows that count as a peer's review; None for all.
        times: when each row was written, where only earlier reviews of peers count; None for any time.
        out: [N, E] float32 of zeros, a file mapped into memory for instance, that the differences are written to.

    Returns:
        diff_NE, [N, E] float32, zero where nobody else reviewed the item; peers_N, [N] int64, how many did.

    Raises:
        ValueError: sizes do not match, the weighting is unknown, or it has no form for earlier reviews alone.
    """
    rows = his_NE.shape[0]
    pool_N = torch.ones(rows, dtype=torch.bool) if pool_N is None else pool_N
    if not len(users) == len(items) == pool_N.shape[0] == rows:
        raise DepError(
            f"expected one user, item and pool entry for each of {rows} vectors, found {len(users)}, "
            f"{len(items)} and {pool_N.shape[0]}"
        )
    if weighting not in get_args(Weighting):
        raise DepError(f"weighting: expected {' or '.join(map(repr, get_args(Weighting)))}, found {weighting!r}")
    user_N, item_N = _codes(users), _codes(items, by_name=True)
    diff_NE = torch.zeros(his_NE.shape) if out is None else out
    if times is not None:
        if weighting != "uniform":
            raise DepError(f"difference.time=earlier: expected weighting 'uniform', found {weighting!r}")
        return diff_NE, _uniform_earlier(his_NE, user_N, item_N, pool_N, torch.tensor(times), diff_NE)
    if weighting == "profile_distance":
        return diff_NE, _by_profile_distance(his_NE, user_N, item_N, pool_N, diff_NE)
    items_there = int(item_N.max()) + 1 if len(item_N) else 0
    of_I = torch.arange(items_there) if weighting == "uniform" else _another(items_there)
    return diff_NE, _uniform(his_NE, user_N, item_N, pool_N, of_I, diff_NE)


def _codes(names: Sequence[str] | Tensor, by_name: bool = False) -> Tensor:
    """A number for each name, in the order in which they first occur or in that of the names; numbers as they are."""
    if isinstance(names, Tensor):
        return names.long()
    coded = pa.array(names, pa.string()).dictionary_encode()
    code_N = torch.from_numpy(coded.indices.to_numpy(zero_copy_only=False).astype("int64"))
    if not by_name:
        return code_N
    order = torch.from_numpy(pc.array_sort_indices(coded.dictionary).to_numpy().astype("int64"))
    return torch.argsort(order)[code_N]


def _pairs(user_N: Tensor, item_N: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's (item, user) pair, pairs numbered by item; and each pair's first row."""
    if not len(user_N):
        return user_N, user_N
    _, pair_N = torch.unique(item_N * (int(user_N.max()) + 1) + user_N, return_inverse=True)
    first_P = torch.full((int(pair_N.max()) + 1,), len(pair_N)).scatter_reduce(
        0, pair_N, torch.arange(len(pair_N)), "amin"
    )
    return pair_N, first_P


def _means(x_NC: Tensor, group_N: Tensor, pool_N: Tensor, groups: int) -> Tensor:
    """[groups, C] float64 means over the pool rows of each group, zero for a group without any."""
    group_M = group_N[pool_N]
    sums = torch.zeros(groups, x_NC.shape[1], dtype=torch.float64).index_add_(0, group_M, x_NC[pool_N].double())
    return sums / torch.bincount(group_M, minlength=groups).clamp(min=1).unsqueeze(1)


def _peer_counts(pair_N: Tensor, item_N: Tensor, item_P: Tensor, pool_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whether a pair counts as a peer [P], whether a row's own does [N], and how many others count [N]."""
    counts_P = torch.bincount(pair_N[pool_N], minlength=len(item_P)) > 0
    reviewers_I = torch.bincount(item_P[counts_P], minlength=int(item_N.max()) + 1 if len(item_N) else 0)
    own_N = counts_P[pair_N]
    return counts_P, own_N, reviewers_I[item_N] - own_N.long()


def _another(items: int) -> Tensor:
    """For each item the one whose peers stand in for its own: items in a random circle, each takes the next."""
    circle = torch.randperm(items, generator=torch.Generator().manual_seed(0))
    return torch.empty_like(circle).scatter(0, circle, circle.roll(1))


def _uniform(his_NE: Tensor, user_N: Tensor, item_N: Tensor, pool_N: Tensor, of_I: Tensor, diff_NE: Tensor) -> Tensor:
    """Write the differences from the mean of those who reviewed item `of_I` [items], an item's own or another."""
    from dep.data.vectors.kernel import subtract  # numba takes a second to import, and a filled cache does without

    peers_N = torch.zeros_like(item_N)
    if len(item_N):
        columns = (his_NE.float().contiguous(), item_N, of_I, user_N, pool_N, diff_NE, peers_N)
        arrays: list[Any] = [column.numpy() for column in columns]
        subtract(torch.get_num_threads(), *arrays)
    return peers_N


def _uniform_earlier(
    his_NE: Tensor, user_N: Tensor, item_N: Tensor, pool_N: Tensor, time_N: Tensor, diff_NE: Tensor
) -> Tensor:
    """Differences from the mean over peers of the mean of what each had written of the item before."""
    peers_N = torch.zeros_like(item_N)
    order = torch.argsort(item_N, stable=True)
    for rows_M in torch.split(order, torch.unique_consecutive(item_N[order], return_counts=True)[1].tolist()):
        others_M = rows_M[pool_N[rows_M]]
        his_ME = his_NE[others_M].double()
        _, user_M = torch.unique(user_N[others_M], return_inverse=True)
        of_user_MU = torch.nn.functional.one_hot(user_M).double() if len(user_M) else torch.zeros(0, 0).double()
        for part_R in torch.split(rows_M, _ROWS):
            before_RM = (time_N[others_M] < time_N[part_R].unsqueeze(1)) & (
                user_N[others_M] != user_N[part_R].unsqueeze(1)
            )
            written_RU = before_RM.double() @ of_user_MU
            peers_R = (written_RU > 0).sum(1)
            weight_RM = before_RM / written_RU[:, user_M].clamp(min=1) / peers_R.clamp(min=1).unsqueeze(1)
            diff_RE = (his_NE[part_R].double() - weight_RM @ his_ME).float()
            diff_NE[part_R] = diff_RE.masked_fill((peers_R == 0).unsqueeze(1), 0)
            peers_N[part_R] = peers_R
    return peers_N


def _by_profile_distance(his_NE: Tensor, user_N: Tensor, item_N: Tensor, pool_N: Tensor, diff_NE: Tensor) -> Tensor:
    pair_N, first_P = _pairs(user_N, item_N)
    item_P, user_P = item_N[first_P], user_N[first_P]
    counts_P, _, peers_N = _peer_counts(pair_N, item_N, item_P, pool_N)
    mean_PE = _means(his_NE, pair_N, pool_N, len(item_P))
    users = int(user_N.max()) + 1 if len(user_N) else 0
    in_pool_U = torch.bincount(user_N[pool_N], minlength=users) > 0
    # A user without any review in the pool is nobody's peer, but still needs a mean to be compared by.
    profile_UE = _means(his_NE, user_N, pool_N | ~in_pool_U[user_N], users)
    order = torch.argsort(item_N, stable=True)
    order = order[peers_N[order] > 0]
    if not len(order):
        return peers_N
    pair_by_item = torch.arange(len(item_P))[counts_P]  # pairs are numbered by item
    bounds = torch.searchsorted(item_P[pair_by_item], torch.arange(int(item_N.max()) + 2))
    for rows in torch.split(order, torch.unique_consecutive(item_N[order], return_counts=True)[1].tolist()):
        item = int(item_N[rows[0]])
        others_M = pair_by_item[bounds[item] : bounds[item + 1]]
        for part_R in torch.split(rows, _ROWS):
            distance_RM = torch.cdist(
                profile_UE[user_N[part_R]],
                profile_UE[user_P[others_M]],
                compute_mode="donot_use_mm_for_euclid_dist",
            )
            author_RM = user_N[part_R].unsqueeze(1) == user_P[others_M]
            distance_RM = distance_RM.masked_fill(author_RM, 0)
            # All peers at distance 0: every weight is the same, as the tiny denominator leaves zeros at zero.
            share_RM = distance_RM / distance_RM.sum(1, keepdim=True).clamp(min=1e-300)
            weight_RM = share_RM.masked_fill(author_RM, -torch.inf).softmax(1)
            diff_NE[part_R] = (his_NE[part_R].double() - weight_RM @ mean_PE[others_M]).float()
    return peers_N
