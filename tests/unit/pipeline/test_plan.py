"""`--plan` and `dep cost` for backbones of every shape, quickly, and refused where a run could only fail."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig, PretrainedConfig, PreTrainedTokenizerFast

from dep import cli
from dep.inference.architecture_table import example_config
from dep.models.backbones.geometry import rotary_limit
from dep.models.backbones.miniature import miniature_config
from dep.models.backbones.speed_trial import measured_speed

CONF = Path(__file__).resolve().parents[3] / "conf"
SMALL = ["source.users=20", "source.circles=2", "source.items_per_circle=12", "compare=[]", "arms=[rag,dep]"]


@pytest.fixture
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: PreTrainedTokenizerFast
) -> Callable[[PretrainedConfig], str]:
    """Writes a backbone's folder without weights."""

    def build(config: PretrainedConfig) -> str:
        config.save_pretrained(tmp_path / "llm")
        tokenizer.save_pretrained(tmp_path / "llm")
        monkeypatch.chdir(tmp_path)
        return f"backbone.name_or_path={tmp_path / 'llm'}"

    return build


@pytest.mark.parametrize("name", ["gpt2", "mpt", "opt", "gpt_neox", "bloom", "gptj", "mamba", "mixtral", "deepseek_v3"])
def test_cost_and_plan_print_for_every_shape_of_backbone_without_its_weights(folder, capsys, name: str) -> None:
    config = miniature_config(example_config(name))
    for field in ("max_position_embeddings", "max_seq_len"):
        if hasattr(config, field):
            setattr(config, field, 4096)
    backbone = folder(config)
    for command in (["cost"], ["run", "--plan"]):
        assert cli.main([*command, str(CONF / "demo.yaml"), backbone, *SMALL]) == 0
        printed = capsys.readouterr().out
        assert "dep" in printed
        assert "rag" in printed


def test_prompts_longer_than_learned_positions_are_refused_before_any_work(folder, capfd, tmp_path: Path) -> None:
    backbone = folder(miniature_config(example_config("gpt2")))
    assert cli.main(["run", str(CONF / "demo.yaml"), backbone, *SMALL, "generate.max_new_tokens=100"]) == 2
    message = capfd.readouterr().err.strip()
    assert len(message.splitlines()) == 1
    assert "at most 64 tokens" in message
    assert "set prompt.max_input_tokens=48 " in message
    assert [path.name for path in tmp_path.iterdir()] == ["llm"]


def rotary(positions: int, **scaling: Any) -> PretrainedConfig:
    rope = {"rope_parameters": {"rope_theta": 10000.0, **scaling}} if scaling else {}
    return LlamaConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, vocab_size=600,
        max_position_embeddings=positions, **rope,
    )  # fmt: skip


def test_prompts_beyond_rotary_positions_bring_one_warning_with_both_numbers_and_a_way_out(folder, capsys) -> None:
    backbone = folder(rotary(1100))  # the demo's prompts have up to 1,024 tokens, its targets 128
    for command in (["run", "--plan"], ["cost"]):
        assert cli.main([*command, str(CONF / "demo.yaml"), backbone, *SMALL]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if "rotary" in line]
        assert len(lines) == 1, "one line for both arms"
        assert "prompt.max_target_tokens=128 allow 1,152 tokens" in lines[0]
        assert "trained up to 1,100" in lines[0]
        assert "set prompt.max_input_tokens=972, or give config.json a rope scaling" in lines[0]
        assert cli.main([*command, str(CONF / "demo.yaml"), backbone, *SMALL, "prompt.max_input_tokens=972"]) == 0
        assert "rotary" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        (rotary(512), 512),
        (rotary(512, rope_type="linear", factor=4.0), 2048),
        (rotary(512, rope_type="dynamic", factor=2.0), 1024),
        (rotary(512, rope_type="yarn", factor=4.0, original_max_position_embeddings=512), 2048),
        (rotary(2048, rope_type="yarn", factor=4.0, original_max_position_embeddings=512), 2048),
        (rotary(2048, rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=512), 2048),
        (example_config("gemma3_text"), 131072),
        (example_config("mpt"), None),
        (example_config("bloom"), None),
        (example_config("mamba"), None),
        (example_config("falcon"), 2048),
    ],
)  # fmt: skip
def test_the_positions_of_rotary_embeddings_count_their_scaling(config: PretrainedConfig, limit: int | None) -> None:
    assert rotary_limit(config) == limit


def test_an_architecture_that_cannot_be_used_is_refused_before_any_work(folder, capfd, tmp_path: Path) -> None:
    backbone = folder(miniature_config(example_config("gemma3n_text")))
    assert cli.main(["run", str(CONF / "demo.yaml"), backbone, *SMALL]) == 2
    message = capfd.readouterr().err.strip()
    assert len(message.splitlines()) == 1
    assert "gemma3n_text, a model that reads token ids in its layers" in message
    assert [path.name for path in tmp_path.iterdir()] == ["llm"]


def test_the_speed_of_a_model_of_135_million_parameters_is_timed_in_seconds_and_little_memory() -> None:
    config = LlamaConfig(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
        vocab_size=49152, tie_word_embeddings=True,
    )  # fmt: skip
    began = time.process_time()
    flops, bandwidth = measured_speed(config)
    assert time.process_time() - began < 10
    assert flops > 1e8
    assert bandwidth > 1e6


def test_a_plan_imports_no_package_that_it_has_no_use_for(folder, tmp_path: Path) -> None:
    config = LlamaConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4)
    backbone = folder(config)
    unused = {
        "lightning", "pytorch_lightning", "torchmetrics", "matplotlib", "sklearn", "scipy", "pandas", "datasets",
        "sentence_transformers", "FlagEmbedding", "peft", "bitsandbytes",
    }  # fmt: skip
    command = ["run", "--plan", str(CONF / "demo.yaml"), backbone, *SMALL]
    code = f"import sys; from dep.cli import main; assert not main({command}); print({unused} & set(sys.modules))"
    env = os.environ | {"PYTHONPATH": str(CONF.parent)}
    for allowed in ("{'pandas'}", "set()"):  # pyarrow imports pandas where it writes the prepared reviews
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        assert run.stdout.splitlines()[-1] == allowed
