"""Settings of the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass
class PromptConfig:
    """What the prompt holds."""

    history: int = 8
    """K: how many past reviews at most; 0 leaves the section out (Non-Perso)."""
    text: bool = True
    """Whether a past review's text stands in its block ("w/ text" of Table 2)."""
    guidance: bool = True
    """Whether the system text says what the embeddings denote (Table 9)."""
    profile: bool = False
    """Whether what a language model wrote about the user stands in it (PAG and DPL set this themselves)."""
    reads_user_history: bool = False
    """Whether all that the user did goes along as vectors (PPlug and User-LLM set this themselves)."""
    user_tokens: int = 0
    """How many soft tokens of the user's embedding stand first; -1: one for each past review (set likewise)."""
    max_user_history: int = 50
    """How many of the user's reviews, the newest ones, that embedding is made of at most."""
    pairing: Literal["own", "with_peers"] = "own"
    """Whose vectors stand in the i-th block: its `own` review's, or (the authors' code) those of the i-th review that
    has peers, so that text and vectors slide apart after a review without."""
    chat: Literal["tokenizer", "qwen"] = "tokenizer"
    """The tokenizer's own chat template, or the literal Qwen form of the paper's code."""
    max_input_tokens: int = 2048
    """Longest prompt; the oldest reviews are left out until it fits."""
    max_target_tokens: int = 2048
    """Longest review that is trained on or scored; the rest is cut."""
