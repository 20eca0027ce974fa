"""Special tokens in a frozen model."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from dep.models.backbones.vocabulary import add_tokens, embedding_norm, suppressed_ids
from dep.types import SPECIAL_TOKENS


@pytest.mark.parametrize("name", ["qwen2", "llama", "gpt2", "gemma2"])
@pytest.mark.parametrize("tie", [True, False])
def test_new_rows_lie_near_the_mean_and_old_ones_stay(bare_model, tokenizer, name: str, tie: bool) -> None:
    model = bare_model(name, tie=tie, vocab=len(tokenizer))
    embedding, head = (
        model.get_input_embeddings().weight.clone(),
        model.get_output_embeddings().weight.clone(),
    )
    ids = add_tokens(model, tokenizer, SPECIAL_TOKENS)
    new, new_head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert len(new) == len(new_head) == len(embedding) + 6 == model.config.vocab_size
    assert ids == list(range(len(embedding), len(embedding) + 6))
    assert torch.equal(new[: len(embedding)], embedding)
    distance = (new[ids] - embedding.mean(0)).abs() / embedding.std(0)
    assert 0 < distance.max() < 0.5
    assert torch.unique(new[ids], dim=0).shape[0] == 6
    if tie:
        assert new_head.data_ptr() == new.data_ptr()
    else:
        assert torch.equal(new_head[: len(head)], head)
        assert torch.allclose(new_head[ids], head.mean(0).expand(6, -1), atol=1e-3)


def test_rows_that_stand_for_no_token_are_used_before_the_matrix_grows(bare_model, tokenizer) -> None:
    model = bare_model(vocab=len(tokenizer) + 40)
    add_tokens(model, tokenizer, SPECIAL_TOKENS)
    assert len(model.get_input_embeddings().weight) == len(tokenizer) + 34
    assert suppressed_ids(model, tokenizer) == list(range(len(tokenizer) - 6, len(tokenizer) + 34))


def test_adding_twice_changes_nothing(bare_model, tokenizer) -> None:
    model = bare_model()
    add_tokens(model, tokenizer, SPECIAL_TOKENS)
    before, size = model.get_input_embeddings().weight.clone(), len(tokenizer)
    assert add_tokens(model, tokenizer, SPECIAL_TOKENS) == []
    assert len(tokenizer) == size
    assert torch.equal(model.get_input_embeddings().weight, before)


def test_each_special_token_is_one_id_even_inside_text(model, tokenizer) -> None:
    for token in SPECIAL_TOKENS:
        ids = tokenizer.encode(f"good{token}book", add_special_tokens=False)
        assert ids.count(tokenizer.convert_tokens_to_ids(token)) == 1
        assert len(tokenizer.encode(token, add_special_tokens=False)) == 1


def test_rows_do_not_depend_on_the_state_of_the_random_numbers(bare_model, tokenizer) -> None:
    rows = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = bare_model(vocab=len(tokenizer))
        state = torch.get_rng_state()
        add_tokens(model, deepcopy(tokenizer), SPECIAL_TOKENS)
        assert torch.equal(torch.get_rng_state(), state)
        rows.append(model.get_input_embeddings().weight)
    assert torch.equal(rows[0], rows[1])


def test_the_embedding_s_length_is_measured_as_the_model_sees_it(bare_model) -> None:
    embed = bare_model("gemma2").get_input_embeddings()  # multiplies its rows by sqrt(width)
    expected = embed.weight.detach().norm(dim=-1).mean() * 32**0.5
    assert embedding_norm(embed, 300) == pytest.approx(float(expected), rel=1e-4)
