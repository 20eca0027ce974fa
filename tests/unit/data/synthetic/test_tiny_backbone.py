"""The built-in backbone is what its card says, and does what the demo needs of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dep.data.synthetic.language import CONCEPTS
from dep.models.backbones.load import DEMO, load
from dep.models.settings import BackboneConfig
from dep.types import SPECIAL_TOKENS
from experiments.tiny_backbone.pretraining_tasks import FIRST_TASK_SEED, TaskGenerator
from experiments.tiny_backbone.train import examine

CARD = json.loads((DEMO / "card.json").read_text())


@pytest.fixture(scope="module")
def backbone() -> Any:
    return load(BackboneConfig())


def test_it_is_a_qwen2_of_the_size_that_the_card_gives_and_small_enough_to_ship(backbone: Any) -> None:
    model, _ = backbone
    assert model.config.model_type == "qwen2"
    assert sum(p.numel() for p in model.parameters()) == CARD["parameters"]
    assert (DEMO / "model.safetensors").stat().st_size <= 16_000_000


def test_the_losses_in_the_card_hold_on_tasks_that_were_not_used_for_training(backbone: Any) -> None:
    model, tokenizer = backbone
    figures = dict(CARD["held_out_nll"])
    seed, count = figures.pop("seed"), figures.pop("lessons")
    found = examine(model, tokenizer, seed, count)
    assert found == pytest.approx(figures, abs=2e-3)
    assert found["text"] < found["plain"] - 0.05, "it uses the reviews in its context"
    assert found["slots"] < found["plain"] - 0.05, "it understands words in the slots"


def test_any_text_tokenises_and_comes_back(backbone: Any) -> None:
    _, tokenizer = backbone
    for text in ("Ça va? 我喜欢 it 🎸", "tab\tand\nline", "ENDING of the Ending", "\u200b"):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
    assert set(SPECIAL_TOKENS) <= set(tokenizer.get_added_vocab())


def test_every_concept_is_one_token_so_that_a_slot_can_speak_of_it(backbone: Any) -> None:
    _, tokenizer = backbone
    assert all(len(tokenizer.encode(f" {concept}", add_special_tokens=False)) == 1 for concept in CONCEPTS)


def test_tasks_come_from_worlds_that_no_experiment_may_evaluate() -> None:
    assert FIRST_TASK_SEED >= 1_000_000


def test_tasks_are_the_same_for_the_same_seed(backbone: Any) -> None:
    _, tokenizer = backbone
    first, second = (TaskGenerator(tokenizer, 3, users=6).stream() for _ in range(2))
    for _ in range(20):
        a, b = next(first), next(second)
        assert (a.kind, a.prompt.ids, a.prompt.target) == (b.kind, b.prompt.ids, b.prompt.target)
