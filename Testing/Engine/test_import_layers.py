"""Imports point down only; heavy packages stay out of the parts that must not load them."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
LIBRARY = CHECKOUT / "MgImplantSegLib"

LAYERS = (
    ("base",),
    ("grids",),
    ("io", "networks", "planes"),
    ("preprocessing",),
    ("model",),
    ("inference", "quantification", "evaluation", "simulation"),
    ("training", "study", "cracks"),
    ("jobs", "scene"),
    ("cli",),
    ("__main__",),
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
INSIDE_A_LAYER = {("evaluation", "quantification")}
LIBRARY_FILES = sorted(path for path in LIBRARY.rglob("*.py"))
MODULE_FILES = sorted((CHECKOUT / "MgImplantSeg").rglob("*.py"))


def part_of(path: Path) -> str:
    """The part of the library that a file belongs to: the folder or file name just below MgImplantSegLib."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


@cache
def tree_of(path: Path) -> ast.Module:
    """What is written in a file; parsed once."""
    return ast.parse(path.read_text("utf-8"))


def imports_of(path: Path, at_file_scope_only: bool = False) -> Iterator[str]:
    """Full names of what a file imports, inside functions too; `if TYPE_CHECKING:` blocks do not count."""
    yield from _imports(tree_of(path), path, at_file_scope_only)


def _imports(node: ast.AST, path: Path, at_file_scope_only: bool, type_checking: bool = False) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = _absolute_module(child, path)
            yield base
            yield from (f"{base}.{alias.name}" for alias in child.names)
        elif not type_checking and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        elif not (at_file_scope_only and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))):
            yield from _imports(child, path, at_file_scope_only, type_checking)


def _absolute_module(node: ast.ImportFrom, path: Path) -> str:
    if node.level == 0:
        return node.module or ""
    package = path.relative_to(CHECKOUT).parent.parts
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


def library_parts_imported_by(path: Path) -> set[str]:
    """The parts of the library that a file imports."""
    names = (name.split(".") for name in imports_of(path))
    return {name[1] for name in names if name[0] == "MgImplantSegLib" and len(name) > 1 and name[1] in RANK}


def packages_imported_by(path: Path) -> set[str]:
    """The top-level packages that a file imports."""
    return {name.split(".")[0] for name in imports_of(path)}


