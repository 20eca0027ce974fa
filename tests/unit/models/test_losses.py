"""Losses (Eq. 8 to 11) against hand arithmetic and loops written from the paper."""

from __future__ import annotations

import math

import pytest
import torch

from dep.models.losses import (
    activation_stats,
    kl_to_target,
    mean_activations,
    reconstruction_loss,
    sparsity_loss,
    total_loss,
)
from dep.utils.errors import DepError

YES, NO = True, False


def smooth_l1(a: float, b: float) -> float:
    error = abs(a - b)
    return 0.5 * error**2 if error < 1 else error - 0.5


def kl(rho: float, mean: float) -> float:
    return rho * math.log(rho / mean) + (1 - rho) * math.log((1 - rho) / (1 - mean))


@pytest.fixture
def code() -> tuple[dict, dict]:
    """Latents in (0, 1) of three examples with up to three vectors; the first lacks diffs, the last has none."""
    draw = torch.Generator().manual_seed(1)
    latents = {"his": torch.rand(3, 3, 4, generator=draw), "diff": torch.rand(3, 2, 4, generator=draw)}
    present = {
        "his": torch.tensor([[YES, YES, NO], [YES, YES, YES], [NO, NO, NO]]),
        "diff": torch.tensor([[NO, NO], [YES, YES], [NO, NO]]),
    }
    return latents, present


def test_reconstruction_equals_the_sum_of_branch_means_computed_by_hand() -> None:
    vectors = {"his": torch.tensor([[[1.0, 0.0]]]), "diff": torch.tensor([[[0.0, 0.0], [2.0, 2.0]]])}
    rebuilt = {"his": torch.tensor([[[0.5, 3.0]]]), "diff": torch.tensor([[[1.0, 0.0], [2.0, 0.0]]])}
    present = {"his": torch.tensor([[YES]]), "diff": torch.tensor([[YES, YES]])}
    # his: (0.125 + 2.5) / 2; diff: (0.5 + 0 + 0 + 1.5) / 4
    assert reconstruction_loss(vectors, rebuilt, present).item() == pytest.approx(1.3125 + 0.5)


def test_reconstruction_agrees_with_loops_over_present_vectors(code: tuple[dict, dict]) -> None:
    latents, present = code
    draw = torch.Generator().manual_seed(2)
    rebuilt = {b: 3 * torch.randn(z.shape, generator=draw) for b, z in latents.items()}
    expected = 0.0
    for branch in ("his", "diff"):
        terms = []
        for b in range(3):
            for k in range(latents[branch].shape[1]):
                if present[branch][b, k]:
                    for j in range(4):
                        terms.append(smooth_l1(float(latents[branch][b, k, j]), float(rebuilt[branch][b, k, j])))
        expected += sum(terms) / len(terms)
    assert reconstruction_loss(latents, rebuilt, present).item() == pytest.approx(expected, rel=1e-6)


def test_an_absent_vector_changes_no_loss_and_gets_no_gradient(code: tuple[dict, dict]) -> None:
    latents, present = code

    def losses(absent: float) -> tuple[torch.Tensor, dict]:
        z = {b: t.masked_fill(~present[b][..., None], absent).requires_grad_() for b, t in latents.items()}
        total = reconstruction_loss({b: torch.zeros_like(t) for b, t in z.items()}, z, present)
        for over in ("batch", "example", "mixed"):
            total = total + sparsity_loss(mean_activations(z, present, over), 0.05, 1e-6, "linear", z)
        total.backward()
        return total, z

    a, z = losses(0.0)
    b, _ = losses(1e6)
    assert torch.equal(a, b)
    for branch, t in z.items():
        assert (t.grad[~present[branch]] == 0).all()
        assert (t.grad[present[branch]] != 0).all()


@pytest.mark.parametrize("over", ["batch", "example", "mixed"])
def test_sparsity_agrees_with_loops(code: tuple[dict, dict], over: str) -> None:
    latents, present = code
    rows = {
        branch: [[z[b, k] for k in range(z.shape[1]) if present[branch][b, k]] for b in range(3)]
        for branch, z in latents.items()
    }
    if over == "batch":
        terms = [[[z for example in examples for z in example]] for examples in rows.values()]
    elif over == "example":
        terms = list(rows.values())
    else:
        terms = [[his + diff for his, diff in zip(rows["his"], rows["diff"], strict=True)]]
    expected = 0.0
    for groups in terms:
        values = []
        for group in groups:
            if group:
                values.append(sum(kl(0.05, sum(float(z[j]) for z in group) / len(group)) for j in range(4)) / 4)
        expected += sum(values) / len(values)
    means = mean_activations(latents, present, over)
    assert sparsity_loss(means, 0.05, 1e-6, "hard", latents).item() == pytest.approx(expected, rel=1e-5)


