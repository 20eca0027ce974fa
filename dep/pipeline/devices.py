"""Devices that a plan estimates for: known GPUs for a large backbone, this machine, measured, for a small one."""

from __future__ import annotations

import time

import torch
from transformers import PretrainedConfig

from dep.models.backbones.cost import CARDS, Card, architecture, parameters, training_flops
from dep.pipeline.resources import Resources

_SMALL = 200_000_000
"""A backbone with fewer parameters is timed on this machine."""


def devices(resources: Resources) -> tuple[Card, ...]:
    """Return the devices for which the run is planned."""
    shape = architecture(resources.config.backbone)
    return CARDS if parameters(shape)[0] > _SMALL else (_this_machine(resources, shape),)


@torch.no_grad()
def _this_machine(resources: Resources, shape: PretrainedConfig) -> Card:
    """Time the backbone on the threads of one arm, for one training step and for decoding."""
    torch.set_num_threads(resources.config.threads or torch.get_num_threads())
    model, _ = resources.backbone(resources.config)
    total, _ = parameters(shape)
    with torch.enable_grad():
        embeds = torch.zeros(8, 256, shape.hidden_size, requires_grad=True)
        for _ in range(2):  # the first step warms up
            start = time.perf_counter()
            model(inputs_embeds=embeds).logits.sum().backward()
            step_s = time.perf_counter() - start
    ids = torch.zeros(64, 128, dtype=torch.long)
    state = model(ids, use_cache=True)
    start = time.perf_counter()
    for _ in range(8):
        state = model(ids[:, :1], past_key_values=state.past_key_values, use_cache=True)
    token_s = (time.perf_counter() - start) / 8
    flops = 8 * training_flops(shape, 256, 256) / step_s
    return Card("this machine", 1e9, flops, 2.0 * total / token_s, reached=1.0, decoding=1.0)
