"""Computes Eq. 4: how a review differs from what other users wrote about the same item.

    e_diff = (1/m) sum_j (e_his - e_uj) = e_his - (1/m) sum_j e_uj

    e_his -> his_NE    e_uj -> a peer's mean vector on the item    m -> peers_N    e_diff -> diff_NE

Peers are other users, as in the paper. A peer who reviewed the item several times counts once, with the mean vector of
these reviews. The author's own reviews never count. The sum of an item is computed only once, in float64. The time is
therefore linear in the number of reviews, and the order of reviews changes results by less than 1e-6.

The peer pool is the set of reviews that may count as a peer's. The weighting `uniform` is the equation above.

The weighting `profile_distance` follows the authors' code: peer j has the weight softmax_j(d_j / sum_k d_k). Here d_j
is the distance |mean_u - mean_j| between the mean vector of the author's reviews in the peer pool and the mean vector
of the peer's. Peers who are unlike the author thus get a little more weight. No weight is more than e times another,
since d_j / sum_k d_k lies between 0 and 1.

The weighting `other_item` is a control: for each item, another item is chosen, and the mean is taken over the reviewers
of that item. What this control gains does not come from comparing reviews of the same item.

Neither the paper nor the authors' code looks at time, so a peer's review counts even if it is the later one. With
`time="earlier"` a review is compared only with reviews that peers wrote before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from dep.data.vectors.settings import Profile, Weighting
from dep.utils.errors import DepError

_ROWS = 1024
"""How many reviews of an item are weighed at once; this bounds the matrix of distances to 1024 x m."""


def differences(
    his_NE: Tensor,
    users: Sequence[str] | Tensor,
    items: Sequence[str] | Tensor,
    weighting: Weighting = "uniform",
    pool_N: Tensor | None = None,
    times: Sequence[int] | None = None,
    out: Tensor | None = None,
    min_reviewers: int = 1,
    profile: Profile = "pool",
) -> tuple[Tensor, Tensor]:
    """Compute the differences of N reviews from their peers (Eq. 4).

    Args:
        his_NE: [N, E] vectors of the reviews.
        users: [N], the author of each review, by name or number.
        items: [N], the item of each review, by name or number.
        weighting: how peers are weighted; see the module's docstring.
        pool_N: [N] bool, True for reviews in the peer pool; None for all.
        times: [N], the time of each review, if only earlier reviews count; None if all count.
        out: [N, E] float32 zeros that the differences are written to, such as a memory-mapped file.
        min_reviewers: a review gets no difference if fewer users, the author included, have a review of its item in the
            peer pool.
        profile: see `DifferenceConfig.profile`; `shown` has the same effect as `pool` here.

    Returns:
        diff_NE, [N, E] float32, which is zero for a review without a difference, and peers_N, [N] int64, the number of
        peers, which is 0 for such a review.

    Raises:
        DepError: sizes differ, the weighting is unknown, or it does not support `times`.
    """
    rows = his_NE.shape[0]
    pool_N = torch.ones(rows, dtype=torch.bool) if pool_N is None else pool_N
    if not len(users) == len(items) == pool_N.shape[0] == rows:
        raise DepError(
            "differences", f"one user, item and pool entry for each of {rows} vectors",
            f"{len(users)}, {len(items)} and {pool_N.shape[0]}",
        )  # fmt: skip
    if weighting not in WEIGHTINGS:
        raise DepError("weighting", " or ".join(map(repr, WEIGHTINGS)), repr(weighting))
    user_N, item_N = _codes(users), _codes(items, by_name=True)
    diff_NE = torch.zeros(his_NE.shape) if out is None else out
    if times is not None:
        if weighting != "uniform":
            raise DepError("difference.time=earlier", "weighting 'uniform'", repr(weighting), "set difference.time=any")
        peers_N = _uniform_earlier(his_NE, user_N, item_N, pool_N, torch.tensor(times), diff_NE)
    else:
        weigh = WEIGHTINGS[weighting]
        if weighting == "profile_distance" and profile == "pool_and_next":
            weigh = partial(_by_profile_distance, profile_N=pool_N | _next(user_N, pool_N))
        peers_N = weigh(his_NE, user_N, item_N, pool_N, diff_NE)
    if min_reviewers > 1 and rows:
        few_N = _own_counts(user_N, item_N, pool_N) + peers_N < min_reviewers
        diff_NE[few_N], peers_N[few_N] = 0, 0
    return diff_NE, peers_N


def _next(user_N: Tensor, pool_N: Tensor) -> Tensor:
    """Return [N] bool, True for each user's first review after the last one in the peer pool."""
    row_N, users = torch.arange(len(user_N)), int(user_N.max()) + 1 if len(user_N) else 0
    last_U = torch.full((users,), -1).scatter_reduce(0, user_N[pool_N], row_N[pool_N], "amax")
    behind_N = (row_N > last_U[user_N]) & (last_U[user_N] >= 0)
    first_U = torch.full((users,), -1).scatter_reduce(0, user_N[behind_N], row_N[behind_N], "amin", include_self=False)
    return behind_N & (row_N == first_U[user_N])


