"""Figure 6 of the paper: a request and its past reviews as the token ids of one chat turn.

    system   the task, and (`guidance`) what the embeddings in the prompt denote
    user     [Item Title] [Item Description] [User's Past Reviews] K blocks, newest first
             [Output Review Rating] [Output Review Title]
    model    the review

In a block, `<his_token_start>` slot `<his_token_end>` holds the review's vector (p_his, Eq. 6) and its diff twin the
vector of the difference (p_diff). If the input is too long, whole blocks are left out, beginning with the oldest.
`TextTokens` encodes the text of users and items; the tokenizer encodes the template.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dep.data.prompts.chat_request import ChatRequest, Line, review_lines
from dep.data.prompts.settings import PromptConfig
from dep.data.prompts.template import MARKS, SLOT_LINES, chat_frame, slot_line, system_text
from dep.data.prompts.text_encoding import TextTokens
from dep.types import HIS_END, HIS_START, SLOT_TOKENS, SPECIAL_TOKENS, Branch, Prompt, Request, Slot
from dep.utils.errors import DepError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def fitting(blocks: Sequence[Sequence[int]], room: int) -> int:
    """How many blocks, counted from the first, fit into `room` tokens together."""
    count = 0
    while count < len(blocks) and (room := room - len(blocks[count])) >= 0:
        count += 1
    return count


class PromptBuilder:
    """Turns requests into prompts for one tokenizer and one configuration.

    Args:
        tokenizer: the tokenizer; with branches it must have the special tokens of `dep.types`.
        config: what the prompt holds.
        branches: which embeddings a block holds: `his`, `diff`, both or none.

    Raises:
        DepError: the tokenizer lacks a special token.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, config: PromptConfig, branches: Sequence[Branch] = ()
    ) -> None:
        missing = [t for t in SPECIAL_TOKENS if t not in tokenizer.get_added_vocab()]
        if missing and branches:
            raise DepError(
                "tokenizer", f"the added tokens {list(SPECIAL_TOKENS)}", f"none of {missing}",
                "load it with dep.models.backbones.load.load, which adds them",
            )  # fmt: skip
        self.config = config
        self.branches = tuple(branch for branch in branches if branch in SLOT_LINES) if config.history else ()
        self._system = system_text(config, self.branches)
        self._tokenizer = tokenizer
        self._untrusted = TextTokens(tokenizer)
        self._template: dict[str, tuple[int, ...]] = {}
        self._closing = tokenizer.eos_token_id

    def share_memo(self, other: PromptBuilder) -> None:
        """Share the memo of tokenised texts with `other`, which must have the same tokenizer."""
        self._untrusted = other._untrusted

    def text(self, text: str) -> tuple[int, ...]:
        """Ids of a piece of the template."""
        if text not in self._template:
            self._template[text] = tuple(self._tokenizer.encode(text, add_special_tokens=False))
        return self._template[text]

    def field(self, name: str, value: str, mark: str = "") -> list[int]:
        """Ids of `[name]: value` and a line break. The blank goes with the value, as tokenizers split before blanks."""
        return [*self.text(f"{mark}[{name}]:"), *self._untrusted.encode(f" {self._stripped(value)}\n")]

    def line(self, line: Line, mark: str = "") -> list[int]:
        """Ids of a line: a piece of the template, or a field; `mark` stands before it."""
        return list(self.text(mark + line)) if isinstance(line, str) else self.field(*line, mark)

    def ask(self, question: ChatRequest) -> list[int]:
        """Ids of a question. If it is longer than `max_input_tokens`, its last blocks are left out.

        Raises:
            DepError: the question is too long even without blocks.
        """
        head = [i for line in question.head for i in self.line(line)]
        blocks = [[i for line in block for i in self.line(line)] for block in question.blocks]
        room = self.config.max_input_tokens - len(self.chat(question.system, head))
        if room < 0:
            raise DepError(
                f"a question that begins {question.text[:60]!r}",
                f"at most {self.config.max_input_tokens} tokens", f"{-room} more", "raise prompt.max_input_tokens",
            )  # fmt: skip
        return self.chat(question.system, [*head, *(i for block in blocks[: fitting(blocks, room)] for i in block)])

    def chat(self, system: str, body: list[int]) -> list[int]:
        """Ids of one turn: the system text, then `body` as the user's message, up to where the answer begins."""
        before, after = chat_frame(system, self.config, self._tokenizer)
        return [*self.text(before), *body, *self.text(after)]

    def block(self, number: int, slot: Slot) -> tuple[list[int], list[Branch]]:
        """Ids of the block of a past review, and the branches whose slot tokens it holds.

        A branch without a vector (an item that nobody else reviewed) has no line in the block.

        Args:
            number: the number that the block's heading shows, from 1.
            slot: the past review.
        """
        first, other = MARKS[self.config.list_markers]
        heading, *fields = review_lines(number, slot, self.config.text)
        ids = [*self.line(heading, first), *(i for line in fields for i in self.line(line, other))]
        filled: list[Branch] = []
        for branch in SLOT_LINES:
            if branch in self.branches and getattr(slot, branch) is not None:
                ids += self.slot_ids(branch)
                filled.append(branch)
        return ids, filled

    def slot_ids(self, branch: Branch) -> list[int]:
        """Ids of the line that holds a branch's slot token."""
        return [i for piece in slot_line(branch, self.config) for i in self.text(piece)]

    def user_ids(self, count: int) -> list[int]:
        """Ids of the line that holds the `count` slot tokens of the user's embedding."""
        slots = self.text(SLOT_TOKENS["user"]) * count
        return [*self.text("[User Embedding]:\n"), *self.text(HIS_START), *slots, *self.text(HIS_END), *self.text("\n")]

    def target(self, text: str) -> list[int]:
        """Ids that the model should generate: the review and the end token, cut to `max_target_tokens`."""
        ids, most = self._untrusted.encode(self._stripped(text)), self.config.max_target_tokens
        return [*ids[:most], self._closing] if self.config.close_cut_targets else [*ids, self._closing][:most]

    def _stripped(self, value: str) -> str:
        return value.strip() if self.config.strip_fields else value

    def build(self, request: Request) -> Prompt:
        """The prompt of `request`.

        Raises:
            DepError: with `overflow="drop"`, the item, rating and title alone are longer than `max_input_tokens`.
        """
        history = request.user_history if self.config.reads_user_history else None
        count = len(history.his) if history is not None and self.config.user_tokens < 0 else self.config.user_tokens
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
        cuts = self.config.overflow == "cut"
        if room < 0 and not cuts:
            raise DepError(
                f"example {request.key}",
                f"an item, rating and title of at most {self.config.max_input_tokens} tokens", f"{-room} more",
                "raise prompt.max_input_tokens or lower protocol.max_description_chars",
            )  # fmt: skip
        kept = max(fitting([ids for ids, _ in blocks], room), min(len(blocks), cuts))
        body = [*head, *(heading if kept else ()), *(i for ids, _ in blocks[:kept] for i in ids), *tail]
        ids, target = self.chat(self._system, body), self.target(request.text)
        ids = ids[: self.config.max_input_tokens] if cuts else ids
        prompt = Prompt(request.key, ids, target, kept=kept, user_history=history, user_tokens=count)
        for branch in self.branches:
            held = ids.count(self.text(SLOT_TOKENS[branch])[0])  # fewer than blocks where the prompt's end is cut
            for k, slot in enumerate(slots):
                if (vector := getattr(slot, branch)) is None:
                    continue
                if k < kept and len(prompt.vectors.get(branch, ())) < held:
                    prompt.vectors.setdefault(branch, []).append(vector)
                    prompt.positions.setdefault(branch, []).append(k)
                else:
                    prompt.cut_vectors.setdefault(branch, []).append(vector)
        return prompt
