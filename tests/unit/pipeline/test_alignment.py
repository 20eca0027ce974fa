"""The alignment stage: who does it, who shares it, and the vectors with which it is measured."""

from __future__ import annotations

from pathlib import Path

import torch

from dep.config.loader import load_arms
from dep.pipeline.arm import Arm
from dep.pipeline.jobs import jobs
from dep.pipeline.scheduler import _groups
from dep.pipeline.stages.align import Reconstruction, without_vectors
from dep.pipeline.store import ArmStore
from dep.types import Item, Request, Review, Slot, UserHistory

CONF = Path(__file__).resolve().parents[3] / "conf"
NAMES = ("dep", "dep_notext", "constant", "lora", "rag", "pplug", "his_notext")


def arms(tmp_path: Path, *words: str) -> dict[str, Arm]:
    folders = [f"cache={tmp_path / 'cache'}", f"runs={tmp_path / 'runs'}"]
    training = ["train.align.epochs=2", "train.epochs=3", "train.warm_start_epochs=1"]
    chosen = [f"arms=[{','.join(NAMES)}]", "compare=[]"]
    _, configs = load_arms([CONF / "table1.yaml"], [*chosen, *folders, *training, *words])
    return {name: Arm(name, config, 0, "reviews") for name, config in configs.items()}


def test_arms_with_soft_tokens_are_aligned_on_the_tasks_of_their_vectors(tmp_path: Path) -> None:
    tasks = {name: arm.first.alignment_tasks for name, arm in arms(tmp_path).items()}
    both = ["his", "diff"]
    assert tasks == {
        "dep": both, "dep_notext": both, "constant": both, "lora": [], "rag": [], "pplug": both, "his_notext": ["his"],
    }  # fmt: skip
    off = arms(tmp_path, "train.align.epochs=0")
    assert all(arm.first.alignment_tasks == [] for arm in off.values())


def test_one_job_aligns_for_all_arms_that_share_the_alignment_and_one_worker_runs_these(tmp_path: Path) -> None:
    every = arms(tmp_path)
    asked = [every[name] for name in ("dep", "dep_notext", "constant", "rag")]
    assert [job.aligns for job in jobs(asked)] == [True, False, True, False]
    groups = [[arm.name for arm in group] for group in _groups(asked)]
    assert sorted(groups) == [["constant"], ["dep", "dep_notext"], ["rag"]]


def test_the_learning_rate_of_the_stage_is_that_of_its_optimizer(tmp_path: Path) -> None:
    for optimizer, expected in (("adamw", (0.25, 0.02)), ("muon", (0.01, 0.25))):
        arm = arms(tmp_path, f"train.optimizer={optimizer}", "train.align.lr=0.25")["dep"].first
        settings = arm.alignment_settings
        assert (settings.lr, settings.muon_lr) == expected
        assert (settings.epochs, settings.monitor) == (2, "val_nll")


def test_forgetting_an_adapter_also_forgets_its_alignment(tmp_path: Path) -> None:
    store = ArmStore(arms(tmp_path)["dep"])
    home = ArmStore(store.arm.first).alignment_home
    home.mkdir(parents=True)
    store.forget(["generate"])
    assert home.is_dir()
    store.forget(["train"])
    assert not home.exists()


def test_absent_vectors_are_the_means_of_the_training_reviews_in_slots_and_histories() -> None:
    means = {"his": torch.tensor([1.0, 2.0]), "diff": torch.tensor([3.0, 4.0])}
    own, item = torch.zeros(2), Item("i", "an item")
    slots = (Slot(Review("u", "i", "text", 4.0, "t", 0), item, own, None),)
    history = UserHistory(torch.zeros(3, 2), torch.zeros(3, 2), torch.ones(3), torch.ones(3), 0, own, torch.zeros(3, 2))
    request = Request("k", "c", "u", item, 4.0, "t", "text", slots, user_history=history)
    absent = without_vectors(request, means)  # type: ignore[arg-type]
    assert absent.slots[0].diff is None
    assert torch.equal(absent.slots[0].his, means["his"])
    assert absent.user_history.his.tolist() == [[1.0, 2.0]] * 3
    assert absent.user_history.diff.tolist() == [[3.0, 4.0]] * 3
    assert torch.equal(absent.user_history.item, history.item)
    without_diff = UserHistory(torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1), torch.ones(1), 0, own)
    request = Request("k", "c", "u", item, 4.0, "t", "x", user_history=without_diff)
    assert without_vectors(request, means).user_history.diff is None  # type: ignore[arg-type]


def test_the_line_of_a_task_gives_the_gain_with_its_sign_and_interval() -> None:
    assert Reconstruction(9, 3.0, 3.5, 2.9, -0.1, (-0.15, -0.05)).line == (
        "right vector 3.000, none 3.500, another review's 2.900 (-0.100, 95% -0.150 to -0.050)"
    )
    assert Reconstruction(9, 3.0, 3.5).line == "right vector 3.000, none 3.500"
