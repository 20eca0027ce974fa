"""What teaches an adapter the meaning of a vector: which reviews, which vectors, and what the prompt shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from dep.data.alignment import AlignmentData
from dep.data.datamodule import Batching, ReviewData
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.data.protocol import ReviewDataset
from dep.data.retrievers import Recency
from dep.data.training_population import training_rows
from dep.data.vectors.store import VectorStore
from dep.models.backbones.load import DEMO
from dep.types import Corpus, Example, Item, Review
from dep.utils.errors import DepError

REVIEWS = [
    ("ann", "harp", "ann plays the harp"), ("ann", "drum", "ann beats the drum"), ("ann", "horn", "ann blows the horn"),
    ("ann", "bell", "ann rings the bell"), ("bob", "harp", "bob plays the harp"), ("bob", "drum", "bob beats the drum"),
    ("bob", "lute", "bob picks the lute"), ("cat", "harp", "cat plays the harp"), ("cat", "drum", "cat beats the drum"),
]  # fmt: skip
EXAMPLES = [
    Example("Music", "train", 1, (0,)), Example("Music", "val", 2, (0, 1)), Example("Music", "test", 3, (0, 1, 2)),
    Example("Music", "train", 6, (4, 5)), Example("Music", "val", 8, (7,)),
]  # fmt: skip
TRAIN = [0, 1, 4, 5, 6]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(DEMO)


@pytest.fixture
def build(tokenizer, hashing, tmp_path: Path) -> Callable[..., AlignmentData]:
    def make(
        tasks: tuple[str, ...] = ("his", "diff"), branches: tuple[str, ...] = ("his", "diff"), seed: int = 0,
        slots: int = 3, most: int | None = None, held_out: int = 9, **prompt: Any,
    ) -> AlignmentData:  # fmt: skip
        reviews = [Review(u, i, text, 4.0, "a title", at) for at, (u, i, text) in enumerate(REVIEWS)]
        items = {r.item: Item(r.item, f"the {r.item}", "from a shop") for r in reviews}
        pool = {"Music": torch.ones(len(reviews), dtype=torch.bool)}
        prepared = ReviewDataset({"Music": Corpus("Music", reviews, items)}, EXAMPLES, pool)
        batching = Batching(2, 1, 2, seed)
        builder = PromptBuilder(tokenizer, PromptConfig(history=1, text=False, **prompt), branches)
        data = ReviewData(prepared, VectorStore(tmp_path, hashing()), Recency(), builder, 0, batching)
        return AlignmentData(data, builder, batching, tasks, slots, most, held_out)  # type: ignore[arg-type]

    return make


def rows(data: AlignmentData, split: Any, task: Any) -> list[int]:
    return [example.row for example in data.plain(split, task).examples]


def test_only_reviews_of_the_training_population_are_written_and_held_out_ones_are_validation_targets(build) -> None:
    data = build()
    prepared = data.source.prepared
    assert training_rows(prepared.corpora, prepared.examples) == {"Music": TRAIN}
    assert rows(data, "train", "his") == TRAIN
    assert rows(data, "val", "his") == [2, 8]
    assert rows(data, "train", "diff") == [0, 1, 4, 5]  # nobody else reviewed the lute
    assert rows(data, "val", "diff") == [8]  # nor the horn
    texts = [request.text for request in data.training_prompts().requests]
    assert sorted(texts) == sorted([REVIEWS[at][2] for at in TRAIN] + [REVIEWS[at][2] for at in (0, 1, 4, 5)])


def test_the_task_his_shows_a_review_s_own_vector_and_not_its_text(build, tokenizer) -> None:
    data = build()
    (request, *_), (prompt, *_) = (some(data, "his") for some in (requests, prompts))
    assert prompt.target == data.builder.target("ann plays the harp")
    text = tokenizer.decode(prompt.ids)
    assert "ann plays" not in text
    assert "[Item Description]: from a shop\n" in text
    assert text.count("from a shop") == 1
    assert set(prompt.vectors) == {"his"}
    assert torch.equal(prompt.vectors["his"][0], data.vectors()["Music"].his_NE[0])
    assert request.key == "Music/0/his"


def test_the_task_diff_shows_what_others_of_the_training_population_wrote_and_the_difference(build, tokenizer) -> None:
    data = build()
    prompt = prompts(data, "diff")[0]
    text = tokenizer.decode(prompt.ids)
    assert "[Item Description]: Others wrote: (1) bob plays the harp\n" in text
    assert "cat plays" not in text, "cat is a validation user"
    assert "ann plays" not in text
    assert set(prompt.vectors) == {"diff"}
    assert torch.equal(prompt.vectors["diff"][0], data.vectors()["Music"].diff_NE[0])
    assert prompt.target == data.builder.target("ann plays the harp")


def test_prompts_take_turns_in_the_slot_index(build) -> None:
    training = build(slots=3).training_prompts()
    assert [training[at].positions for at in range(5)] == [{"his": [at % 3]} for at in range(5)]


def test_the_seed_draws_the_training_examples_and_every_seed_has_the_same_held_out_reviews(build) -> None:
    drawn = {seed: [r.key for r in build(seed=seed, most=4, held_out=1).training_prompts().requests] for seed in (0, 1)}
    assert [len(keys) for keys in drawn.values()] == [4, 4]
    assert drawn[0] != drawn[1]
    assert drawn[0] == [r.key for r in build(seed=0, most=4).training_prompts().requests]
    held = [rows(build(seed=seed, held_out=1), "val", "his") for seed in (0, 1)]
    assert held[0] == held[1]
    assert len(held[0]) == 1


def test_an_adapter_of_whole_histories_reads_a_history_of_that_one_review(build) -> None:
    data = build(branches=("user",), reads_user_history=True, user_tokens=2)
    for request in requests(data, "diff"):
        row = int(request.key.split("/")[1])
        past = request.user_history
        assert torch.equal(past.his, data.vectors()["Music"].his_NE[row : row + 1])
        assert past.days.tolist() == [0.0]
        assert past.query.norm() > 0.5, "the request is embedded although no example of the data set asks for it"
    batch = data.collate([prompts(data, "diff")[0], prompts(data, "his")[0]])
    assert batch.present["user"].tolist() == [[True, True], [True, True]]


def test_tasks_without_any_review_are_refused(build, monkeypatch) -> None:
    monkeypatch.setattr("dep.data.alignment.OtherReviews.__call__", lambda *_: [])
    with pytest.raises(DepError, match=r"train.align: expected training reviews for the tasks diff"):
        build(tasks=("diff",))


def requests(data: AlignmentData, task: Any) -> list[Any]:
    return list(data.of_task(data.plain("train", task), task))


def prompts(data: AlignmentData, task: Any) -> list[Any]:
    built = data.prompts(data.of_task(data.plain("train", task), task))
    return [built[at] for at in range(len(built))]
