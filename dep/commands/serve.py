"""`dep serve runs/x` answers requests in OpenAI's form with a trained adapter."""

from __future__ import annotations

from dep.commands.base import Command
from dep.serving.settings import parse
from dep.utils.errors import DepError


def main(command: Command) -> None:
    """Serve an adapter until SIGTERM or Ctrl-C.

    Raises:
        DepError: no adapter was named, or a setting is wrong; `serve` names others.
    """
    if len(command.files) != 1:
        found = " ".join(command.files) or "none"
        raise DepError("dep serve", "one run or adapter", found, "name it, as in `dep serve runs/demo`")
    config = parse(command.overrides)

    from dep.utils.quick_imports import import_transformers

    import_transformers()
    from dep.serving.server import serve
    from dep.utils import progress

    progress.quiet()
    serve(command.files[0], config, command.console)
