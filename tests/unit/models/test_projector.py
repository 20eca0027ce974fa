"""The projector: Eq. 6 and its variants."""

from __future__ import annotations

import math

import pytest
import torch

from dep.models.projector import Projector
from dep.models.settings import ProjectorConfig


def test_projection_agrees_with_loops() -> None:
    torch.manual_seed(0)
    projector = Projector(ProjectorConfig(hidden=5, init="default"), 3, 4, ["his"], 1.0)
    z = torch.randn(3)
    first, _, second = projector.networks["his"]

    def linear(layer: torch.nn.Linear, x: list[float]) -> list[float]:
        rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        return [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in rows]

    hidden = [h * 0.5 * (1 + math.erf(h / math.sqrt(2))) for h in linear(first, z.tolist())]
    assert projector(z, "his").tolist() == pytest.approx(linear(second, hidden), rel=1e-4)


@pytest.mark.parametrize(("shared", "networks"), [(True, 1), (False, 2)])
def test_one_shared_network_or_one_for_each_branch(shared: bool, networks: int) -> None:
    projector = Projector(ProjectorConfig(shared=shared), 3, 4, ["his", "diff"], 1.0)
    assert sum(p.numel() for p in projector.parameters()) == networks * (3 * 4 + 4 + 4 * 4 + 4)
    z = torch.randn(2, 3)
    assert torch.equal(projector(z, "his"), projector(z, "diff")) == shared


@pytest.mark.parametrize("shared", [True, False])
def test_several_soft_tokens_of_a_latent_stand_side_by_side(shared: bool) -> None:
    torch.manual_seed(0)
    config = ProjectorConfig(tokens=3, shared=shared, scale_to_embedding=True)
    projector = Projector(config, 5, 4, ["his", "diff"], embedding_norm=2.0)
    z_BKZ = torch.randn(2, 6, 5)
    p_BND = projector(z_BKZ, "diff")
    assert p_BND.shape == (2, 18, 4)
    network = projector.networks["shared" if shared else "diff"]
    for b, k, j in [(0, 0, 0), (0, 4, 1), (1, 5, 2)]:
        own = network(z_BKZ[b, k])[4 * j : 4 * j + 4]
        assert torch.allclose(p_BND[b, 3 * k + j], own * 2.0 / own.norm(), atol=1e-6)


def test_a_whole_history_keeps_one_soft_token_for_each_latent() -> None:
    assert Projector(ProjectorConfig(tokens=3), 5, 4, ["user"], 1.0)(torch.randn(2, 6, 5), "user").shape == (2, 6, 4)


def test_scaled_outputs_have_the_length_of_embedding_rows() -> None:
    projector = Projector(ProjectorConfig(scale_to_embedding=True), 3, 4, ["his"], 2.5)
    assert torch.allclose(projector(torch.randn(6, 3), "his").norm(dim=-1), torch.tensor(2.5))


def test_init_scale_multiplies_the_initial_soft_tokens_and_changes_nothing_else() -> None:
    tokens = {}
    for scale in (1.0, 0.01):
        torch.manual_seed(0)
        projector = Projector(ProjectorConfig(init_scale=scale), 6, 8, ["his"], embedding_norm=1.0)
        tokens[scale] = projector(torch.ones(2, 6), "his")
    assert torch.allclose(tokens[0.01], tokens[1.0] * 0.01, atol=1e-7)
