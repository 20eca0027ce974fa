"""Builds the module of a method that trains nothing, such as RAG: the frozen LLM with its prompt alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import PreTrainedModel

from dep.config.loader import load_arms
from dep.models.backbones.load import load as load_backbone
from dep.models.soft_prompt import build_soft_prompt
from dep.pipeline.adapter_folder import Loaded
from dep.pipeline.arm import Arm
from dep.training.module import PersonalizationModule
from dep.utils.errors import DepError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def without_adapter(folder: Path, backbone: str = "") -> Loaded:
    """Load an arm without an adapter from its folder in a finished run.

    Args:
        folder: the arm's folder, such as `runs/demo/rag/seed0`.
        backbone: the name or folder of the backbone on this machine; empty for the one in the configuration.

    Raises:
        DepError: the arm's method needs more than past reviews, or its adapter is missing.
    """
    folder = folder.resolve()
    _, configs = load_arms([folder.parents[1] / "config.yaml"])
    config = configs[folder.parent.name]
    if backbone:
        config = replace(config, backbone=replace(config.backbone, name_or_path=backbone))
    arm = Arm(folder.parent.name, config, int(folder.name.removeprefix("seed")), "")
    return of_arm(arm, *load_backbone(config.backbone))


def of_arm(arm: Arm, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Loaded:
    """Build the module of an arm that trains nothing.

    Raises:
        DepError: the arm's method needs more than past reviews, or trains an adapter.
    """
    method, (_, soft) = arm.method, arm.configured
    if method.trains or soft.branches or method.profiles or method.reads_activations or method.user_training:
        expected = "a trained adapter" if method.trains else "a method that reads past reviews as text"
        raise DepError(f"Personalizer of {arm.label}", expected, method.kind, "name the folder of another arm")
    soft_prompt = build_soft_prompt(
        soft, arm.config.compressor, arm.config.projector, width=1, model=model, tokenizer=tokenizer, seed=arm.seed
    )
    return Loaded(PersonalizationModule(model, soft_prompt, arm.settings).eval(), tokenizer, arm)
