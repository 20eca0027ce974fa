from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dep.training.optimizers import Muon, orthogonal, without_decay


@pytest.mark.parametrize("shape", [(3, 8, 5), (2, 4, 9), (1, 6, 6)])
def test_every_singular_value_becomes_about_one_and_the_directions_stay(shape: tuple[int, int, int]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    result = orthogonal(x)
    for before, after in zip(x, result, strict=True):
        u, _, v = torch.linalg.svd(before, full_matrices=False)
        middle = u.T @ after @ v.T
        assert (middle.diagonal() > 0.6).all()
        assert (middle.diagonal() < 1.4).all()
        assert (middle - middle.diagonal().diag()).abs().max() < 1e-3


def test_matrices_of_one_shape_are_updated_like_each_alone() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(4, 3), torch.randn(4, 3)
    batched = [torch.nn.Parameter(x.clone()) for x in (a, b)]
    single = [torch.nn.Parameter(x.clone()) for x in (a, b)]
    optimizers = [Muon(batched, 0.1), *(Muon([p], 0.1) for p in single)]
    for _ in range(3):
        for p, q in zip(batched, single, strict=True):
            p.grad = q.grad = torch.randn(4, 3)
        for optimizer in optimizers:
            optimizer.step()
    for p, q in zip(batched, single, strict=True):
        torch.testing.assert_close(p, q)


def test_parameters_that_are_no_matrix_are_updated_like_torch_s_adamw() -> None:
    ours, theirs = torch.nn.Parameter(torch.ones(5)), torch.nn.Parameter(torch.ones(5))
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    one = Muon([weight], 0.1, [{"params": [ours], "lr": 0.01}], weight_decay=0.025)
    other = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.025)
    for step in range(5):
        ours.grad = theirs.grad = torch.randn(5, generator=torch.Generator().manual_seed(step))
        one.step()
        other.step()
    torch.testing.assert_close(ours, theirs)
    assert weight.abs().sum() == 0, "no gradient, no step"


def test_muon_learns_weak_directions_of_the_input_faster_than_sgd() -> None:
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([10.0, 1.0, 0.3, 0.1])
    x = torch.randn(256, 4, generator=generator) * scale
    y = x / scale  # all four matter equally
    loss_after = {}
    for name in ("muon", "sgd"):
        weight = torch.nn.Parameter(torch.zeros(4, 4))
        chosen = Muon([weight], 0.1, weight_decay=0) if name == "muon" else torch.optim.SGD([weight], lr=0.009)
        for _ in range(150):
            loss = (x @ weight.T - y).square().mean()
            chosen.zero_grad()
            loss.backward()
            chosen.step()
        loss_after[name] = loss.item()
    assert loss_after["muon"] < 0.5 * loss_after["sgd"]


def test_weight_decay_spares_biases_and_norms_where_asked() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 2, bias=False))
    slow = [module[2].weight]
    fast = [p for p in module.parameters() if p is not slow[0]]
    groups = without_decay([{"params": fast, "lr": 1.0}, {"params": slow, "lr": 0.5}], module)
    optimizer = torch.optim.AdamW(groups, weight_decay=0.5)
    before = {name: p.detach().clone().fill_(2.0) for name, p in module.named_parameters()}
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(before[name])
            p.grad = torch.zeros_like(p)
    optimizer.step()  # without a gradient only the decay moves a weight
    factor = {name: (p / before[name]).unique().tolist() for name, p in module.named_parameters()}
    assert factor == {"0.weight": [0.5], "0.bias": [1.0], "1.weight": [1.0], "1.bias": [1.0], "2.weight": [0.75]}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("decay", [True, False])
def test_train_decay_biases_reaches_the_optimizer(make_lit, optimizer: str, decay: bool) -> None:
    lit = make_lit(optimizer=optimizer, decay_biases=decay, weight_decay=0.025)
    lit.trainer = SimpleNamespace(estimated_stepping_batches=10, fit_loop=None)
    made = lit.configure_optimizers()["optimizer"]
    decays = {id(p): group["weight_decay"] for group in made.param_groups for p in group["params"]}
    for name, p in lit.soft_prompt.named_parameters():
        assert decays.pop(id(p)) == (0.025 if decay or "bias" not in name else 0.0), name
    assert not decays
