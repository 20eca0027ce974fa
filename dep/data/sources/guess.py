"""Guesses which column of a table is which field, and in which units, where the table has its own column names.

A column's name is compared without case, punctuation and a leading `review`; what names leave open is decided by
the first rows: the longest texts are the reviews, and a title that is the same in all reviews of an item is the item's.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dep.data.sources.table import FIELDS
from dep.data.sources.values import name, string

Rows = Sequence[Mapping[str, Any]]

_NAMES = {
    "user": "user userid reviewerid reviewer reviewername author authorid authorname critic criticid criticname "
    "username customerid customer memberid member profilename profile account writer taster tastername by uid usr "
    "userhash name",
    "item": "item itemid asin parentasin productid product businessid bookid movieid filmid isbn gmapid recipeid "
    "gameid appid hotelid restaurantid placeid listingid imdbid titleid sku beerid wineid albumid songid articleid "
    "venueid film movie book album game beer wine recipe hotel restaurant",
    "text": "text reviewtext reviewbody body review content reviewcontent comment comments quote message fulltext "
    "opinion feedback reviewdescription",
    "rating": "rating overall stars starrating score reviewscore grade rate points reviewrating reviewoverall "
    "userrating reviewstars",
    "title": "title reviewtitle summary headline reviewheadline reviewsummary subject heading",
    "time": "time timestamp unixreviewtime reviewtime reviewdate date datetime createdat created createddate "
    "submitted submissiondate published publishedat posted postedat unixtime when",
    "item_title": "itemtitle itemname producttitle productname movietitle moviename booktitle bookname businessname "
    "filmtitle filmname gametitle gamename beername albumtitle hotelname restaurantname recipename name",
    "item_description": "itemdescription productdescription itemabout description synopsis plot",
    "category": "category",
}
"""Field -> names of columns, as `_plain` makes them, the most telling first."""
_TAG = re.compile(r"<br\s*/?>|</?(p|i|b|em|strong|a|div|span)\b[^<>]*>|&(amp|quot|lt|gt|#\d+|nbsp);", re.IGNORECASE)
_SCALES = ((5, 0.95), (10, 0.8), (100, 0.8))
"""Highest rating of a scale, and the share of ratings that must not be above it, since some are mistakes."""
_LONG = 30
"""Fewest characters, in the middle, of texts that may be reviews."""


@dataclass(frozen=True)
class Guess:
    """The guessed fields and settings of a table."""

    columns: dict[str, str]
    """The column of each field."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Field -> how it was found, for those whose column is not called as the field."""
    settings: dict[str, str] = field(default_factory=dict)
    """Settings of the source other than columns -> value, where the default does not fit."""

    @property
    def overrides(self) -> list[str]:
        """The words that make the source read the table so, as `source.columns.user=author`."""
        own = [f"source.columns.{key}={column}" for key, column in self.columns.items() if column != key]
        return own + [f"source.{key}={value}" for key, value in self.settings.items()]


def guess(rows: Rows, given: Mapping[str, str] | None = None) -> Guess:
    """Guess the fields of a table by its first rows.

    Args:
        rows: the first rows; a few hundred are enough.
        given: field -> column, where the user has said so; an empty name leaves the field out.

    Returns:
        The guess; a field that was not found is absent from `columns`.
    """
    given = given or {}
    present = list(dict.fromkeys(key for row in rows for key in row))
    columns = {key: column for key, column in given.items() if column in present}
    reasons: dict[str, str] = {}
    for key in FIELDS:
        if key in given:
            continue
        free = [column for column in present if column not in columns.values()]
        if found := _by_name(key, free):
            columns[key] = found
            if found != key:
                reasons[key] = "by its name"
    _by_content(rows, columns, reasons, present, given)
    ordered = {key: columns[key] for key in FIELDS if key in columns}
    ordered |= {key: "" for key in FIELDS if key in present and key not in columns.keys() | given.keys()}
    return Guess(ordered, reasons, _settings(rows, columns))


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]", "", str(column).lower())


