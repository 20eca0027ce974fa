"""What an arm's folder and the cache hold."""

from __future__ import annotations

from pathlib import Path

from dep.config.loader import load_arms
from dep.pipeline.arm import Arm
from dep.pipeline.store import ArmStore
from dep.utils.atomic_io import write_rows

CONF = Path(__file__).resolve().parents[3] / "conf"


def store(tmp_path: Path, name: str) -> ArmStore:
    words = [f"arms=[{name}]", "compare=[]", f"cache={tmp_path / 'cache'}", f"runs={tmp_path / 'runs'}"]
    _, configs = load_arms([CONF / "table1.yaml"], words)
    return ArmStore(Arm(name, configs[name], 0, "reviews"))


def test_what_is_forgotten_is_neither_finished_nor_cached(tmp_path: Path) -> None:
    kept = store(tmp_path, "rag")
    for name, stage in (("predictions", "generate"), ("scores", "evaluate")):
        write_rows(kept.folder / f"{name}.jsonl", [{"key": "a"}])
        kept.complete(stage)
    kept.forget(["evaluate"])
    assert (kept.finished("generate"), kept.finished("evaluate")) == (True, False)
    assert (kept.is_cached("generate"), kept.is_cached("evaluate")) == (True, False)
    kept.forget(["train", "generate", "evaluate"])
    assert not kept.finished("generate")
    assert not kept.restore("generate")


def test_a_forgotten_adapter_takes_its_warm_start_with_it(tmp_path: Path) -> None:
    trained = store(tmp_path, "dep")
    assert trained.arm.warm_start is not None
    homes = [trained.adapter_home, ArmStore(trained.arm.warm_start).adapter_home]
    for home in homes:
        home.mkdir(parents=True)
    trained.forget(["generate"])
    assert all(home.is_dir() for home in homes)
    trained.forget(["train"])
    assert not any(home.exists() for home in homes)
