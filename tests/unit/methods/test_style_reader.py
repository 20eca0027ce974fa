"""Style vectors against sums by hand; the "activations" here are counts of tokens."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.chat_request import ChatRequest
from dep.data.prompts.settings import PromptConfig
from dep.data.protocol import ReviewDataset
from dep.inference.layer_states import Passage
from dep.inference.target_states import TargetStates
from dep.methods.base import ActivationContext
from dep.methods.style_reader import StyleReader
from dep.models.settings import StyleVectorConfig
from dep.types import Corpus, Example, Item, Review

WIDTH = 400
REVIEWS = [
    Review("ann", "lamp", "it is good", 5.0, "Good", 0),
    Review("ann", "harp", "the music is slow", 2.0, "Slow", 1),
    Review("ann", "book", "the target", 3.0, "Read", 2),
    Review("bob", "lamp", "the lamp is slow", 1.0, "Dim", 0),
    Review("bob", "chair", "i would read", 4.0, "", 1),
    Review("bob", "book", "another target", 4.0, "Fine", 2),
    Review("cat", "lamp", "a late review", 4.0, "Late", 9),
]
DATASET = ReviewDataset(
    {"Home": Corpus("Home", REVIEWS, {r.item: Item(r.item, f"A {r.item}", "so great") for r in REVIEWS})},
    [Example("Home", "test", 2, (0, 1)), Example("Home", "test", 5, (4,)), Example("Home", "val", 2, (0,))],
    {"Home": torch.tensor([True] * 6 + [False])},
)


class Reading:
    """A context whose states count each token of a sequence, and whose writer numbers its answers."""

    def __init__(self, model, tokenizer, longest: int = 50) -> None:
        self.model = model
        config = PromptConfig(history=0, reads_user_history=True, max_user_history=longest)
        self.builder = PromptBuilder(tokenizer, config)
        self.questions: list[ChatRequest] = []
        self.read: list[list[int]] = []
        self.counts: list[int] = []

    def ask(self, questions: Sequence[ChatRequest]) -> list[str]:
        self.questions += questions
        return [f"music {'great ' * at}" for at in range(len(questions))]

    def states(self, passages: Sequence[Passage], layer: int, title: str) -> Tensor:
        assert layer == 2
        self.read += [list(passage.ids) for passage in passages]
        self.counts += [passage.read for passage in passages]
        return torch.stack([torch.bincount(torch.tensor(p.ids), minlength=WIDTH).float() for p in passages])

    def reader(self, **settings) -> StyleReader:
        whole = TargetStates(self.model)
        context = ActivationContext(DATASET, self.builder, self.ask, self.states, 4, WIDTH, self.builder, whole)
        return StyleReader(StyleVectorConfig(**settings), context)


def counts(builder: PromptBuilder, text: str) -> Tensor:
    ids = builder.target(text)
    assert ids[-1] == builder.end_id
    return torch.bincount(torch.tensor(ids[:-1]), minlength=WIDTH).float()


def test_the_vector_is_the_mean_difference_from_the_written_texts(model, tokenizer) -> None:
    reading = Reading(model, tokenizer)
    past = reading.reader()(DATASET.examples[0])
    first = counts(reading.builder, "it is good") - counts(reading.builder, "music ")
    second = counts(reading.builder, "the music is slow") - counts(reading.builder, "music great")
    assert past.his.shape == (1, WIDTH)
    assert torch.allclose(past.his[0], (first + second) / 2)


def test_both_texts_follow_non_perso_s_prompt_and_neither_holds_a_target(model, tokenizer) -> None:
    reading = Reading(model, tokenizer)
    reading.reader()(DATASET.examples[0])
    assert len(reading.questions) == 3  # two past reviews of ann, one of bob
    for number, (question, own) in enumerate(zip(reading.questions, (REVIEWS[0], REVIEWS[1], REVIEWS[4]), strict=True)):
        prompt = reading.builder.ask(question)
        for ids in reading.read[2 * number : 2 * number + 2]:
            assert ids[: len(prompt)] == prompt
        assert reading.read[2 * number][len(prompt) :] == reading.builder.target(own.text)[:-1]
    assert not any("target" in tokenizer.decode(ids) for ids in reading.read)


@pytest.mark.parametrize("states", ["last", "mean"])
def test_the_last_token_or_all_tokens_of_the_text_are_read(model, tokenizer, states: str) -> None:
    reading = Reading(model, tokenizer)
    reading.reader(states=states)(DATASET.examples[0])
    lengths = [len(reading.builder.target(text)) - 1 for text in ("it is good", "music ")]
    assert reading.counts[:2] == (lengths if states == "mean" else [1, 1])


def test_a_split_is_read_once_and_other_splits_are_not_read(model, tokenizer) -> None:
    reading = Reading(model, tokenizer)
    reader = reading.reader()
    ann, bob = (reader(example).his for example in DATASET.examples[:2])
    assert len(reading.read) == 6
    assert not torch.equal(ann, bob)


def test_a_peer_s_review_of_the_item_is_neutral_and_a_review_without_peers_is_left_out(model, tokenizer) -> None:
    reading = Reading(model, tokenizer)
    reader = reading.reader(neutral="peer")
    ann = counts(reading.builder, "it is good") - counts(reading.builder, "the lamp is slow")
    assert torch.allclose(reader(DATASET.examples[0]).his[0], ann)  # the harp has no peers, cat is not in the pool
    assert (reader(DATASET.examples[1]).his == 0).all()  # nobody else wrote about bob's chair
    assert not reading.questions


def test_only_the_newest_reviews_are_read(model, tokenizer) -> None:
    reading = Reading(model, tokenizer, longest=1)
    past = reading.reader()(DATASET.examples[0])
    assert torch.allclose(past.his[0], counts(reading.builder, "the music is slow") - counts(reading.builder, "music "))
    assert len(reading.read) == 4


def test_a_layer_that_the_model_lacks_is_refused(model, tokenizer) -> None:
    with pytest.raises(ValueError, match=r"style_vector\.layer.*0 to 3.*4"):
        Reading(model, tokenizer).reader(layer=4)(DATASET.examples[0])
