"""The adapter at the LLM's output against loops over tokens, in likelihood, gradients and generation."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dep.data.collate import Collator
from dep.inference.changed_output import ChangedReading, changed_nll
from dep.inference.decoding import Reading, decode
from dep.inference.likelihood import example_nll
from dep.inference.target_states import TargetStates, Written
from dep.methods.memory_reader import as_history
from dep.models.adapters.memory import MemoryAdapter
from dep.models.settings import MemoryConfig
from dep.types import Prompt
from dep.types.memory import Memory

PAST = [Written([20, 21], [30, 31, 30, 1]), Written([22], [32, 1]), Written([23, 24, 25], [33, 34, 35, 36, 1])]


def prompts(model) -> list[Prompt]:
    """Three requests: of a user with two past reviews, of one with a single one, and of one without any."""
    memories = TargetStates(model).memories(PAST, "")
    return [
        Prompt("a", [20, 21, 22, 23, 24], [30, 31, 1], user_history=as_history(memories[:2])),
        Prompt("b", [25, 26], [33, 40, 41, 1], user_history=as_history(memories[2:])),
        Prompt("c", [27], [30, 1], user_history=as_history([])),
    ]


def trained(model, **parts: int) -> MemoryAdapter:
    """An adapter whose parameters are far from where they start."""
    torch.manual_seed(0)
    adapter = MemoryAdapter(MemoryConfig(rank=3, **parts), *reversed(model.lm_head.weight.shape))
    with torch.no_grad():
        for parameter in (adapter.up, adapter.shift, adapter.bias):
            parameter.normal_(std=0.1)
        adapter.numbers["his_gate"].fill_(0.3)
        adapter.numbers["his_scale"].fill_(math.log(4.0))
    return adapter


def by_hand(model, adapter: MemoryAdapter, hidden_D: Tensor, past: tuple[Memory, ...]) -> Tensor:
    """The module's equations for one position, token by token."""
    head, numbers = model.lm_head.weight, {name: float(value.detach()) for name, value in adapter.numbers.items()}
    corrected = hidden_D + adapter.up @ F.silu(adapter.down @ hidden_D) + adapter.shift
    logits = head @ corrected + adapter.bias
    tokens = [int(token) for memory in past for token in memory.tokens]
    his, diff = past[0].strength if past else (1.0, 1.0)
    if adapter.config.diff:
        expected = [0.0] * len(logits)
        for memory in past:
            for token, count in zip(memory.expected_ids.tolist(), memory.expected.tolist(), strict=True):
                expected[token] += count * math.exp(float(adapter.bias[token]))
        prior, weight = math.exp(numbers["diff_prior"]), diff * math.exp(numbers["diff_weight"])
        gains = [weight * math.log((tokens.count(v) + prior) / (expected[v] + prior)) for v in range(len(logits))]
        logits = logits + torch.tensor(gains)
    p = logits.softmax(0)
    if adapter.config.his and tokens:
        states = torch.cat([memory.states for memory in past])
        mean = states.mean(0)
        scale, gate = math.exp(numbers["his_scale"]), min(1.0, his / (1 + math.exp(-numbers["his_gate"])))
        scores = [scale * float(F.cosine_similarity(hidden_D - mean, state - mean, dim=0)) for state in states]
        scores.append(scale * numbers["his_none"] + math.log(len(tokens)))
        w = torch.tensor(scores).softmax(0).tolist()
        p = (1 - gate * (1 - w[-1])) * p
        for token, weight in zip(tokens, w, strict=False):
            p[token] += gate * weight
    return p


@pytest.mark.parametrize("parts", [{}, {"his": False}, {"diff": False}, {"his": False, "diff": False}])
@torch.no_grad()
def test_the_likelihood_is_that_of_the_equations(model, parts: dict[str, bool]) -> None:
    adapter, some = trained(model, **parts), prompts(model)
    batch, store = Collator(0)(some), TargetStates(model)
    sums_B, counts_B = changed_nll(store, adapter.output_change(model, batch), batch)
    for prompt, total, count in zip(some, sums_B, counts_B, strict=True):
        (states,) = store.read([Written(prompt.ids, prompt.target)])
        assert prompt.user_history is not None
        rows = [by_hand(model, adapter, state, prompt.user_history.memory) for state in states]
        expected = -sum(math.log(float(p[token])) for p, token in zip(rows, prompt.target, strict=True))
        assert float(total) == pytest.approx(expected, rel=1e-4)
        assert int(count) == len(prompt.target)


