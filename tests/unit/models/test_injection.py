"""Where soft tokens are written; no model is needed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dep.models.injection import inject, write_rows

SLOT, PAD = 7, 0


def example(side: str) -> tuple[Tensor, Tensor]:
    """Rows with 1, 3, 0 and 2 slots: a flat copy would shift all rows after the first."""
    rows = [[1, SLOT, 2], [SLOT, SLOT, 3, SLOT, 4], [5, 6], [8, SLOT, SLOT, 9]]
    present = torch.tensor([[False, True, False], [True, True, True], [False] * 3, [True, False, True]])
    ids = torch.tensor([r + [PAD] * (5 - len(r)) if side == "right" else [PAD] * (5 - len(r)) + r for r in rows])
    return ids, present


@pytest.mark.parametrize("side", ["left", "right"])
def test_vectors_are_written_to_the_slots_of_their_own_row_in_order(side: str) -> None:
    ids, present = example(side)
    embeds, vectors = torch.randn(4, 5, 2), torch.randn(4, 3, 2)
    out = inject(embeds, ids, SLOT, vectors, present)
    for b in range(4):
        expected = [vectors[b, k] for k in range(3) if present[b, k]]
        for t in range(5):
            want = expected.pop(0) if ids[b, t] == SLOT else embeds[b, t]
            assert torch.equal(out[b, t], want)
        assert not expected


def test_a_flat_copy_would_give_one_user_s_vector_to_the_next() -> None:
    ids, present = example("right")
    embeds, vectors = torch.randn(4, 5, 2), torch.randn(4, 3, 2)
    flat = embeds.masked_scatter((ids == SLOT)[..., None], vectors)
    assert not torch.equal(flat[1], inject(embeds, ids, SLOT, vectors, present)[1])


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_gradient_of_a_token_reaches_its_vector_and_no_other(side: str) -> None:
    ids, present = example(side)
    for b, t in (ids == SLOT).nonzero().tolist():
        vectors = torch.randn(4, 3, 2, requires_grad=True)
        inject(torch.randn(4, 5, 2), ids, SLOT, vectors, present)[b, t].sum().backward()
        nth = int((ids[b, :t] == SLOT).sum())
        k = present[b].nonzero()[nth].item()
        expected = torch.zeros(4, 3, 2)
        expected[b, k] = 1.0
        assert torch.equal(vectors.grad, expected)


def test_the_given_embeddings_do_not_change() -> None:
    ids, present = example("left")
    embeds = torch.randn(4, 5, 2)
    before = embeds.clone()
    inject(embeds, ids, SLOT, torch.randn(4, 3, 2), present)
    assert torch.equal(embeds, before)


def test_unequal_counts_are_refused_by_row_even_where_the_totals_agree() -> None:
    ids, present = example("right")
    present = present.clone()
    present[1, 0], present[2, 0] = False, True
    with pytest.raises(ValueError, match=r"row 1 .*expected 3 vectors.*found 2"):
        inject(torch.zeros(4, 5, 2), ids, SLOT, torch.zeros(4, 3, 2), present)


def test_vectors_take_the_dtype_of_the_embeddings() -> None:
    ids, present = example("right")
    vectors = torch.randn(4, 3, 2, requires_grad=True)
    out = inject(torch.zeros(4, 5, 2, dtype=torch.bfloat16), ids, SLOT, vectors, present)
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    assert vectors.grad.dtype == torch.float32


def test_rows_are_written_over_each_occurrence_of_their_token() -> None:
    ids = torch.tensor([[1, 2, 3], [3, 3, 1]])
    rows = torch.tensor([[10.0], [30.0]], requires_grad=True)
    out = write_rows(torch.zeros(2, 3, 1), ids, [1, 3], rows)
    assert out[..., 0].tolist() == [[10.0, 0.0, 30.0], [30.0, 30.0, 10.0]]
    out.sum().backward()
    assert rows.grad.tolist() == [[2.0], [3.0]]
