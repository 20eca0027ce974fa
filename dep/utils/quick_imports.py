"""Imports large packages without what only their unused features need, which halves the time to import them."""

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


def import_torchmetrics() -> None:
    """Import torchmetrics, which Lightning imports, without scipy.

    torchmetrics imports `scipy.signal` only to restore a function that another package misses there. Afterwards its
    metrics that need scipy find it as ever.
    """
    import_transformers()  # torchmetrics would import it whole
    from lightning_utilities.core import imports

    available, met = imports.package_available, imports.RequirementCache.__bool__
    with (
        patch.object(imports, "package_available", lambda name: name != "scipy" and available(name)),
        patch.object(imports.RequirementCache, "__bool__", lambda self: self.requirement != "scipy" and met(self)),
    ):
        import torchmetrics  # noqa: F401
