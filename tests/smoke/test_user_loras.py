"""OPPU on a very small world: a LoRA for each of two users, kept so that an interruption loses one user's work."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

import dep.pipeline.stages.users as users
from dep import cli

CONF = Path(__file__).resolve().parents[2] / "conf"
SMALL = [
    "source.users=16", "source.circles=2", "source.items_per_circle=12", "protocol.targets_used=1",
    "protocol.test_examples=2", "protocol.val_examples=4", "evaluate.n_boot=40", "generate.max_new_tokens=12",
    "generate.progress=false", "train.progress=false", "seeds=[0]", "threads=0", "wandb=disabled", "compare=[]",
    "evaluate.metrics.names=[rouge1]", "embedder={kind: style, dim: 8}",
]  # fmt: skip


def run(folder: Path, *overrides: str) -> int:
    with contextlib.chdir(folder):
        return cli.main(["run", str(CONF / "demo.yaml"), *SMALL, *overrides])


def rows(folder: Path, arm: str) -> dict[str, dict]:
    lines = (folder / "runs/demo" / arm / "seed0/predictions.jsonl").read_text().splitlines()
    return {row["key"]: row for row in map(json.loads, lines)}


def test_two_users_get_their_loras_once_and_a_stranger_s_is_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained: list[int] = []
    train = users.train_user

    def watched(module, prompts, *rest):
        if len(trained) == 1 and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        trained.append(len(prompts))
        return train(module, prompts, *rest)

    interrupted: list[bool] = []
    monkeypatch.setattr(users, "train_user", watched)
    settings = ["method.kind=oppu", "method.lr=0.01", "method.epochs=4"]
    assert run(tmp_path, "arms=[oppu_notext]", "--plan", *settings) == 0
    assert "a LoRA for each of 2 users first" in " ".join(capsys.readouterr().out.split())
    with contextlib.suppress(KeyboardInterrupt):
        run(tmp_path, "arms=[oppu_notext]", *settings)
    assert interrupted
    assert len(list((tmp_path / "cache/users").rglob("*.safetensors"))) == 1
    assert run(tmp_path, "arms=[oppu_notext]", *settings) == 0
    assert "s a user" in " ".join(capsys.readouterr().out.split())
    assert len(trained) == 2
    assert run(tmp_path, "arms=[oppu_others_notext]", "evaluate.texts=false", *settings) == 0
    assert run(tmp_path, "arms=[cope]", "prompt.text=false", "generate.contrast=2", *settings) == 0
    assert len(trained) == 2, "the control and contrastive decoding use the same LoRAs"
    assert run(tmp_path, "arms=[non_perso]", "evaluate.texts=false") == 0
    own, others, none = (rows(tmp_path, arm) for arm in ("oppu_notext", "oppu_others_notext", "non_perso"))
    assert own.keys() == others.keys() == none.keys()
    mean = [sum(row["nll"] for row in some.values()) / 2 for some in (own, others, none)]
    assert mean[0] < mean[1]
    assert mean[0] < mean[2]
    contrasted = rows(tmp_path, "cope")
    assert {key: row["nll"] for key, row in contrasted.items()} == {key: row["nll"] for key, row in own.items()}
    assert [row["prediction"] for row in contrasted.values()] != [row["prediction"] for row in own.values()]
    costs = json.loads((tmp_path / "runs/demo/oppu_notext/seed0/cost.json").read_text())
    assert costs["user_seconds"] > 0
    assert costs["user_bytes"] > costs["user_seconds"]
