"""dep: personalise a frozen language model from what makes one user different from the others.

    import dep

    diff, peers = dep.differences(vectors, users, items)    # Eq. 4 on plain tensors
    run = dep.run("demo", "seeds=[0]")                      # what `dep run demo seeds=[0]` does
    run = dep.load_run("runs/demo")                         # its tables, scores and texts
    index = dep.PeerIndex.open("runs/demo/store.sqlite")    # reviews that change, and their differences from peers

The public names are those listed in `__all__`; each is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dep.api import Run, differences, load_run, run
    from dep.pipeline.personalizer import Ask, PastReview, Personalizer, Strength
    from dep.store.peer_index import PeerIndex
    from dep.store.reviews import PastVectors, StoredReview
    from dep.store.settings import PeerSettings
    from dep.utils.errors import DepError
    from dep.utils.registry import ComponentConfig

__version__ = "0.1.0"
__all__ = [
    "Ask", "ComponentConfig", "DepError", "PastReview", "PastVectors", "PeerIndex", "PeerSettings", "Personalizer",
    "Run", "StoredReview", "Strength", "differences", "load_run", "run",
]  # fmt: skip

_MODULES = {
    "ComponentConfig": "dep.utils.registry", "DepError": "dep.utils.errors",
    "Ask": "dep.pipeline.personalizer", "PastReview": "dep.pipeline.personalizer",
    "Personalizer": "dep.pipeline.personalizer", "Strength": "dep.pipeline.personalizer",
    "PeerIndex": "dep.store.peer_index", "PastVectors": "dep.store.reviews", "StoredReview": "dep.store.reviews",
    "PeerSettings": "dep.store.settings",
}  # fmt: skip
"""The module that defines each public name; a name that is not listed is in `dep.api`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'dep' has no attribute {name!r}; its public names are {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(_MODULES.get(name, "dep.api")), name)
