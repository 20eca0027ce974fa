"""Groups a run's arms that differ in one varied setting into lines over its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HISTORY = "prompt.history"
"""The setting that Figure 2 and `make cost` vary."""


def by_value(results: Mapping[str, Any], setting: str = HISTORY) -> dict[str, tuple[str, Any]]:
    """Return the line and the value of each arm that varies a setting.

    Args:
        results: results of a run that varies `setting`; its field `arms` has the varied settings of each arm.
        setting: dotted key of the setting.

    Returns:
        Arm name -> (label of its line, its value of `setting`), without arms that do not vary it. The label of a line
        is the label of the arm without varied settings, followed by the other varied settings.
    """
    lines = {}
    for name, facts in (results.get("arms") or {}).items():
        if setting in facts["varied"]:
            others = [f"{key}={value}" for key, value in facts["varied"].items() if key != setting]
            lines[name] = (", ".join([facts["base_label"], *others]), facts["varied"][setting])
    return _distinct(results, lines)


def _distinct(results: Mapping[str, Any], lines: dict[str, tuple[str, Any]]) -> dict[str, tuple[str, Any]]:
    """Append the name of the base arm to the label of lines that have the same label but different base arms."""
    bases: dict[str, set[str]] = {}
    for name, (line, _) in lines.items():
        bases.setdefault(line, set()).add(results["arms"][name]["base"])
    return {
        name: (f"{line} ({results['arms'][name]['base']})" if len(bases[line]) > 1 else line, value)
        for name, (line, value) in lines.items()
    }
