"""Shows a progress bar for each stage of work; worker processes report their progress to their parent."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from rich import get_console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Listener = Callable[[str, float, float], None]
"""A function that receives a stage's description, how much is done, and the total."""

_listener: list[Listener] = []
_EVERY = 60
"""Seconds between two lines of progress in a log."""


def report_to(listener: Listener) -> None:
    """Make this process send the progress of its stages to `listener` and draw no bars."""
    _listener[:] = [listener]


def columns() -> list[ProgressColumn]:
    """Return the columns of the package's progress bars."""
    return [
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    ]


class Advance(Protocol):
    """The interface of functions that advance a progress bar."""

    def __call__(self, more: float, note: str = "") -> None:
        """Advance the bar by an amount, and show an optional note beside it."""


class Lines:
    """Prints progress as lines of a log: one when a stage begins, and then one a minute.

    Args:
        say: prints a line; without it, lines go to stderr.
    """

    def __init__(self, say: Callable[[str], object] | None = None) -> None:
        self._say = say or partial(print, file=sys.stderr)
        self._last: dict[int, tuple[str, float]] = {}

    def __call__(self, worker: int, description: str, done: float, total: float) -> None:
        """Print a line about a worker's stage if a minute has passed."""
        name, now = description.partition(",")[0], time.monotonic()
        before, when = self._last.get(worker, ("", 0.0))
        if name != before or now - when > _EVERY:
            self._say(f"{description} {done / total if total else 0:.0%}")
            self._last[worker] = (name, now)


@contextmanager
def stage(description: str, total: float, show: bool = True) -> Iterator[Advance]:
    """Show a progress bar for a stage of work inside the `with` block.

    Args:
        description: what is being done, in a few words.
        total: how much there is to do, in any unit.
        show: False for work that is too short for a bar.

    Yields:
        A function that advances the bar.
    """
    tell = None
    if show:
        tell = _listener[0] if _listener else None if get_console().is_terminal else partial(Lines(), 0)
    if tell:
        done = 0.0
        tell(description, done, total)

        def advance(more: float, note: str = "") -> None:
            nonlocal done
            done += more
            tell(_noted(description, note), done, total)

        yield advance
        return
    with Progress(*columns(), transient=False, disable=not show) as progress:
        task = progress.add_task(description, total=total)

        def move(more: float, note: str = "") -> None:
            progress.update(task, advance=more, description=_noted(description, note))

        yield move


def _noted(description: str, note: str) -> str:
    return f"{description}, {note}" if note else description


def quiet() -> None:
    """Turn off the progress bars and messages of libraries."""
    import logging
    import warnings

    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # advertises a package on processors with bfloat16
    for message in (".*many workers.*", ".*in eval mode.*", ".*LeafSpec.*", ".*tensorboardX.*", ".*GPU available.*"):
        warnings.filterwarnings("ignore", message=message)
