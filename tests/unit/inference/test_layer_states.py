"""Hidden states of a layer against transformers' own, and their store."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dep.inference import layer_states
from dep.inference.layer_states import LayerStates, Passage
from dep.models.backbones.layers import decoder_layers

PASSAGES = [Passage([20, 21, 22, 23], 3), Passage([24, 25]), Passage([26])]


@pytest.mark.parametrize("name", ["qwen2", "gpt2"])
@torch.no_grad()
def test_a_state_is_the_mean_over_the_tokens_that_are_read_of_each_passage_alone(bare_model, name: str) -> None:
    model = bare_model(name)
    found = layer_states.layer_states(model, PASSAGES, 0)
    for state, passage in zip(found, PASSAGES, strict=True):
        alone = model(input_ids=torch.tensor([passage.ids]), output_hidden_states=True).hidden_states[1][0]
        assert torch.allclose(state, sum(alone[-passage.read :]) / passage.read, atol=1e-5)


def test_later_layers_do_not_run_and_no_hook_stays(bare_model) -> None:
    model, runs = bare_model(), []
    handle = decoder_layers(model)[1].register_forward_hook(lambda *_: runs.append(1))
    layer_states.layer_states(model, PASSAGES, 0)
    assert not runs
    handle.remove()
    assert not any(layer._forward_hooks for layer in decoder_layers(model))


def test_a_passage_is_read_once_for_a_layer_and_a_model(bare_model, tmp_path: Path, monkeypatch) -> None:
    model, read, own = bare_model(), [], layer_states.layer_states

    def count(llm, passages, layer):
        read.extend((layer, passage) for passage in passages)
        return own(llm, passages, layer)

    monkeypatch.setattr(layer_states, "layer_states", count)
    states = LayerStates(model, "one", tmp_path)
    first = states(PASSAGES[:2], 1, "test")
    both = states([*PASSAGES, PASSAGES[0]], 1, "test")
    assert read == [(1, passage) for passage in PASSAGES]
    assert torch.equal(first, both[:2])
    assert torch.equal(both[3], both[0])
    assert torch.allclose(both[:3], own(model, PASSAGES, 1), atol=1e-5)
    other = [PASSAGES[0], PASSAGES[0]._replace(read=1)]
    states(other[:1], 0, "test")
    states(other, 1, "test")
    LayerStates(model, "another", tmp_path)(other[:1], 1, "test")
    assert read[3:] == [(0, PASSAGES[0]), (1, other[1]), (1, PASSAGES[0])]
