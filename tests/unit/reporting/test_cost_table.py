"""The columns of the cost table."""

from __future__ import annotations

from dep.reporting.cost_table import HEADS, cost_cells, cost_heads

ROW = {"trains": False, "prompt_tokens": 10.0, "calls": 1.0}


def test_the_seconds_of_a_new_user_are_a_column_only_where_some_method_trains_for_each_user() -> None:
    costs = {"rag": ROW, "oppu": ROW | {"user_seconds": 2.04}}
    assert list(cost_heads(costs)) == list(HEADS)
    cells = cost_cells(costs)
    assert (cells["rag"][-1], cells["oppu"][-1]) == ("", "2.0")
    without = {"rag": ROW}
    assert list(cost_heads(without)) == list(HEADS)[:-1]
    assert len(cost_cells(without)["rag"]) == len(HEADS) - 1
