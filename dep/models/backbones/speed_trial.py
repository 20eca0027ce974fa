"""Measures how fast this machine runs an architecture; two of its layers suffice, whatever the model's size."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from dep.models.backbones.cost import training_flops
from dep.models.backbones.geometry import parameters
from dep.models.backbones.gqa_attention import use_gqa_attention
from dep.models.backbones.kept_activations import with_layers

_LAYERS = 2
_VOCABULARY = 1024
"""Size of the trial's vocabulary; with a full one, logits would take most of the memory and time."""
_ROWS, _TOKENS = 2, 128
"""Number of examples in the timed training step, and number of tokens in each."""
_DECODED, _PROMPT, _STEPS = 64, 16, 8
"""Number of texts that are decoded together, tokens in each prompt, and tokens that are written to each text."""


def measured_speed(config: PretrainedConfig) -> tuple[float, float]:
    """Return the measured operations per second of training, and the bytes of weights read per second of decoding.

    The time of the whole model is taken to be proportional to the number of parameters in its layers. The fastest of
    several trials counts, since other processes can only slow a trial down.

    Args:
        config: the configuration of the backbone.
    """
    small = with_layers(config, _LAYERS, vocab_size=_VOCABULARY, bos_token_id=0, eos_token_id=0, pad_token_id=0)
    with torch.random.fork_rng(devices=[]):
        model = AutoModelForCausalLM.from_config(small, dtype=torch.float32).eval().requires_grad_(False)
    use_gqa_attention(model)
    width = model.get_input_embeddings().weight.shape[1]
    embeds = torch.zeros(_ROWS, _TOKENS, width, requires_grad=True)
    seconds = [_seconds(lambda: model(inputs_embeds=embeds, use_cache=False).logits.sum().backward()) for _ in range(4)]
    return _ROWS * training_flops(small, _TOKENS, _TOKENS) / min(seconds), _bandwidth(config, model)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@torch.no_grad()
def _bandwidth(config: PretrainedConfig, model: PreTrainedModel) -> float:
    ids = torch.zeros(_DECODED, _PROMPT, dtype=torch.long)
    cache = model(ids, use_cache=True).get("past_key_values")
    # without a cache, as in a recurrent model, a step is a prompt of one token
    kept = {} if cache is None else {"past_key_values": cache, "use_cache": True}
    token_s = min(_seconds(lambda: model(ids[:, :1], **kept)) for _ in range(_STEPS))
    whole, tried = parameters(config), sum(p.numel() for p in model.parameters())
    layers = whole.total - whole.embedding
    ends = sum(p.numel() for p in {model.get_input_embeddings().weight, model.get_output_embeddings().weight})
    whole_s = token_s * max(1.0, layers / max(1, tried - ends))
    return 2.0 * whole.total / whole_s
