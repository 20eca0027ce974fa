"""A GGUF file as a backbone: the converted folder holds the same model as transformers' own GGUF loader gives."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from dep.models.backbones import gguf_conversion
from dep.models.backbones.known import converted_folder, local_name
from dep.models.backbones.load import load, load_tokenizer
from dep.models.backbones.safetensors_writer import SafetensorsWriter
from dep.models.settings import BackboneConfig
from dep.utils.errors import DepError, MissingFile
from dep.utils.hashing import file_digest

FORK = multiprocessing.get_context("fork")
Write = Callable[..., Path]
TEXT = "the story is slow, but the music: great! I 've read 12 books\n\n</s> and é"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEP_CACHE", str(tmp_path / "user cache"))


def test_an_unquantised_file_gives_back_the_weights_that_it_was_written_from(
    write_gguf: Write, llama: LlamaForCausalLM, tmp_path: Path
) -> None:
    model, _ = load(BackboneConfig(name_or_path=str(write_gguf(tmp_path / "x.gguf", "F32"))), ())
    assert model.config.dtype == torch.float32
    ids = torch.arange(40).view(2, 20)
    assert torch.equal(model(ids).logits, llama(ids).logits)


@pytest.mark.parametrize("kind", ["Q4_1", "Q4_0", "Q8_0", "F16", "BF16"])
def test_weights_and_logits_are_those_of_transformers_own_loader(write_gguf: Write, tmp_path: Path, kind: str) -> None:
    path = write_gguf(tmp_path / "x.gguf", kind)
    settings = GgufConfig(dequantize=True)
    theirs = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="x.gguf", quantization_config=settings, dtype=torch.float32
    )
    folder = Path(local_name(str(path)))
    ours = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert all(torch.equal(weight, ours.state_dict()[name]) for name, weight in theirs.state_dict().items())
    ids = torch.arange(30).view(1, -1)
    assert torch.equal(ours(ids).logits, theirs(ids).logits)
    stored = load_file(folder / "model.safetensors")["model.layers.0.mlp.up_proj.weight"].dtype
    assert stored == {"F16": torch.float16, "BF16": torch.bfloat16}.get(kind, torch.float32)


def test_tokens_template_and_special_tokens_are_those_of_the_file(
    write_gguf: Write, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    theirs = AutoTokenizer.from_pretrained(tmp_path, gguf_file="x.gguf")
    ours = load_tokenizer(BackboneConfig(name_or_path=str(path)), ())
    messages = [{"role": "user", "content": "a story"}]
    assert ours(TEXT).input_ids == theirs(TEXT).input_ids
    assert ours("the music is great").input_ids == tokenizer("the music is great").input_ids
    assert len(ours) == len(tokenizer), "GPT-2's end token, which the file lacks, is not added"
    assert ours.special_tokens_map == theirs.special_tokens_map
    assert ours.apply_chat_template(messages, tokenize=False) == theirs.apply_chat_template(messages, tokenize=False)


def test_a_file_is_converted_once_whatever_it_is_called(write_gguf: Write, tmp_path: Path) -> None:
    first = local_name(str(write_gguf(tmp_path / "a.gguf")))
    written = (Path(first) / "model.safetensors").stat().st_mtime_ns
    (tmp_path / "a.gguf").rename(tmp_path / "b.GGUF")
    assert local_name(str(tmp_path / "b.GGUF")) == first
    assert (Path(first) / "model.safetensors").stat().st_mtime_ns == written
    assert file_digest(tmp_path / "b.GGUF") in (Path(first) / "README.md").read_text()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file_gives_one_line_and_no_folder(write_gguf: Write, tmp_path: Path, share: float) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    os.truncate(path, int(share * path.stat().st_size))
    _refused(path, "fetch the file again")


@pytest.mark.parametrize("content", [b"", b"GGUF", b"PK\3\4" + bytes(900), b"GGUF" + bytes(900), b"GGUF\3\0\0\0" * 99])
def test_a_foreign_file_gives_one_line(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="needs the package gguf")
    (tmp_path / "x.gguf").write_bytes(content)
    _refused(tmp_path / "x.gguf", "fetch the file again")


def test_a_file_that_lacks_a_weight_names_it(write_gguf: Write, tmp_path: Path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    _refused(write_gguf(tmp_path / "x.gguf", skip=name), f"1 of 20 weights are missing, as {name}")


def test_an_architecture_that_transformers_does_not_read_is_refused(write_gguf: Write, tmp_path: Path) -> None:
    _refused(write_gguf(tmp_path / "x.gguf", architecture="clip"), "architecture clip is not supported")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(MissingFile, match=r"expected a GGUF file, found none at /models/none.gguf; check the path"):
        local_name("/models/none.gguf")


def _refused(path: Path, message: str) -> None:
    with pytest.raises(DepError) as caught:
        local_name(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    folder = converted_folder(file_digest(path))
    assert [other.name for other in folder.parent.glob("[!.]*")] == []


def test_a_killed_conversion_leaves_nothing_that_is_taken_and_the_next_one_cleans_up(
    write_gguf: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    folder = converted_folder(file_digest(path))
    wrote = FORK.Event()
    with monkeypatch.context() as patch:
        patch.setattr(SafetensorsWriter, "write", lambda *_: (wrote.set(), time.sleep(60)))
        process = FORK.Process(target=local_name, args=(str(path),))
        process.start()
        assert wrote.wait(60)
        process.kill()
        process.join()
    assert [other.suffix for other in folder.parent.glob("[!.]*")] == [".tmp"]
    assert Path(local_name(str(path))) == folder
    assert list(folder.parent.glob("[!.]*")) == [folder]
    assert len(load_file(folder / "model.safetensors")) == 20


def test_two_processes_convert_one_file_once(
    write_gguf: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    converted, convert = FORK.Value("i", 0), gguf_conversion._convert

    def slow(*args: Any) -> None:
        with converted.get_lock():
            converted.value += 1
        time.sleep(0.5)
        convert(*args)

    monkeypatch.setattr(gguf_conversion, "_convert", slow)
    both = [FORK.Process(target=local_name, args=(str(path),)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert converted.value == 1
