"""Rows that are decoded side by side have the bits that they have alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import PreTrainedModel

from dep.inference.row_decoding import Row, RowDecoder
from dep.models.backbones.load import load
from dep.models.settings import BackboneConfig


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return load(BackboneConfig(name_or_path="demo"))[0]


def logits(decoder: RowDecoder, prompts: dict[int, torch.Tensor], follow: int, steps: int = 4) -> torch.Tensor:
    """Return the logits of the prompt in row `follow`; the others enter one step after another."""
    rows: list[Row | None] = [None] * decoder.rows
    rows[follow] = decoder.read(prompts[follow])
    others, found = [at for at in prompts if at != follow], []
    for _ in range(steps):
        decoder.step(rows, [0 if row is None else int(row.logits_1V.argmax()) for row in rows])
        row = rows[follow]
        assert row is not None
        found.append(row.logits_1V)
        if others:
            at = others.pop()
            rows[at] = decoder.read(prompts[at])
    return torch.cat(found)


def test_rows_that_enter_meanwhile_change_no_bit(model: PreTrainedModel) -> None:
    decoder, width = RowDecoder(model, 4), model.config.hidden_size
    prompts = {at: torch.randn(length, width, generator=torch.Generator().manual_seed(at))
               for at, length in ((0, 90), (1, 3), (2, 40), (3, 17))}  # fmt: skip
    assert decoder.is_exact()
    for at in prompts:
        alone = logits(decoder, {at: prompts[at]}, at)
        assert torch.equal(logits(decoder, prompts, at), alone)
        assert torch.equal(logits(decoder, {0: prompts[at]}, 0), alone)


@pytest.mark.parametrize("change", ["neighbour", "place", "wrong"])
def test_a_step_that_mixes_rows_or_is_wrong_is_found(
    model: PreTrainedModel, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, step = RowDecoder(model, 4), RowDecoder.step

    def changed(self: RowDecoder, rows: list[Row | None], tokens: list[int]) -> None:
        step(self, rows, tokens)
        there = [row for row in rows if row is not None]
        for at, row in enumerate(there):
            amount = {"neighbour": 1e-6 * len(there), "place": 1e-6 * at, "wrong": 0.1 * row.logits_1V.std()}[change]
            row.logits_1V = row.logits_1V + amount * torch.arange(row.logits_1V.shape[1])

    monkeypatch.setattr(RowDecoder, "step", changed)
    assert not decoder.is_exact()


def test_a_model_without_the_interface_is_refused(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RowDecoder, "read", lambda self, embeds: replace(Row(None, embeds), cache=None))  # type: ignore[arg-type]
    assert not RowDecoder(model, 4).is_exact()
