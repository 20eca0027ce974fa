"""The number format that `backbone.dtype: fastest` chooses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from dep.models.backbones import number_format
from dep.models.backbones.number_format import fastest, resolved


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    fastest.cache_clear()
    yield
    fastest.cache_clear()


@pytest.mark.parametrize(("half_s", "chosen"), [(0.5, "bfloat16"), (0.9, "float32"), (3.0, "float32")])
def test_bfloat16_is_chosen_where_it_is_clearly_faster(monkeypatch, caplog, half_s: float, chosen: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(number_format, "_has_units", lambda: True)
    monkeypatch.setattr(number_format, "_seconds", lambda dtype: 1.0 if dtype == torch.float32 else half_s)
    with caplog.at_level("INFO"):
        assert resolved("fastest") == chosen
    assert f"fastest: {chosen}" in caplog.text


def test_a_processor_without_units_for_bfloat16_is_not_measured(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(number_format, "_has_units", lambda: False)
    monkeypatch.setattr(number_format, "_seconds", lambda dtype: pytest.fail("measured"))
    assert resolved("fastest") == "float32"


def test_a_named_format_is_kept_and_this_machine_is_measured_in_seconds() -> None:
    assert [resolved(name) for name in ("auto", "float32", "bfloat16")] == ["auto", "float32", "bfloat16"]
    assert number_format._seconds(torch.float32) > 0
