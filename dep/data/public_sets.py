"""Public review data that `dep fetch` knows: what it is, where its publishers put it, and which source reads it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from dep.utils.user_cache import user_cache

_AMAZON_2023 = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023/raw"
_AMAZON_2014 = "http://snap.stanford.edu/data/amazon/productGraph/categoryFiles"


class PublicSet(NamedTuple):
    """A public data set."""

    what: str
    home: str
    """The page of its publishers."""
    address: str
    """Where its files are: a folder of a web server, or a name on the Hugging Face hub."""
    files: tuple[str, ...]
    """Paths below the address; empty for a set of the hub, which is taken whole."""
    folder: Path
    """Where it goes on this machine."""
    licence: str
    use: str
    """Settings that make a run read it, without the folder."""

    @property
    def is_here(self) -> bool:
        """Whether the whole set is in its folder."""
        return all((self.folder / Path(name).name).exists() for name in self.files or ("",))


AMAZON_2023 = """All_Beauty Amazon_Fashion Appliances Arts_Crafts_and_Sewing Automotive Baby_Products
    Beauty_and_Personal_Care Books CDs_and_Vinyl Cell_Phones_and_Accessories Clothing_Shoes_and_Jewelry Digital_Music
    Electronics Gift_Cards Grocery_and_Gourmet_Food Handmade_Products Health_and_Household Health_and_Personal_Care
    Home_and_Kitchen Industrial_and_Scientific Kindle_Store Magazine_Subscriptions Movies_and_TV Musical_Instruments
    Office_Products Patio_Lawn_and_Garden Pet_Supplies Software Sports_and_Outdoors Subscription_Boxes
    Tools_and_Home_Improvement Toys_and_Games Video_Games""".split()
"""Categories of Amazon Reviews 2023."""
AMAZON_2014 = """Amazon_Instant_Video Apps_for_Android Automotive Baby Beauty Books CDs_and_Vinyl
    Cell_Phones_and_Accessories Clothing_Shoes_and_Jewelry Digital_Music Electronics Grocery_and_Gourmet_Food
    Health_and_Personal_Care Home_and_Kitchen Kindle_Store Movies_and_TV Musical_Instruments Office_Products
    Patio_Lawn_and_Garden Pet_Supplies Sports_and_Outdoors Tools_and_Home_Improvement Toys_and_Games
    Video_Games""".split()
"""Categories of the 5-core sets of Amazon 2014."""


def public_sets() -> dict[str, PublicSet]:
    """The known data sets by name; a name such as `amazon2023/Books` is a release and a category."""
    return {
        **{f"amazon2023/{category}": _amazon2023(category) for category in AMAZON_2023},
        **{f"amazon2014/{category}": _amazon2014(category) for category in AMAZON_2014},
        "DPL-main": _dpl("DPL-main", "reviews and histories of the paper's users, in its splits", "source.main"),
        "DPL-meta": _dpl("DPL-meta", "the items of DPL-main", "source.meta"),
    }


def _amazon2023(category: str) -> PublicSet:
    return PublicSet(
        what="Amazon Reviews 2023, one category: all reviews and items",
        home="https://amazon-reviews-2023.github.io",
        address=_AMAZON_2023,
        files=(f"review_categories/{category}.jsonl.gz", f"meta_categories/meta_{category}.jsonl.gz"),
        folder=user_cache() / "data" / "amazon2023",
        licence="none stated",
        use=f"source.kind=amazon2023 source.categories=[{category}] source.folder=",
    )


def _amazon2014(category: str) -> PublicSet:
    return PublicSet(
        what="Amazon 2014, one category: reviews of the 5-core (users and items with 5 or more), and items",
        home="https://jmcauley.ucsd.edu/data/amazon",
        address=_AMAZON_2014,
        files=(f"reviews_{category}_5.json.gz", f"meta_{category}.json.gz"),
        folder=user_cache() / "data" / "amazon2014",
        licence="none stated",
        use=f"source.kind=amazon2014 source.categories=[{category}] source.folder=",
    )


def _dpl(name: str, what: str, setting: str) -> PublicSet:
    return PublicSet(
        what=f"Books, films and CDs of Amazon Reviews 2023: {what}",
        home=f"https://huggingface.co/datasets/SnowCharmQ/{name}",
        address=f"SnowCharmQ/{name} on the Hugging Face hub",
        files=(),
        folder=user_cache() / "data" / name,
        licence="see its page",
        use=f"source.kind=dpl {setting}=",
    )
