"""Registries of components, one for each slot of the configuration.

A slot is a kind of component: source, embedder, retriever, compressor, adapter, method or metric. Each slot has a
package whose `__init__` makes a Registry and adds the components, each with its settings (a dataclass) and the name of
its class. A class is imported only when it is built, so that a configuration can be checked without torch.

You can use your own component without adding it: `kind: "my_module:MyClass"` names it, and an installed package can
announce it by an entry point in the group `dep.<slot>`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, NamedTuple, TypeVar

from dep.utils.errors import DepError

T = TypeVar("T")


@dataclass(kw_only=True)
class ComponentConfig:
    """Base class of the settings of components; `kind` names the component."""

    kind: str = ""


class Member(NamedTuple):
    """A component of a registry: its settings, and its class as `module:Class`."""

    config: type[ComponentConfig]
    target: str


class Registry(Generic[T]):
    """The components of one slot by their kind.

    Args:
        slot: the slot's key in the configuration.
        default: the kind that is used if the configuration names none.
    """

    def __init__(self, slot: str, default: str) -> None:
        self.slot, self.default = slot, default
        self._members: dict[str, Member] = {}

    def add(self, config: type[ComponentConfig], target: str) -> None:
        """Add a component under the default value of its settings' `kind`.

        Args:
            config: the dataclass of its settings.
            target: its class as `module:Class`; the class is called with the settings as first argument.
        """
        self._add(str(config.__dataclass_fields__["kind"].default), Member(config, target))

    def add_plain(self, kind: str, target: str) -> None:
        """Add a component that has no settings.

        Args:
            kind: the component's name.
            target: its class as `module:Class`.
        """
        self._add(kind, Member(ComponentConfig, target))

    def _add(self, kind: str, member: Member) -> None:
        if kind in self._members and self._members[kind].target != member.target:
            both = f"{self._members[kind].target} and {member.target}"
            raise DepError(f"{self.slot}.kind={kind}", "one component of this name", both, "rename one of them")
        self._members[kind] = member

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __contains__(self, kind: object) -> bool:
        return kind in self._members

    def target(self, kind: str) -> str:
        """Return a component's class as `module:Class`."""
        return self._member(kind).target

    def config_class(self, kind: str) -> type[ComponentConfig]:
        """Return the dataclass of a component's settings.

        Raises:
            DepError: there is no such component, or it is the user's own and has no settings.
        """
        return self._member(kind).config

    def component(self, kind: str) -> Any:
        """Import and return a component's class."""
        if ":" in kind and kind not in self._members:
            return _resolved(self.slot, kind)
        return _resolved(self.slot, self._member(kind).target)

    def build(self, config: ComponentConfig, *args: Any, **kwargs: Any) -> T:
        """Build the component that `config` describes; further arguments are passed to its class."""
        built: T = self.component(config.kind)(config, *args, **kwargs)
        return built

    def _member(self, kind: str) -> Member:
        if kind in self._members:
            return self._members[kind]
        if ":" in kind:
            return Member(_settings(self.slot, kind), kind)
        for point in entry_points(group=f"dep.{self.slot}"):
            if point.name == kind:
                return Member(_settings(self.slot, point.value), point.value)
        raise DepError(
            f"{self.slot}.kind",
            f"one of {', '.join(sorted(self._members))}",
            repr(kind),
            'a component of your own is named by its module and class, as in "my_module:MyClass"',
        )


def _settings(slot: str, target: str) -> type[ComponentConfig]:
    config = getattr(_resolved(slot, target), "Config", None)
    if not (isinstance(config, type) and issubclass(config, ComponentConfig)):
        raise DepError(
            f"{slot}.kind={target}", "a class with settings: a dataclass `Config` inside it that derives from "
            "dep.ComponentConfig", "none" if config is None else repr(config), "add it, empty where nothing can be set",
        )  # fmt: skip
    return config


def _resolved(slot: str, target: str) -> Any:
    module, _, name = target.partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0] and error.name != module:
            raise
        raise DepError(
            f"{slot}.kind={target}", f"a module {module}", "none on Python's path",
            "run dep in the folder that holds it, or install its package",
        ) from error  # fmt: skip
    except AttributeError as error:
        raise DepError(f"{slot}.kind={target}", f"a class {name} in {module}", "none", "check its name") from error
