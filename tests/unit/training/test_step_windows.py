"""An optimizer step's loss against loops over its examples, and how many steps there are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader

from dep.data.datamodule import WindowSampler
from dep.training.settings import TrainConfig
from dep.training.trainer import Train
from dep.training.windows import language_loss, optimizer_steps
from dep.utils.lightning import pl

from .test_trainer import metrics


class Windows(pl.LightningDataModule):
    """Examples in windows of a sampler, as the package's own data module shares them out."""

    def __init__(self, prompts, collate, effective: int, micro: int, fill: bool) -> None:
        super().__init__()
        self.prompts, self.collate = prompts, collate
        lengths = [len(p.ids) + len(p.target) for p in prompts]
        place = lambda: (self.trainer.current_epoch if self.trainer else 0, 0, 1)  # noqa: E731
        self.sampler = WindowSampler(lengths, effective, micro, 0, place, fill=fill)

    def batch(self, rows):
        batch = self.collate([self.prompts[at] for at in rows])
        batch.window_examples = len(rows.window)
        batch.window_tokens = sum(len(self.prompts[at].target) for at in rows.window)
        return batch

    def train_dataloader(self) -> DataLoader:
        class Batches(torch.utils.data.Dataset):
            def __getitems__(_, rows):
                return self.batch(rows)

            def __len__(_) -> int:
                return len(self.prompts)

        return DataLoader(Batches(), batch_sampler=self.sampler, collate_fn=lambda batch: batch)

    def val_dataloader(self) -> DataLoader:
        return DataLoader([self.collate(self.prompts)], batch_size=None)


def test_a_token_mean_is_not_the_mean_of_means() -> None:
    nll, tokens = torch.tensor([2 * 1.0, 6 * 3.0]), torch.tensor([2, 6])
    assert language_loss(nll, tokens, "tokens").item() == 2.5
    assert language_loss(nll, tokens, "examples").item() == 2.0


@pytest.mark.parametrize("over", ["tokens", "examples"])
@pytest.mark.parametrize("micro", [1, 2, 4])
@pytest.mark.parametrize("fill", [True, False])
def test_micro_batches_add_up_to_the_loss_of_their_window(
    make_lit, prompts, collate, over: str, micro: int, fill: bool
) -> None:
    settings = {"effective_batch": 4, "micro_batch": micro, "window_loss": over, "lambda_": 3.0, "gamma": 0.5}
    lit = make_lit(**settings, last_window="fill" if fill else "short")
    for window in lit.soft_prompt.adapter.compressor.config, lit.soft_prompt.adapter.compressor.sparse:
        window.mean_over, window.recon_over = "mixed", "mixed"  # losses of an example do not depend on its batch
    data = Windows([p for p in prompts if p.kept][:3], collate, 4, micro, fill)
    micros = list(data.sampler)
    rows = micros[0].window
    assert len(rows) == (4 if fill else 3)
    for batch in micros:
        (lit.training_step(data.batch(batch), 0) / (4 // micro)).backward()
    found = {name: p.grad.clone() for name, p in lit.soft_prompt.named_parameters()}

    lit.zero_grad()
    read = [lit.losses(collate([data.prompts[at]])) for at in rows]
    tokens = [len(data.prompts[at].target) for at in rows]
    extra = [3.0 * (one["recon"] + 0.5 * one["sparse"]) for one in read]
    if over == "tokens":
        lm = sum(one["lm"] * count for one, count in zip(read, tokens, strict=True)) / sum(tokens)
        expected = lm + sum(extra) / 4
    else:
        expected = sum(one["lm"] + other for one, other in zip(read, extra, strict=True)) / len(rows)
    expected.backward()
    for name, p in lit.soft_prompt.named_parameters():
        torch.testing.assert_close(found[name], p.grad, rtol=1e-3, atol=1e-5)


def test_the_public_codes_3996_examples_make_1245_steps_in_5_epochs() -> None:
    trainer = SimpleNamespace(
        estimated_stepping_batches=1250, num_training_batches=3996, accumulate_grad_batches=16, max_epochs=5
    )
    assert optimizer_steps(trainer, TrainConfig(last_window="short")) == 1245  # type: ignore[arg-type]
    assert optimizer_steps(trainer, TrainConfig()) == 1250  # type: ignore[arg-type]


@pytest.mark.parametrize("over", ["tokens", "examples"])
def test_a_short_last_window_is_a_step_and_the_last_epoch_ends_early_with_its_validation(
    make_lit, prompts, collate, tmp_path: Path, over: str
) -> None:
    settings = {"effective_batch": 2, "last_window": "short", "window_loss": over, "lr": 0.01}
    lit = make_lit(epochs=2, **settings)
    data = Windows(prompts, collate, 2, 1, fill=False)
    Train(lit.config).fit(lit, data, tmp_path)
    rows = metrics(tmp_path)
    assert len([row for row in rows if row["train_lm"]]) == 4, "two full windows and a short one, then one of three"
    assert len([row for row in rows if row["val_nll"]]) == 2
    assert [float(row["lr"]) for row in rows if row["lr"]] == pytest.approx([0.01, 0.0075, 0.005, 0.0025])
    again = make_lit(epochs=2, **settings)
    Train(again.config).fit(again, data, tmp_path)
    for name, value in lit.soft_prompt.state_dict().items():
        assert torch.equal(value, again.soft_prompt.state_dict()[name]), "a finished training does not go on"


def test_the_logged_language_loss_of_a_token_window_is_its_token_mean(
    make_lit, prompts, collate, tmp_path: Path
) -> None:
    lit = make_lit(epochs=1, effective_batch=5, micro_batch=1, window_loss="tokens", lr=0.0)
    Train(lit.config).fit(lit, Windows(prompts, collate, 5, 1, fill=True), tmp_path)
    nll, tokens = make_lit().example_nll(collate(prompts))
    logged = next(float(row["train_lm"]) for row in metrics(tmp_path) if row["train_lm"])
    assert logged == pytest.approx((nll.sum() / tokens.sum()).item(), rel=1e-5)


def test_several_devices_refuse_a_short_window(tmp_path: Path, monkeypatch) -> None:
    for module in ("lightning.fabric.accelerators.cuda", "lightning.pytorch.accelerators.cuda"):
        monkeypatch.setattr(f"{module}.num_cuda_devices", lambda: 2)
    config = TrainConfig(strategy="ddp", devices=2, precision="32-true", progress=False, last_window="short")
    with pytest.raises(ValueError, match="use one device"):
        Train(config).trainer(tmp_path)
