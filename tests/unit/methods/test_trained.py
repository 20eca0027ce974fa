"""An adapter that was trained elsewhere is prompted and read as by the method that trained it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dep.data.prompts.settings import PromptConfig
from dep.methods.dep_memory import DEPMemory
from dep.methods.trained import Trained
from dep.models.settings import SoftPromptConfig
from dep.utils.atomic_io import write_json
from dep.utils.errors import MissingFile


def trained_by(kind: str, folder: Path) -> Trained:
    (folder / "adapter.safetensors").touch()
    write_json(folder / "adapter_config.json", {"config": {"method": {"kind": kind}}})
    return Trained(Trained.Config(adapter=str(folder)))


def test_an_adapter_at_the_output_reads_what_the_llm_makes_of_past_reviews(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = trained_by("dep_memory", tmp_path)
    prompt, soft = method.configure(PromptConfig(), SoftPromptConfig())
    assert method.reads_activations
    assert (soft.adapter, soft.branches, prompt.reads_user_history) == ("memory", [], True)
    monkeypatch.setattr(DEPMemory, "history_reader", lambda self, soft, context: "its reader")
    assert method.history_reader(soft, None) == "its reader"  # type: ignore[arg-type,comparison-overlap]


def test_an_adapter_of_soft_tokens_reads_vectors(tmp_path: Path) -> None:
    method = trained_by("dep", tmp_path)
    assert not method.reads_activations
    assert method.configure(PromptConfig(), SoftPromptConfig())[1].branches == ["his", "diff"]


def test_an_absent_adapter_is_named_where_it_is_needed(tmp_path: Path) -> None:
    method = Trained(Trained.Config(adapter=str(tmp_path)))
    with pytest.raises(MissingFile, match=r"expected a folder with adapter.safetensors.*smollm2_english"):
        _ = method.adapter_file
