"""`python -m dep.data.synthetic.english.check books`: prints every wrong line of a folder of phrases."""

from __future__ import annotations

import sys

from dep.data.synthetic.english.lexicon import FOLDER, load
from dep.utils.errors import DepError


def main(name: str) -> int:
    """Check the folder `name` together with the common one; 0 if all is well, else 1."""
    errors: list[DepError] = []
    try:
        found = load(FOLDER, name, errors.append)
    except DepError as error:
        print(*(errors or [error]), sep="\n")
        return 1
    print(f"{name}: all is well; {found.distinct:,} lines with the common ones, {len(found.points)} points")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
