"""What sets two configurations apart, field by field, each with what its class says about it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dep.config.schema import SLOTS, RunConfig, as_dict

_NAMES = ("name", "label", "arms", "compare")
"""What names a run instead of describing it."""


_WIDE = 120
"""Columns that leave room for what a field is."""


def differing(a: RunConfig, b: RunConfig) -> list[tuple[str, Any, Any, str]]:
    """Fields that differ, as (dotted key, value in `a`, value in `b`, what the field is); `-` where it has none."""
    left, right = (dict(_leaves(as_dict(config))) for config in (a, b))
    told = _told(a) | _told(b)
    return [
        (key, left.get(key, "-"), right.get(key, "-"), told.get(key, ""))
        for key in [*left, *(key for key in right if key not in left)]
        if left.get(key, "-") != right.get(key, "-") and key not in _NAMES
    ]


def show(a: RunConfig, b: RunConfig, names: tuple[str, str], console: Console) -> None:
    """Print the differences as a table."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    wide = console.width >= _WIDE
    for name in ("", *names, *["what it is"] * wide):
        table.add_column(name, overflow="fold", no_wrap=not name)
    for key, left, right, told in differing(a, b):
        table.add_row(key, str(left), str(right), *[escape(told)] * wide)
    console.print(table if table.row_count else "no difference")
    if table.row_count and not wide:
        console.print(f"in {_WIDE} columns or more (COLUMNS={_WIDE} dep diff ...) each says what it is", style="dim")


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _told(config: RunConfig) -> dict[str, str]:
    """Dotted key -> docstring, of every field of every class that `config` chooses."""
    return dict(_documented(config))


def _documented(given: Any, above: str = "") -> Iterator[tuple[str, str]]:
    for name, text in docstrings(type(given)).items():
        yield f"{above}{name}", text
    for field in fields(given):
        value = getattr(given, field.name)
        if is_dataclass(value):
            yield from _documented(value, f"{above}{field.name}.")
        for key, settings in value.items() if isinstance(value, Mapping) else ():
            if is_dataclass(settings):
                yield from _documented(settings, f"{above}{field.name}.{key}.")
        if not above and field.name in SLOTS:
            yield f"{field.name}.kind", f"Which {field.name}."


def docstrings(kind: type) -> dict[str, str]:
    """The string below each field, in a dataclass and its bases."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError):  # made at run time, or built in
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
                found[field.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return found
