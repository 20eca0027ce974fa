"""The training loop: interruption, checkpoints and logs."""

from __future__ import annotations

import csv
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import DataLoader, Sampler

from dep.training.checkpoints import AtomicCheckpoints, read_checkpoint
from dep.training.divergence import Diverged
from dep.training.settings import TrainConfig
from dep.training.trainer import Train
from dep.utils.errors import DepError
from dep.utils.lightning import pl


class EpochOrder(Sampler[int]):
    """The numbers 0 to 7, in an order that depends on the epoch at the first draw; fails at draw `stop_at`."""

    def __init__(self, data: ToyData) -> None:
        self.data = data

    def __len__(self) -> int:
        return 8

    def __iter__(self):
        draw = torch.Generator().manual_seed(self.data.trainer.current_epoch)
        for i in torch.randperm(8, generator=draw).tolist():
            self.data.seen += 1
            if self.data.seen == self.data.stop_at:
                raise RuntimeError("power cut")
            yield i


class ToyData(pl.LightningDataModule):
    """Eight batches of one example an epoch."""

    def __init__(self, prompts, collate, stop_at: int | None = None) -> None:
        super().__init__()
        self.prompts, self.collate, self.stop_at = prompts, collate, stop_at
        self.seen = 0

    def train_dataloader(self) -> DataLoader:
        batches = [self.collate([self.prompts[i % 5]]) for i in range(8)]
        return DataLoader(batches, sampler=EpochOrder(self), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        return DataLoader([self.collate(self.prompts[:3]), self.collate(self.prompts[3:])], batch_size=None)


SETTINGS = {"lr": 0.01, "epochs": 3, "effective_batch": 4, "warmup_ratio": 0.2}


def run(make_lit, data: ToyData, folder: Path, **settings):
    lit = make_lit(**{**SETTINGS, **settings})
    Train(lit.config).fit(lit, data, folder)
    return lit


def metrics(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(
    make_lit, prompts, collate, tmp_path: Path
) -> None:
    whole = run(make_lit, ToyData(prompts, collate), tmp_path / "whole")
    with pytest.raises(RuntimeError, match="power cut"):
        run(make_lit, ToyData(prompts, collate, stop_at=8 + 5), tmp_path / "cut")
    torch.manual_seed(99)
    again = ToyData(prompts, collate)
    resumed = run(make_lit, again, tmp_path / "cut")
    assert again.seen == 16  # the second and third epoch
    start = make_lit().soft_prompt.state_dict()
    for name, value in whole.soft_prompt.state_dict().items():
        assert torch.equal(value, resumed.soft_prompt.state_dict()[name])
        assert not torch.equal(value, start[name])
    last = [torch.load(tmp_path / n / "checkpoints/last.ckpt", weights_only=True) for n in ("whole", "cut")]
    for name, value in last[0]["state_dict"].items():
        assert torch.equal(value, last[1]["state_dict"][name])
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "cut")


def test_ctrl_c_reaches_the_caller(make_lit, prompts, collate, tmp_path: Path, monkeypatch) -> None:
    """Lightning exits by itself; the caller must get the interruption to report how to continue."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(type(make_lit()), "training_step", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(make_lit, ToyData(prompts, collate), tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_finished_run_is_not_trained_again(make_lit, prompts, collate, tmp_path: Path) -> None:
    first = run(make_lit, ToyData(prompts, collate), tmp_path)
    data = ToyData(prompts, collate)
    second = run(make_lit, data, tmp_path)
    assert data.seen == 0
    for name, value in first.soft_prompt.state_dict().items():
        assert torch.equal(value, second.soft_prompt.state_dict()[name])


def test_a_checkpoint_holds_exactly_the_trained_names(make_lit, prompts, collate, tmp_path: Path) -> None:
    lit = run(make_lit, ToyData(prompts, collate), tmp_path, epochs=1)
    trained = {name for name, p in lit.named_parameters() if p.requires_grad}
    for name in ("best", "last"):
        saved = torch.load(tmp_path / f"checkpoints/{name}.ckpt", weights_only=True)
        assert set(saved["state_dict"]) == trained
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_training_leaves_every_bit_of_the_frozen_backbone_unchanged(
    make_lit, model, prompts, collate, tmp_path: Path
) -> None:
    lit = run(make_lit, ToyData(prompts, collate), tmp_path, epochs=1)
    assert not any(m.training for m in lit.backbone.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, lit.backbone.state_dict()[name])


def test_the_module_ends_with_the_best_epoch_s_weights(make_lit, prompts, collate, tmp_path: Path) -> None:
    nll = iter([3.0, 1.0, 2.0])
    states = {}
    lit = make_lit(**SETTINGS)
    lit.config.monitor = "val_meteor"

    def evaluate(module) -> dict[str, float]:
        states[len(states)] = {n: p.detach().clone() for n, p in module.soft_prompt.named_parameters()}
        return {"val_meteor": -next(nll)}

    lit.evaluate = evaluate
    Train(lit.config).fit(lit, ToyData(prompts, collate), tmp_path)
    for name, value in lit.soft_prompt.named_parameters():
        assert torch.equal(value, states[1][name])


def test_training_lowers_the_loss_and_logs_every_step(make_lit, prompts, collate, tmp_path: Path) -> None:
    run(make_lit, ToyData(prompts, collate), tmp_path, epochs=10, lr=0.03)
    rows = metrics(tmp_path)
    steps = [float(r["train_lm"]) for r in rows if r["train_lm"]]
    validation = [float(r["val_nll"]) for r in rows if r["val_nll"]]
    assert len(steps) == 20
    assert len(validation) == 10
    assert validation[-1] < validation[0]
    names = {
        "train_lm",
        "train_recon",
        "train_sparse",
        "train_total",
        "train_mean_activation",
        "train_dead_units",
        "lr",
    }
    assert names <= set(rows[0])


def test_a_logged_step_is_the_mean_over_its_micro_batches(make_lit, prompts, collate, tmp_path: Path) -> None:
    run(make_lit, ToyData(prompts, collate), tmp_path, epochs=1)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0)).tolist()[:4]
    fresh = make_lit()
    expected = sum(fresh.losses(collate([prompts[i % 5]]))["lm"].item() for i in order) / 4
    assert float(metrics(tmp_path)[0]["train_lm"]) == pytest.approx(expected, rel=1e-5)


def test_other_settings_in_the_same_folder_are_refused(make_lit, prompts, collate, tmp_path: Path) -> None:
    run(make_lit, ToyData(prompts, collate), tmp_path, epochs=1)
    with pytest.raises(ValueError, match=r"other settings \(lr: 0.01 then, 0.5 now\)"):
        run(make_lit, ToyData(prompts, collate), tmp_path, epochs=1, lr=0.5)


def test_an_effective_batch_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a multiple of micro_batch x devices = 3, found 16"):
        Train(TrainConfig(micro_batch=3, progress=False)).trainer(tmp_path)


@pytest.fixture
def two_gpus(monkeypatch) -> None:
    """Let Lightning count two GPUs; it touches none before it fits."""
    for module in ("lightning.fabric.accelerators.cuda", "lightning.pytorch.accelerators.cuda"):
        monkeypatch.setattr(f"{module}.num_cuda_devices", lambda: 2)


def trainer_with(strategy: str, folder: Path) -> pl.Trainer:
    config = TrainConfig(strategy=strategy, devices=2, precision="32-true", progress=False)
    return Train(config).trainer(folder)


def test_the_fsdp_strategy_is_constructed(two_gpus, tmp_path: Path) -> None:
    trainer = trainer_with("fsdp", tmp_path)
    assert isinstance(trainer.strategy, pl.strategies.FSDPStrategy)
    assert (trainer.world_size, trainer.accumulate_grad_batches) == (2, 8)


def test_the_deepspeed_strategy_is_constructed_without_the_frozen_weights(two_gpus, tmp_path: Path) -> None:
    pytest.importorskip("deepspeed", reason="DeepSpeed is not installed")
    trainer = trainer_with("deepspeed_stage_1", tmp_path)
    assert isinstance(trainer.strategy, pl.strategies.DeepSpeedStrategy)
    assert trainer.strategy.config["zero_optimization"]["stage"] == 1
    assert trainer.strategy.exclude_frozen_parameters
    assert (trainer.world_size, trainer.accumulate_grad_batches) == (2, 8)


def test_a_loss_that_is_no_number_ends_the_training_at_its_step_with_the_batch(
    make_lit, prompts, collate, tmp_path: Path, monkeypatch
) -> None:
    lit, steps = make_lit(**{**SETTINGS, "effective_batch": 1}), []
    true_losses = type(lit).losses

    def losses(module, batch):
        steps.append(batch)
        found = true_losses(module, batch)
        return found if len(steps) < 6 else found | {"lm": found["lm"] * float("nan"), "total": found["total"] / 0.0}

    monkeypatch.setattr(type(lit), "losses", losses)
    with pytest.raises(Diverged, match=r"train dep, seed 0, optimizer step \d+, learning rate 0\.00.*lm nan") as caught:
        Train(lit.config, "dep, seed 0").fit(lit, ToyData(prompts, collate), tmp_path)
    assert "lower train.lr" in str(caught.value)
    assert len(steps) == 6
    saved = load_file(tmp_path / "diverged.safetensors")
    assert torch.equal(saved["ids"], steps[-1].ids)
    assert torch.equal(saved["vectors.his"], steps[-1].vectors["his"])
    assert not (tmp_path / "checkpoints").exists()


def test_weights_that_the_last_step_spoils_are_never_kept(make_lit, prompts, collate, tmp_path: Path) -> None:
    lit = make_lit(**{**SETTINGS, "epochs": 1, "grad_clip": 0.0})
    parameter = next(p for p in lit.parameters() if p.requires_grad)
    calls = []
    parameter.register_hook(lambda grad: grad * float("nan") if calls.append(1) or len(calls) == 8 else grad)
    with pytest.raises(Diverged, match="nan"):
        Train(lit.config).fit(lit, ToyData(prompts, collate), tmp_path)
    assert not (tmp_path / "checkpoints").exists()


def test_a_cut_checkpoint_is_named_with_the_way_out(make_lit, prompts, collate, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power cut"):
        run(make_lit, ToyData(prompts, collate, stop_at=12), tmp_path)
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-500])
    with pytest.raises(DepError, match=r"last\.ckpt: expected the checkpoint.*found a damaged file.*remove the folder"):
        run(make_lit, ToyData(prompts, collate), tmp_path)


def test_a_checkpoint_that_is_interrupted_while_written_leaves_the_earlier_one(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"epoch": 1}, path)

    def cut(checkpoint, temporary, *_):
        temporary.write_bytes(b"PK")
        raise KeyboardInterrupt

    monkeypatch.setattr(pl.plugins.TorchCheckpointIO, "save_checkpoint", lambda self, *given: cut(*given))
    with pytest.raises(KeyboardInterrupt):
        AtomicCheckpoints().save_checkpoint({"epoch": 2}, path)
    assert read_checkpoint(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]
