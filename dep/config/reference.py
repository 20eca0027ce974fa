"""Writes docs/configuration.md, the reference of all configuration keys (`python -m dep.config.reference`).

Types, defaults and meanings come from the dataclasses of settings and the docstrings below their fields. With `--check`
nothing is written, and the exit code is 1 if the file is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from dep.config.compare import docstrings
from dep.config.schema import SLOTS, RunConfig

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
_INTRO = """# Configuration keys

Generated from the settings' dataclasses by `make docs`; do not edit. Set a key in YAML or on the command line, as
`train.lr=1e-4`. `dep diff paper official` compares two configurations.
"""


def page() -> str:
    """Return the whole reference as Markdown."""
    parts = [_INTRO, "## The run", *_table(RunConfig, "", nested=False)]
    for name, kind in _sections():
        parts += [f"## `{name}`", *_intro(kind), *_table(kind, f"{name}.")]
    for slot, registry in SLOTS.items():
        parts += [f"## `{slot}`", f"A slot: `{slot}.kind` chooses the component; the default is `{registry.default}`."]
        for member in registry:
            config = registry.config_class(member)
            parts += [f"### `{slot}.kind={member}`", *_intro(config), *_table(config, f"{slot}.")]
    return "\n\n".join(parts) + "\n"


def _sections() -> list[tuple[str, type]]:
    hints = get_type_hints(RunConfig)
    return [(f.name, hints[f.name]) for f in fields(RunConfig) if f.name not in SLOTS and is_dataclass(hints[f.name])]


def _intro(kind: type) -> list[str]:
    return [" ".join((kind.__doc__ or "").split())]


def _table(kind: type, prefix: str, nested: bool = True) -> list[str]:
    rows = list(_rows(kind, prefix, nested))
    if not rows:
        return ["Nothing to set."]
    return ["\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows])]


def _rows(kind: type, prefix: str, nested: bool) -> Iterator[str]:
    hints, meanings = get_type_hints(kind), docstrings(kind)
    for field in fields(kind):
        if field.name == "kind" or field.name in SLOTS or field.metadata.get("omegaconf_ignore"):
            continue
        if is_dataclass(hints[field.name]):
            if nested:
                yield from _rows(hints[field.name], f"{prefix}{field.name}.", nested)
            continue
        type_name = _escaped(_type_name(kind, field))
        meaning = _escaped(meanings.get(field.name, ""))
        yield f"| `{prefix}{field.name}` | `{type_name}` | `{_default(field)}` | {meaning} |"


def _type_name(kind: type, field: Field[Any]) -> str:
    hint = get_type_hints(kind)[field.name]
    return getattr(hint, "__name__", str(hint)) if isinstance(hint, type) else str(hint).replace("typing.", "")


def _default(field: Field[Any]) -> str:
    if field.default is not MISSING:
        return _escaped(repr(field.default))
    if field.default_factory is not MISSING:
        return _escaped(repr(field.default_factory()))
    return "required"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def main(argv: Sequence[str]) -> int:
    """Write the page, or compare it with the file if `--check` is given; return the exit code."""
    text = page()
    if "--check" in argv:
        current = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
        if current != text:
            print(f"{PAGE.name} is stale: run `make docs`", file=sys.stderr)
            return 1
        return 0
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