def _own_counts(user_N: Tensor, item_N: Tensor, pool_N: Tensor) -> Tensor:
    """Return [N] bool, True where the author has a review of the same item in the peer pool."""
    pair_N, first_P = _pairs(user_N, item_N)
    return (torch.bincount(pair_N[pool_N], minlength=len(first_P)) > 0)[pair_N]


def _codes(names: Sequence[str] | Tensor, by_name: bool = False) -> Tensor:
    """Number the names [N] by first occurrence, or alphabetically with `by_name`; numbers are returned unchanged."""
    if isinstance(names, Tensor):
        return names.long()
    coded = pa.array(names, pa.string()).dictionary_encode()
    code_N = torch.from_numpy(coded.indices.to_numpy(zero_copy_only=False).astype("int64"))
    if not by_name:
        return code_N
    order = torch.from_numpy(pc.array_sort_indices(coded.dictionary).to_numpy().astype("int64"))
    return torch.argsort(order)[code_N]


def _pairs(user_N: Tensor, item_N: Tensor) -> tuple[Tensor, Tensor]:
    """Number the (item, user) pairs by item; return each review's pair [N] and each pair's first review [P]."""
    if not len(user_N):
        return user_N, user_N
    _, pair_N = torch.unique(item_N * (int(user_N.max()) + 1) + user_N, return_inverse=True)
    first_P = torch.full((int(pair_N.max()) + 1,), len(pair_N)).scatter_reduce(
        0, pair_N, torch.arange(len(pair_N)), "amin"
    )
    return pair_N, first_P


def _means(x_NC: Tensor, group_N: Tensor, pool_N: Tensor, groups: int) -> Tensor:
    """Return the mean [groups, C] of each group's rows in the peer pool; zero for a group without such rows."""
    group_M = group_N[pool_N]
    sums = torch.zeros(groups, x_NC.shape[1], dtype=torch.float64).index_add_(0, group_M, x_NC[pool_N].double())
    return sums / torch.bincount(group_M, minlength=groups).clamp(min=1).unsqueeze(1)