def name_of(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def offenders(paths: Iterable[Path], forbidden: Callable[[Path], Iterable[str]]) -> dict[str, list[str]]:
    """Files with what they import and must not."""
    found = {name_of(path): sorted(forbidden(path)) for path in paths}
    return {name: imports for name, imports in found.items() if imports}


def test_every_part_of_the_library_has_a_layer():
    assert {part_of(path) for path in LIBRARY_FILES} - {"__init__"} <= set(RANK)


def test_a_file_imports_only_from_layers_below_its_own():
    def upward(path: Path) -> set[str]:
        part, others = part_of(path), library_parts_imported_by(path)
        if part == "__init__":
            return others
        return {
            other
            for other in others - {part}
            if RANK[other] > RANK[part] or (RANK[other] == RANK[part] and (part, other) not in INSIDE_A_LAYER)
        }

    assert offenders(LIBRARY_FILES, upward) == {}


def test_quantification_jobs_and_scene_never_import_torch():
    files = [path for path in LIBRARY_FILES if part_of(path) in ("quantification", "jobs", "scene")]
    assert offenders(files, lambda path: packages_imported_by(path) & {"torch", "torchvision"}) == {}
    assert offenders(files, lambda path: library_parts_imported_by(path) & {"inference"}) == {}


def test_the_library_never_imports_qt_or_ctk():
    toolkits = {"qt", "ctk", "PySide6", "PyQt5", "PyQt6", "PythonQt"}
    assert offenders(LIBRARY_FILES, lambda path: packages_imported_by(path) & toolkits) == {}


def test_only_the_scene_and_the_command_line_touch_slicer():
    files = [path for path in LIBRARY_FILES if part_of(path) not in ("scene", "cli")]
    assert offenders(files, lambda path: packages_imported_by(path) & {"slicer"}) == {}


def test_optional_packages_are_imported_where_they_are_needed_not_at_the_top_of_a_file():
    def at_top(path: Path) -> set[str]:
        names = {name.split(".")[0] for name in imports_of(path, at_file_scope_only=True)}
        return names & {"matplotlib", "h5py", "tifffile", "slicer"}

    assert offenders(LIBRARY_FILES, at_top) == {}


def test_the_module_never_imports_torch():
    assert offenders(MODULE_FILES, lambda path: packages_imported_by(path) & {"torch", "torchvision"}) == {}


def files_imported_by_file() -> dict[str, set[str]]:
    """For every file of the library the files that it imports at any place, those for type checkers too.

    A package's ``__init__`` that only passes on what its files have does not count as one of the files it passes on.
    """
    files = {".".join(path.relative_to(CHECKOUT).with_suffix("").parts): path for path in LIBRARY_FILES}
    names = {module.removesuffix(".__init__"): name_of(path) for module, path in files.items()}
    return {
        name_of(path): {
            names[module]
            for module in _imports(tree_of(path), path, False, type_checking=True)
            if module in names and path.name != "__init__.py" and not names[module].endswith("__init__.py")
        }
        for path in LIBRARY_FILES
    }


def circles_of(imported: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of files that all import each other, directly or by others."""
    reached: dict[str, set[str]] = {}
    for start in imported:
        reached[start], waiting = set(), list(imported[start])
        while waiting:
            name = waiting.pop()
            if name not in reached[start]:
                reached[start].add(name)
                waiting += imported.get(name, ())
    groups = {
        tuple(sorted(name for name in imported if name in reached[start] and start in reached[name]))
        for start in imported
    }
    return sorted(list(group) for group in groups if group)


def test_circles_are_found():
    assert circles_of({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"e"}}) == [["a", "b", "c"], ["e"]]


def test_no_files_import_each_other_in_a_circle():
    assert circles_of(files_imported_by_file()) == []


def modules_loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import MgImplantSegLib",
        "import MgImplantSegLib.grids.volume, MgImplantSegLib.grids.regions, MgImplantSegLib.base.events",
        "import MgImplantSegLib.cli.application, MgImplantSegLib.cli.registry as r; [r.command(n) for n in r.COMMANDS]",
    ],
)
def test_a_fresh_interpreter_loads_no_heavy_package_for(statement):
    assert not modules_loaded_after(statement) & {"torch", "vtk", "vtkmodules", "slicer", "matplotlib"}


def test_the_module_s_sections_stand_on_its_work_and_that_on_the_engine_s_doors():
    sections = CHECKOUT / "MgImplantSeg" / "MgImplantSegSections"

    def upward(above: tuple[str, ...]) -> Callable[[Path], Iterable[str]]:
        return lambda path: {
            name
            for name in imports_of(path)
            if name.startswith(tuple(f"MgImplantSegSections.{part}" for part in above))
        }

    assert offenders((sections / "work").glob("*.py"), upward(("sections",))) == {}
    assert offenders((sections / "engine").glob("*.py"), upward(("sections", "work"))) == {}


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ("volume", "grids.volume"),
        ("regions", "grids.regions"),
        ("labels", "grids.labels"),
        ("errors", "base.errors"),
        ("preprocess", "preprocessing.preprocess"),
        ("model_card", "model.card"),
        ("model_file", "model.file"),
    ],
)
def test_scripts_may_import_files_by_their_former_places(former, now):
    modules = [importlib.import_module(f"MgImplantSegLib.{name}") for name in (former, now)]
    names = [name for name in vars(modules[1]) if not name.startswith("__")]
    assert names and all(getattr(modules[0], name) is getattr(modules[1], name) for name in names)


def test_what_never_stood_anywhere_is_not_found():
    with pytest.raises(ModuleNotFoundError, match="volumes"):
        importlib.import_module("MgImplantSegLib.volumes")
