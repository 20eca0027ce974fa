"""A module for `evaluate.load` that computes dep's meteor."""

# Import the module, not the class: `evaluate` uses the first metric class that it finds in this namespace.
import dep.evaluation.as_evaluate


class Meteor(dep.evaluation.as_evaluate.Module):
    """The class that `evaluate` loads to compute dep's meteor."""

    metric_name = "meteor"
