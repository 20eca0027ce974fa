"""User-LLM: the encoder and its pretraining, the Perceiver, and gated cross-attention."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.methods.user_llm import UserLLM
from dep.models.adapters.user_llm.cross_attention import GatedCrossAttention, attached
from dep.models.adapters.user_llm.encoder import UserEncoder
from dep.models.adapters.user_llm.perceiver import Perceiver
from dep.models.adapters.user_llm.settings import UserEncoderConfig, UserLLMConfig
from dep.models.backbones.layers import decoder_layers
from dep.models.compressors.settings import NoCompressorConfig
from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import build_soft_prompt
from dep.training.pretraining import PretrainMetrics, pretrain
from dep.training.settings import TrainConfig
from dep.types import HIS_SLOT, Item, Request, UserHistory, UserHistoryBatch

E, W = 6, 16
SMALL = UserEncoderConfig(width=W, layers=2, heads=2, dropout=0.0)


def random_history(length: int, seed: int) -> UserHistory:
    g = torch.Generator().manual_seed(seed)
    his, item = (torch.nn.functional.normalize(torch.randn(length, E, generator=g), dim=1) for _ in range(2))
    rating = torch.randint(1, 6, (length,), generator=g).float()
    days = torch.rand(length, generator=g).sort(descending=True).values * 100
    return UserHistory(his, item, rating, days, seed % 2, torch.randn(E, generator=g))


@pytest.fixture
def encoder() -> UserEncoder:
    torch.manual_seed(0)
    return UserEncoder(SMALL, E, categories=2, longest=10).eval()


def test_a_state_depends_on_no_later_event_and_no_padding(encoder: UserEncoder) -> None:
    long, short = random_history(5, 1), random_history(3, 2)
    states = encoder(UserHistoryBatch.of([long, short]))
    assert states.shape == (2, 5, W)
    assert torch.allclose(states[1, :3], encoder(UserHistoryBatch.of([short]))[0], atol=1e-6)
    changed = replace(
        long, his=torch.cat([long.his[:3], -long.his[3:]]), rating=torch.cat([long.rating[:3], long.rating[3:] % 5])
    )
    other = encoder(UserHistoryBatch.of([changed]))[0]
    assert torch.allclose(states[0, :3], other[:3], atol=1e-6)
    assert not torch.allclose(states[0, 3:], other[3:], atol=1e-3)


def test_every_feature_of_an_event_changes_its_state(encoder: UserEncoder) -> None:
    one = random_history(2, 1)
    state = encoder(UserHistoryBatch.of([one]))[0, -1]
    for changed in (
        replace(one, his=-one.his), replace(one, item=-one.item), replace(one, rating=6 - one.rating),
        replace(one, days=one.days * torch.tensor([9.0, 1.0])), replace(one, category=1 - one.category),
    ):  # fmt: skip
        assert not torch.allclose(state, encoder(UserHistoryBatch.of([changed]))[0, -1], atol=1e-4)


def test_next_event_losses_match_a_loop(encoder: UserEncoder) -> None:
    histories = [random_history(4, 2), random_history(2, 4)]
    catalogue = torch.nn.functional.normalize(torch.randn(7, E), dim=1)
    items = [torch.tensor([0, 3, 3, 6]), torch.tensor([5, 1])]
    batch = UserHistoryBatch.of(histories)
    padded = torch.nn.utils.rnn.pad_sequence(items, batch_first=True)
    with torch.no_grad():
        own = torch.randn(7, W)
        encoder.standardizer.mean, encoder.standardizer.std = torch.randn(E), torch.rand(E) + 0.5
        item, stars, review, known = encoder.next_event_losses(batch, padded, catalogue, own)
        assert known.sum() == len(item) == 4
        at = 0
        for history, rows in zip(histories, items, strict=True):
            states = encoder(UserHistoryBatch.of([history]))[0]
            for t in range(len(rows) - 1):
                scores = torch.stack([encoder.next_item(states[t]) @ e * E**0.5 / E for e in catalogue])
                scores = scores * encoder.sharpness.exp() + torch.stack([states[t] @ vector for vector in own])
                assert torch.allclose(item[at], scores.logsumexp(0) - scores[rows[t + 1]], atol=1e-5)
                logits = encoder.next_stars(states[t])
                assert torch.allclose(stars[at], -logits.log_softmax(0)[int(history.rating[t + 1]) - 1], atol=1e-5)
                guess = encoder.next_review(states[t])
                his = (history.his[t + 1] - encoder.standardizer.mean) / encoder.standardizer.std
                cosine = guess @ his / guess.norm() / his.norm()
                assert torch.allclose(review[at], 1 - cosine, atol=1e-5)
                at += 1


def test_pretraining_predicts_the_next_event_better_than_frequency_and_is_reproducible() -> None:
    """Users go through a cycle of items: the last item determines the next one, and frequencies do not help."""
    catalogue = torch.nn.functional.normalize(torch.randn(8, E, generator=torch.Generator().manual_seed(0)), dim=1)
    sequences = []
    for user in range(60):
        items = (torch.arange(6) + user) % 8
        sequences.append(
            (replace(random_history(6, user), item=catalogue[items], category=0, rating=items % 5 + 1.0), items)
        )

    def trained(epochs: int) -> PretrainMetrics:
        torch.manual_seed(0)
        encoder = UserEncoder(SMALL, E, 1, 10)
        return pretrain(encoder, {"Books": sequences}, {"Books": catalogue}, epochs=epochs, lr=1e-2, seed=0)

    assert trained(2) == trained(2)
    metrics = trained(30)
    assert metrics.events == 6 * 5
    assert metrics.item_by_frequency > 1.9
    assert metrics.item < 0.5 * metrics.item_by_frequency
    assert metrics.stars < 0.5 * metrics.stars_by_frequency


def test_a_perceiver_makes_a_fixed_number_of_latents_and_ignores_padding() -> None:
    torch.manual_seed(0)
    perceiver = Perceiver(W, latents=3, heads=2).eval()
    states, present = torch.randn(2, 5, W), torch.tensor([[True] * 5, [True, True, False, False, False]])
    out = perceiver(states, present)
    assert out.shape == (2, 3, W)
    assert torch.allclose(out[1], perceiver(states[1:, :2], present[1:, :2])[0], atol=1e-6)
    nobody = perceiver(states, torch.zeros_like(present))
    assert torch.isfinite(nobody).all()
    assert torch.allclose(nobody[0], nobody[1], atol=1e-6)


def test_gated_cross_attention_changes_logits_only_with_gates_other_than_zero(model) -> None:
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])
    layers = decoder_layers(model)
    width = model.get_input_embeddings().weight.shape[1]
    torch.manual_seed(0)
    blocks = torch.nn.ModuleList(GatedCrossAttention(width, W, 2) for _ in list(layers)[::2])
    memory, present = torch.randn(2, 3, W), torch.tensor([[True, True, True], [True, False, False]])
    with torch.no_grad():
        plain = model(input_ids=ids).logits
        with attached(model, blocks, 2, memory, present):
            assert (model(input_ids=ids).logits - plain).abs().max() <= 1e-6
        for block in blocks:
            block.gate.fill_(0.5)
        with attached(model, blocks, 2, memory, present):
            moved = model(input_ids=ids).logits
            hidden = memory.clone()
            hidden[1, 1:] = 99.0
        with attached(model, blocks, 2, hidden, present):
            assert torch.allclose(model(input_ids=ids).logits, moved)
        assert not torch.allclose(moved, plain, atol=1e-3)
        assert torch.equal(model(input_ids=ids).logits, plain)


def request(name: str, history: UserHistory) -> Request:
    return Request(
        name, "Books", "u", Item("i", f"Thing {name}", "Described."), 4.0, "Fine", "It was fine.", user_history=history
    )


def shaped(config: UserLLMConfig) -> tuple[PromptConfig, SoftPromptConfig]:
    return UserLLM(UserLLM.Config()).configure(PromptConfig(), SoftPromptConfig(user_llm=config))


@pytest.mark.parametrize("latents", [0, 3])
def test_soft_tokens_fill_the_slots_one_per_latent_or_review(model, tokenizer, latents: int) -> None:
    prompt, soft = shaped(UserLLMConfig(latents=latents, encoder=SMALL))
    builder = PromptBuilder(tokenizer, prompt, soft.branches)
    prompts = [builder.build(request("a", random_history(4, 1))), builder.build(request("b", random_history(2, 2)))]
    soft_prompt = build_soft_prompt(
        soft, NoCompressorConfig(), ProjectorConfig(), width=E, model=model, tokenizer=tokenizer,
        categories=2, longest=10,
    ).eval()  # fmt: skip
    slot = tokenizer.convert_tokens_to_ids(HIS_SLOT)
    alone = [soft_prompt(Collator(0)([one]), model.get_input_embeddings()).inputs_embeds for one in prompts]
    for side in ("left", "right"):
        batch = Collator(tokenizer.pad_token_id, side)(prompts)
        out = soft_prompt(batch, model.get_input_embeddings()).inputs_embeds
        at = batch.ids == slot
        assert at.sum(1).tolist() == ([3, 3] if latents else [4, 2])
        for b in range(2):
            assert torch.allclose(out[b][batch.attention_mask[b].bool()], alone[b][0], atol=1e-5)


def test_cross_attention_trains_through_the_frozen_llm_without_changing_it(model, tokenizer) -> None:
    from dep.training.module import PersonalizationModule

    prompt, soft = shaped(UserLLMConfig(integration="cross_attention", encoder=SMALL, heads=2, strategy="projector"))
    builder = PromptBuilder(tokenizer, prompt, soft.branches)
    prompts = [builder.build(request(str(n), random_history(2 + n, n))) for n in range(3)]
    soft_prompt = build_soft_prompt(
        soft, NoCompressorConfig(), ProjectorConfig(), width=E, model=model, tokenizer=tokenizer,
        categories=2, longest=10,
    )  # fmt: skip
    lit = PersonalizationModule(model, soft_prompt, TrainConfig(lr=0.01))
    batch = Collator(tokenizer.pad_token_id)(prompts)
    with torch.no_grad():
        before = model(input_ids=batch.ids, attention_mask=batch.attention_mask).logits
    trained = [p for p in lit.parameters() if p.requires_grad]
    encoder_before = [p.clone() for p in soft_prompt.adapter.encoder.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=0.01)
    losses = []
    for _ in range(30):
        loss = lit.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.05
    for before_training, now in zip(encoder_before, soft_prompt.adapter.encoder.parameters(), strict=True):
        assert torch.equal(before_training, now)
    with torch.no_grad():
        assert torch.equal(model(input_ids=batch.ids, attention_mask=batch.attention_mask).logits, before)
        one = lit.eval().example_nll(Collator(tokenizer.pad_token_id)(prompts[1:2]))[0]
        assert torch.allclose(lit.example_nll(batch)[0][1], one[0], atol=1e-4)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("strategy", ["encoder_and_projector", "projector"])
def test_encoder_and_cross_attention_have_their_own_learning_rates(
    model, tokenizer, optimizer, strategy, monkeypatch
) -> None:
    from dep.training.module import PersonalizationModule

    settings = UserLLMConfig(
        integration="cross_attention",
        encoder=SMALL,
        heads=2,
        latents=2,
        strategy=strategy,
        encoder_lr=3e-4,
        cross_lr=3e-3,
    )
    _, soft = shaped(settings)
    soft_prompt = build_soft_prompt(
        soft, NoCompressorConfig(), ProjectorConfig(), width=E, model=model, tokenizer=tokenizer,
        categories=2, longest=10,
    )  # fmt: skip
    lit = PersonalizationModule(
        model, soft_prompt, TrainConfig(optimizer=optimizer, lr=0.5, muon_lr=0.7, warmup_ratio=0.0)
    )
    monkeypatch.setattr(PersonalizationModule, "trainer", SimpleNamespace(estimated_stepping_batches=10))
    groups = lit.configure_optimizers()["optimizer"].param_groups
    rate = {id(p): group["initial_lr"] for group in groups for p in group["params"]}
    assert len(rate) == sum(len(group["params"]) for group in groups)
    for name, p in lit.named_parameters():
        place = name.removeprefix("soft_prompt.adapter.").split(".")[0]
        expected = {"encoder": 3e-4, "perceiver": 3e-4, "cross": 3e-3}.get(place)
        if not p.requires_grad:
            assert id(p) not in rate
        elif expected:
            assert rate[id(p)] == expected
        else:
            assert rate[id(p)] in (0.5, 0.7)


def test_the_strategy_lora_trains_low_rank_updates_of_the_llm_too(model, tokenizer) -> None:
    from dep.training.module import PersonalizationModule

    prompt, soft = shaped(UserLLMConfig(strategy="lora", encoder=SMALL, latents=2))
    builder = PromptBuilder(tokenizer, prompt, soft.branches)
    batch = Collator(tokenizer.pad_token_id)(
        [builder.build(request(str(n), random_history(2 + n, n))) for n in range(3)]
    )
    parts = build_soft_prompt(
        soft, NoCompressorConfig(), ProjectorConfig(), width=E, model=model, tokenizer=tokenizer, categories=2,
        longest=10,
    )  # fmt: skip
    lit = PersonalizationModule(model, parts, TrainConfig(lr=0.01))
    assert lit.trains_llm_layers
    optimizer = torch.optim.AdamW([p for p in lit.parameters() if p.requires_grad], lr=0.01)
    start = {name: p.clone() for name, p in lit.named_parameters()}
    for _ in range(2):
        optimizer.zero_grad()
        lit.training_step(batch, 0).backward()
        optimizer.step()
    moved = {name for name, p in lit.named_parameters() if not torch.equal(p, start[name])}
    updates = {name for name in start if ".updates." in name}
    assert updates
    assert updates <= moved
    assert any("encoder" in name for name in moved)
    assert not any(name.startswith("backbone.") for name in moved)
