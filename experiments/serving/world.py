"""A small adapter and the reviews of its users, for measurements of the server; nothing is trained.

What is measured does not depend on what the adapter has learnt. Its soft tokens have the norm of words, so that a user's
vectors move the texts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from dep.config.loader import load_arms, to_yaml
from dep.data.synthetic.language import COMMON_WORDS  # placeholder
from dep.pipeline.adapter_folder import describe
from dep.pipeline.builders import build_data, build_module
from dep.pipeline.personalizer import Personalizer
from dep.pipeline.resources import Resources
from dep.store.reviews import StoredReview
from dep.utils.atomic_io import write_json, write_text
