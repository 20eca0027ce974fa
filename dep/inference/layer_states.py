"""Reads hidden states of the frozen LLM and keeps them on disk, so that each sequence of tokens is read once.

<root>/activations/<12 of the reader>/shard-*.safetensors    states by token ids (`dep.data.vectors.text_store`)

A `Passage` is a sequence of tokens of which the last few are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from dep.data.vectors.text_store import TextStore
from dep.inference.prefix_cache import positions
from dep.models.backbones.layers import decoder_layers
from dep.utils.hashing import json_digest

VERSION = 1
"""Raise this by one, and `activation` in `dep.pipeline.keys`, when the same model and tokens give other states."""
_ROWS = 16
"""How many sequences are read at a time."""


class Passage(NamedTuple):
    """Token ids, and how many of the last of them are read: at least one."""

    ids: Sequence[int]
    read: int = 1


class LayerStates:
    """Returns the mean output of a decoder layer at the tokens that are read; computes only new passages.

    Args:
        model: the frozen LLM.
        identity: identifies the weights and their number format.
        root: the folder of all caches.
    """

    def __init__(self, model: PreTrainedModel, identity: str, root: Path) -> None:
        self.model, self.identity, self.root = model, identity, root

    def __call__(self, passages: Sequence[Passage], layer: int, title: str) -> Tensor:
        """Return the states [n, D] of n passages, float32 on the CPU.

        Args:
            passages: the passages.
            layer: the index of the decoder layer.
            title: names the passages in the progress bar.
        """
        reader = _LayerReader(self.model, self.identity, layer)
        store = TextStore(self.root / "activations" / reader.fingerprint()[:12], reader)
        texts = [" ".join(map(str, [passage.read, *passage.ids])) for passage in passages]
        store.add(texts, title)
        states_ND = torch.zeros(len(texts), reader.dim)
        store.read_into(states_ND, texts)
        return states_ND


class _LayerReader:
    """An embedder of passages, which are written as decimal numbers: how many tokens are read, and the ids."""

    kind = "layer"

    def __init__(self, model: PreTrainedModel, identity: str, layer: int) -> None:
        self.model, self.identity, self.layer = model, identity, layer
        self.name = f"layer {layer}"
        embedding: Any = model.get_input_embeddings()
        self.dim = int(embedding.weight.shape[1])

    def fingerprint(self) -> str:
        return json_digest([VERSION, self.identity, self.layer])

    def encode(self, texts: Sequence[str]) -> Tensor:
        numbers = [list(map(int, text.split())) for text in texts]
        passages = [Passage(ids, read) for read, *ids in numbers]
        parts = [passages[start : start + _ROWS] for start in range(0, len(passages), _ROWS)]
        return torch.cat([layer_states(self.model, part, self.layer) for part in parts])


class _LayerReached(Exception):
    """Ends a forward pass after the layer whose output is wanted."""


@torch.no_grad()
def layer_states(model: PreTrainedModel, passages: Sequence[Passage], layer: int) -> Tensor:
    """Return the mean output of decoder layer `layer` at the tokens of each passage that are read.

    Later layers do not run. Padding stands after the last token, where a causal model does not see it.

    Args:
        model: the LLM.
        passages: B passages.
        layer: the index of the decoder layer.

    Returns:
        The states [B, D], float32 on the CPU.
    """
    ids_BT = pad_sequence([torch.tensor(passage.ids) for passage in passages], batch_first=True).to(model.device)
    at_T = torch.arange(ids_BT.shape[1], device=model.device)
    end_B = torch.tensor([len(passage.ids) for passage in passages], device=model.device)
    read_B = torch.tensor([passage.read for passage in passages], device=model.device)
    mask_BT = (at_T < end_B[:, None]).long()
    weights_BT = (mask_BT * (at_T >= (end_B - read_B)[:, None])) / read_B[:, None]
    found: list[Tensor] = []

    def take(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        hidden_BTD = output[0] if isinstance(output, tuple) else output
        found.append(torch.einsum("bt,btd->bd", weights_BT, hidden_BTD.float()))
        raise _LayerReached

    handle = decoder_layers(model)[layer].register_forward_hook(take)
    try:
        model.base_model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False, **positions(model, mask_BT))
    except _LayerReached:
        pass
    finally:
        handle.remove()
    return found[0].cpu()
