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
    """Dropout rate in training."""


@dataclass
class UserLLMConfig:
    """Structure and training of User-LLM."""

    integration: Literal["soft_prompt", "cross_attention"] = "soft_prompt"
    """How the user's embeddings enter the LLM: as soft tokens, or by gated cross-attention."""
    latents: int = 0
    """Latents of the Perceiver; 0: no Perceiver, one embedding for each past review."""
    every: int = 2
    """Cross-attention is added before every n-th layer."""
    heads: int = 4
    """Attention heads of cross-attention."""
    strategy: Literal["encoder_and_projector", "projector", "lora"] = "encoder_and_projector"
    """Trained parts: encoder and projector (or cross-attention); only the latter, with the encoder frozen after its
    pretraining; or both and low-rank updates of the LLM (`soft_prompt.lora`)."""
    encoder: UserEncoderConfig = field(default_factory=UserEncoderConfig)
    """Size of the encoder."""
    encoder_lr: float = 1e-4
    """Peak learning rate of AdamW for encoder and Perceiver, whichever optimizer trains the projector; low, since the
    rates for randomly initialised weights destroy the pretraining within a few steps."""
    cross_lr: float = 3e-3
    """Peak learning rate of AdamW for cross-attention."""
    pretrain_epochs: int = 20
    """Passes over the users in pretraining, where the encoder learns to predict the next event; 0: no pretraining."""
    pretrain_lr: float = 1e-3
    """Initial learning rate of pretraining."""
