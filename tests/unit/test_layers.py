"""Tests of the package's structure: layers, import cycles, sizes and names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def modules(package: str) -> dict[str, Path]:
    """Return the path of every module of a top-level package, by dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((ROOT / package).rglob("*.py"))
        if "evaluate_modules" not in path.parts
    }


MODULES = modules("dep")
LAYERS = [
    {"types", "utils"}, {"data", "models", "evaluation", "store"}, {"training", "inference"}, {"methods"}, {"config"},
    {"reporting", "pipeline"}, {"judging", "serving"}, {"commands"}, {"cli", "api"},
]  # fmt: skip
"""A package imports only from layers below its own; packages of one layer do not import one another."""
ALLOWED = {
    ("pipeline", "reporting"): "a run ends with its report",
    ("training", "inference"): "the training loss is the likelihood",
}
"""Exceptions within one layer, with the reason."""
RETIRED_MODULES = frozenset(
    """records shared lacking extras alone presets costing probing fairness given ask asks prepared subtract past
    people planted pieces pack cut grouped recompute pace beside layout lessons""".split()
)
RETIRED_NAMES = frozenset(
    """Shared Kept Writing Altered Told Lead Roomy Draws Past Pasts Lesson Lessons taught kept whole crosses apart
    everywhere moving_ids at_test compares tokens_at_once""".split()
)
"""Names of modules, and of classes and functions, that the field's terms have replaced and that must not return."""


def imported_modules(
    tree: ast.AST, known: dict[str, Path], inside_functions: bool, top_level: bool = True
) -> Iterator[str]:
    """Yield the modules of dep that a syntax tree imports, without the imports for type checkers.

    Args:
        tree: the tree.
        known: the package's modules, which tell `from dep.a import module` from `from dep.a import name`.
        inside_functions: whether imports inside functions count.
        top_level: whether `tree` is outside of functions.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imported_modules(node, known, inside_functions, top_level=False)
        elif isinstance(node, ast.Import) and (top_level or inside_functions):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "dep")
        elif isinstance(node, ast.ImportFrom) and (top_level or inside_functions):
            if node.module and node.module.split(".")[0] == "dep":
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                yield from (name if name in known else node.module for name in names)
        else:
            yield from imported_modules(node, known, inside_functions, top_level)


def imports(path: Path, inside_functions: bool) -> set[str]:
    return set(imported_modules(ast.parse(path.read_text(encoding="utf-8")), MODULES, inside_functions))


def package(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def cross_imports() -> dict[tuple[str, str], list[str]]:
    """Return the imports between packages: (importing, imported package) -> the imports as `module -> module`."""
    pairs: dict[tuple[str, str], list[str]] = {}
    for module, path in MODULES.items():
        for name in imports(path, inside_functions=True):
            pair = package(module), package(name)
            if all(pair) and pair[0] != pair[1]:
                pairs.setdefault(pair, []).append(f"{module} -> {name}")
    return pairs


def test_no_package_imports_from_a_layer_above_or_from_its_own_layer() -> None:
    wrong = [
        example
        for (own, other), examples in cross_imports().items()
        if layer(other) > layer(own) or (layer(other) == layer(own) > 0 and (own, other) not in ALLOWED)
        for example in examples
    ]
    assert not wrong, wrong


def test_every_exception_within_a_layer_is_needed() -> None:
    assert ALLOWED.keys() <= cross_imports().keys()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import dep.pipeline.arm", "dep.pipeline.arm"),
        ("import dep.pipeline.arm as arm", "dep.pipeline.arm"),
        ("import json, dep.pipeline.arm", "dep.pipeline.arm"),
        ("from dep.pipeline import arm", "dep.pipeline.arm"),
        ("from dep.pipeline.arm import Arm", "dep.pipeline.arm"),
        ("try:\n    import dep.pipeline.arm\nexcept ImportError:\n    pass", "dep.pipeline.arm"),
        ("class A:\n    import dep.pipeline.arm", "dep.pipeline.arm"),
        ("def f():\n    import dep.pipeline.arm", "dep.pipeline.arm"),
        ("def f():\n    async def g():\n        from dep.pipeline import arm", "dep.pipeline.arm"),
    ],
)
def test_every_form_of_import_is_seen(code: str, expected: str) -> None:
    assert list(imported_modules(ast.parse(code), MODULES, inside_functions=True)) == [expected]
    at_import = list(imported_modules(ast.parse(code), MODULES, inside_functions=False))
    assert at_import == ([] if code.startswith("def") else [expected])


def test_imports_for_type_checkers_and_of_other_packages_are_not_seen() -> None:
    code = "import deprecated\nfrom depot import x\nif TYPE_CHECKING:\n    import dep.pipeline.arm"
    assert not list(imported_modules(ast.parse(code), MODULES, inside_functions=True))


def test_no_modules_import_each_other_in_a_cycle() -> None:
    graph = {module: imports(path, inside_functions=False) - {module} for module, path in MODULES.items()}
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
        assert not re.search(r"^\s*(import|from) experiments\b", path.read_text(encoding="utf-8"), re.M), path


def test_the_package_has_few_entries_and_no_long_file() -> None:
    entries = [path.name for path in (ROOT / "dep").iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 20, sorted(entries)
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES.values()}
    assert not {name: length for name, length in lengths.items() if length > 300}


def defined_names(code: str) -> set[str]:
    """Return the names of all classes and functions in Python code, without leading underscores."""
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name.lstrip("_") for node in ast.walk(ast.parse(code)) if isinstance(node, kinds)}


def test_no_module_has_a_retired_name() -> None:
    parts = {part: module for module in {**MODULES, **modules("experiments")} for part in module.split(".")}
    assert not {part: module for part, module in parts.items() if part.lstrip("_") in RETIRED_MODULES}


def test_no_class_or_function_has_a_retired_name() -> None:
    assert defined_names("class A:\n    def _kept(self):\n        async def b(): ...") == {"A", "kept", "b"}
    found = {
        (name, module)
        for module, path in {**MODULES, **modules("experiments")}.items()
        for name in defined_names(path.read_text(encoding="utf-8")) & RETIRED_NAMES
    }
    assert not found
