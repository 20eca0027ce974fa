"""Figure 6 of the paper: a request and its past reviews as the token ids of one chat turn.

    system   what the task is, and (`guidance`) what the embeddings in the prompt denote
    user     [Item Title] [Item Description] [User's Past Reviews] K blocks, newest first
             [Output Review Rating] [Output Review Title]
    model    the review

In a block, `<his_token_start>` slot `<his_token_end>` holds the review's vector (p_his, Eq. 6) and its diff twin the
vector of the difference (p_diff). A block is left whole or left out: where the input is too long, the oldest go first.
Text of users and items goes through `TextTokens`, the template through the tokenizer as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dep.data.prompts.chat_request import ChatRequest, Line, review_lines
from dep.data.prompts.text_encoding import TextTokens
from dep.types import (
    DIFF_END,
    DIFF_SLOT,
    DIFF_START,
    HIS_END,
    HIS_SLOT,
    HIS_START,
    SLOT_TOKENS,
    SPECIAL_TOKENS,
    Branch,
    Prompt,
    Request,
    Slot,
)
from dep.utils.errors import DepError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_WRAP: dict[Branch, tuple[str, str, str, str]] = {
    "his": ("[Review Embedding]:\n", HIS_START, HIS_SLOT, HIS_END),
    "diff": ("[Review Difference Embedding]:\n", DIFF_START, DIFF_SLOT, DIFF_END),
}
_DENOTES: dict[Branch, str] = {
    "his": "[Review Embedding] denotes a soft prompt of the review text",
    "diff": "[Review Difference Embedding] denotes a soft prompt showing the difference between the review text and "
    "other reviews on the same item",
}
_CONTENT = "DEPxCONTENTxDEP"
"""Stands where the user's turn goes while the chat template is rendered; the rendering is cut there."""


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


def system_text(config: PromptConfig, branches: Sequence[Branch]) -> str:
    """Figure 6's system text, naming what this configuration shows and nothing else."""
    if not config.history:
        known = "an embedding of the user, " if config.user_tokens else ""
        return (
            f"Given {known}the title and description of an item, and the output review rating and review title, "
            "generate an item review for the user."
        )
    shown = ["item title", "item description", "review rating", "review title"]
    shown += ["review text"] * config.text
    shown += ["review embedding"] * ("his" in branches) + ["review difference embedding"] * ("diff" in branches)
    user = "profile and past reviews" if config.profile else "past reviews"
    text = (
        f"Given the title and description of an item, along with the user's {user} "
        f"(including {', '.join(shown)}), and the output review rating and review title, "
        "generate a personalized item review for the user."
    )
    if not (config.guidance and branches):
        return text
    names = [_WRAP[b][0].rstrip(":\n") for b in _WRAP if b in branches]
    return (
        f"{text}\nNote: {' and '.join(_DENOTES[b] for b in _DENOTES if b in branches)}. "
        f"{' and '.join(names)} should serve as hints for personalized review text generation."
    )


def fitting(blocks: Sequence[Sequence[int]], room: int) -> int:
    """How many blocks fit into `room` tokens, counted from the first."""
    kept = 0
    while kept < len(blocks) and (room := room - len(blocks[kept])) >= 0:
        kept += 1
    return kept


