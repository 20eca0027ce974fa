"""Tests of the distributions: the wheel has the configurations and the type marker, the sdist everything else too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = {"dep/py.typed", "dep/models/backbones/tiny/model.safetensors", "dep/reporting/templates/report.html.j2"}
"""Some files of the package that are not Python."""


@pytest.fixture(scope="module")
def targets() -> dict[str, Any]:
    """Return hatch's build targets from pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]


@pytest.fixture(scope="module")
def configurations() -> set[str]:
    """Return the paths of all configurations, relative to conf/."""
    return {path.relative_to(ROOT / "conf").as_posix() for path in (ROOT / "conf").rglob("*.yaml")}


def build(target: str, folder: Path) -> set[str]:
    """Build a distribution without the network and return the names of its files."""
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (archive,) = folder.iterdir()
    if target == "wheel":
        return set(zipfile.ZipFile(archive).namelist())
    with tarfile.open(archive) as tar:
        return {name.split("/", 1)[-1] for name in tar.getnames()}


def test_every_path_that_the_wheel_includes_exists(targets: dict[str, Any]) -> None:
    wheel = targets["wheel"]
    assert wheel["packages"] == ["dep"]
    assert wheel["force-include"] == {"conf": "dep/conf"}
    assert all((ROOT / path).exists() for path in [*wheel["packages"], *wheel["force-include"], *DATA])


def test_every_pattern_of_the_sdist_matches_and_none_of_the_projects_parts_is_missing(targets: dict[str, Any]) -> None:
    include = targets["sdist"]["include"]
    matched = {path.name for pattern in include for path in ROOT.glob(pattern.lstrip("/"))}
    assert all(list(ROOT.glob(pattern.lstrip("/"))) for pattern in include), include
    parts = {"dep", "conf", "docs", "experiments", "notebooks", "tests", "CITATION.cff", "LICENSE", "README.md"}
    assert parts | {"Makefile", "constraints.txt", "CONTRIBUTING.md", "CHANGELOG.md", "ARCHITECTURE.md"} <= matched


def test_a_built_wheel_has_the_configurations_and_the_type_marker(tmp_path: Path, configurations: set[str]) -> None:
    names = build("wheel", tmp_path)
    assert {f"dep/conf/{name}" for name in configurations} | DATA <= names
    assert not any(name.startswith(("tests/", "experiments/")) for name in names)


def test_a_built_sdist_has_the_documentation_and_the_citation(tmp_path: Path, configurations: set[str]) -> None:
    names = build("sdist", tmp_path)
    documents = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").iterdir()}
    assert documents | {"CITATION.cff"} | DATA | {f"conf/{name}" for name in configurations} <= names


def test_an_installed_package_finds_configurations_by_name_in_an_empty_folder(
    tmp_path: Path, targets: dict[str, Any]
) -> None:
    """The files are laid out as hatch lays out the wheel, without building it."""
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    for package in targets["wheel"]["packages"]:
        shutil.copytree(ROOT / package, site / package, ignore=shutil.ignore_patterns("__pycache__", "tiny"))
    for source, destination in targets["wheel"]["force-include"].items():
        shutil.copytree(ROOT / source, site / destination)
    command = [sys.executable, "-m", "dep.cli", "diff", "paper", "official"]
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "difference.weighting" in done.stdout
    assert not list(empty.iterdir())
