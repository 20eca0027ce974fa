"""A page of sections, each a heading with words, a table and pictures, as HTML and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from rich.box import SIMPLE_HEAD
from rich.table import Table

from dep.utils.atomic_io import write_text

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    note: str = ""
    """What the table shows and how to read it."""
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    """The cells of each row; the first one names the row."""
    picture: str = ""
    """An SVG, which only the HTML page shows."""
    level: int = 2
    """The level of the heading, from 2."""

    def terminal(self) -> Table:
        """Return the table for a terminal."""
        grid = Table(title=self.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for at, name in enumerate(self.heads):
            grid.add_column(name, justify="right" if at else "left")
        for row in self.rows:
            grid.add_row(*row)
        return grid


def write(folder: Path, name: str, title: str, sections: Sequence[Section]) -> Path:
    """Write `name`.html and `name`.md into a folder; return the path of the HTML page."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=lambda file: file is None or ".html" in file,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    style = (HERE.parents[1] / "dep/reporting/templates/style.css").read_text("utf-8")
    for suffix in ("html", "md"):
        template = environment.get_template(f"page.{suffix}.j2")
        write_text(
            folder / f"{name}.{suffix}", template.render(title=title, sections=sections, style=style, Markup=Markup)
        )
    return folder / f"{name}.html"
