"""LoRA as an adapter: it matches peft, leaves the LLM's layers unchanged, and trains and saves like other adapters."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.methods.lora import LoRA
from dep.models.adapters.files import trainable_state
from dep.models.adapters.lora import LowRankUpdates
from dep.models.backbones.activation_checkpointing import checkpoint_activations
from dep.models.backbones.fingerprint import fingerprint
from dep.models.compressors.settings import NoCompressorConfig
from dep.models.settings import LoRAConfig, ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import build_soft_prompt
from dep.training.module import PersonalizationModule
from dep.training.settings import TrainConfig
from dep.types import Item, Request
from dep.utils.errors import DepError

ITEM = Item("i", "A harp", "It has strings.")


def random_updates(model, rank: int = 3) -> LowRankUpdates:
    """Updates whose second factor is not zero."""
    updates = LowRankUpdates(model, LoRAConfig(rank=rank))
    for at, factor in enumerate(updates.up.values()):
        torch.nn.init.normal_(factor, std=0.1, generator=torch.Generator().manual_seed(at))
    return updates


def with_peft(model, updates: LowRankUpdates):
    """A copy of the model, changed by peft, with the same factors."""
    from peft import LoraConfig, inject_adapter_in_model

    targets = sorted({name.rpartition(".")[2] for name in updates.names})
    rank = next(iter(updates.down.values())).shape[0]
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, bias="none", target_modules=targets)
    copy = inject_adapter_in_model(config, deepcopy(model)).eval()
    for name in updates.names:
        layer, key = copy.get_submodule(name), name.replace(".", "_")
        layer.lora_A["default"].weight.data.copy_(updates.down[key])
        layer.lora_B["default"].weight.data.copy_(updates.up[key])
    return copy


def tiny(kind: str):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 40}
    if kind == "gpt2":
        sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 40}
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes)).eval()


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neox"])
def test_logits_and_gradients_match_those_of_peft(kind: str) -> None:
    model, ids = tiny(kind), torch.arange(12).view(2, 6)
    updates = random_updates(model)
    oracle = with_peft(model, updates)
    with updates.attached(model):
        logits = model(ids).logits
    expected = oracle(ids).logits
    assert torch.allclose(logits, expected, atol=1e-6)
    assert not torch.allclose(logits, model(ids).logits, atol=1e-3), "outside the block, the LLM is unchanged"
    logits.square().sum().backward()
    expected.square().sum().backward()
    for name in updates.names:
        layer, key = oracle.get_submodule(name), name.replace(".", "_")
        for ours, theirs in ((updates.down, layer.lora_A), (updates.up, layer.lora_B)):
            assert torch.allclose(ours[key].grad, theirs["default"].weight.grad, rtol=1e-4, atol=1e-5)


def test_recomputed_layers_have_the_updates_in_the_backward_pass_too() -> None:
    model, ids = tiny("llama"), torch.arange(12).view(2, 6)
    updates = random_updates(model)
    gradients = []
    for again in (False, True):
        if again:
            checkpoint_activations(model)
        updates.zero_grad()
        embeds = model.get_input_embeddings()(ids).detach().requires_grad_()
        with updates.attached(model):
            loss = model(inputs_embeds=embeds).logits.square().sum()
        loss.backward()
        gradients.append([p.grad.clone() for p in updates.parameters()])
        assert not any(module._forward_hooks for module in model.modules())
    for one, other in zip(*gradients, strict=True):
        assert one.abs().max() > 0
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-6)


def test_the_error_for_an_unknown_layer_lists_the_llm_s_layers() -> None:
    with pytest.raises(DepError, match=r"soft_prompt.lora.targets.*found c_attn.*q_proj"):
        LowRankUpdates(tiny("llama"), LoRAConfig(targets=["c_attn"]))


def test_it_starts_like_the_llm_and_trains_and_saves_without_changing_the_backbone(model, tokenizer, tmp_path) -> None:
    prompt, soft = LoRA(LoRA.Config()).configure(PromptConfig(history=2), SoftPromptConfig(lora=LoRAConfig(rank=2)))
    builder = PromptBuilder(tokenizer, prompt, soft.branches)
    requests = [Request(str(n), "music", "u", ITEM, float(n + 1), "Well", "A fine harp") for n in range(3)]
    batch = Collator(tokenizer.pad_token_id)([builder.build(r) for r in requests])
    before = fingerprint(model)

    def build_module(seed: int = 0) -> PersonalizationModule:
        parts = build_soft_prompt(
            soft, NoCompressorConfig(), ProjectorConfig(), width=4, model=model, tokenizer=tokenizer, seed=seed
        )
        return PersonalizationModule(model, parts, TrainConfig(lr=0.01))

    lit = build_module()
    plain = PersonalizationModule(
        model,
        build_soft_prompt(
            replace(soft, adapter="dep"), NoCompressorConfig(), ProjectorConfig(), width=4, model=model,
            tokenizer=tokenizer,
        ),
        TrainConfig(),
    )  # fmt: skip
    with torch.no_grad():
        assert torch.allclose(lit.eval().example_nll(batch)[0], plain.eval().example_nll(batch)[0], atol=1e-4)
    names = {name for name, p in lit.named_parameters() if p.requires_grad}
    assert names == set(trainable_state(lit)) != set()
    optimizer = torch.optim.AdamW([p for p in lit.parameters() if p.requires_grad], lr=0.01)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = lit.training_step(batch, 0)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert fingerprint(model) == before
    lit.save_adapter(tmp_path / "adapter.safetensors", {})
    again = build_module(seed=1)
    again.load_adapter(tmp_path / "adapter.safetensors")
    with torch.no_grad():
        assert torch.equal(again.eval().example_nll(batch)[0], lit.eval().example_nll(batch)[0])
        assert not torch.equal(again.example_nll(batch)[0], plain.example_nll(batch)[0])
