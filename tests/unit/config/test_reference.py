"""The reference of configuration keys matches the code."""

from __future__ import annotations

from dep.config import reference
from dep.config.schema import SLOTS


def test_the_reference_of_configuration_keys_is_up_to_date() -> None:
    assert reference.main(["--check"]) == 0, "run `make docs`"


def test_the_reference_names_every_component_and_documents_every_key() -> None:
    page = reference.page()
    for slot, registry in SLOTS.items():
        for kind in registry:
            assert f"### `{slot}.kind={kind}`" in page
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    assert all(line.split(" | ")[-1].strip(" |") for line in rows)
