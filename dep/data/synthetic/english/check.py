"""`python -m dep.data.synthetic.english.check books [n]`: prints wrong lines of a folder of phrases, or n reviews."""

from __future__ import annotations

import random
import sys

from dep.data.synthetic.english.authors import make_person, make_product
from dep.data.synthetic.english.compose import Writer
from dep.data.synthetic.english.lexicon import FOLDER, load
from dep.utils.errors import DepError


def main(name: str, reviews: int) -> int:
    """Check the folder `name` together with the common one.

    Args:
        name: a folder of phrases.
        reviews: how many reviews to print if all is well, each by another person of another product.

    Returns:
        0 if all is well, else 1.
    """
    errors: list[DepError] = []
    try:
        found = load(FOLDER, name, errors.append)
    except DepError as error:
        print(*(errors or [error]), sep="\n")
        return 1
    print(f"{name}: all is well; {found.distinct:,} lines with the common ones, {len(found.points)} points")
    rng, writer = random.Random(), Writer(found)
    for _ in range(reviews):
        review = writer.write(rng, make_person(rng, found, "u"), make_product(rng, found, "i"), 0)
        print(f"\n{review.rating} stars, {review.person.tone} | {review.title} | {review.text}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0))
