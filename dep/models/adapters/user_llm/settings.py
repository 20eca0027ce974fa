"""Settings of User-LLM."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class UserEncoderConfig:
    """Sizes of the user encoder."""

    width: int = 128
    """W, the width of the encoder's states."""
    layers: int = 2
    """Number of transformer layers."""
    heads: int = 4
    """Number of attention heads in a layer."""
    dropout: float = 0.1
    """Dropout rate in training."""


@dataclass
class UserLLMConfig:
    """Settings of User-LLM: its parts and their training."""

    integration: Literal["soft_prompt", "cross_attention"] = "soft_prompt"
    """How the user's embeddings enter the LLM: as soft tokens, or by gated cross-attention."""
    latents: int = 0
    """Number of latents of the Perceiver; 0 for no Perceiver, with one embedding for each past review."""
    every: int = 2
    """Cross-attention is added before every n-th layer of the LLM; this is n."""
    heads: int = 4
    """Number of attention heads in a cross-attention block."""
    strategy: Literal["encoder_and_projector", "projector", "lora"] = "encoder_and_projector"
    """Which parts are trained. `encoder_and_projector`: encoder and projector (or cross-attention). `projector`: only
    the projector (or cross-attention); the encoder is frozen after its pretraining. `lora`: the same as
    `encoder_and_projector`, and low-rank updates of the LLM (`soft_prompt.lora`)."""
    encoder: UserEncoderConfig = field(default_factory=UserEncoderConfig)
    """Sizes of the user encoder."""
    encoder_lr: float = 1e-4
    """Peak learning rate of encoder and Perceiver, which AdamW trains even if another optimizer trains the projector.
    It must be low: rates for randomly initialised weights undo the pretraining within a few steps."""
    cross_lr: float = 3e-3
    """Peak learning rate of cross-attention, which AdamW trains."""
    pretrain_epochs: int = 20
    """Epochs of pretraining, in which the encoder learns to predict a user's next event; 0 for no pretraining."""
    pretrain_lr: float = 1e-3
    """Initial learning rate of pretraining."""
