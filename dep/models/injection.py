"""The injection of Eq. 7: writes vectors over the placeholders of a prompt's embeddings.

`masked_scatter` takes the vectors row after row across the batch: with uneven counts it silently writes one user's
vector into the next user's prompt. `inject` therefore compares the counts of each row first and selects vectors by a
presence mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dep.utils.errors import DepError


def inject(embeds_BTD: Tensor, ids_BT: Tensor, slot_token_id: int, vectors_BKD: Tensor, present_BK: Tensor) -> Tensor:
    """Write the present vectors of each row over its slot tokens, in order; differentiable in `vectors_BKD`.

    Args:
        embeds_BTD: embeddings of `ids_BT`; padding may be on either side.
        ids_BT: token ids.
        slot_token_id: the placeholder's id.
        vectors_BKD: the vectors; cast to the dtype of `embeds_BTD`.
        present_BK: bool, which of a row's K vectors exist.

    Returns:
        A new tensor [B, T, D]; `embeds_BTD` does not change.

    Raises:
        ValueError: a row has a different number of slot tokens than of present vectors.
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
    """Write row r over every occurrence of `token_ids[r]`; differentiable in `rows_RD`.

    Args:
        embeds_BTD: embeddings of `ids_BT`.
        ids_BT: token ids.
        token_ids: R ids.
        rows_RD: one embedding for each of them.

    Returns:
        A new tensor [B, T, D].
    """
    hit_BTR = ids_BT[..., None] == torch.tensor(list(token_ids), device=ids_BT.device)
    b, t, r = hit_BTR.nonzero(as_tuple=True)
    return embeds_BTD.index_put((b, t), rows_RD[r].to(embeds_BTD.dtype))
