"""LoRA (Hu et al., 2022) on the LLM's attention, for User-LLM's third way of training: low-rank updates by peft.

The backbone's own weights stay frozen; the updates are trained, saved and loaded with the adapter.
"""

from __future__ import annotations

import torch
from transformers import PreTrainedModel


def is_lora(name: str) -> bool:
    """Whether a parameter of this name is a low-rank update."""
    return ".lora_" in name


def plain_name(name: str) -> str:
    """The name that a weight has without LoRA around it."""
    return name.replace(".base_layer.", ".")


def add_lora(model: PreTrainedModel, rank: int, seed: int) -> PreTrainedModel:
    """Put low-rank updates beside the projections that peft takes for this architecture (mostly queries and values).

    Args:
        model: the backbone, of which nothing else may be using this copy; changed in place.
        rank: of the updates; their scale is 2, as usual.
        seed: of their first factor; the second is zero, so that nothing changes at first.
    """
    from peft import LoraConfig, inject_adapter_in_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, bias="none"), model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()
