"""Builds the tables that `dep validate` prints, and the same as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dep.data.filters import Step
from dep.data.loosen import ENOUGH, Loosened
from dep.data.sources.row_log import RowLog
from dep.data.sources.table_files import named
from dep.data.survey import Survey
from dep.evaluation.author_probe import ProbeRow
from dep.evaluation.author_verdict import Verdict
from dep.evaluation.significance import Comparison

_EXAMPLES = {"user": "reviewer", "item": "product", "text": "body"}
"""Field -> a column that it might have, for the hint on how to name one."""


@dataclass(frozen=True)
class Column:
    """A field of a table of reviews."""

    field: str
    column: str
    """Empty if the file has none."""
    how: str
    """How the column was found."""


@dataclass(frozen=True)
class Probe:
    """Result of the author probe on a sample."""

    category: str
    rows: list[ProbeRow]
    gain: Comparison
    """Accuracy with `both` vectors minus that with `his` alone (`author_probe`)."""
    texts: int
    """Reviews that were embedded."""


@dataclass(frozen=True)
class Validation:
    """Everything that `dep validate` found."""

    name: str
    """The file or folder."""
    format: str
    logs: list[RowLog]
    columns: list[Column]
    """Empty for a source of the user's own."""
    unused: list[str]
    """Columns that are no field."""
    survey: Survey
    rating_max: float
    """Highest rating of the file; ratings are scaled to 1 to 5."""
    steps: list[Step]
    users: int
    """Users whom all filters leave; 0 if a category has none, which `dep prepare` refuses."""
    loosened: Loosened | None
    """Looser filters, where the given ones leave few users."""
    probe: Probe | None
    verdict: Verdict
    notes: list[str]
    command: list[str]
    """Words of the next command."""