@pytest.mark.parametrize("strength", [(0.0, 1.0), (0.5, 1.5), (9.0, 0.0)])
@torch.no_grad()
def test_strengths_scale_the_gate_to_at_most_one_and_the_word_differences(model, strength) -> None:
    adapter, some = trained(model), []
    for prompt in prompts(model):
        assert prompt.user_history is not None
        scaled = tuple(memory._replace(strength=strength) for memory in prompt.user_history.memory)
        some.append(replace(prompt, user_history=replace(prompt.user_history, memory=scaled)))
    batch = Collator(0)(some)
    log_p = adapter.output_change(model, batch).log_probs(
        hidden := torch.randn(3, model.config.hidden_size), torch.arange(3)
    )
    for prompt, state, row in zip(some, hidden, log_p, strict=True):
        assert prompt.user_history is not None
        assert torch.allclose(row.exp(), by_hand(model, adapter, state, prompt.user_history.memory), atol=1e-5)


@torch.no_grad()
def test_all_probabilities_agree_with_those_of_the_targets_and_sum_to_one(model) -> None:
    adapter, batch = trained(model), Collator(0)(prompts(model))
    change, hidden = adapter.output_change(model, batch), torch.randn(5, model.config.hidden_size)
    rows, targets = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([30, 2, 33, 5, 30])
    log_p, weights = change.log_probs(hidden, rows), torch.tensor([1.0, 0.5, 2.0, 0.0, 1.0])
    assert torch.allclose(log_p.exp().sum(1), torch.ones(5), atol=1e-5)
    expected = torch.zeros(3).index_add(0, rows, -weights * log_p[torch.arange(5), targets])
    assert torch.allclose(expected, change.nll(hidden, rows, targets, weights), atol=1e-5)


@torch.no_grad()
def test_an_untrained_correction_leaves_the_llm_as_it_is(model) -> None:
    adapter = MemoryAdapter(MemoryConfig(his=False, diff=False), *reversed(model.lm_head.weight.shape))
    batch = Collator(0)(prompts(model))
    changed, _ = changed_nll(TargetStates(model), adapter.output_change(model, batch), batch)
    plain, _ = example_nll(model, model.get_input_embeddings()(batch.ids), batch.attention_mask, batch.labels)
    assert torch.allclose(changed, plain, atol=1e-4)


@pytest.mark.parametrize("parts", [{}, {"his": False}, {"diff": False}, {"his": False, "diff": False}])
def test_gradients_are_those_of_all_probabilities(model, parts: dict[str, bool]) -> None:
    rows, targets = torch.tensor([2, 0, 0, 1, 1, 0]), torch.tensor([30, 30, 2, 33, 5, 31])
    hidden, weights = torch.randn(6, model.config.hidden_size), torch.tensor([1.0, 0.5, 2.0, 0.0, 1.0, 1.0])
    found = []
    for way in ("all", "fused"):
        adapter = trained(model, **parts)
        change = adapter.output_change(model, Collator(0)(prompts(model)))
        if way == "all":
            at_targets = change.log_probs(hidden, rows)[torch.arange(6), targets]
            nll = torch.zeros(3).index_add(0, rows, -weights * at_targets)
        else:
            nll = change.nll(hidden, rows, targets, weights)
        (nll * torch.tensor([1.0, -0.3, 2.0])).sum().backward()
        found.append({name: p.grad for name, p in adapter.named_parameters() if adapter.is_trained(name)})
    for name, expected in found[0].items():
        assert expected is not None, name
        assert torch.allclose(found[1][name], expected, atol=1e-5), name


def test_logits_in_parts_give_the_same_gradients(model, monkeypatch) -> None:
    found = []
    for logits in (1 << 24, 2 * model.lm_head.weight.shape[0]):
        monkeypatch.setattr("dep.models.adapters.output_likelihood.LOGITS", logits)
        adapter, batch = trained(model), Collator(0)(prompts(model))
        sums_B, _ = changed_nll(TargetStates(model), adapter.output_change(model, batch), batch)
        sums_B.sum().backward()
        found.append([p.grad for p in adapter.parameters()])
    for whole, parts in zip(*found, strict=True):
        assert whole is not None
        assert torch.allclose(whole, parts, atol=1e-5)


def test_only_the_parts_that_act_are_trained(model) -> None:
    adapter = trained(model, his=False)
    fixed = {name for name, _ in adapter.named_parameters() if not adapter.is_trained(name)}
    assert fixed == {"numbers.his_scale", "numbers.his_none", "numbers.his_gate"}
    (group,) = adapter.param_groups()
    assert len(group["params"]) == 3  # the bias, and the two numbers of the word differences


