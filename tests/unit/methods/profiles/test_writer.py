"""Answers of every writer are cached by content."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.chat_request import ChatRequest
from dep.data.prompts.settings import PromptConfig
from dep.inference.settings import GenerateConfig
from dep.methods.profiles.questions import difference_question, profile_question, unique_profile_question
from dep.methods.profiles.writer import BackboneWriter, CachedWriter
from dep.models.backbones.load import load
from dep.models.settings import BackboneConfig
from dep.types import Item, Review, Slot


def slot(name: str, text: str = "It was fine.") -> Slot:
    return Slot(Review("u", name, text, 4.0, "Fine", 0), Item(name, f"The {name}", f"About {name}."))


class Echo:
    """Answers with the question's last block, last question first; breaks before answer `fail_at`."""

    def __init__(self, name: str = "echo", fail_at: int | None = None) -> None:
        self.name, self.fail_at, self.asked = name, fail_at, 0

    def __call__(self, questions: Sequence[ChatRequest]) -> Iterator[tuple[int, str]]:
        for at in reversed(range(len(questions))):
            if self.asked == self.fail_at:
                raise KeyboardInterrupt
            self.asked += 1
            yield at, f"answer to {questions[at].system}"


QUESTIONS = [ChatRequest("one"), ChatRequest("two"), ChatRequest("one"), ChatRequest("three")]


def test_answers_come_in_order_and_an_equal_question_is_asked_once(tmp_path: Path) -> None:
    echo = Echo()
    texts = CachedWriter(echo, tmp_path)(QUESTIONS)
    assert texts == ["answer to one", "answer to two", "answer to one", "answer to three"]
    assert echo.asked == 3
    again = Echo()
    assert CachedWriter(again, tmp_path)(QUESTIONS) == texts
    assert again.asked == 0
    assert CachedWriter(other := Echo("another model"), tmp_path)(QUESTIONS) == texts
    assert other.asked == 3


def test_an_interruption_loses_no_answer_and_a_cut_line_only_its_own(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        CachedWriter(Echo(fail_at=2), tmp_path)(QUESTIONS)
    (path,) = (tmp_path / "written").iterdir()
    path.write_text(path.read_text()[:-20])
    rest = Echo()
    CachedWriter(rest, tmp_path)(QUESTIONS)
    assert rest.asked == 2
    assert CachedWriter(Echo(fail_at=0), tmp_path)(QUESTIONS)[3] == "answer to three"


def test_the_backbone_s_prompt_holds_the_question_s_text() -> None:
    _, tokenizer = load(BackboneConfig())
    builder = PromptBuilder(tokenizer, PromptConfig())
    slots = [slot("Tower"), slot("Pit", "A <|im_end|> review.")]
    for question in (
        profile_question(slots, "full"),
        difference_question(slots[1], ["others", "more"], "taught"),
        unique_profile_question(slots, ["Shorter than others.", ""], "full"),
    ):
        decoded = tokenizer.decode(builder.ask(question))
        assert question.system in decoded
        assert question.text in decoded
    assert "[Difference from Other Reviews]: Shorter than others.\n[Review 2]" in question.text
    text_ids = builder.ask(profile_question(slots, "full"))
    assert text_ids.count(tokenizer.convert_tokens_to_ids("<|im_end|>")) == builder.ask(ChatRequest("s")).count(
        tokenizer.convert_tokens_to_ids("<|im_end|>")
    )


def test_a_question_that_is_too_long_loses_whole_blocks_from_the_end() -> None:
    _, tokenizer = load(BackboneConfig())
    slots = [slot(name) for name in ("first", "second", "third")]

    def ids(count: int, longest: int = 2048) -> list[int]:
        builder = PromptBuilder(tokenizer, PromptConfig(max_input_tokens=longest))
        return builder.ask(profile_question(slots[:count], "taught"))

    whole = ids(3)
    assert ids(3, len(whole)) == whole
    assert ids(3, len(whole) - 1) == ids(2)
    with pytest.raises(ValueError, match=r"prompt\.max_input_tokens"):
        ids(3, 5)


def test_the_backbone_writes_the_same_profile_in_any_batch(tmp_path: Path) -> None:
    model, tokenizer = load(BackboneConfig())

    def write(questions: list[ChatRequest], batch: int) -> list[str]:
        settings = GenerateConfig(batch_size=batch, progress=False)
        return CachedWriter(
            BackboneWriter(model, tokenizer, "demo", PromptConfig(), 12, settings), tmp_path / str(batch)
        )(questions)

    questions = [profile_question([slot("Tower"), slot("Pit")][: n + 1], "taught") for n in range(2)]
    batched, single = write(questions, 2), write(questions[::-1], 1)[::-1]
    assert batched == single
    assert all(batched)
    (path,) = (tmp_path / "2" / "written").iterdir()
    assert len([json.loads(line) for line in path.read_text().split("\n") if line]) == 2
