"""The structure of the package: layers, circles, sizes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "dep").rglob("*.py"))
    if "evaluate_modules" not in path.parts
}
FLOORS = [
    {"types", "utils"}, {"data", "models", "evaluation"}, {"training", "inference"}, {"methods"}, {"config"},
    {"reporting", "pipeline"}, {"commands"}, {"cli", "api"},
]  # fmt: skip
"""A package imports from floors below its own, and from its own only itself, `types` and `utils` apart."""
ALLOWED = {
    ("pipeline", "reporting"): "a run ends in its report",
    ("training", "inference"): "the loss of training is the likelihood",
}
"""Pairs of one floor that are meant, with the reason; may only shrink."""


def imports(path: Path, inside_functions: bool) -> Iterator[str]:
    """Modules of dep that a file imports, those for type checkers left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))

    def walk(node: ast.AST, top: bool) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.ImportFrom) and child.module and child.module.startswith("dep"):
                if top or inside_functions:
                    names = [f"{child.module}.{alias.name}" for alias in child.names]
                    yield from (name if name in MODULES else child.module for name in names)
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from walk(child, False)
            else:
                yield from walk(child, top)

    return walk(tree, True)


def package(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def floor(name: str) -> int:
    return next(at for at, names in enumerate(FLOORS) if name in names)


def test_no_package_imports_from_a_floor_above_or_from_a_neighbour() -> None:
    wrong = []
    for module, path in MODULES.items():
        own = package(module)
        if not own:
            continue
        for other in {package(name) for name in imports(path, inside_functions=True)} - {own, ""}:
            if floor(other) > floor(own) or (floor(other) == floor(own) > 0 and (own, other) not in ALLOWED):
                wrong.append(f"{module} -> {other}")
    assert not wrong, wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: set(imports(path, inside_functions=False)) - {module} for module, path in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        if module in above:
            pytest.fail(" -> ".join([*above[above.index(module) :], module]))
        if module not in done:
            for other in sorted(graph.get(module, ())):
                visit(other, (*above, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_the_package_never_imports_the_experiments() -> None:
    for path in MODULES.values():
        text = path.read_text(encoding="utf-8")
        assert "import experiments" not in text, path
        assert "from experiments" not in text, path


def test_the_package_has_few_entries_and_no_long_file() -> None:
    entries = [path.name for path in (ROOT / "dep").iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 16, sorted(entries)
    long = {
        str(path.relative_to(ROOT)): n for path in MODULES.values() if (n := len(path.read_text().splitlines())) > 300
    }
    assert not long
