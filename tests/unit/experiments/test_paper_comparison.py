from __future__ import annotations

import json
from pathlib import Path

import pytest

from dep.config.loader import load_arms
from experiments.paper.coverage import covered
from experiments.paper.paper_comparison import PAPER, grid
from experiments.paper.paper_tables import LAYOUTS, Layout

CONF = Path(__file__).resolve().parents[3] / "conf"


TABLE3 = next(layout for layout in LAYOUTS if layout.name == "table3")


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_every_row_of_a_table_is_an_arm_of_its_run_and_a_row_of_the_paper(layout: Layout) -> None:
    _, arms = load_arms([CONF / f"{layout.run}.yaml"])
    assert set(layout.rows.values()) | set(layout.controls) <= set(arms)
    published = {row["method"] for row in json.loads(PAPER.read_text())["tables"][layout.numbers]}
    assert set(layout.rows) == {name for name in published if not name.endswith("(32B)")}


def test_every_system_of_table_1_has_an_arm_and_a_module() -> None:
    layout = next(layout for layout in LAYOUTS if layout.name == "table1")
    rows = covered(layout, CONF / "table1.yaml")
    by_paper = {theirs: (ours, arm, module) for theirs, ours, arm, module in rows if theirs != "-"}
    assert by_paper["DPL (7B)"] == ("DPL", str(CONF / "arm/dpl.yaml"), "dep/methods/dpl.py")
    assert by_paper["RAG (32B)"][1:] == by_paper["RAG (7B)"][1:]
    assert {Path(arm).stem for _, _, arm, _ in rows} >= {*layout.rows.values(), *layout.controls}
    for _, _, arm, module in rows:
        assert Path(arm).is_file()
        assert (CONF.parent / module).is_file()


def results(order: list[float]) -> dict[str, list[dict[str, object]]]:
    layout = TABLE3
    rows = [
        {"arm": arm, "label": f"Label of {arm}", "category": "Books", "metric": "meteor", "value": value, "seed": seed}
        for arm, value in zip(layout.rows.values(), order, strict=True)
        for seed in (0, None)
    ]
    return {"rows": rows}


def test_a_grid_has_our_mean_over_seeds_and_the_papers_number() -> None:
    table = grid(TABLE3, results([0.1, 0.2, 0.3]))
    at = table.columns.index(("Books", "meteor"))
    assert [row[1] for row in table.rows] == [f"Label of {arm}" for arm in TABLE3.rows.values()]
    assert [row[2][at]["seed"] for row in table.rows] == [None, None, None]  # type: ignore[index]
    published = {r["method"]: r["value"] for r in json.loads(PAPER.read_text())["tables"]["table7"]
                 if (r["category"], r["metric"]) == ("Books", "meteor")}  # fmt: skip
    assert [row[3][at] for row in table.rows] == [published[name] for name in TABLE3.rows]


def test_tau_is_one_for_equal_orders_and_minus_one_for_opposite_orders() -> None:
    table = grid(TABLE3, results([0.1, 0.2, 0.3]))
    at = table.columns.index(("Books", "meteor"))
    published = [row[3][at] for row in table.rows]
    same = [float(sorted(published).index(value)) for value in published]  # type: ignore[type-var, arg-type]
    assert grid(TABLE3, results(same)).tau["Books", "meteor"] == pytest.approx(1)
    assert grid(TABLE3, results([-x for x in same])).tau["Books", "meteor"] == pytest.approx(-1)
