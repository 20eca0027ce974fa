"""Counts the rows of a file that were read and refused, with the reasons and the first line numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

_SHOWN = 3


@dataclass
class Refusal:
    """Rows refused for one reason."""

    count: int = 0
    first: list[int] = field(default_factory=list)
    """Numbers of the first lines, at most three."""


@dataclass
class RowLog:
    """The counts of one file's rows."""

    file: str
    unit: str = "line"
    """What `line` counts: `line`, or `row` in a file without lines."""
    line: int = 0
    """Number of the current line, from 1."""
    rows: int = 0
    """Rows so far, refused ones among them."""
    refused: dict[str, Refusal] = field(default_factory=dict)
    """Reason, as the end of a sentence that begins "rows ..." -> rows."""

    def refuse(self, reason: str) -> None:
        """Count the current row as refused."""
        refusal = self.refused.setdefault(reason, Refusal())
        refusal.count += 1
        if len(refusal.first) < _SHOWN:
            refusal.first.append(self.line)

    def by_count(self) -> list[tuple[str, Refusal]]:
        """Return the refusals, the most frequent reason first."""
        return sorted(self.refused.items(), key=lambda pair: -pair[1].count)

    def notes(self) -> list[str]:
        """Return one sentence for each reason."""
        return [
            f"{refusal.count:,} of {self.rows:,} rows of {self.file} {reason} and are left out"
            for reason, refusal in self.by_count()
        ]
