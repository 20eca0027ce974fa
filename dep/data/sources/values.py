"""Functions that convert a raw field of a file into a text, a name, a rating or a time."""

from __future__ import annotations

import html
import math
import re
import sys
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from dep.data.sources.row_log import RowLog
from dep.types import Review

_DATES = ("%m %d, %Y", "%d %B %Y", "%Y/%m/%d", "%d.%m.%Y", "%b %d, %Y", "%B %d, %Y")
"""Formats of dates that are tried besides ISO 8601; the first is that of `reviewTime` in the 2014 release."""
_TAGS = re.compile(r"<br\s*/?>|</p>", re.IGNORECASE), re.compile(r"<[^<>]*>")
_LAST_MS = 32_503_680_000_000
"""The year 3000 in milliseconds; a larger number is not taken for a time."""


def string(value: Any) -> str:
    """Convert a field to text.

    Elements of a list are joined by spaces, null becomes the empty text, and lone surrogates become U+FFFD.
    """
    if isinstance(value, list):
        return " ".join(string(part) for part in value).strip()
    return well_formed(value).strip() if isinstance(value, str) else _number(value)


def without_html(text: str) -> str:
    """Remove tags, a line break becoming a space, and turn entities (`&#34;`) into what they stand for."""
    for tag, space in zip(_TAGS, (" ", ""), strict=True):
        text = tag.sub(space, text)
    return html.unescape(text).strip()


def _number(value: Any) -> str:
    """A number as written; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    return str(value) if math.isfinite(value) else ""


def well_formed(text: str) -> str:
    """Make a text writable as UTF-8: surrogate pairs are joined, and lone surrogates become U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def name(value: Any) -> str:
    """Convert the identifier of a user or an item to text; empty if there is none. Lone surrogates become escapes."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else (str(value) if math.isfinite(value) else "")
    if isinstance(value, int):
        return str(value)
    # an escape keeps two identifiers apart that differ only in a lone surrogate
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) and value.strip() else ""


def stars(value: Any) -> float:
    """Convert a rating to a number from 1 to 5; NaN if it is missing or not such a number."""
    try:
        rating = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return rating if 1 <= rating <= 5 else math.nan


def milliseconds(value: Any, unit_ms: int) -> int | None:
    """Convert a time to milliseconds since 1970; None if it is missing or not a time.

    Args:
        value: a number, a text that holds a number (`1300000000.0`) or a date (`2011-03-13T07:06:40Z`, `20110313`,
            `03 13, 2011`), or a date of a Parquet file.
        unit_ms: milliseconds in a unit of the number.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, date):
        return _date(value.isoformat())
    if isinstance(value, str) and re.fullmatch(r"(19|20)\d{6}", value.strip()):
        return _date(value.strip())
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return _date(value.strip()) if isinstance(value, str) else None
    if not math.isfinite(number) or abs(number) * unit_ms > _LAST_MS:
        return None
    whole = value if isinstance(value, int) else int(number)
    return int(whole) * unit_ms


@lru_cache(maxsize=2**16)  # a set has far fewer days than reviews
def _date(text: str) -> int | None:
    moment = None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        for form in _DATES:
            try:
                moment = datetime.strptime(text, form)
                break
            except ValueError:
                continue
    if moment is None:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def review(
    user: Any,
    item: Any,
    text: Any,
    rating: Any,
    title: Any,
    time: Any,
    ms: int = 1,
    log: RowLog | None = None,
) -> Review | None:
    """Build a `Review` from raw fields; None if user, item, text or time is missing.

    Args:
        user: identifier of the author.
        item: identifier of the item.
        text: the review; a number is read as its digits.
        rating: 1 to 5; another value becomes NaN.
        title: the review's title.
        time: a number or a date, as `milliseconds` reads it.
        ms: milliseconds in a unit of `time`.
        log: counts the rows that make no review, by the first field that is missing.
    """
    who, what, when = name(user), name(item), milliseconds(time, ms)
    written = well_formed(text) if isinstance(text, str) and text.strip() else _number(text)
    missing = "user" if not who else "item" if not what else "text" if not written else "time" if when is None else ""
    if missing or when is None:
        if log is not None:
            written_time = missing == "time" and time not in (None, "")
            log.refuse("have a time that is no date" if written_time else f"have no {missing}")
        return None
    # Names recur in many rows: one copy of each saves gigabytes on a large category.
    return Review(sys.intern(who), sys.intern(what), written, stars(rating), string(title), when)
