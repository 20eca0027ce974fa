"""Test that two DDP processes, which share each optimizer step, train the same weights as one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config

from dep.data.collate import Collator
from dep.data.datamodule import WindowSampler
from dep.models.adapters.files import trainable_state
from dep.models.backbones.vocabulary import add_tokens
from dep.models.compressors.settings import SparseAutoencoderConfig
from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import build_soft_prompt
from dep.training.module import PersonalizationModule
from dep.training.settings import TrainConfig
from dep.training.trainer import Train
from dep.types import SLOT_TOKENS, SPECIAL_TOKENS, Prompt
from dep.utils.lightning import pl

ROOT = Path(__file__).resolve().parents[2]
WORDS, EMBEDDER, PROMPTS = 40, 6, 10


class ToyData(pl.LightningDataModule):
    """Ten prompts of unequal length; the package's sampler distributes each epoch over the processes."""

    def __init__(self, vocabulary: dict[str, int], config: TrainConfig) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(3)
        self.config, self.collate = config, Collator(pad_id=0)
        self.prompts = [self._prompt(number, vocabulary, draw) for number in range(PROMPTS)]

    @staticmethod
    def _prompt(number: int, vocabulary: dict[str, int], draw: torch.Generator) -> Prompt:
        count = 1 + number % 3
        ids = torch.randint(2, WORDS, (4 + number,), generator=draw).tolist()
        for token in SLOT_TOKENS["his"], SLOT_TOKENS["diff"]:
            ids += [vocabulary[token]] * count
        target = [*torch.randint(2, WORDS, (2 + number % 4,), generator=draw).tolist(), 1]
        vectors = {branch: list(torch.randn(count, EMBEDDER, generator=draw)) for branch in ("his", "diff")}
        positions = {branch: list(range(count)) for branch in ("his", "diff")}
        return Prompt(f"toy/{number}", ids, target, vectors, positions, count)

    def train_dataloader(self) -> DataLoader[Prompt]:
        trainer, config = self.trainer, self.config
        windows = WindowSampler(
            [len(p.ids) + len(p.target) for p in self.prompts],
            config.effective_batch,
            config.micro_batch,
            config.seed,
            lambda: (trainer.current_epoch, trainer.global_rank, trainer.world_size),
        )
        return DataLoader(self.prompts, batch_sampler=windows, collate_fn=self.collate)

    def val_dataloader(self) -> DataLoader[Prompt]:
        return DataLoader(self.prompts, batch_size=5, collate_fn=self.collate)


def train(folder: Path, devices: int, strategy: str) -> None:
    """Train a tiny module; the first process writes the first and the last weights."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({f"w{k}": k for k in range(WORDS)}, unk_token="w2")),
        pad_token="w0",
        eos_token="w1",
    )
    torch.manual_seed(7)
    backbone = AutoModelForCausalLM.from_config(
        Qwen2Config(
            vocab_size=WORDS,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            initializer_range=0.3,
            bos_token_id=None,
            eos_token_id=1,
        )
    ).eval()
    add_tokens(backbone, tokenizer, SPECIAL_TOKENS)
    soft_prompt = build_soft_prompt(
        SoftPromptConfig(),
        SparseAutoencoderConfig(latent=5),
        ProjectorConfig(hidden=7, scale_to_embedding=True),
        width=EMBEDDER,
        model=backbone,
        tokenizer=tokenizer,
    )
    config = TrainConfig(
        lr=1e-3,
        epochs=2,
        effective_batch=4,
        strategy=strategy,
        devices=devices,
        precision="32-true",
        monitor="val_nll",
        progress=False,
    )
    module = PersonalizationModule(backbone, soft_prompt, config)
    first = {name: value.clone() for name, value in trainable_state(module).items()}
    Train(config).fit(module, ToyData(tokenizer.get_vocab(), config), folder)
    if module.global_rank == 0:
        assert module.trainer.world_size == devices
        assert strategy != "ddp" or torch.distributed.get_backend() == "gloo"
        save_file(first, folder / "first.safetensors")
        save_file({k: v.detach().clone() for k, v in trainable_state(module).items()}, folder / "last.safetensors")


def launch(folder: Path, processes: int) -> subprocess.Popen[str]:
    """Start this file in `processes` CPU processes that communicate by gloo."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*launcher, __file__, str(folder), str(processes)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_train_the_weights_of_one_at_the_same_effective_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = pl.Trainer
    monkeypatch.setattr(pl, "Trainer", lambda **options: trainer(**options | {"accelerator": "cpu"}))
    run = launch(tmp_path / "2", processes=2)
    try:
        train(tmp_path / "1", devices=1, strategy="auto")
        _, message = run.communicate(timeout=300)
        assert run.returncode == 0, message
    finally:
        run.terminate()  # torchrun then ends its processes; a run that has ended is not affected
    start, alone = (load_file(tmp_path / "1" / f"{name}.safetensors") for name in ("first", "last"))
    shared = load_file(tmp_path / "2" / "last.safetensors")
    assert shared.keys() == alone.keys()
    for name, value in alone.items():
        assert (value - start[name]).abs().max() > 1e-4, f"{name} was not trained"
        distance = (shared[name] - value).abs().max()
        assert distance <= 1e-6, f"{name} differs by {distance:.1e}"


if __name__ == "__main__":
    train(Path(sys.argv[1]), int(sys.argv[2]), strategy="ddp")
