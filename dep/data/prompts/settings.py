"""Settings of the prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class PromptConfig:
    """What the prompt holds."""

    history: int = 8
    """K: the largest number of past reviews; 0 leaves the section out (Non-Perso)."""
    text: bool = True
    """Whether the block of a past review holds its text ("w/ text" of Table 2)."""
    guidance: bool = True
    """Whether the system text says what the embeddings denote (Table 9)."""
    profile: bool = False
    """Whether the prompt holds the profile that a language model wrote about the user (set by PAG and DPL)."""
    reads_user_history: bool = False
    """Whether the prompt carries the user's whole history as vectors (set by PPlug and User-LLM)."""
    user_tokens: int = 0
    """How many soft tokens of the user's embedding stand first; -1: one for each past review (set by PPlug and
    User-LLM)."""
    max_user_history: int = 50
    """How many of the user's reviews, the newest ones, enter that embedding at most."""
    pairing: Literal["own", "with_peers"] = "own"
    """Whose vectors the i-th block holds: `own`, those of its review; `with_peers`, as in the authors' code, those of
    the i-th review that has peers, so that text and vectors differ after a review without peers."""
    chat: Literal["tokenizer", "qwen"] = "tokenizer"
    """The tokenizer's own chat template, or the literal Qwen form of the authors' code."""
    max_input_tokens: int = 2048
    """Most tokens of a prompt; the oldest reviews are left out until it fits."""
    max_target_tokens: int = 2048
    """Most tokens of a review that is trained on or scored; the rest is cut."""
    max_review_tokens: int | None = 256
    """Most tokens of a past review's text; a longer one is cut at a whole word, and if no past review fits, the text of
    the newest that can be made to fit is cut further. null: texts stay whole, and the first review that does not fit
    ends the list, as in the authors' code."""
    template_arguments: dict[str, bool | int | str] = field(default_factory=lambda: {"enable_thinking": False})
    """Arguments for the tokenizer's chat template, by the names that the template reads. The default keeps Qwen3,
    SmolLM3 and others from thinking before they answer; `date_string` fixes the date that Llama 3 writes."""
