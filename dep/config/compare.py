"""Finds the fields in which two configurations differ, for `dep diff`; docstrings in settings explain the fields."""

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
"""Fields that name a run and do not describe it; they are not compared."""


_WIDE = 120
"""The number of columns from which on a console also shows the meaning of each field."""


def differing(a: RunConfig, b: RunConfig) -> list[tuple[str, Any, Any, str]]:
    """List the fields that differ as (dotted key, value in `a`, value in `b`, meaning); a missing value is `-`."""
    left, right = (dict(_leaves(as_dict(config))) for config in (a, b))
    meanings = _meanings(a) | _meanings(b)
    return [
        (key, left.get(key, "-"), right.get(key, "-"), meanings.get(key, ""))
        for key in [*left, *(key for key in right if key not in left)]
        if left.get(key, "-") != right.get(key, "-") and key not in _NAMES
    ]


def show(a: RunConfig, b: RunConfig, names: tuple[str, str], console: Console) -> None:
    """Print the differences of two configurations as a table."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    wide = console.width >= _WIDE
    for name in ("", *names, *["meaning"] * wide):
        table.add_column(name, overflow="fold", no_wrap=not name)
    for key, left, right, meaning in differing(a, b):
        table.add_row(key, str(left), str(right), *[escape(meaning)] * wide)
    console.print(table if table.row_count else "no difference")
    if table.row_count and not wide:
        console.print(f"a console of {_WIDE} columns (COLUMNS={_WIDE} dep diff ...) also shows meanings", style="dim")


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _meanings(config: RunConfig) -> dict[str, str]:
    """Map the dotted key of each field in `config` to the field's docstring."""
    return dict(_documented(config))


def _documented(settings: Any, above: str = "") -> Iterator[tuple[str, str]]:
    for name, text in docstrings(type(settings)).items():
        yield f"{above}{name}", text
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            yield from _documented(value, f"{above}{field.name}.")
        for key, member in value.items() if isinstance(value, Mapping) else ():
            if is_dataclass(member):
                yield from _documented(member, f"{above}{field.name}.{key}.")
        if not above and field.name in SLOTS:
            yield f"{field.name}.kind", f"Which {field.name}."


def docstrings(kind: type) -> dict[str, str]:
    """Map each field of a dataclass, inherited ones included, to the docstring below the field."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError):  # a class made at run time or built in has no source
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
                texts[field.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return texts
