"""Words of a configuration stay words, wherever YAML would make numbers or truth values of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dep.config.loader import load
from dep.config.schema import ConfigError
from dep.utils.errors import DepError

CONF = Path(__file__).resolve().parents[3] / "conf"
NAMES = [
    "2024_01",
    "7e12345",
    "1.10",
    "no",
    "On",
    "0x10",
    "1_000",
    "2024-01-01",
    "12:30:00",
    "007",
    "1e3",
    ".5",
    "true",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_looks_like_a_number_or_a_truth_value_stays_as_written(tmp_path: Path, name: str) -> None:
    assert load([CONF / "demo.yaml"], [f"name={name}"]).name == name
    (tmp_path / "run.yaml").write_text(f"name: {name}\narms: []\n")
    assert load([tmp_path / "run.yaml"]).name == name


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("train.lr=1e-4", 1e-4), ("train.epochs=3", 3), ("prompt.text=no", False), ("prompt.text=true", True),
        ("protocol.val_examples=null", None), ("seeds=[0, 1]", [0, 1]), ("label=", ""), ("label='a: b'", "a: b"),
        ("label=5 stars: really", "5 stars: really"),
    ],
)  # fmt: skip
def test_the_schema_makes_a_value_of_the_right_type(word: str, value: object) -> None:
    config = load([CONF / "demo.yaml"], [word])
    for part in word.partition("=")[0].split("."):
        config = getattr(config, part)
    assert config == value
    assert type(config) is type(value)


def test_home_is_meant_by_a_tilde_in_words_and_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load([CONF / "demo.yaml"], ["runs=~/x"]).runs == str(tmp_path / "x")
    (tmp_path / "run.yaml").write_text("cache: ~/y\n")
    assert load([tmp_path / "run.yaml"]).cache == str(tmp_path / "y")


def test_a_category_called_on_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("source: {kind: dpl, categories: [On, No, 2014]}\n")
    assert load([tmp_path / "run.yaml"]).source.categories == ["On", "No", "2014"]  # type: ignore[attr-defined]


def test_arguments_of_a_chat_template_have_the_types_of_yaml() -> None:
    word = "prompt.template_arguments={enable_thinking: false, depth: 2, tone: warm}"
    arguments = load([CONF / "demo.yaml"], [word]).prompt.template_arguments
    assert arguments == {"enable_thinking": False, "depth": 2, "tone": "warm"}


def test_a_file_that_is_no_yaml_is_named_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("name: [a\nseeds: [0]\n")
    with pytest.raises(DepError, match=r"run\.yaml.*line 2"):
        load([tmp_path / "run.yaml"])


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("name: a\nname: b\n")
    with pytest.raises(DepError, match="'name' is there twice"):
        load([tmp_path / "run.yaml"])


def test_a_number_that_is_none_is_refused_by_its_key() -> None:
    with pytest.raises(ConfigError, match=r"train\.epochs.*3\.0"):
        load([CONF / "demo.yaml"], ["train.epochs=3.0"])
