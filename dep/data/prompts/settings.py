"""Settings of the prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ListMarkers = Literal["none", "flat", "indented"]


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
    list_markers: ListMarkers = "none"
    """What begins the lines of a past review's block: nothing, `flat`, "- " (Figure 6), or `indented`, "- " and for the
    lines below the heading two blanks more (the authors' code)."""
    slots: Literal["inline", "late"] = "inline"
    """Where soft tokens stand: `inline`, in the block of their review (Figure 6), or `late`, after all past reviews
    under one heading. With `late`, everything before them is equal in all arms, epochs and seeds, so that
    `backbone.keep_prefixes` computes it once."""
    embedding_line: Literal["below", "same"] = "below"
    """Where a soft token and its boundary tokens stand: on the line `below` their heading (Figure 6) or on the `same`
    line (the authors' code)."""
    strip_fields: bool = True
    """Whether white space around a field's value and around the review to write is removed; the authors' code keeps
    it."""
    overflow: Literal["drop", "cut"] = "drop"
    """What happens if not even the newest past review fits: `drop` it, or keep it and `cut` the end of the prompt, with
    the output's rating and title and where the answer begins (the authors' code)."""
    close_cut_targets: bool = False
    """Whether a review that is cut still ends with the end token, one token beyond `max_target_tokens` (the authors'
    code); if not, it ends in its text."""
    chat: Literal["tokenizer", "qwen", "public_code"] = "tokenizer"
    """The tokenizer's own chat template, or one of two literal forms: `qwen`, Qwen's; `public_code`, Qwen's as the
    authors' code writes it, with a line break before the end of the system's turn and none after it."""
    max_input_tokens: int = 2048
    """Largest number of tokens of a prompt; the oldest reviews are left out until it fits."""
    max_target_tokens: int = 2048
    """Largest number of tokens of a review that is trained on or scored; the rest is cut."""
    max_review_tokens: int | None = 256
    """Largest number of tokens of a past review's text. A longer text is cut at a whole word. If no past review fits,
    the text of the newest that can be made to fit is cut further. null: texts stay whole, and the first review that
    does not fit ends the list, as in the authors' code."""
    template_arguments: dict[str, bool | int | str] = field(default_factory=lambda: {"enable_thinking": False})
    """Arguments for the tokenizer's chat template, by the names that the template reads. The default keeps Qwen3,
    SmolLM3 and others from thinking before they answer; `date_string` fixes the date that Llama 3 writes."""
