"""Implements the injection of Eq. 7: replaces the embeddings of a prompt's placeholders by soft tokens.

torch's `masked_scatter` reads the vectors of a batch as one sequence. If an example had fewer placeholders than
vectors, it would silently write one user's vector into the next user's prompt. `inject` therefore first compares the
two numbers for each example, and selects vectors by a mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dep.utils.errors import DepError


def inject(embeds_BTD: Tensor, ids_BT: Tensor, slot_token_id: int, vectors_BKD: Tensor, present_BK: Tensor) -> Tensor:
    """Replace the embeddings of slot tokens by vectors, in order; gradients flow to `vectors_BKD`.

    Args:
        embeds_BTD: the embeddings of `ids_BT`; padding may be on either side.
        ids_BT: token ids.
        slot_token_id: the id of the slot token.
        vectors_BKD: the vectors, which are cast to the dtype of `embeds_BTD`.
        present_BK: bool, False where `vectors_BKD` holds padding.

    Returns:
        A new tensor [B, T, D]; `embeds_BTD` does not change.

    Raises:
        ValueError: an example's numbers of slot tokens and of vectors differ.
    """
    at_BT = ids_BT == slot_token_id
    slots_B, vectors_B = at_BT.sum(1), present_BK.sum(1)
    if not torch.equal(slots_B, vectors_B):
        row = int((slots_B != vectors_B).nonzero()[0])
        raise DepError(
            f"row {row} of the batch: expected {int(slots_B[row])} vectors, one for each slot token (id "
            f"{slot_token_id}) in its ids, found {int(vectors_B[row])}; shorten a prompt by whole slots, "
            "its vectors with it"
        )
    # Both masks list their entries row by row, and each row has as many entries in one as in the other.
    return embeds_BTD.index_put(at_BT.nonzero(as_tuple=True), vectors_BKD[present_BK].to(embeds_BTD.dtype))


def write_rows(embeds_BTD: Tensor, ids_BT: Tensor, token_ids: Sequence[int], rows_RD: Tensor) -> Tensor:
    """Replace the embedding of every occurrence of `token_ids[r]` by `rows_RD[r]`; gradients flow to `rows_RD`.

    Args:
        embeds_BTD: the embeddings of `ids_BT`.
        ids_BT: token ids.
        token_ids: the R ids whose embeddings are replaced.
        rows_RD: the new embedding of each of these ids.

    Returns:
        A new tensor [B, T, D].
    """
    hit_BTR = ids_BT[..., None] == torch.tensor(list(token_ids), device=ids_BT.device)
    b, t, r = hit_BTR.nonzero(as_tuple=True)
    return embeds_BTD.index_put((b, t), rows_RD[r].to(embeds_BTD.dtype))
