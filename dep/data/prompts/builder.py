"""Turns a request and its past reviews into the token ids of one chat turn, as in Figure 6 of the paper.

    system   the task, and (`guidance`) what the embeddings in the prompt denote
    user     [Item Title] [Item Description] [User's Past Reviews] K blocks, newest first
             [Output Review Rating] [Output Review Title]
    model    the review

A block is the part of the prompt that shows one past review. In a block, `<his_token_start>` slot `<his_token_end>` is
the place of the review's soft token (p_his, Eq. 6), and the same line with `diff` is that of the difference (p_diff).
With `slots: late` these stand after all blocks (`late_section`).
A title, description or rating that is missing has no line, neither for the target nor in a block.
Texts of past reviews are cut to `max_review_tokens`. If the prompt is still too long, the newest blocks that fit stay
and the others are left out. The ids are those that the tokenizer gives for the whole text of the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from dep.data.prompts.blocks import Block, place_vectors
from dep.data.prompts.chat_frame import ChatFrame, chat_frame
from dep.data.prompts.chat_request import ChatRequest, Line, field_line, rating_line, review_lines
from dep.data.prompts.cuts import cut_positions
from dep.data.prompts.late_section import late_heading, late_line, user_lines
from dep.data.prompts.settings import PromptConfig
from dep.data.prompts.template import MARKS, SLOT_LINES, shown_branches, slot_line, system_text
from dep.data.prompts.text_encoding import Part, Parts, TextEncoder
from dep.types import SLOT_TOKENS, SPECIAL_TOKENS, Branch, Prompt, Request, Slot
from dep.utils.errors import DepError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_HEADING: Parts = (Part("[User's Past Reviews]:\n", True),)
_SLACK = 2
"""Within a prompt a text may have up to this many more tokens than it has alone."""
_ITEM_FIELDS = ("Item Title", "Item Description")


class PromptBuilder:
    """Turns requests into prompts for one tokenizer and one configuration.

    Args:
        tokenizer: the tokenizer; with branches it must have the special tokens of `dep.types`.
        config: the settings of the prompt.
        branches: the kinds of soft token that a past review has (`dep.types.Branch`): `his`, `diff`, both or none.
        frame: the rendered chat template around the user's message, if it was rendered before.
        keeps_prefixes: whether prompts have `cuts`, where kept beginnings may end.
        tokens: how many slot tokens stand side by side for each vector of a past review (`projector.tokens`).

    Raises:
        DepError: the tokenizer lacks a special token, or its chat template cannot be used.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        config: PromptConfig,
        branches: Sequence[Branch] = (),
        frame: ChatFrame | None = None,
        keeps_prefixes: bool = False,
        tokens: int = 1,
    ) -> None:
        added = tokenizer.get_added_vocab()
        missing = [t for t in SPECIAL_TOKENS if t not in added]
        if missing and branches:
            raise DepError(
                "tokenizer", f"the added tokens {list(SPECIAL_TOKENS)}", f"none of {missing}",
                "load it with dep.models.backbones.load.load, which adds them",
            )  # fmt: skip
        self.config = config
        self.branches = shown_branches(config, branches)
        self._system = system_text(config, self.branches)
        self._tokenizer = tokenizer
        self._late = config.slots == "late"
        self._keeps_prefixes = keeps_prefixes
        self._tokens = tokens
        self._soft_ids = {added[token] for token in SPECIAL_TOKENS if token in added}
        self._slot_id = {branch: added[SLOT_TOKENS[branch]] for branch in self.branches}
        self._frames: dict[str, ChatFrame] = {} if frame is None else {self._system: frame}
        self.end_id: int | None = tokenizer.eos_token_id

    @cached_property
    def _encoder(self) -> TextEncoder:
        return TextEncoder(self._tokenizer)

    def share_memo(self, other: PromptBuilder) -> None:
        """Share the remembered token ids of texts with `other`, which must have the same tokenizer."""
        self._encoder = other._encoder

    def forget(self) -> None:
        """Drop the remembered token ids of texts."""
        self._encoder.forget()

    def frame(self, system: str) -> ChatFrame:
        """Render the chat template with this system text; the result is kept."""
        if system not in self._frames:
            self._frames[system] = chat_frame(system, self.config, self._tokenizer)
        return self._frames[system]

    def line(self, line: Line, mark: str = "") -> Parts:
        """Turn a line of the template, or a field as `[name]: value`, into parts that begin with `mark`."""
        if isinstance(line, str):
            return (Part(mark + line, True),)
        name, value = line
        return Part(f"{mark}[{name}]:", True), Part(f" {self._stripped(value)}\n", False)

    def _stripped(self, value: str) -> str:
        return value.strip() if self.config.strip_fields else value

    def ask(self, question: ChatRequest) -> list[int]:
        """Return the ids of a question; its last blocks are left out if it is longer than `max_input_tokens`.

        Raises:
            DepError: the question is too long even without blocks.
        """
        frame = self.frame(question.system)
        lines = [self.line(line) for line in question.head]
        ids = self._chat(frame, lines)
        if (over := len(ids) - self.config.max_input_tokens) > 0:
            raise DepError(
                f"a question that begins {question.text[:60]!r}",
                f"at most {self.config.max_input_tokens} tokens", f"{over} more", "raise prompt.max_input_tokens",
            )  # fmt: skip
        blocks = [[self.line(self._shortened(line)) for line in block] for block in question.blocks]
        count, room = 0, -over
        while count < len(blocks) and (room := room - self._size(frame, blocks[count])) >= 0:
            count += 1
        while count:
            whole = self._chat(frame, [*lines, *(line for block in blocks[:count] for line in block)])
            if len(whole) <= self.config.max_input_tokens:
                return whole
            count -= 1
        return ids

    def cut(self, text: str, limit: int) -> str:
        """Return the longest beginning of `text` that ends after a whole word and has at most `limit` tokens."""
        return self._encoder.cut(text.strip(), limit)

    def _shortened(self, line: Line) -> Line:
        """Cut a field of a question to `max_review_tokens` if a user wrote it."""
        if isinstance(line, str) or line[0] in _ITEM_FIELDS or self.config.max_review_tokens is None:
            return line
        return line[0], self.cut(line[1], self.config.max_review_tokens)

    def _chat(self, frame: ChatFrame, lines: Sequence[Parts]) -> list[int]:
        """Return the ids of a chat turn whose user message is `lines`, up to where the answer begins."""
        before, *others = frame.pieces
        framed: list[Parts] = [(Part(before, True),)]
        for piece in others:
            framed += [*lines, (Part(piece, True),)]
        return [*frame.begins, *self._encoder.encode_lines(framed)]

    def _size(self, frame: ChatFrame, lines: Sequence[Parts]) -> int:
        """Return how many tokens `lines` add to a prompt."""
        return (len(frame.pieces) - 1) * sum(self._encoder.length(line) for line in lines)

    def block(self, number: int, k: int, slot: Slot, limit: int | None) -> Block:
        """Build the block that shows a past review.

        A branch for which the slot has no vector has no line in the block.

        Args:
            number: the number that the block's heading shows, from 1.
            k: the slot's index in the request.
            slot: the past review.
            limit: the largest number of tokens of the review's text; None for no limit.
        """
        review = slot.review
        if limit is not None:
            review = replace(review, text=self.cut(review.text, limit))
        first, other = MARKS[self.config.list_markers]
        heading, *fields = review_lines(number, replace(slot, review=review), self.config.text)
        lines = [self.line(heading, first), *(self.line(line, other) for line in fields)]
        filled = [b for b in SLOT_LINES if b in self.branches and getattr(slot, b) is not None]
        if self._late:
            return Block(k, slot, lines, late_line(filled, self._tokens), filled)
        lines += [(Part("".join(slot_line(branch, self.config, self._tokens)), True),) for branch in filled]
        return Block(k, slot, lines, [], filled)

    def slot_ids(self, branch: Branch) -> list[int]:
        """Return the ids of the line that holds the slot tokens of a vector of `branch`."""
        return list(self._encoder.encode((Part("".join(slot_line(branch, self.config, self._tokens)), True),)))

    def target(self, text: str) -> list[int]:
        """Return the ids that the model should generate: the review and the end token, cut to `max_target_tokens`."""
        frame = self.frame(self._system)
        if self.config.strip_fields:
            ids = list(self._encoder.continuation(frame.pieces[-1], frame.lead + text.strip()))
        else:  # the authors' code encodes prompt and target apart
            ids = list(self._encoder.encode((Part(text, False),)))
        end, most = [] if self.end_id is None else [self.end_id], self.config.max_target_tokens
        return [*ids[:most], *end] if self.config.close_cut_targets else [*ids, *end][:most]

    def build(self, request: Request) -> Prompt:
        """Build the prompt of `request`.

        Raises:
            DepError: the item, rating and title alone are longer than `max_input_tokens` (with `overflow="drop"`), or
                the chat template shows the message, and with it the user's embedding, more than once.
        """
        frame = self.frame(self._system)
        times = len(frame.pieces) - 1
        history = request.user_history if self.config.reads_user_history else None
        count = len(history.his) if history is not None and self.config.user_tokens < 0 else self.config.user_tokens
        if count and times > 1:
            raise DepError(
                "the tokenizer's chat template", "one that shows the user's message once", f"it {times} times",
                "set prompt.chat=qwen, or give the tokenizer another chat_template",
            )  # fmt: skip
        fields = [*field_line("Item Title", request.item.title)]
        fields += field_line("Item Description", request.item.description)
        fields += [("User Profile", request.profile)] if self.config.profile else []
        user = user_lines(count)
        head = [*([] if self._late else user), *map(self.line, fields)]
        output = [*rating_line("Output Review Rating", request.rating)]
        output += field_line("Output Review Title", request.title)
        tail = [*(user if self._late else []), *map(self.line, output)]
        ids, first = self._chat(frame, [*head, *tail]), [*head]
        room = self.config.max_input_tokens - len(ids)
        cuts = self.config.overflow == "cut"
        if room < 0 and not cuts:
            raise DepError(
                f"example {request.key}",
                f"an item, rating and title of at most {self.config.max_input_tokens} tokens", f"{-room} more",
                "raise prompt.max_input_tokens or lower protocol.max_description_chars",
            )  # fmt: skip
        asked = request.slots[: self.config.history]
        blocks = self._fitting(frame, asked, room)
        while blocks:  # lengths of single lines may be a little off; the whole text's is exact
            past, late = self._section(blocks)
            whole = self._chat(frame, [*head, *past, *late, *tail])
            if len(whole) <= self.config.max_input_tokens:
                ids, first = whole, [*head, *past]
                break
            blocks.pop()
        if cuts:
            if asked and not blocks:
                blocks = [self.block(1, 0, asked[0], self.config.max_review_tokens)]
                past, late = self._section(blocks)
                ids, first = self._chat(frame, [*head, *past, *late, *tail]), [*head, *past]
            ids = self._whole_slots(ids[: self.config.max_input_tokens])
        prompt = Prompt(
            request.key, ids, self.target(request.text), kept=len(blocks), asked=len(asked), user_history=history,
            user_tokens=count, cuts=self._cuts(frame, ids, first),
        )  # fmt: skip
        for branch in self.branches:
            held = ids.count(self._slot_id[branch]) // self._tokens
            place_vectors(prompt, branch, blocks * times, asked, held)
        return prompt

    def _whole_slots(self, ids: list[int]) -> list[int]:
        """Remove the slot tokens at the end of cut `ids` if some of their vector's other slot tokens were cut off."""
        partial = sum(ids.count(slot_id) % self._tokens for slot_id in self._slot_id.values())
        return ids[: len(ids) - partial]

    def _section(self, blocks: Sequence[Block]) -> tuple[list[Parts], list[Parts]]:
        """Return the lines of the past reviews, and those of their soft tokens; the latter only with `slots: late`."""
        late = [line for block in blocks for line in block.late]
        heading = late_heading(self.branches, self.config.guidance) if late else []
        return [_HEADING, *(line for block in blocks for line in block.lines)], [*heading, *late]

    def _cuts(self, frame: ChatFrame, ids: Sequence[int], first: Sequence[Parts]) -> tuple[int, ...]:
        """Return `Prompt.cuts`: the ends of system text and of past reviews, and the first soft token; none if off."""
        if not self._keeps_prefixes:
            return ()
        before: Parts = (Part(frame.pieces[0], True),)
        texts = [[*frame.begins, *self._encoder.encode_lines(lines)] for lines in ([before], [before, *first])]
        return cut_positions(ids, texts, self._soft_ids)

    def _fitting(self, frame: ChatFrame, slots: Sequence[Slot], room: int) -> list[Block]:
        """Return the blocks that fit into `room` tokens, newest first.

        If texts may be cut (`max_review_tokens`), a review that does not fit is skipped. As long as no review has
        fitted, each text is cut to the room that is left.
        """
        limit, blocks = self.config.max_review_tokens, list[Block]()
        room -= self._size(frame, [_HEADING])
        room -= self._size(frame, late_heading(self.branches, self.config.guidance)) if self._late else 0
        for k, slot in enumerate(slots):
            block = self.block(len(blocks) + 1, k, slot, limit)
            size = self._size(frame, [*block.lines, *block.late])
            if size > room and limit is not None and not blocks and self.config.text:
                bare = self.block(1, k, slot, 0)
                rest = self._size(frame, [*bare.lines, *bare.late])
                left = (room - rest) // (len(frame.pieces) - 1) - _SLACK
                block = self.block(1, k, slot, max(0, min(limit, left)))
                size = self._size(frame, [*block.lines, *block.late])
            if size <= room:
                blocks.append(block)
                room -= size
            elif limit is None:
                break
        return blocks
