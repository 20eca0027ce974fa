"""Says in one line what is wrong with the body of a request: the field, what was expected and found, the way out."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic_core import PydanticCustomError

from dep.utils.errors import DepError

_FIELDS = "fields"
"""The type of an error that `check_fields` raises."""
_SHOWN = 40
"""How many characters of a wrong value are shown."""


def check_fields(found: Mapping[str, Any], fields: Collection[str], needed: Collection[str]) -> None:
    """Check the names of the fields of a part of a body.

    Args:
        found: the part.
        fields: the names that it may have.
        needed: the names that it must have.

    Raises:
        PydanticCustomError: a name is not known, or one is missing; pydantic adds the place of the part.
    """
    unknown = [name for name in found if name not in fields]
    missing = [name for name in needed if name not in found]
    if not unknown and not missing:
        return
    asked = missing or fields
    near = [(name, match) for name in unknown for match in get_close_matches(name, asked, 1, 0.5)]
    if near:
        way_out = f"rename {near[0][0]!r} to {near[0][1]!r}"
    else:
        way_out = f"add {missing[0]!r}" if missing else f"leave {unknown[0]!r} out"
    if missing:
        expected, given = f"a field {missing[0]!r}", ", ".join(map(repr, found)) or "no field"
    else:
        expected, given = f"fields among {', '.join(fields)}", repr(unknown[0])
    raise PydanticCustomError(_FIELDS, "{words}", {"words": f"expected {expected}, found {given[:200]}; {way_out}"})


def describe(error: Mapping[str, Any]) -> str:
    """Return the message of one of the errors that FastAPI found in a body."""
    kind, found = error["type"], error.get("input")
    place = ".".join(str(part) for part in error["loc"][1:]) or "the body"
    if kind == _FIELDS:
        return f"{place}: {error['msg']}"
    if kind == "json_invalid":
        where = f"{error['ctx']['error']} at character {error['loc'][1]}"
        return str(DepError("the body", "JSON", where, "mend it, as with `jq . FILE`"))
    if place == "the body" and not isinstance(found, dict):
        if isinstance(found, bytes | str):
            way_out = "send the header `Content-Type: application/json`"
            return str(DepError(place, "a JSON object", "a body of another type", way_out))
        return str(DepError(place, "a JSON object", "none" if found is None else _shown(found)))
    return f"{place}: {error['msg']}, found {_shown(found)}"


def _shown(value: object) -> str:
    words = json.dumps(value, ensure_ascii=False, default=str)
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}…"
