"""Chooses the devices for which a plan estimates costs: known GPUs for a large backbone, else this machine."""

from __future__ import annotations

import torch
from transformers import PretrainedConfig

from dep.models.backbones.cost import CARDS, Card, architecture
from dep.models.backbones.geometry import parameters
from dep.models.backbones.speed_trial import measured_speed
from dep.pipeline.resources import Resources

_SMALL = 200_000_000
"""A backbone with fewer parameters than this is timed on this machine."""


def devices(resources: Resources) -> tuple[Card, ...]:
    """Return the devices for which the plan estimates costs."""
    shape = architecture(resources.config.backbone)
    return CARDS if parameters(shape).total > _SMALL else (_this_machine(resources, shape),)


def _this_machine(resources: Resources, shape: PretrainedConfig) -> Card:
    """Measure how fast this machine trains and decodes with the backbone's architecture on the threads of an arm."""
    torch.set_num_threads(resources.config.threads or torch.get_num_threads())
    flops, bandwidth = measured_speed(shape)
    return Card("this machine", 1e9, flops, bandwidth, reached=1.0, decoding=1.0)