def show(found: Validation, console: Console) -> None:
    """Print what was found, ended by the verdict and the next command."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=False)

    say(f"[bold]validate[/] {escape(found.name)}\n")
    console.print(_facts(found), soft_wrap=False)
    if found.columns:
        say("")
        console.print(_columns(found), soft_wrap=False)
        say(escape(_column_notes(found)))
    say("")
    console.print(_filters(found), soft_wrap=False)
    say("A setting's name begins with `protocol.`, as in protocol.min_text_chars=20.")
    for note in found.notes:
        say(f"[yellow]{escape(note)}[/]")
    if found.loosened:
        left = _count(found.users, "user") if found.users else "nobody"
        where = " of a category" if found.steps[-1].users > found.users else ""
        say(
            f"[yellow]These filters leave {left}{where}; a comparison needs about "
            f"{ENOUGH}. The command below has looser ones, which leave {_count(found.loosened.users, 'user')}.[/]"
        )
    if found.probe:
        say("")
        console.print(_probe(found.probe, len(found.survey.categories) > 1), soft_wrap=False)
    say(f"\n[bold]verdict[/] {escape(found.verdict.sentence)}")
    if found.command:
        console.print(f"[bold]next[/]    {escape(_command(found.command, console.width))}", highlight=False)
        say("        and then the same with [bold]run[/] in place of prepare")


def _command(words: Sequence[str], width: int) -> str:
    """Write a command for the shell, on several lines where it is long."""
    lines, line = [], ""
    for word in map(shlex.quote, words):
        if line and len(line) + len(word) + 11 > width:
            lines.append(line)
            line = "  "
        line += f"{' ' if line.strip() else ''}{word}"
    return " \\\n        ".join([*lines, line])


def as_json(found: Validation) -> dict[str, Any]:
    """Return everything that was found, as plain values."""
    values = asdict(found)
    values["steps"] = [step._asdict() for step in found.steps]
    values["verdict"] = found.verdict._asdict()
    values["command"] = shlex.join(found.command)
    if found.probe:
        values["probe"]["gain"] = found.probe.gain._asdict()
    if found.loosened:
        values["loosened"] = {"changes": found.loosened.changes, "users": found.loosened.users}
    return values


def _table(title: str, *columns: str, left: Sequence[str] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", overflow="fold")
    return table


def _facts(found: Validation) -> Table:
    s = found.survey
    table = Table(title="What it holds", title_justify="left", title_style="bold", box=None, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    rows = sum(log.rows for log in found.logs)
    refused = sum(refusal.count for log in found.logs for refusal in log.refused.values())
    facts = [("format", found.format)]
    if found.logs:
        facts.append(("rows", f"{rows:,}" + (f", {refused:,} of them refused" if refused else ", none refused")))
        facts += [("", line) for log in found.logs for line in _refusals(log, len(found.logs) > 1)]
    facts.append(("reviews", f"{s.reviews:,} by {_count(s.users, 'user')} of {_count(s.items, 'item')}"))
    if len(s.categories) > 1:
        shown = list(s.categories.items())[:6]
        more = f" and {len(s.categories) - 6} more" if len(s.categories) > 6 else ""
        facts.append(("categories", ", ".join(f"{name} {count:,}" for name, count in shown) + more))
    facts += [
        ("per user", f"median {_number(s.median_user_reviews)} reviews, most {s.most_user_reviews:,}"),
        ("per item", f"median {_number(s.median_item_reviewers)} reviewers, most {s.most_item_reviewers:,}"),
        ("texts", f"median {_number(s.median_characters)} characters, {_number(s.median_words)} words"),
        ("ratings", _ratings(found)),
        ("titles", f"{_share(s.titled, s.reviews, 'reviews')}; of items: {_share(s.items_titled, s.items, 'items')}"),
        ("descriptions", _share(s.items_described, s.items, "items")),
        ("dates", _dates(found)),
        ("duplicates", _duplicates(s)),
        ("peers", f"another user reviewed the same item: {_share(s.with_peers, s.reviews, 'reviews')}"),
    ]  # fmt: skip
    for name, value in facts:
        table.add_row(name, escape(value))
    return table


def _refusals(log: RowLog, several: bool) -> list[str]:
    where = f"{log.file}: " if several else ""
    lines = []
    for reason, refusal in log.by_count():
        numbers = ", ".join(f"{number:,}" for number in refusal.first)
        more = ", …" if refusal.count > len(refusal.first) else ""
        unit = log.unit if len(refusal.first) == 1 else f"{log.unit}s"
        lines.append(f"{where}rows that {reason}: {refusal.count:,} ({unit} {numbers}{more})")
    return lines


def _ratings(found: Validation) -> str:
    s = found.survey
    if not s.rated:
        return "none"
    given = [(star, count) for star, count in s.stars.items() if count]
    shares = [f"{_percent(count, s.rated)} with {star}" for star, count in given]
    shares[0] += " stars" if given[0][0] > 1 else " star"
    scale = f" (scaled from 1 to {_number(found.rating_max)})" if found.rating_max != 5 else ""
    without = s.reviews - s.rated
    missing = f"; no rating: {_share(without, s.reviews, 'reviews')}" if without else ""
    return ", ".join(shares) + scale + missing


def _dates(found: Validation) -> str:
    if found.columns and not any(column.field == "time" and column.column for column in found.columns):
        return "none, so a user's reviews count as written in the order of the file"
    s = found.survey
    odd = "; check source.time_unit_ms" if s.last < "1990" else ""
    return f"{s.first} to {s.last}{odd}"


def _duplicates(s: Survey) -> str:
    parts = []
    if s.repeated_items:
        parts.append(f"{_count(s.repeated_items, 'review')} of an item that the same user reviewed before")
    if s.repeated_texts:
        parts.append(f"{_count(s.repeated_texts, 'text')} that an earlier review has too")
    return "; ".join(parts) or "none"


def _columns(found: Validation) -> Table:
    table = _table("Which column is what", "field", "column", "how", left=("field", "column", "how"))
    for column in found.columns:
        if column.column:
            table.add_row(column.field, escape(column.column), column.how)
    return table


def _column_notes(found: Validation) -> str:
    absent = [column.field for column in found.columns if not column.column]
    first = next((c.field for c in found.columns if c.how.startswith("guessed")), "user")
    notes = [f"The file has no {', '.join(absent)}."] if absent else []
    notes += [f"Not used: {named(found.unused)}."] if found.unused else []
    if any(column.field == "category" for column in found.columns):
        notes.append(
            f"Another column is named by source.columns.{first}={_EXAMPLES.get(first, 'column')}, none by "
            f"source.columns.{first}="
        )
    return " ".join(notes)


def _filters(found: Validation) -> Table:
    table = _table(
        "What each filter leaves", "filter", "reviews", "users", "items", "setting", left=("filter", "setting")
    )
    for step in found.steps:
        settings = "\n".join(setting.removeprefix("protocol.") for setting in step.settings)
        what = f"{step.what} (off: there is none)" if step.off else step.what
        table.add_row(what, f"{step.reviews:,}", f"{step.users:,}", f"{step.items:,}", settings or "-",
                      style="dim" if step.off else None)  # fmt: skip
    return table


def _probe(found: Probe, several: bool) -> Table:
    title = "Whose review is it? By style, without a language model" + (f", {found.category}" if several else "")
    table = _table(title, "vectors", "author found", "95%", "chance", "reviews", left=("vectors",))
    names = {"his": "the review's own", "diff": "its difference from peers'", "both": "both"}
    for row in found.rows:
        table.add_row(
            names[row.vectors], f"{row.accuracy:.1%}", f"{row.low:.1%} to {row.high:.1%}", f"{row.chance:.2%}",
            f"{row.n:,}",
        )  # fmt: skip
    return table


def _share(part: int, whole: int, what: str) -> str:
    if part == whole:
        return f"all {what}"
    return f"{part:,} of {whole:,} {what} ({_percent(part, whole)})" if part else "none"


def _percent(part: int, whole: int) -> str:
    share = part / whole if whole else 0
    return "<1%" if 0 < share < 0.01 else ">99%" if 0.99 < share < 1 else f"{share:.0%}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