class PromptBuilder:
    """Turns requests into prompts for one tokenizer and one configuration.

    Args:
        tokenizer: with the special tokens of `dep.types`, where there are branches.
        config: what the prompt holds.
        branches: which embeddings stand in a block: `his`, `diff`, both or none.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, config: PromptConfig, branches: Sequence[Branch] = ()
    ) -> None:
        missing = [t for t in SPECIAL_TOKENS if t not in tokenizer.get_added_vocab()]
        if missing and branches:
            raise DepError(
                f"tokenizer: expected the added tokens {list(SPECIAL_TOKENS)}, found none of {missing}; "
                "load it through dep.models.backbones.load, which adds them"
            )
        self.config = config
        self.branches = tuple(branch for branch in branches if branch in _WRAP) if config.history else ()
        self._system = system_text(config, self.branches)
        self._tokenizer = tokenizer
        self._untrusted = TextTokens(tokenizer)
        self._template: dict[str, tuple[int, ...]] = {}
        self._closing = tokenizer.eos_token_id

    def share_memo(self, other: PromptBuilder) -> None:
        """Use `other`'s memo of tokenised texts (same tokenizer), so that a text is tokenised once for both."""
        self._untrusted = other._untrusted

    def text(self, text: str) -> tuple[int, ...]:
        """Ids of a piece of the template."""
        if text not in self._template:
            self._template[text] = tuple(self._tokenizer.encode(text, add_special_tokens=False))
        return self._template[text]

    def field(self, name: str, value: str) -> list[int]:
        """`[Name]: value` and a line's end. The blank goes with the value: it is where tokenizers cut."""
        return [*self.text(f"[{name}]:"), *self._untrusted.encode(f" {value.strip()}\n")]

    def line(self, line: Line) -> list[int]:
        """Ids of a line of the template or of a field."""
        return list(self.text(line)) if isinstance(line, str) else self.field(*line)

    def ask(self, ask: ChatRequest) -> list[int]:
        """Ids of a question; its last blocks are left out where it is longer than `max_input_tokens`.

        Raises:
            ValueError: if it is too long without any block.
        """
        head = [i for line in ask.head for i in self.line(line)]
        blocks = [[i for line in block for i in self.line(line)] for block in ask.blocks]
        room = self.config.max_input_tokens - len(self.chat(ask.system, head))
        if room < 0:
            raise DepError(
                f"a question that begins {ask.text[:60]!r}: expected at most {self.config.max_input_tokens} tokens, "
                f"found {-room} more; raise prompt.max_input_tokens"
            )
        kept = fitting(blocks, room)
        return self.chat(ask.system, [*head, *(i for block in blocks[:kept] for i in block)])

    def chat(self, system: str, body: list[int]) -> list[int]:
        """One turn: `system`, then the ids of what the user says, up to where the model begins to answer."""
        before, after = self._frame(system).split(_CONTENT)
        return [*self.text(before), *body, *self.text(after)]

    def _frame(self, system: str) -> str:
        if self.config.chat == "qwen":
            return (
                f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{_CONTENT}<|im_end|>\n"
                "<|im_start|>assistant\n"
            )
        if not self._tokenizer.chat_template:
            return f"{system}\n\n{_CONTENT}\n[Output Review Text]:"
        turns = [{"role": "system", "content": system}, {"role": "user", "content": _CONTENT}]
        try:
            return str(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        except Exception:  # jinja's own error type; templates without a system role raise it
            turns = [{"role": "user", "content": f"{system}\n\n{_CONTENT}"}]
            return str(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def block(self, number: int, slot: Slot) -> tuple[list[int], list[Branch]]:
        """Ids of the past review called `number`, and the branches whose slot tokens it holds.

        A branch without a vector (an item that nobody else reviewed) has no line in the block.
        """
        ids = [i for line in review_lines(number, slot, self.config.text) for i in self.line(line)]
        held: list[Branch] = []
        for branch in _WRAP:
            if branch in self.branches and getattr(slot, branch) is not None:
                ids += self.slot_ids(branch)
                held.append(branch)
        return ids, held

    def slot_ids(self, branch: Branch) -> list[int]:
        """Ids of the line that holds a branch's slot token."""
        name, start, token, end = _WRAP[branch]
        return [*self.text(name), *self.text(start), *self.text(token), *self.text(end), *self.text("\n")]

    def user_ids(self, count: int) -> list[int]:
        """Ids of the line that holds the slot tokens of the user's embedding."""
        slots = self.text(SLOT_TOKENS["user"]) * count
        return [*self.text("[User Embedding]:\n"), *self.text(HIS_START), *slots, *self.text(HIS_END), *self.text("\n")]

    def target(self, text: str) -> list[int]:
        """Ids that the model should write: the review and the token that ends a turn, cut to `max_target_tokens`."""
        return [*self._untrusted.encode(text.strip()), self._closing][: self.config.max_target_tokens]

    def build(self, request: Request) -> Prompt:
        """The prompt of `request`.

        Raises:
            ValueError: if the item and the output's rating and title alone are longer than `max_input_tokens`.
        """
        past = request.user_history if self.config.reads_user_history else None
        count = len(past.his) if past is not None and self.config.user_tokens < 0 else self.config.user_tokens
        head = [
            *(self.user_ids(count) if count else ()),
            *self.field("Item Title", request.item.title),
            *self.field("Item Description", request.item.description),
            *(self.field("User Profile", request.profile) if self.config.profile else ()),
        ]
        tail = [
            *self.field("Output Review Rating", f"{request.rating:.1f}"),
            *self.field("Output Review Title", request.title),
        ]
        slots = request.slots[: self.config.history]
        heading = self.text("[User's Past Reviews]:\n") if slots else ()
        blocks = [self.block(number, slot) for number, slot in enumerate(slots, 1)]
        room = self.config.max_input_tokens - len(self.chat(self._system, [*head, *heading, *tail]))
        if room < 0:
            raise DepError(
                f"example {request.key}: expected an item, rating and title of at most "
                f"{self.config.max_input_tokens} tokens, found {-room} more; raise prompt.max_input_tokens or lower "
                "the protocol's max_description_chars"
            )
        kept = fitting([ids for ids, _ in blocks], room)
        body = [*head, *(heading if kept else ()), *(i for ids, _ in blocks[:kept] for i in ids), *tail]
        ids, target = self.chat(self._system, body), self.target(request.text)
        prompt = Prompt(request.key, ids, target, kept=kept, user_history=past, user_tokens=count)
        for k, (slot, (_, held)) in enumerate(zip(slots[:kept], blocks, strict=False)):
            for branch in held:
                prompt.vectors.setdefault(branch, []).append(getattr(slot, branch))
                prompt.positions.setdefault(branch, []).append(k)
        return prompt
