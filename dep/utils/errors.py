"""The one error that a user is meant to read: it prints as a line, every other shows its traceback."""

from __future__ import annotations

import errno

_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOMEM}
"""Errors that the operating system gives where a disk is full, a file may not be written, or memory is short."""


class DepError(ValueError):
    """A mistake or a missing piece that the user can mend.

    Args:
        name: the setting, file or thing that is wrong.
        expected: what was expected there.
        found: what was found instead.
        way_out: what to do about it.
    """

    def __init__(self, name: str, expected: str = "", found: str = "", way_out: str = "") -> None:
        self.name, self.expected, self.found, self.way_out = name, expected, found, way_out
        middle = ", ".join(part for part in (expected and f"expected {expected}", found and f"found {found}") if part)
        message = f"{name}: {middle}" if middle else name
        super().__init__(f"{message}; {way_out}" if way_out else message)

    def __reduce__(self) -> tuple[type[DepError], tuple[str, str, str, str]]:
        """Errors travel from worker processes to their parent."""
        return type(self), (self.name, self.expected, self.found, self.way_out)


def is_mendable(error: BaseException) -> bool:
    """Whether a user can mend what `error` says, so that a line does in place of a traceback.

    A full disk or a file that may not be written counts; any other error of Python's own is a bug of ours.
    """
    return isinstance(error, DepError) or (isinstance(error, OSError) and error.errno in _OF_THE_MACHINE)


class MissingFile(DepError, FileNotFoundError):
    """A file, folder or model that is not there."""
