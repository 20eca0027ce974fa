"""The one error that a user is meant to read: it prints as a line, every other shows its traceback."""

from __future__ import annotations


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


class MissingFile(DepError, FileNotFoundError):
    """A file, folder or model that is not there."""
