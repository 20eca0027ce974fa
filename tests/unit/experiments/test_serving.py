"""The measurements of the server take what they say, and no other words."""

from __future__ import annotations

import pytest

from dep.utils.errors import DepError
from experiments.serving.__main__ import main
from experiments.serving.rate import matrix_rate


@pytest.mark.parametrize(
    "words",
    [[], ["loads"], ["load", "canaries"], ["load", "request=3"], ["kill", "adapter=smollm2_english"]],
    ids=" ".join,
)
def test_a_measurement_refuses_what_it_does_not_know_before_it_builds_anything(words: list[str]) -> None:
    with pytest.raises(DepError, match=r"experiments\.serving|request"):
        main(words)


def test_the_machine_s_rate_is_that_of_a_product_of_matrices() -> None:
    assert 0.01 < matrix_rate(0.01) < 100_000  # GFLOP a second; a slip of units leaves this range
