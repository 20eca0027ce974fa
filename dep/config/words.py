"""YAML and `key=value` words as texts: the schema says what a value is, and no spelling decides it before.

YAML of its own accord reads `2024_01` as 202401, `7e12345` as infinity, `1.10` as 1.1, `no` as false, and a key called
On as true. Here every plain value stays the text that was written; the typed schema turns it into a number or a truth
value where a field is one. Only `null` and `~` mean nothing at all.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar

import yaml

from dep.utils.errors import DepError


class _Words(yaml.SafeLoader):
    """Reads every plain value as text, `null` and `~` as None, and refuses a key that is written twice."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        letter: [(tag, pattern) for tag, pattern in pairs if tag.rpartition(":")[2] in ("null", "merge")]
        for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = [key for at, key in enumerate(keys) if key in keys[:at]]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The values of a YAML file, every plain one as text.

    Raises:
        DepError: the file is no YAML in UTF-8.
    """
    try:
        return _with_home(yaml.load(path.read_text(encoding="utf-8-sig"), _Words))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = " ".join(str(error).split())
        raise DepError(str(path), "YAML in UTF-8", place, "mend the line, or quote the value") from error


def read_override(word: str) -> tuple[str, Any]:
    """Key and value of a `key=value` word: a list or mapping as in YAML, anything else the text as it stands.

    Raises:
        DepError: the value begins a list or mapping that does not end.
    """
    key, _, text = word.partition("=")
    if text.lower() in ("null", "~"):
        return key, None
    if not text.startswith(("[", "{", '"', "'")):
        return key, _with_home(text)
    try:
        return key, _with_home(yaml.load(text, _Words))
    except yaml.YAMLError as error:
        raise DepError(key, "a list as [a, b], a mapping as {a: b}, or a quoted text", text, "mend it") from error


def plain(value: Any) -> Any:
    """A value as YAML itself reads it, for settings that have no type, such as arguments of a chat template."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    try:
        return yaml.safe_load(value) if isinstance(value, str) else value
    except yaml.YAMLError:
        return value


def _with_home(value: Any) -> Any:
    """`value` with `~/` at the beginning of texts as the user's home folder, which no shell expands behind a `=`."""
    if isinstance(value, dict):
        return {key: _with_home(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_home(part) for part in value]
    return str(Path(value).expanduser()) if isinstance(value, str) and value.startswith("~/") else value
