"""Settings of DEP's user encoder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class DEPUserConfig:
    """Settings of DEP's user encoder, which reads the vectors and differences of a user's whole past."""

    tokens: int = 4
    """Number of soft tokens for the user."""
    width: int = 256
    """W, the width of the encoder's states."""
    layers: int = 1
    """Number of self-attention layers over the past reviews; with 0 each past review is encoded alone."""
    heads: int = 4
    """Number of attention heads in a layer; it divides `width`."""
    dropout: float = 0.1
    """Dropout rate in training."""
    reviews: bool = True
    """Whether the encoder reads the embeddings of the past reviews."""
    differences: bool = True
    """Whether the encoder reads the differences of the past reviews from their peers."""
    conditioned: bool = True
    """Whether the soft tokens depend on the request: its item, title and rating."""
    target_peers: bool = True
    """Whether the request includes what other users wrote about its item; without `conditioned` nothing reads it."""
