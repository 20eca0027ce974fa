"""Reads a file of predictions, and checks it against the requests of a run.

A file holds one JSON object a line:

    key          the request that is answered, such as "Books/7"
    prediction   the generated text; an empty text scores 0
    nll          optional, for all lines or none: the negative log likelihood of the real review under the judged
                 system, in nats per token of the run's language model
    seed         optional: a whole number, for systems that answer each request several times; 0 if absent

Other fields are ignored, except that those which describe the request must not contradict the run. The run's own
predictions.jsonl files are therefore valid too. docs/judge.md describes the format for users.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dep.utils.errors import DepError, MissingFile

Row = dict[str, Any]
Answers = dict[int, list[Row]]
"""The judged rows of each seed, in the order of the run's requests, in the form of predictions.jsonl."""
_FIELDS = ("key", "prediction", "nll", "seed")
_DESCRIBES = ("category", "user", "item", "reference")
"""Fields that describe a request; a file may have them, with the values of the run."""


def read_predictions(path: Path, requests: Mapping[str, Mapping[str, Any]]) -> Answers:
    """Read a file of predictions and join it to the requests.

    Args:
        path: the file.
        requests: the run's requests by key: category, user, item, reference and more.

    Returns:
        For each seed, the rows of all requests; each has the request's fields, `prediction`, and `nll` if it is given.

    Raises:
        MissingFile: there is no such file.
        DepError: a line is not a JSON object or lacks a field, a key is unknown or occurs twice, a value is of the
            wrong type or contradicts the run, or requests have no line. The message names the line and the way out.
    """
    if not path.is_file():
        raise MissingFile(str(path), "a file of predictions, or the folder of an adapter", "none", _HOW)
    found: dict[tuple[int, str], tuple[int, Row]] = {}
    for number, row in _lines(path):
        place = f"{path}, line {number}"
        _check(place, row, requests)
        named = int(row.get("seed", 0)), str(row["key"])
        if named in found:
            where = f"{row['key']} again, first on line {found[named][0]}"
            way_out = "delete one of the two lines, or give another `seed` if both are answers of one system"
            raise DepError(place, "each request once", where, way_out)
        found[named] = number, row
    if not found:
        raise DepError(str(path), "one line for each request", "an empty file", _HOW)
    return _joined(path, found, requests)


_HOW = "`dep judge --run RUN` writes the requests to predict"


def _lines(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield the number of each line that is not blank, and its JSON object."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DepError(str(path), "text in UTF-8", f"other bytes at {error.start}", "save the file as UTF-8") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            if number == 1 and line.lstrip().startswith("["):
                way_out = f"write one object on each line, as `jq -c '.[]' {path}` does"
                raise DepError(f"{path}, line 1", "a JSON object", "the start of a list", way_out) from error
            shown = line.strip()[:40] + ("…" if len(line.strip()) > 40 else "")
            way_out = 'write one JSON object on each line, such as {"key": "Books/7", "prediction": "I liked it."}'
            raise DepError(f"{path}, line {number}", "JSON", f"{shown!r} ({error})", way_out) from error
        if not isinstance(row, dict):
            raise DepError(
                f"{path}, line {number}", "a JSON object", f"a {type(row).__name__}",
                'write {"key": …, "prediction": …}, one on each line',
            )  # fmt: skip
        yield number, row


def _check(place: str, row: Row, requests: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise DepError if a line lacks a field, names no request, or has a value that cannot be used."""
    for name in ("key", "prediction"):
        if name not in row:
            others = [other for other in row if other not in (*_FIELDS, *_DESCRIBES)]
            near = get_close_matches(name, others, 1, 0.5) or (others if len(others) == 1 else [])
            found = ", ".join(map(str, row)) or "no field"
            way_out = f"rename {near[0]!r} to {name!r}" if near else f"add {name!r} to the line"
            raise DepError(place, f"a field {name!r}", found, way_out)
    key = row["key"]
    if not isinstance(key, str) or key not in requests:
        near = [known for known in requests if known.endswith(f"/{key}")] or get_close_matches(str(key), requests, 1)
        meant = f"did you mean {near[0]}? " if near else ""
        way_out = f"{meant}the run's requests are in requests.jsonl, which `dep judge --run RUN` writes"
        raise DepError(place, f"a key of the run, as {next(iter(requests))}", repr(key), way_out)
    if not isinstance(row["prediction"], str):
        raise DepError(
            place, "a text as `prediction`", json.dumps(row["prediction"]), 'write "" where the system gave no text'
        )
    if "nll" in row and not _is_number(row["nll"]):
        raise DepError(place, "a finite number as `nll`", json.dumps(row["nll"]), "leave `nll` out of all lines")
    if not isinstance(row.get("seed", 0), int) or isinstance(row.get("seed"), bool):
        raise DepError(place, "a whole number as `seed`", json.dumps(row["seed"]), "write 0, 1, …")
    for name in _DESCRIBES:
        if name in row and row[name] != requests[key][name]:
            expected = f"the run's {name} of {key}, {str(requests[key][name])[:40]!r}"
            way_out = "judge the file against the run whose requests it answers, or leave the field out"
            raise DepError(place, expected, repr(str(row[name])[:40]), way_out)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _joined(
    path: Path, found: Mapping[tuple[int, str], tuple[int, Row]], requests: Mapping[str, Mapping[str, Any]]
) -> Answers:
    """Join the lines of each seed to the requests, in the order of the requests."""
    answers: Answers = {}
    measured = [number for number, row in found.values() if "nll" in row]
    if measured and len(measured) < len(found):
        bare = next(number for number, row in found.values() if "nll" not in row)
        raise DepError(
            f"{path}, line {bare}", f"`nll` in every line, since line {measured[0]} has it", "none",
            "add it to the line, or leave it out of all lines",
        )  # fmt: skip
    for seed in sorted({seed for seed, _ in found}):
        absent = [key for key in requests if (seed, key) not in found]
        if absent:
            of_seed = f" of seed {seed}" if len({number for number, _ in found}) > 1 else ""
            raise DepError(
                str(path), f"a line for each of the run's {len(requests)} requests",
                f"{len(requests) - len(absent)}{of_seed}; {some(absent)} have none",
                'add their lines, with "prediction": "" where the system gave no text (which scores 0)',
            )  # fmt: skip
        answers[seed] = []
        for key, request in requests.items():
            row = found[seed, key][1]
            measurement = {"nll": float(row["nll"])} if "nll" in row else {}
            answers[seed].append({**request, "prediction": row["prediction"], **measurement})
    return answers


def some(names: Sequence[str]) -> str:
    """List at most five names."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
