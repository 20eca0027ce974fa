"""Kept beginnings of prompts: the same numbers as without, on disk by content, safe against damage and limits."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dep.inference.prefix_store import PrefixStore
from dep.models.backbones.vocabulary import add_tokens
from dep.types import SPECIAL_TOKENS, Prompt

EVERY = ["qwen2", "llama", "gpt2", "gemma2"]
LIMIT = 1e9


@pytest.fixture
def with_cuts(prompts: list[Prompt], tokenizer) -> list[Prompt]:
    """Prompts that begin with the same three tokens and have soft tokens from the sixth on."""
    words = torch.arange(60, 140).tolist()
    longer = [replace(p, ids=[*words[:3], *words[3 + n : 6 + 3 * n], *p.ids]) for n, p in enumerate(prompts)]
    return [replace(p, cuts=(3, 6 + 2 * n)) for n, p in enumerate(longer)]


@pytest.fixture
def build(make_lit, bare_model, tokenizer) -> Any:
    def build(name: str, store: PrefixStore | None = None, **train: Any) -> Any:
        backbone = bare_model(name)
        add_tokens(backbone, tokenizer, SPECIAL_TOKENS)
        lit = make_lit(backbone, **train)
        lit.prefixes = store
        return lit

    return build


def losses_and_gradients(lit: Any, batch: Any) -> list[torch.Tensor]:
    lit.zero_grad()
    losses = lit.losses(batch)
    losses["total"].backward()
    return [losses["lm"].detach(), *(p.grad.clone() for p in lit.soft_prompt.parameters() if p.grad is not None)]


def cut(batch: Any, prompts: list[Prompt]) -> Any:
    batch.cuts = [p.cuts for p in prompts]
    return batch


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("limit", [0, 40])
def test_a_step_with_kept_beginnings_has_the_loss_and_gradients_of_one_without(
    name: str, limit: int, build, with_cuts, collate, tmp_path: Path
) -> None:
    plain = losses_and_gradients(build(name), collate(with_cuts))
    for _ in range(2):  # computed and kept, then read from disk by another process
        lit = build(name, PrefixStore(tmp_path, LIMIT), max_tokens_per_forward=limit)
        kept = losses_and_gradients(lit, cut(collate(with_cuts), with_cuts))
        assert lit.prefixes is not None
        for a, b in zip(kept, plain, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * float(b.abs().max()))
    assert list(tmp_path.glob("*/*.safetensors"))


@pytest.mark.parametrize("name", EVERY)
def test_a_review_written_from_kept_beginnings_is_the_one_written_without(
    name: str, build, with_cuts, collate, tokenizer, tmp_path: Path
) -> None:
    from dep.inference.generator import Generate
    from dep.inference.settings import GenerateConfig

    def texts(store: PrefixStore | None) -> dict[str, str]:
        lit = build(name)
        settings = GenerateConfig(max_new_tokens=12, batch_size=3, progress=False, seed=4)
        write = Generate(settings, lit.backbone, tokenizer, lit.soft_prompt, store)
        return dict(write(with_cuts, lambda some: cut(collate(some, side="left", answers=False), some)))

    assert texts(PrefixStore(tmp_path, LIMIT)) == texts(None)
    assert texts(PrefixStore(tmp_path, LIMIT)) == texts(None)


def test_what_training_kept_is_read_by_likelihood_and_generation(
    build, with_cuts, collate, tmp_path: Path, monkeypatch
) -> None:
    store = PrefixStore(tmp_path, LIMIT)
    lit = build("llama", store)
    losses_and_gradients(lit, cut(collate(with_cuts), with_cuts))
    monkeypatch.setattr("dep.inference.prefix_store.extend", lambda *_: pytest.fail("computed again"))
    lit.prefixes = PrefixStore(tmp_path, LIMIT)
    with torch.no_grad():
        lit.example_nll(cut(collate(with_cuts), with_cuts))
    PrefixStore(tmp_path, LIMIT).prefixes(lit.backbone, cut(collate(with_cuts, side="left", answers=False), with_cuts))


def test_the_beginning_that_all_prompts_share_is_kept_once(build, with_cuts, collate, tmp_path: Path) -> None:
    lit = build("llama")
    PrefixStore(tmp_path, LIMIT).prefixes(lit.backbone, cut(collate(with_cuts), with_cuts))
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 1 + len(with_cuts)


def test_a_damaged_file_is_computed_again(build, with_cuts, collate, tmp_path: Path) -> None:
    lit = build("llama", PrefixStore(tmp_path, LIMIT))
    plain = losses_and_gradients(lit, cut(collate(with_cuts), with_cuts))
    for path in tmp_path.glob("*/*.safetensors"):
        path.write_bytes(path.read_bytes()[:-7])
    lit.prefixes = PrefixStore(tmp_path, LIMIT)
    again = losses_and_gradients(lit, cut(collate(with_cuts), with_cuts))
    assert all(torch.equal(a, b) for a, b in zip(again, plain, strict=True))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*/*.safetensors"))


def test_a_full_folder_keeps_its_limit_and_changes_no_number(build, with_cuts, collate, tmp_path: Path, caplog) -> None:
    plain = losses_and_gradients(build("llama"), collate(with_cuts))
    lit = build("llama", PrefixStore(tmp_path, 5_000))
    kept = losses_and_gradients(lit, cut(collate(with_cuts), with_cuts))
    torch.testing.assert_close(kept[0], plain[0])
    assert 0 < size(tmp_path) < 10_000  # the files' headers are not counted
    assert "backbone.prefix_gb" in caplog.text


def test_beginnings_of_earlier_runs_make_room_for_new_ones(build, with_cuts, collate, tmp_path: Path) -> None:
    lit = build("llama")
    PrefixStore(tmp_path, LIMIT).prefixes(lit.backbone, cut(collate(with_cuts), with_cuts))
    old = set(tmp_path.glob("*/*.safetensors"))
    for path in old:
        os.utime(path, (1, 1))
    others = [replace(p, ids=[200, *p.ids[1:]]) for p in with_cuts]
    PrefixStore(tmp_path, 1.2 * size(tmp_path)).prefixes(lit.backbone, cut(collate(others), others))
    new = set(tmp_path.glob("*/*.safetensors"))
    assert len(new - old) == len(old)
    assert len(new & old) < len(old)


def test_half_precision_takes_half_the_room_and_moves_the_loss_little(
    build, with_cuts, collate, tmp_path: Path
) -> None:
    losses = {}
    for half in (False, True):
        lit = build("llama", PrefixStore(tmp_path / str(half), LIMIT, half))
        losses[half] = float(lit.losses(cut(collate(with_cuts), with_cuts))["lm"])
    assert losses[True] != losses[False]
    assert losses[True] == pytest.approx(losses[False], rel=1e-3)
    assert size(tmp_path / "True") < 0.75 * size(tmp_path / "False")


def test_a_beginning_shorter_than_the_cut_before_it_has_its_own_file(build, with_cuts, collate, tmp_path: Path) -> None:
    lit, store = build("llama"), PrefixStore(tmp_path, LIMIT)
    first = store.prefixes(lit.backbone, cut(collate(with_cuts), with_cuts))
    moved = [replace(p, cuts=(2, *p.cuts[1:])) for p in with_cuts]
    second = PrefixStore(tmp_path, LIMIT).prefixes(lit.backbone, cut(collate(moved), moved))
    assert [s.tokens for s in first[0]] == [3, 3]
    assert [s.tokens for s in second[0]] == [2, 4]


def test_layers_that_compute_activations_again_take_no_kept_beginning(
    build, with_cuts, collate, tmp_path: Path
) -> None:
    from dep.models.backbones.activation_checkpointing import checkpoint_activations

    lit = build("llama", PrefixStore(tmp_path, LIMIT))
    plain = losses_and_gradients(build("llama"), collate(with_cuts))
    checkpoint_activations(lit.backbone)
    again = losses_and_gradients(lit, cut(collate(with_cuts), with_cuts))
    for a, b in zip(again, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert not size(tmp_path)