class Greedy:
    """Takes the most likely token."""

    def draw(self, logits: Tensor) -> Tensor:
        return logits.argmax(-1, keepdim=True)

    def keep(self, rows: list[int]) -> None: ...


@pytest.mark.parametrize("rereads", [False, True])
@torch.no_grad()
def test_a_text_written_in_a_batch_is_the_one_written_alone(model, rereads: bool) -> None:
    adapter = trained(model)
    adapter.bias[1] = -1.0  # so that texts do not end at once

    def texts(some: list[Prompt]) -> list[list[int]]:
        batch = Collator(0, side="left", answers=False)(some)
        change = adapter.output_change(model, batch)
        embeds = model.get_input_embeddings()(batch.ids)
        reading = ChangedReading(change, model, embeds, batch.attention_mask, rereads=rereads)
        return decode(reading, Greedy(), [1], 6)

    some = prompts(model)
    assert texts(some) == [texts([prompt])[0] for prompt in some]
    batch = Collator(0, side="left", answers=False)(some[:1])
    plain = decode(Reading(model, model.get_input_embeddings()(batch.ids), batch.attention_mask), Greedy(), [1], 6)
    assert texts(some[:1]) != plain


@torch.no_grad()
def test_the_output_head_computes_the_logits_of_each_token_once(model) -> None:
    adapter, batch = trained(model), Collator(0, side="left", answers=False)(prompts(model))
    widths: list[int] = []
    hook = model.lm_head.register_forward_hook(lambda head, states, logits: widths.append(logits.shape[-1]))
    change, embeds = adapter.output_change(model, batch), model.get_input_embeddings()(batch.ids)
    decode(ChangedReading(change, model, embeds, batch.attention_mask), Greedy(), [], 4)
    hook.remove()
    assert widths.count(model.lm_head.weight.shape[0]) == 4, "once for each of four tokens, by the adapter"
    assert set(widths) == {0, model.lm_head.weight.shape[0]}, "none by the LLM"
    assert "forward" not in vars(model.lm_head)


def test_states_are_read_once_and_survive_a_damaged_file(model, tmp_path, monkeypatch) -> None:
    first = TargetStates(model, tmp_path, 1e9).memories(PAST, "")
    files = sorted(tmp_path.glob("*/*.safetensors"))
    assert len(files) == 6
    again = TargetStates(model, tmp_path, 1e9)
    monkeypatch.setattr(again, "_states", lambda pairs: pytest.fail("the LLM reads a review again"))
    for one, other in zip(first, again.memories(PAST, ""), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(one.tensors, other.tensors, strict=True))
    for path in files:
        path.write_bytes(b"damaged")
    for one, other in zip(first, TargetStates(model, tmp_path, 1e9).memories(PAST, ""), strict=True):
        assert torch.equal(one.states, other.states)


def test_the_expected_counts_are_those_of_the_llm(model) -> None:
    (memory,) = TargetStates(model).memories(PAST[:1], "")
    ids = torch.tensor([[*PAST[0].prompt, *PAST[0].review]])
    with torch.no_grad():
        p = model(input_ids=ids).logits[0, 1:5].softmax(-1).sum(0)
    assert torch.allclose(memory.expected, p[memory.expected_ids], atol=1e-5)
    assert float(memory.expected.sum()) == pytest.approx(4.0, abs=0.05)


def test_the_past_reviews_of_each_row_are_joined(model) -> None:
    batch = Collator(0)(prompts(model))
    assert batch.memory is not None
    first, second, third = batch.memory
    assert first is not None
    assert second is not None
    assert third is None
    assert first.tokens.tolist() == [30, 31, 30, 1, 32, 1]
    assert len(first.states) == 6
    assert second.tokens.tolist() == [33, 34, 35, 36, 1]
    assert Collator(0)(prompts(model)[2:]).memory is None


def test_the_least_recently_used_states_leave_the_memory(model) -> None:
    store = TargetStates(model, in_memory=0)
    assert len(store.read(PAST)) == 3
    assert store._files.held() == []


def test_a_store_remembers_whose_states_it_holds_only_while_it_holds_them(model) -> None:
    store = TargetStates(model, in_memory=0)
    assert len(store.memories(PAST, "")) == 3
    assert store._review_of == {}
    roomy = TargetStates(model)
    roomy.memories(PAST, "")
    roomy.forget([PAST[0].review])
    assert len(roomy._review_of) == len(roomy._files.held()) == 4
