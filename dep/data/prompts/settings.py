"""Settings of the prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ListMarkers = Literal["none", "flat", "indented"]


@dataclass
class PromptConfig:
    """What a prompt holds and how it is written."""

    history: int = 8
    """K, the largest number of past reviews in a prompt; 0 shows none (Non-Perso)."""
    text: bool = True
    """Whether the prompt shows the texts of past reviews ("w/ text" in Table 2)."""
    guidance: bool = True
    """Whether the system text explains the embeddings in the prompt (Table 9)."""
    profile: bool = False
    """Whether the prompt holds a description of the user that a language model wrote (set by PAG and DPL)."""
    reads_user_history: bool = False
    """Whether the prompt carries the user's whole history as vectors (set by PPlug, User-LLM and `dep_user`)."""
    reads_differences: bool = False
    """Whether that history also holds the differences of its reviews and what other users wrote about the requested
    item (set by `dep_user`)."""
    user_tokens: int = 0
    """How many soft tokens for the user's whole history the prompt has; -1: one for each past review (set by PPlug,
    User-LLM and `dep_user`). They begin the prompt, or with `slots: late` stand after all past reviews."""
    max_user_history: int = 50
    """Largest number of reviews in the user's whole history that PPlug, User-LLM and `dep_user` read; the newest are
    kept."""
    pairing: Literal["own", "with_peers"] = "own"
    """Which review's vectors stand beside the text of the i-th past review. `own`: that review's. `with_peers`, as in
    the authors' code: those of the i-th past review that has peers, so that after a review without peers the text and
    the vectors belong to different reviews."""
    list_markers: ListMarkers = "none"
    """What the lines of a past review begin with. `none`: nothing. `flat`: "- " (Figure 6). `indented`: "- ", after two
    blanks in the lines below the heading (the authors' code)."""
    slots: Literal["inline", "late"] = "inline"
    """The place of soft tokens. `inline`: in the block of their review (Figure 6). `late`: after all past reviews under
    one heading. Everything before them is then equal in all arms, epochs and seeds, and `backbone.keep_prefixes`
    computes it once."""
    embedding_line: Literal["below", "same"] = "below"
    """Where a soft token and its boundary tokens stand: on the line `below` their heading (Figure 6) or on the `same`
    line (the authors' code)."""
    strip_fields: bool = True
    """Whether white space is removed at both ends of a field's value and of the target review; the authors' code keeps
    it."""
    overflow: Literal["drop", "cut"] = "drop"
    """What happens if not even the newest past review fits. `drop`: it is left out. `cut`, as in the authors' code: it
    stays, and the end of the prompt is cut off, with the target's rating and title and the beginning of the answer."""
    close_cut_targets: bool = False
    """Whether a target review that is cut gets the end token in addition to its `max_target_tokens` tokens (the
    authors' code); if not, it gets no end token."""
    chat: Literal["tokenizer", "qwen", "public_code"] = "tokenizer"
    """Which chat template is used. `tokenizer`: the tokenizer's own. `qwen`: Qwen's. `public_code`: Qwen's as the
    authors' code writes it, with a line break before the end of the system's turn and none after it."""
    max_input_tokens: int = 2048
    """Largest number of tokens in a prompt; the oldest past reviews are left out until the prompt fits."""
    max_target_tokens: int = 2048
    """Largest number of tokens in a target review; the rest of a longer review is neither trained on nor scored."""
    max_review_tokens: int | None = 256
    """Largest number of tokens in a past review's text. A longer text is cut after a whole word. If no past review fits
    into the prompt, one text is cut further: that of the newest review that then fits. null, as in the authors' code:
    no text is cut, and the first review that does not fit ends the list."""
    template_arguments: dict[str, bool | int | str] = field(default_factory=lambda: {"enable_thinking": False})
    """Arguments for the tokenizer's chat template, under the names that the template reads. The default keeps models
    such as Qwen3 and SmolLM3 from thinking before they answer; `date_string` fixes the date that Llama 3's template
    writes."""
