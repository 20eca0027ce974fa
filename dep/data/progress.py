"""One progress bar a stage, with an estimate of the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@contextmanager
def stage(description: str, total: float, show: bool = True) -> Iterator[Callable[[float], None]]:
    """A bar for one stage of work.

    Args:
        description: what is being done, in a few words.
        total: how much there is to do, in any unit.
        show: False for work that is over before a bar could be read.

    Yields:
        A function that takes how much more has been done since its last call.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=False, disable=not show) as progress:
        task = progress.add_task(description, total=total)
        yield lambda more: progress.advance(task, more)
