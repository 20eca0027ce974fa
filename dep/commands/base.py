"""The parsed command line, which every verb receives."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from dep.utils.errors import DepError

if TYPE_CHECKING:
    from rich.console import Console

    from dep.config.schema import RunConfig
    from dep.pipeline.resources import Resources


@dataclass
class Command:
    """The arguments of one call of `dep`; configurations and resources are loaded when they are first used."""

    verb: str
    files: list[str]
    """The configuration files, given by path or name."""
    overrides: list[str]
    """The settings that were given as `key=value`."""
    console: Console
    plan: bool = False
    """Whether the plan is printed and nothing is run."""
    fresh: bool = False
    """Whether training, generation and evaluation are repeated even if their results exist."""
    json: str = ""
    """The file that `validate` writes its result to as JSON; empty for none."""
    run: str = ""
    """The folder of the finished run that `judge` reads."""
    started: float = field(default_factory=time.time)
    """The time of the call in seconds since 1970."""

    @cached_property
    def configs(self) -> tuple[RunConfig, dict[str, RunConfig]]:
        """The run's configuration, and the configurations of its arms by name.

        Raises:
            DepError: no configuration was named, or one is invalid.
        """
        from dep.config.loader import load_arms

        if not self.files and not self.overrides:
            raise DepError(f"dep {self.verb}", "a configuration", "none", f"name one, as in `dep {self.verb} demo`")
        return load_arms(self.files, self.overrides)

    @cached_property
    def resources(self) -> Resources:
        """Reviews, vectors and backbones of the run; the first use also turns off the progress bars of libraries."""
        run, _ = self.configs
        from dep.utils.quick_imports import import_transformers

        import_transformers()  # before any module that imports it whole
        from dep.pipeline.resources import Resources
        from dep.utils import progress

        progress.quiet()
        return Resources(run, self.console)

    @property
    def typed(self) -> str:
        """The command line as it was typed, for the report."""
        return shlex.join(["dep", self.verb, *self.files, *self.overrides])
