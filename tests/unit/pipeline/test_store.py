"""Results in an arm's folder and in the cache."""

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


def test_forgotten_results_are_neither_finished_nor_cached(tmp_path: Path) -> None:
    rag = store(tmp_path, "rag")
    for name, stage in (("predictions", "generate"), ("scores", "evaluate")):
        write_rows(rag.folder / f"{name}.jsonl", [{"key": "a"}])
        rag.complete(stage)
    rag.forget(["evaluate"])
    assert (rag.finished("generate"), rag.finished("evaluate")) == (True, False)
    assert (rag.is_cached("generate"), rag.is_cached("evaluate")) == (True, False)
    rag.forget(["train", "generate", "evaluate"])
    assert not rag.finished("generate")
    assert not rag.restore("generate")


def test_forgetting_an_adapter_also_forgets_its_warm_start(tmp_path: Path) -> None:
    trained = store(tmp_path, "dep")
    assert trained.arm.warm_start is not None
    homes = [trained.adapter_home, ArmStore(trained.arm.warm_start).adapter_home]
    for home in homes:
        home.mkdir(parents=True)
    trained.forget(["generate"])
    assert all(home.is_dir() for home in homes)
    trained.forget(["train"])
    assert not any(home.exists() for home in homes)
