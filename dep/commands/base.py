"""One call of `dep`: the words of the command line, and the configuration and resources that follow from them."""

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
    """One call of `dep`."""

    verb: str
    files: list[str]
    """Configuration files, by path or by name."""
    overrides: list[str]
    """`key=value` words."""
    console: Console
    plan: bool = False
    """Print the plan and do nothing."""
    fresh: bool = False
    """Train, generate and evaluate again what is done or cached."""
    started: float = field(default_factory=time.time)

    @cached_property
    def configs(self) -> tuple[RunConfig, dict[str, RunConfig]]:
        """The run and its arms by name.

        Raises:
            DepError: no configuration was named, or one is wrong.
        """
        from dep.config.loader import load_arms

        if not self.files and not self.overrides:
            raise DepError(f"dep {self.verb}", "a configuration", "none", f"name one, as in `dep {self.verb} demo`")
        return load_arms(self.files, self.overrides)

    @cached_property
    def resources(self) -> Resources:
        """Reviews, vectors and backbones of the run; libraries are told to be quiet first."""
        run, _ = self.configs
        from dep.pipeline.resources import Resources
        from dep.utils import progress

        progress.quiet()
        return Resources(run, self.console)

    @property
    def typed(self) -> str:
        """The command line, for the report."""
        return shlex.join(["dep", self.verb, *self.files, *self.overrides])