def test_divergence_equals_the_value_computed_by_hand_and_is_zero_at_the_target() -> None:
    means = torch.tensor([0.05, 0.5])
    for outside in ("linear", "hard"):
        # 0.05 ln(0.1) + 0.95 ln(1.9) = -0.115129 + 0.609761
        assert kl_to_target(0.05, means, 1e-6, outside).tolist() == pytest.approx([0.0, 0.494632], abs=1e-6)


def test_a_mean_outside_has_a_gradient_when_linear_and_none_when_hard() -> None:
    grads = {}
    for outside in ("linear", "hard"):
        means = torch.tensor([-0.2, 0.0, 0.3, 1.2], requires_grad=True)
        kl_to_target(0.05, means, 1e-3, outside).sum().backward()
        grads[outside] = means.grad
    inside = -0.05 / 0.3 + 0.95 / 0.7
    edge = -0.05 / 1e-3 + 0.95 / (1 - 1e-3)
    assert grads["linear"].tolist() == pytest.approx([edge, edge, inside, -0.05 / 0.999 + 950.0], rel=1e-3)
    assert grads["hard"].tolist() == pytest.approx([0.0, 0.0, inside, 0.0], rel=1e-5)


def test_the_linear_continuation_joins_the_curve_without_a_jump() -> None:
    at = torch.tensor([1e-3 - 1e-7, 1e-3 + 1e-7], dtype=torch.float64)
    left, right = kl_to_target(0.05, at, 1e-3, "linear").tolist()
    assert left - right == pytest.approx(2e-7 * (0.05 / 1e-3 - 0.95 / 0.999), rel=1e-2)


def test_statistics_count_dead_and_clamped_units() -> None:
    latents = {"his": torch.tensor([[[0.4, 0.0, -0.1], [0.2, 0.0, 0.3], [9.0, 9.0, 9.0]]])}
    present = {"his": torch.tensor([[YES, YES, NO]])}
    stats = activation_stats(latents, present, mean_activations(latents, present, "batch"), 1e-6)
    assert stats["mean_activation"].item() == pytest.approx(0.8 / 6)
    assert stats["dead_units"].item() == pytest.approx(1 / 3)
    assert stats["clamped_units"].item() == pytest.approx(1 / 3)


def test_total_equals_the_sum_computed_by_hand() -> None:
    losses = {"recon": torch.tensor(0.5), "sparse": torch.tensor(2.0)}
    assert total_loss(torch.tensor(1.0), losses, 100.0, 1e-3).item() == pytest.approx(1 + 100 * (0.5 + 0.002))
    assert total_loss(torch.tensor(1.0), {}, 100.0, 1e-3).item() == 1.0


def test_a_batch_without_any_vector_has_losses_of_zero() -> None:
    latents, present = {"his": torch.zeros(2, 0, 4)}, {"his": torch.zeros(2, 0, dtype=torch.bool)}
    assert reconstruction_loss(latents, latents, present).item() == 0
    for over in ("batch", "example", "mixed"):
        means = mean_activations(latents, present, over)
        assert sparsity_loss(means, 0.05, 1e-6, "linear", latents).item() == 0
    assert activation_stats(latents, present, [], 1e-6) == {}


def test_an_auxiliary_loss_of_any_name_enters_the_total_with_its_weight() -> None:
    losses = {"recon": torch.tensor(0.5), "contrast": torch.tensor(3.0)}
    assert total_loss(torch.tensor(1.0), losses, 2.0, 1e-3, {"contrast": 0.1}).item() == pytest.approx(2.3)


def test_an_auxiliary_loss_without_a_weight_is_refused() -> None:
    with pytest.raises(DepError, match="'contrast': expected a weight, found none"):
        total_loss(torch.tensor(1.0), {"contrast": torch.tensor(3.0)}, 2.0, 1e-3)
