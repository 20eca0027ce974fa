"""`dep page` opens a page on which a finished run can be tried."""

from __future__ import annotations

from rich.markup import escape

from dep.commands.base import Command
from dep.utils.errors import DepError


def main(command: Command) -> None:
    """Serve the page of a run until Ctrl-C."""
    words = dict(word.split("=", 1) for word in command.overrides)
    port = words.pop("port", "")
    if len(command.files) != 1 or words:
        found = " ".join([*command.files, *command.overrides]) or "nothing"
        raise DepError(
            "dep page", "a run's folder", found, "write `dep page runs/demo` or `dep page runs/demo port=7861`"
        )
    if port and not port.isdecimal():
        raise DepError("port", "a number", port)
    import gradio  # noqa: F401  (the error names the extra that installs it, before the LLM is loaded)

    import dep
    from dep.serving.page.app import launch, page_of
    from dep.utils.progress import quiet

    quiet()
    with command.console.status("loading the run …"):
        page = page_of(dep.Personalizer.from_pretrained(command.files[0]))
        address = launch(page, int(port) if port else None, wait=False)
    command.console.print(f"the page is at [bold]{escape(address)}[/]; Ctrl-C ends it")
    page.block_thread()
