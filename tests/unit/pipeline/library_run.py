"""Builds a small finished run whose adapters are untrained, for tests of `dep.Personalizer`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from dep.config.loader import load_arms, to_yaml
from dep.pipeline.adapter_folder import describe
from dep.pipeline.builders import build_data, build_module
from dep.pipeline.resources import Resources
from dep.utils.atomic_io import write_json, write_text

CONF = Path(__file__).resolve().parents[3] / "conf"
ARMS = ["dep", "dep_user", "constant", "e2p", "user_llm_cross", "lora", "dep_memory"]
_SMALL = [
    "source.users=16", "source.circles=2", "source.items_per_circle=12", "compare=[]", "name=small",
    "embedder={kind: style, dim: 8}", "generate.max_new_tokens=6", "projector.init_scale=1.0",
    "soft_prompt.user_llm.pretrain_epochs=0",
]  # fmt: skip


def build_run(folder: Path) -> Path:
    """Write runs/small with an adapter for each arm, and results in which `dep` gains on `rag`; return its path."""
    words = [*_SMALL, f"arms=[rag,{','.join(ARMS)}]", f"cache={folder / 'cache'}", f"runs={folder / 'runs'}"]
    run, configs = load_arms([CONF / "synthetic.yaml"], words)
    resources = Resources(run, Console(quiet=True))
    for arm in resources.arms(configs, [0]):
        arm.folder.mkdir(parents=True)
        if arm.method.trains:
            data = build_data(resources, arm)
            module = build_module(resources, arm, data)
            describe(arm.folder, arm, module, width=data.width, categories=len(data.prepared.corpora))
            module.save_adapter(arm.folder / "adapter.safetensors", {})
    home = folder / "runs" / "small"
    write_text(home / "config.yaml", to_yaml(run))
    write_json(home / "results.json", _results())
    return home


def _results() -> dict[str, object]:
    """Return results in which `dep` gains 0.1 nats on `rag` and nothing on `constant`."""
    nll = {"category": "all", "metric": "nll", "n": 9}
    values = {"rag": 1.2, "dep": 1.1, "constant": 1.1}
    labels = {"rag": "RAG", "dep": "DEP", "constant": "Constant prompt"}
    rows = [
        nll | {"run": "small", "arm": arm, "label": labels[arm], "value": value, "ci_low": value - 0.05,
               "ci_high": value + 0.05, "seed": 0}
        for arm, value in values.items()
    ]  # fmt: skip
    comparisons = [
        nll | {"a": "dep", "b": "rag", "delta": -0.1, "ci_low": -0.15, "ci_high": -0.05, "p": 0.001},
        nll | {"a": "dep", "b": "constant", "delta": 0.0, "ci_low": -0.02, "ci_high": 0.02, "p": 0.9},
    ]
    arms = {arm: {"label": labels[arm], "role": "own" if arm == "dep" else "other"} for arm in values}
    return {"rows": rows, "comparisons": comparisons, "arms": arms, "metrics": {}}
