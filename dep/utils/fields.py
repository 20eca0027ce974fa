"""Decides which fields of a configuration enter the keys of results."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Any

RUNTIME = MappingProxyType({"runtime": True})
"""Marks a field that changes no result, such as a device: `field(default=..., metadata=RUNTIME)`."""


def numeric(value: Any) -> Any:
    """Convert a configuration to plain values, without the fields that are marked by `RUNTIME`.

    Args:
        value: a dataclass, or a value in a dataclass; lists, tuples and dictionaries may hold further dataclasses.
    """
    if is_dataclass(value) and not isinstance(value, type):
        kept = [f.name for f in fields(value) if not f.metadata.get("runtime")]
        return {name: numeric(getattr(value, name)) for name in kept}
    if isinstance(value, (list, tuple)):
        return [numeric(part) for part in value]
    if isinstance(value, dict):
        return {key: numeric(part) for key, part in value.items()}
    return value
