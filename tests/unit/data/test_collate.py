"""Noise on vectors: each example's own, whatever stands beside it."""

from __future__ import annotations

import torch

from dep.data.collate import Collator, add_noise
from dep.types import Prompt

E = 5


def prompt(key: str, his: int, diff: int) -> Prompt:
    vectors = {"his": [torch.ones(E)] * his, "diff": [torch.ones(E)] * diff}
    positions = {"his": list(range(his)), "diff": list(range(diff))}
    return Prompt(key, [1] * (his + 2), [2], vectors, positions)


def drawn(prompts: list[Prompt], draw: str = "0 0", deviation: float = 1.0) -> dict[str, dict[str, torch.Tensor]]:
    batch = add_noise(Collator(0)(prompts), deviation, draw)
    return {
        key: {branch: noise[b][batch.present[branch][b]] for branch, noise in batch.noise.items()}
        for b, key in enumerate(batch.keys)
    }


def test_an_example_gets_the_same_noise_in_any_batch_order_and_padding() -> None:
    short, long = prompt("short", 1, 0), prompt("long", 3, 2)
    alone, together, turned = drawn([long]), drawn([short, long]), drawn([long, short])
    for branch in ("his", "diff"):
        assert torch.equal(alone["long"][branch], together["long"][branch])
        assert torch.equal(turned["long"][branch], together["long"][branch])
        assert torch.equal(turned["short"][branch], together["short"][branch])
    assert torch.equal(drawn([short, prompt("x", 1, 1)])["short"]["his"], together["short"]["his"])


def test_each_example_branch_and_epoch_has_noise_of_its_own() -> None:
    a, b = drawn([prompt("a", 2, 2), prompt("b", 2, 2)]).values()
    later = drawn([prompt("a", 2, 2)], "0 1")["a"]
    for other in (b["his"], a["diff"], later["his"], a["his"].flip(0)):
        assert not torch.isclose(a["his"], other).any()


def test_the_noise_has_the_deviation_asked_for_and_absent_places_have_none() -> None:
    many = [prompt(str(i), 3, 1) for i in range(400)]
    every = torch.cat([noise["his"] for noise in drawn(many, deviation=0.5).values()])
    assert abs(every.std().item() - 0.5) < 0.01
    assert abs(every.mean().item()) < 0.02
    batch = add_noise(Collator(0)([prompt("a", 1, 0), prompt("b", 2, 1)]), 0.5, "")
    assert (batch.noise["his"][~batch.present["his"]] == 0).all()
    assert torch.equal(batch.vectors["his"][0, 0], torch.ones(E))
