"""A module for `evaluate.load` that computes dep's rouge1."""

# Import the module, not the class: `evaluate` uses the first metric class that it finds in this namespace.
import dep.evaluation.as_evaluate


class Rouge1(dep.evaluation.as_evaluate.Module):
    """The class that `evaluate` loads to compute dep's rouge1."""

    metric_name = "rouge1"
