"""Settings of User-LLM."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class UserEncoderConfig:
    """Size of the user encoder."""

    width: int = 128
    """W, the width of a state."""
    layers: int = 2
    """Transformer layers."""
    heads: int = 4
    """Attention heads."""
    dropout: float = 0.1
    """Dropout in training."""


@dataclass
class UserLLMConfig:
    """Settings of User-LLM."""

    integration: Literal["soft_prompt", "cross_attention"] = "soft_prompt"
    """How the encoder's states enter the LLM."""
    latents: int = 0
    """Latents of the Perceiver; 0: no Perceiver, one soft token for each past review."""
    every: int = 2
    """Cross-attention precedes every n-th layer."""
    heads: int = 4
    """Heads of cross-attention."""
    strategy: Literal["encoder_and_projector", "projector", "lora"] = "encoder_and_projector"
    """Trained parts: encoder and projector (or cross-attention); the same without the encoder, which stays as
    pretrained; or both with low-rank updates of the LLM (`soft_prompt.lora`)."""
    encoder: UserEncoderConfig = field(default_factory=UserEncoderConfig)
    """Size of the encoder."""
    encoder_lr: float = 1e-4
    """Peak learning rate of AdamW for encoder and Perceiver. The rate of randomly initialised parts would undo the
    pretraining within a few steps."""
    cross_lr: float = 3e-3
    """Peak learning rate of AdamW for cross-attention."""
    pretrain_epochs: int = 20
    """Passes over the users in which the encoder is pretrained to predict the next event; 0: none."""
    pretrain_lr: float = 1e-3
    """Peak learning rate of the pretraining."""