def _by_name(key: str, free: Sequence[str]) -> str:
    """Return the free column whose name stands first among a field's names."""
    if key in free:
        return key
    plain = {_plain(column): column for column in reversed(free)}
    plain |= {_plain(c.partition(".")[2]): c for c in reversed(free) if "." in c and _plain(c.partition(".")[2])}
    return next((plain[known] for known in _NAMES[key].split() if known in plain), "")


def _by_content(
    rows: Rows, columns: dict[str, str], reasons: dict[str, str], present: Sequence[str], given: Mapping[str, str]
) -> None:
    """Decide by the rows what the names leave open; changes `columns` and `reasons`."""
    settled = columns.keys() | given.keys()
    free = [column for column in present if column not in columns.values()]
    if "text" not in settled:
        about = columns.get("item_description")
        candidates = free + ([about] if about and "item_description" not in given else [])
        lengths = {c: statistics.median(len(_words(row.get(c))) for row in rows) for c in candidates}
        longest = max(lengths, key=lambda column: lengths[column], default="")
        if longest and lengths[longest] >= _LONG:
            columns["text"], reasons["text"] = longest, "by its texts, which are the longest"
            if longest == about:
                del columns["item_description"], reasons["item_description"]
    title = columns.get("title")
    if "item" not in settled and "item_title" in columns:
        columns["item"], reasons["item"] = columns["item_title"], "by its name"
    elif "item" not in settled and title and "title" not in given and _repeats(rows, title):
        columns["item"] = columns["item_title"] = columns.pop("title")
        reasons["item"] = reasons["item_title"] = "by its values, which recur"
        reasons.pop("title", None)
    item = columns.get("item")
    if not item or "item_title" in columns.keys() | given.keys():
        return
    if title and "title" in columns and "title" not in given and _belongs_to_item(rows, item, title):
        columns["item_title"] = columns.pop("title")
        reasons["item_title"] = "by its values: all reviews of an item have the same"
        if other := _by_name("title", [column for column in free if column != title]):
            columns["title"], reasons["title"] = other, "by its name"
    elif _is_title(rows, item):
        columns["item_title"], reasons["item_title"] = item, "by its values: they read as titles"


def _words(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _repeats(rows: Rows, column: str) -> bool:
    """Whether values recur, as those of an item do."""
    values = [string(row.get(column)) for row in rows]
    return len(set(values)) < 0.8 * len(values)


def _belongs_to_item(rows: Rows, item: str, title: str) -> bool:
    """Whether the reviews of each item have one title, and most items have one of their own."""
    titles: dict[str, set[str]] = defaultdict(set)
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        titles[name(row.get(item))].add(string(row.get(title)))
        counts[name(row.get(item))] += 1
    repeated = [titles[key] for key, count in counts.items() if count > 1]
    if not repeated or any(len(known) > 1 for known in repeated):
        return False
    return len({next(iter(known)) for known in titles.values()}) > len(titles) / 2


def _is_title(rows: Rows, item: str) -> bool:
    """Whether the names of most items are of several words."""
    names = {name(row.get(item)) for row in rows}
    return sum(bool(re.search(r"[A-Za-z]\S*\s+\S*[A-Za-z]", known)) for known in names) > len(names) / 2


def _settings(rows: Rows, columns: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    ratings = _numbers(rows, columns.get("rating"))
    if ratings:
        top = next((top for top, share in _SCALES if sum(v <= top for v in ratings) >= share * len(ratings)), 5)
        if top != 5:
            found["rating_max"] = str(top)
    times = _numbers(rows, columns.get("time"))
    if times and statistics.median(times) > 1e11:
        found["time_unit_ms"] = "1"
    texts = [_words(row.get(columns.get("text", ""))) for row in rows]
    if sum(bool(_TAG.search(text)) for text in texts) > 0.02 * len(texts):
        found["strip_html"] = "true"
    return found


def _numbers(rows: Rows, column: str | None) -> list[float]:
    found = []
    for row in rows if column else ():
        value = row.get(column or "")
        try:
            found.append(float(value.replace(",", ".") if isinstance(value, str) else value))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            continue
    return found
