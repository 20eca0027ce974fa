"""Draws charts as SVG text: a metric's values with intervals for all arms, and training curves.

Colours are CSS classes (`own`, `other`, `control`, `c0` … `c9`) that the page's style sheet defines for its light and
dark themes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from dep.reporting.tables import Table, number, title

Curve = Sequence[tuple[float, float]]
COLOURS = 10
_WIDTH, _VALUES, _ROW = 470, 62, 25
_LETTER, _WIDEST = 7.0, 260.0
"""Width of a letter and largest width of a label, in SVG units; wider labels are compressed to the largest width."""
_ZERO_BASED = 0.2
"""If the values' range is at least this share of the largest value, bars from 0 are drawn, else dots on a cut axis."""


def intervals(table: Table, metric: str, roles: Mapping[str, str]) -> str:
    """Draw a row for each arm with its value and 95% interval, as bars on an axis from 0 or as dots on a cut axis.

    Args:
        table: the table of one category.
        metric: the name of a metric in the table.
        roles: the role of each arm (a key of ROLES), which decides its colour; an arm without a role is `other`.

    Returns:
        An SVG element.
    """
    cells = [(arm, table.cells[arm, metric]) for arm in table.arms if (arm, metric) in table.cells]
    low, high = min(cell.low for _, cell in cells), max(cell.high for _, cell in cells)
    bars = low >= 0 and high - low >= _ZERO_BASED * high
    ticks = _ticks(0.0 if bars else low, high)
    start, stop = ticks[0], ticks[-1]
    height = _ROW * len(cells) + 26
    gutter = min(_WIDEST, max(len(table.labels[arm]) for arm, _ in cells) * _LETTER + 16)
    span = _WIDTH - gutter - _VALUES

    def x(value: float) -> float:
        return gutter + span * (value - start) / (stop - start)

    parts = []
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="2" y2="{height - 22}"/>')
        parts.append(f'<text class="tick" x="{x(tick):.1f}" y="{height - 7}" text-anchor="middle">{_tick(tick)}</text>')
    for at, (arm, cell) in enumerate(cells):
        label, role = table.labels[arm], roles.get(arm, "other")
        middle = _ROW * at + _ROW / 2 + 2
        compressed = f' textLength="{gutter - 12:.0f}" lengthAdjust="spacingAndGlyphs"' * (
            len(label) * _LETTER + 16 > gutter
        )
        place = f'x="{gutter - 8:.1f}" y="{middle + 4}" text-anchor="end"{compressed}'
        parts.append(f'<text class="name" {place}>{escape(label)}</text>')
        if bars:
            box = f'x="{gutter:.1f}" y="{middle - 8}" width="{x(cell.value) - gutter:.1f}" height="16" rx="2"'
            parts.append(f'<rect class="bar {role}" {box}/>')
        ends = f'x1="{x(cell.low):.1f}" x2="{x(cell.high):.1f}"'
        parts.append(f'<line class="whisker {role}" {ends} y1="{middle}" y2="{middle}"/>')
        for end in (cell.low, cell.high):
            cap = f'x1="{x(end):.1f}" x2="{x(end):.1f}" y1="{middle - 4}" y2="{middle + 4}"'
            parts.append(f'<line class="whisker {role}" {cap}/>')
        if not bars:
            parts.append(f'<circle class="dot {role}" cx="{x(cell.value):.1f}" cy="{middle}" r="4.5"/>')
        best = " best" if cell.best else ""
        value = number(metric, cell.value)
        parts.append(f'<text class="value{best}" x="{_WIDTH - 2}" y="{middle + 4}" text-anchor="end">{value}</text>')
    note = "" if bars else " (the axis does not start at 0)"
    description = f"{title(metric)} by method with 95% intervals{note}"
    return _svg(_WIDTH, height, description, parts)


def curves(name: str, lines: Sequence[tuple[int, Curve]]) -> str:
    """Draw a line for each training that logged the value `name`.

    Args:
        name: heading of the logged value.
        lines: for each line the number of its colour, and its pairs (step, value).

    Returns:
        An SVG element.
    """
    points = [point for _, line in lines for point in line]
    ticks = _ticks(min(y for _, y in points), max(y for _, y in points))
    last = max(x for x, _ in points) or 1.0
    left, top, width, height = 56.0, 8.0, 470.0, 210.0
    bottom = height - 28

    def place(step: float, value: float) -> str:
        across = left + (width - left - 10) * step / last
        return f"{across:.1f},{bottom - (bottom - top) * (value - ticks[0]) / (ticks[-1] - ticks[0]):.1f}"

    parts = []
    for tick in ticks:
        y = place(0, tick).split(",")[1]
        parts.append(f'<line class="grid" x1="{left}" x2="{width - 10}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{left - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{_tick(tick)}</text>')
    for share in (0.0, 0.5, 1.0):
        x = place(last * share, ticks[0]).split(",")[0]
        anchor = "end" if share == 1 else "middle"
        parts.append(f'<text class="tick" x="{x}" y="{height - 8}" text-anchor="{anchor}">{last * share:.0f}</text>')
    for colour, line in lines:
        colour_class = f"c{colour % COLOURS}"
        if len(line) == 1:
            x, y = place(*line[0]).split(",")
            parts.append(f'<circle class="{colour_class}" cx="{x}" cy="{y}" r="4"/>')
        else:
            path = " ".join(place(*point) for point in line)
            parts.append(f'<polyline class="curve {colour_class}" points="{path}"/>')
    return _svg(width, height, f"{name} over optimizer steps", parts)


def thinned(line: Curve, points: int = 120) -> Curve:
    """Reduce a curve to at most `points` points, each of which is the mean of neighbouring points."""
    size = math.ceil(len(line) / points)
    chunks = [line[start : start + size] for start in range(0, len(line), size)]
    return [(sum(x for x, _ in chunk) / len(chunk), sum(y for _, y in chunk) / len(chunk)) for chunk in chunks]


def _svg(width: float, height: float, description: str, parts: Sequence[str]) -> str:
    label = escape(description, quote=True)
    body = "".join(parts)
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{label}">{body}</svg>'


ROLES = {"own": "DEP", "control": "controls", "other": "other methods"}
"""For each role of a method (`Method.role`), which is also a CSS class, its name in the chart's key."""


def key(roles: Iterable[str]) -> dict[str, str]:
    """Return the roles that occur, with their names, in the order of ROLES."""
    present = set(roles)
    return {role: name for role, name in ROLES.items() if role in present}


def _ticks(low: float, high: float) -> list[float]:
    """Return three to six round numbers for an axis that covers the range from low to high."""
    span = (high - low) or abs(high) or 1.0
    raw = span / 4
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * at, 12) for at in range(first, max(last, first + 1) + 1)]


def _tick(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")
