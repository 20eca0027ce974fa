"""Reads YAML files and `key=value` words so that values stay texts until the schema says which type they have.

A usual YAML reader takes `2024_01` for 202401, `7e12345` for infinity, `1.10` for 1.1, `no` for false, and a key called
On for true. Here every plain value stays the text that was written. The typed schema later turns it into a number or a
truth value if its field is one. Only `null` and `~` become None.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar

import yaml

from dep.utils.errors import DepError


class _Words(yaml.SafeLoader):
    """Reads plain values as text, `null` and `~` as None, and raises an error if a key is written twice."""

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
    """Read a YAML file; plain values stay texts.

    Raises:
        DepError: the file is not YAML in UTF-8.
    """
    try:
        return _with_home(yaml.load(path.read_text(encoding="utf-8-sig"), _Words))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = " ".join(str(error).split())
        raise DepError(str(path), "YAML in UTF-8", place, "mend the line, or quote the value") from error


def read_override(word: str) -> tuple[str, Any]:
    """Split a `key=value` word into key and value; a list or mapping is read as YAML, anything else stays a text.

    Raises:
        DepError: the value is a list or mapping without an end.
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
    """Convert texts as a usual YAML reader would, for settings without a type, such as arguments of a chat template."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    try:
        return yaml.safe_load(value) if isinstance(value, str) else value
    except yaml.YAMLError:
        return value


def _with_home(value: Any) -> Any:
    """Replace `~/` at the beginning of texts by the user's home folder, since a shell does not expand it after `=`."""
    if isinstance(value, dict):
        return {key: _with_home(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_home(part) for part in value]
    return str(Path(value).expanduser()) if isinstance(value, str) and value.startswith("~/") else value
