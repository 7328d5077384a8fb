"""Imports point down only; heavy packages stay out of the parts that must not load them."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
LIBRARY = CHECKOUT / "MgImplantSegLib"

LAYERS = (
    ("errors", "machine", "slabs", "plain_text", "text_files"),
    ("choices", "leftovers", "protected_files"),
    ("option_kinds",),
    ("events", "files", "options", "resources", "settings", "toml_writer"),
    ("labels", "file_digests"),
    ("volume", "regions"),
    ("io", "percentiles", "resample", "diagonal_plane", "networks"),
    ("planes",),
    ("preprocess",),
    ("model_card",),
    ("model_file",),
    ("inference", "quantification", "evaluation", "simulation"),
    ("training",),
    ("jobs", "scene"),
    ("cli",),
    ("__main__",),
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
INSIDE_A_LAYER = {("regions", "volume"), ("evaluation", "quantification")}

LIBRARY_FILES = sorted(path for path in LIBRARY.rglob("*.py"))
MODULE_FILES = sorted((CHECKOUT / "MgImplantSeg").rglob("*.py"))


def part_of(path: Path) -> str:
    """The part of the library that a file belongs to: the folder or file name just below MgImplantSegLib."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def imports_of(path: Path, at_file_scope_only: bool = False) -> Iterator[str]:
    """Full names of what a file imports, inside functions too; `if TYPE_CHECKING:` blocks do not count."""
    yield from _imports(ast.parse(path.read_text("utf-8")), path, at_file_scope_only)


def _imports(node: ast.AST, path: Path, at_file_scope_only: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = _absolute_module(child, path)
            yield base
            yield from (f"{base}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        elif not (at_file_scope_only and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))):
            yield from _imports(child, path, at_file_scope_only)


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


def test_every_part_of_the_library_has_a_layer():
    assert {part_of(path) for path in LIBRARY_FILES} - {"__init__"} <= set(RANK)


@pytest.mark.parametrize("path", LIBRARY_FILES, ids=name_of)
def test_a_file_imports_only_from_layers_below_its_own(path):
    part = part_of(path)
    if part == "__init__":
        assert library_parts_imported_by(path) == set()
        return
    upward = {
        other
        for other in library_parts_imported_by(path) - {part}
        if RANK[other] > RANK[part] or (RANK[other] == RANK[part] and (part, other) not in INSIDE_A_LAYER)
    }
    assert upward == set()


@pytest.mark.parametrize(
    "path", [p for p in LIBRARY_FILES if part_of(p) in ("quantification", "jobs", "scene")], ids=name_of
)
def test_quantification_jobs_and_scene_never_import_torch(path):
    assert not packages_imported_by(path) & {"torch", "torchvision"}
    assert not library_parts_imported_by(path) & {"inference"}


@pytest.mark.parametrize("path", LIBRARY_FILES, ids=name_of)
def test_the_library_never_imports_qt_or_ctk(path):
    assert not packages_imported_by(path) & {"qt", "ctk", "PySide6", "PyQt5", "PyQt6", "PythonQt"}


@pytest.mark.parametrize("path", [p for p in LIBRARY_FILES if part_of(p) not in ("scene", "cli")], ids=name_of)
def test_only_the_scene_and_the_command_line_touch_slicer(path):
    assert "slicer" not in packages_imported_by(path)


@pytest.mark.parametrize("path", LIBRARY_FILES, ids=name_of)
def test_optional_packages_are_imported_where_they_are_needed_not_at_the_top_of_a_file(path):
    at_top = {name.split(".")[0] for name in imports_of(path, at_file_scope_only=True)}
    assert not at_top & {"matplotlib", "h5py", "tifffile", "slicer"}


@pytest.mark.parametrize("path", MODULE_FILES, ids=name_of)
def test_the_module_never_imports_torch(path):
    assert not packages_imported_by(path) & {"torch", "torchvision"}


def modules_loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import MgImplantSegLib",
        "import MgImplantSegLib.volume, MgImplantSegLib.labels, MgImplantSegLib.events, MgImplantSegLib.regions",
        "import MgImplantSegLib.cli.application, MgImplantSegLib.cli.registry as r; [r.command(n) for n in r.COMMANDS]",
    ],
)
def test_a_fresh_interpreter_loads_no_heavy_package_for(statement):
    assert not modules_loaded_after(statement) & {"torch", "vtk", "vtkmodules", "slicer", "matplotlib"}
