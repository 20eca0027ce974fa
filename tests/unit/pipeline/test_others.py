"""Which of the training's reviews an adapter at the LLM's output gets to recall from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from dep.inference.target_states import TargetStates
from dep.models.adapters.memory import MemoryAdapter
from dep.models.adapters.recall import recalled
from dep.models.settings import MemoryConfig
from dep.pipeline.stages.others import fill_others
from dep.types import Prompt


class Data:
    """Five training examples of three authors, of whom one wrote three."""

    def __init__(self) -> None:
        self.prompts = [Prompt(f"Books/{at}", [20 + at], [30 + at, 40, 1]) for at in range(5)]
        reviews = [SimpleNamespace(user="uvwuu"[at]) for at in range(5)]
        self.prepared = SimpleNamespace(corpora={"Books": SimpleNamespace(reviews=reviews)})

    def examples(self, split: str) -> list[Any]:
        assert split == "train"
        return [SimpleNamespace(category="Books", row=at) for at in range(5)]

    def training_prompts(self) -> list[Prompt]:
        return self.prompts


def filled(model: Any, tokens: int) -> MemoryAdapter:
    adapter = MemoryAdapter(MemoryConfig(others=tokens, rank=2), *reversed(model.lm_head.weight.shape))
    module: Any = SimpleNamespace(soft_prompt=SimpleNamespace(adapter=adapter), states=TargetStates(model))
    data: Any = Data()
    fill_others(module, data)
    return adapter


def test_a_sample_holds_whole_reviews_with_their_states_and_authors_and_is_the_same_each_time(model) -> None:
    first, again = (filled(model, 7).others for _ in range(2))
    assert first is not None
    assert again is not None
    assert torch.equal(first.states, again.states)
    at = int(first.tokens[0]) - 30  # which example stands first
    prompt = Data().prompts[at]
    assert first.tokens[:3].tolist() == prompt.target
    ids = torch.tensor([prompt.ids + prompt.target])
    with torch.no_grad():
        states = model.base_model(input_ids=ids).last_hidden_state[0, :3]
    assert torch.allclose(first.states[:3].float(), states, atol=1e-2)
    assert len(set(first.authors[:3].tolist())) == 1


def test_examples_of_one_author_hide_all_reviews_of_that_author(model) -> None:
    others = filled(model, 15).others
    assert others is not None
    own = [set(others.tokens[others.authors == number].tolist()) & set(range(30, 35)) for number in range(3)]
    assert sorted(map(sorted, own)) == [[30, 33, 34], [31], [32]]
    hidden = torch.randn(1, model.config.hidden_size)
    seen = recalled(others.similar(hidden, ["Books/3"]), dict(others.numbers.items()))
    assert not {30, 33, 34} & set(seen.tokens[seen.weights > 0].tolist())
    assert {31, 32} <= set(seen.tokens[seen.weights > 0].tolist())


def test_an_adapter_without_others_gets_nothing(model) -> None:
    assert filled(model, 0).others is None
