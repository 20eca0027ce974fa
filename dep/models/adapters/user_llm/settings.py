"""Settings of User-LLM."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class UserEncoderConfig:
    """The encoder's size."""

    width: int = 128
    """W, of a state."""
    layers: int = 2
    """Transformer layers."""
    heads: int = 4
    """Attention heads."""
    dropout: float = 0.1
    """In training."""


@dataclass
class UserLLMConfig:
    """How User-LLM is built and trained."""

    integration: Literal["soft_prompt", "cross_attention"] = "soft_prompt"
    """Where the LLM meets the user."""
    latents: int = 0
    """Of the Perceiver; 0 leaves it out: one embedding for each past review."""
    every: int = 2
    """Cross-attention stands before every n-th layer."""
    heads: int = 4
    """Of cross-attention."""
    strategy: Literal["encoder_and_projector", "projector", "lora"] = "encoder_and_projector"
    """What is trained: encoder and what joins it to the LLM; all but the encoder, which stays as its own task left it;
    or both and low-rank updates of the LLM (`soft_prompt.lora`)."""
    encoder: UserEncoderConfig = field(default_factory=UserEncoderConfig)
    """Its size."""
    encoder_lr: float = 1e-4
    """Peak learning rate of AdamW for encoder and Perceiver, whatever trains the projector: rates that suit what starts
    at random undo in a few steps what the encoder has learned."""
    cross_lr: float = 3e-3
    """The same for cross-attention."""
    pretrain_epochs: int = 20
    """Passes over the users in which the encoder learns to tell the next event; 0: none."""
    pretrain_lr: float = 1e-3
    """Peak learning rate of that."""
