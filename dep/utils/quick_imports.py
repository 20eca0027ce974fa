"""Imports transformers without packages that only its unused features need, which halves the time to import it."""

from __future__ import annotations

from contextlib import ExitStack
from unittest.mock import patch

_UNUSED = ("is_sklearn_available", "is_scipy_available")
"""Asked while transformers is imported: for assisted generation, and for the losses of object detection."""


def import_transformers() -> None:
    """Import the modules of causal LMs. scikit-learn, scipy and pandas are imported only where something else does."""
    import transformers.utils

    with ExitStack() as stack:
        for name in _UNUSED:
            stack.enter_context(patch.object(transformers.utils, name, lambda: False))
        import transformers.generation.candidate_generator
        import transformers.loss.loss_utils
