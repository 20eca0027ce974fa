"""`dep diff`: the fields in which two configurations differ, with the docstring of each."""

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
"""Fields that name a run and do not describe it."""
_WIDE = 120
"""Terminal width in columns from which the table has a column of meanings."""


def differing(a: RunConfig, b: RunConfig) -> list[tuple[str, Any, Any, str]]:
    """Fields that differ: (dotted key, value in `a`, value in `b`, meaning); `-` is the value of an absent field."""
    left, right = (dict(_leaves(as_dict(config))) for config in (a, b))
    meanings = _meanings(a) | _meanings(b)
    return [
        (key, left.get(key, "-"), right.get(key, "-"), meanings.get(key, ""))
        for key in [*left, *(key for key in right if key not in left)]
        if left.get(key, "-") != right.get(key, "-") and key not in _NAMES
    ]


def show(a: RunConfig, b: RunConfig, names: tuple[str, str], console: Console) -> None:
    """Print the differences as a table."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    wide = console.width >= _WIDE
    for name in ("", *names, *["meaning"] * wide):
        table.add_column(name, overflow="fold", no_wrap=not name)
    for key, left, right, meaning in differing(a, b):
        table.add_row(key, str(left), str(right), *[escape(meaning)] * wide)
    console.print(table if table.row_count else "no difference")
    if table.row_count and not wide:
        console.print(
            f"a terminal of {_WIDE} columns (COLUMNS={_WIDE} dep diff ...) shows each field's meaning", style="dim"
        )


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _meanings(config: RunConfig) -> dict[str, str]:
    """Dotted key -> docstring of each field of the classes that `config` chooses."""
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
    """Field name -> the string below it, for a dataclass and its bases."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError):  # a class without source code
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
                texts[field.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return texts