def _peer_counts(pair_N: Tensor, item_N: Tensor, item_P: Tensor, pool_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Count peers.

    Returns:
        [P] bool, whether each (item, user) pair has a review in the peer pool; [N] bool, whether the review's own
        pair has one; and [N], the number of the review's peers.
    """
    counts_P = torch.bincount(pair_N[pool_N], minlength=len(item_P)) > 0
    reviewers_I = torch.bincount(item_P[counts_P], minlength=int(item_N.max()) + 1 if len(item_N) else 0)
    own_N = counts_P[pair_N]
    return counts_P, own_N, reviewers_I[item_N] - own_N.long()


def another_item(items: int) -> Tensor:
    """Return for each item [I] the item whose reviewers `other_item` takes for peers, drawn as a circular order."""
    circle = torch.randperm(items, generator=torch.Generator().manual_seed(0))
    return torch.empty_like(circle).scatter(0, circle, circle.roll(1))


def _items(item_N: Tensor) -> int:
    return int(item_N.max()) + 1 if len(item_N) else 0


def _uniform(his_NE: Tensor, user_N: Tensor, item_N: Tensor, pool_N: Tensor, diff_NE: Tensor) -> Tensor:
    """Write the differences from the mean of the item's other reviewers; return the numbers of peers [N]."""
    return _from_means(his_NE, user_N, item_N, pool_N, torch.arange(_items(item_N)), diff_NE)


def _other_item(his_NE: Tensor, user_N: Tensor, item_N: Tensor, pool_N: Tensor, diff_NE: Tensor) -> Tensor:
    """Write the differences from the mean of another item's reviewers; return the numbers of peers [N]."""
    return _from_means(his_NE, user_N, item_N, pool_N, another_item(_items(item_N)), diff_NE)


def _from_means(
    his_NE: Tensor, user_N: Tensor, item_N: Tensor, pool_N: Tensor, source_I: Tensor, diff_NE: Tensor
) -> Tensor:
    """Write the differences from the mean of the reviewers of `source_I[item]`; return the numbers of peers [N].

    `source_I` [I] maps each item to itself, or to another item for the control.
    """
    from dep.data.vectors.kernel import subtract  # importing numba takes a second, and a filled cache needs no numba

    peers_N = torch.zeros_like(item_N)
    if len(item_N):
        columns = (his_NE.float().contiguous(), item_N, source_I, user_N, pool_N, diff_NE, peers_N)
        arrays: list[Any] = [column.numpy() for column in columns]
        threads = torch.get_num_threads()
        subtract(threads, *arrays)
        torch.set_num_threads(threads)  # numba's first parallel call gives torch all cores
    return peers_N


def _uniform_earlier(
    his_NE: Tensor, user_N: Tensor, item_N: Tensor, pool_N: Tensor, time_N: Tensor, diff_NE: Tensor
) -> Tensor:
    """Write the differences from peers' reviews that are earlier than the author's; return the numbers of peers [N]."""
    peers_N = torch.zeros_like(item_N)
    order = torch.argsort(item_N, stable=True)
    for rows_M in torch.split(order, torch.unique_consecutive(item_N[order], return_counts=True)[1].tolist()):
        others_M = rows_M[pool_N[rows_M]]
        his_ME = his_NE[others_M].double()
        _, user_M = torch.unique(user_N[others_M], return_inverse=True)
        by_user_MU = torch.nn.functional.one_hot(user_M).double() if len(user_M) else torch.zeros(0, 0).double()
        for part_R in torch.split(rows_M, _ROWS):
            before_RM = (time_N[others_M] < time_N[part_R].unsqueeze(1)) & (
                user_N[others_M] != user_N[part_R].unsqueeze(1)
            )
            written_RU = before_RM.double() @ by_user_MU
            peers_R = (written_RU > 0).sum(1)
            weight_RM = before_RM / written_RU[:, user_M].clamp(min=1) / peers_R.clamp(min=1).unsqueeze(1)
            diff_RE = (his_NE[part_R].double() - weight_RM @ his_ME).float()
            diff_NE[part_R] = diff_RE.masked_fill((peers_R == 0).unsqueeze(1), 0)
            peers_N[part_R] = peers_R
    return peers_N


def _by_profile_distance(
    his_NE: Tensor, user_N: Tensor, item_N: Tensor, pool_N: Tensor, diff_NE: Tensor, profile_N: Tensor | None = None
) -> Tensor:
    """Write the differences from the weighted mean of the peers, with the weights of the authors' code."""
    profile_N = pool_N if profile_N is None else profile_N
    pair_N, first_P = _pairs(user_N, item_N)
    item_P, user_P = item_N[first_P], user_N[first_P]
    counts_P, _, peers_N = _peer_counts(pair_N, item_N, item_P, pool_N)
    mean_PE = _means(his_NE, pair_N, pool_N, len(item_P))
    users = int(user_N.max()) + 1 if len(user_N) else 0
    in_pool_U = torch.bincount(user_N[profile_N], minlength=users) > 0
    # A user without a review in the pool is nobody's peer, but needs a mean vector for the distances.
    profile_UE = _means(his_NE, user_N, profile_N | ~in_pool_U[user_N], users)
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
            # If all peers are at distance 0, the clamp keeps the shares at 0 and all weights are equal.
            share_RM = distance_RM / distance_RM.sum(1, keepdim=True).clamp(min=1e-300)
            weight_RM = share_RM.masked_fill(author_RM, -torch.inf).softmax(1)
            diff_NE[part_R] = (his_NE[part_R].double() - weight_RM @ mean_PE[others_M]).float()
    return peers_N


WEIGHTINGS: dict[Weighting, Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "uniform": _uniform,
    "profile_distance": _by_profile_distance,
    "other_item": _other_item,
}
"""For each weighting, a function of (his_NE, user_N, item_N, pool_N, diff_NE) that writes diff_NE and returns peers_N.

A new weighting needs a function, an entry here, and a name in `settings.Weighting`.
"""
