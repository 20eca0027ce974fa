"""Errors that the user can mend, which print as one line; all other errors show their traceback."""

from __future__ import annotations

import errno

_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOMEM}
"""Error codes of the operating system: the disk is full, a file may not be written, or memory is short."""


class DepError(ValueError):
    """An error that the user can mend, such as a wrong setting or a missing file.

    Args:
        name: the setting, file or thing that is wrong.
        expected: what was expected.
        found: what was found instead.
        way_out: what the user can do about it.
    """

    def __init__(self, name: str, expected: str = "", found: str = "", way_out: str = "") -> None:
        self.name, self.expected, self.found, self.way_out = name, expected, found, way_out
        middle = ", ".join(part for part in (expected and f"expected {expected}", found and f"found {found}") if part)
        message = f"{name}: {middle}" if middle else name
        super().__init__(f"{message}; {way_out}" if way_out else message)

    def __reduce__(self) -> tuple[type[DepError], tuple[str, str, str, str]]:
        """Pickle the error with all four parts, since worker processes send errors to their parent."""
        return type(self), (self.name, self.expected, self.found, self.way_out)


def is_mendable(error: BaseException) -> bool:
    """Return whether the user can mend the cause of `error`, so that its message is printed without a traceback.

    It can for our own errors, a full disk and missing permissions; other errors are bugs.
    """
    return isinstance(error, DepError) or (isinstance(error, OSError) and error.errno in _OF_THE_MACHINE)


class MissingFile(DepError, FileNotFoundError):
    """Raised when a file, folder or model does not exist."""
