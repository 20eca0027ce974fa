"""A small adapter and the reviews of its users, for measurements of the server; nothing is trained.

What is measured does not depend on what an adapter has learnt. Soft tokens begin with the norm of words, so that a
user's vectors move the texts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from dep.config.loader import load_arms, to_yaml
from dep.pipeline.adapter_folder import describe
from dep.pipeline.builders import build_data, build_module
from dep.pipeline.personalizer import Personalizer
from dep.pipeline.resources import Resources
from dep.store.peer_index import PeerIndex
from dep.store.reviews import StoredReview
from dep.utils.atomic_io import write_json, write_text

CONF = Path(__file__).resolve().parents[2] / "conf" / "synthetic.yaml"
_SMALL = [
    "source.users=16", "source.circles=2", "source.items_per_circle=12", "compare=[]", "arms=[dep]", "name=small",
    "embedder={kind: style, dim: 8}", "projector.init_scale=1.0", "generate.max_new_tokens=16",
]  # fmt: skip
CATEGORY = "reviews"


class World(NamedTuple):
    """The folder of a run with one adapter, and texts from which reviews are made."""

    run: Path
    texts: list[str]
    adapter: str = ""
    """What is served instead of the run's adapter: the name of an adapter of the package, or a folder."""

    @property
    def served(self) -> str:
        """What `dep serve` and `Personalizer.from_pretrained` get."""
        return self.adapter or str(self.run)


def build(folder: Path, adapter: str = "", settings: Sequence[str] = ()) -> World:
    """Write runs/small with an adapter of the demo's LLM, which is served unless `adapter` names another.

    Args:
        folder: where the run is written.
        adapter: the name of an adapter of the package, or a folder.
        settings: further settings of the run, as `key=value`.
    """
    run, configs = load_arms([CONF], [*_SMALL, *settings, f"cache={folder / 'cache'}", f"runs={folder / 'runs'}"])
    resources = Resources(run, Console(quiet=True))
    (arm,) = resources.arms(configs, [0])
    arm.folder.mkdir(parents=True)
    data = build_data(resources, arm)
    module = build_module(resources, arm, data)
    describe(arm.folder, arm, module, width=data.width, categories=len(data.prepared.corpora))
    module.save_adapter(arm.folder / "adapter.safetensors", {})
    home = folder / "runs" / "small"
    write_text(home / "config.yaml", to_yaml(run))
    write_json(home / "results.json", {"rows": [], "comparisons": [], "arms": {arm.name: {"role": "own"}}})
    return World(home, [review.text for corpus in data.prepared.corpora.values() for review in corpus.reviews], adapter)


def name_of(user: int) -> str:
    """Return the name of a user."""
    return f"user{user}"


def canary_of(user: str) -> str:
    """Return a word that only this user's reviews hold."""
    return f"canary{user.removeprefix('user')}x"


def review(world: World, rng: random.Random, user: str, item: int) -> StoredReview:
    """Return a review of an item by a user, with the user's canary in text and title."""
    text = f"{canary_of(user)} {rng.choice(world.texts)}"
    stars = float(rng.randint(1, 5))
    return StoredReview(
        CATEGORY, user, f"item{item}", f"thing {item}", "", text, stars, canary_of(user), rng.randint(1, 10**6)
    )


def loaded(world: World, store: Path, users: int, each: int = 4) -> tuple[Personalizer, PeerIndex]:
    """Load the adapter with a new store, in which each user has some reviews of items that others reviewed too."""
    p = Personalizer.from_pretrained(world.served)
    index = p.open_store(store, create=True)
    rng = random.Random(0)
    reviews = [
        review(world, rng, name_of(user), item) for user in range(users) for item in rng.sample(range(users), each)
    ]
    index.add(reviews, p.embed([one.text for one in reviews]))
    p.store = index
    return p, index
