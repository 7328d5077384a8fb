"""Every file that belongs to the extension's package is found by CMake; pyproject names every folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
MODULE = CHECKOUT / "MgImplantSeg"
PACKAGED_RESOURCES = ("Configurations", "Models", "SampleData", "Terminologies")
IGNORED = {"__pycache__", ".ruff_cache"}


def files_below(folder: Path, pattern: str) -> list[str]:
    """Files below a folder as paths relative to it, in the order in which they are listed."""
    found = (path for path in folder.rglob(pattern) if path.is_file() and not IGNORED & set(path.parts))
    return sorted(path.relative_to(folder).as_posix() for path in found if path.name != "CMakeLists.txt")


def test_the_python_package_has_every_folder_of_the_engine():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
    packages = project["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(CHECKOUT) for path in (CHECKOUT / "MgImplantSegLib").rglob("__init__.py")}
    assert set(packages) == {".".join(folder.parts) for folder in folders} | {"MgImplantSegLib.Resources"}


def test_each_picture_of_the_extension_stands_on_one_line_and_is_a_raw_png():
    text = (CHECKOUT / "CMakeLists.txt").read_text("utf-8")
    urls = re.findall(r'(?m)^set\(EXTENSION_(?:ICONURL|SCREENSHOTURLS) "([^"\n]+)"\)$', text)
    assert len(urls) == 2
    assert all(
        re.fullmatch(r"https://raw\.githubusercontent\.com/\S+\.png", url) for line in urls for url in line.split()
    )


def test_the_entry_of_the_extensions_index_has_what_reviewers_ask_for():
    entry = json.loads((CHECKOUT / "Resources" / "MgImplantSeg.json").read_text("utf-8"))
    assert entry["category"] == "Segmentation"
    assert entry["build_dependencies"] == ["PyTorch"]
    assert {"scm_url", "scm_revision", "tier"} <= set(entry)
    assert "EXTENSION_CATEGORY" not in (CHECKOUT / "CMakeLists.txt").read_text("utf-8")


SLICER_CONFIG = """
set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/use.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/empty.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/empty.cmake)
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR lib/qt-scripted-modules)
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR lib/qt-scripted-modules)
"""
USE_FILE = """
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;WITH_SUBDIR" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  file(WRITE ${CMAKE_BINARY_DIR}/${MY_NAME}-scripts.txt "${MY_SCRIPTS}")
  file(WRITE ${CMAKE_BINARY_DIR}/${MY_NAME}-resources.txt "${MY_RESOURCES}")
endmacro()
macro(slicer_add_python_unittest)
endmacro()
"""


@pytest.mark.skipif(shutil.which("cmake") is None, reason="CMake is not installed")
def test_cmake_packs_every_file_and_installs_the_resources_beside_the_engine(tmp_path):
    """Slicer's own macros are stood in for; the files under test are the project's."""
    slicer = tmp_path / "slicer"
    slicer.mkdir()
    (slicer / "SlicerConfig.cmake").write_text(SLICER_CONFIG)
    (slicer / "use.cmake").write_text(USE_FILE)
    (slicer / "empty.cmake").write_text("")
    source = tmp_path / "source"
    shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(".git", ".venv*", "__pycache__", "*_demo", "runs"))
    top = source / "CMakeLists.txt"
    top.write_text(
        re.sub(r"VERSION 3\.28\.0\.\.\.3\.28\.0", "VERSION 3.16", top.read_text("utf-8")).replace(
            "project(MgImplantSeg)", "project(MgImplantSeg NONE)"
        )
    )
    build = tmp_path / "build"
    run = {"check": True, "capture_output": True, "text": True}
    subprocess.run(["cmake", "-S", source, "-B", build, f"-DSlicer_DIR={slicer}", "-DBUILD_TESTING=ON"], **run)
    subprocess.run(["cmake", "--install", build, "--prefix", tmp_path / "installed"], **run)
    assert packed(build / "MgImplantSegLib-scripts.txt") == files_below(CHECKOUT / "MgImplantSegLib", "*.py")
    assert packed(build / "MgImplantSeg-scripts.txt") == files_below(MODULE, "*.py")
    resources = [f"Resources/{name}" for name in files_below(MODULE / "Resources", "*")]
    assert packed(build / "MgImplantSeg-resources.txt") == resources
    installed = tmp_path / "installed" / "lib" / "qt-scripted-modules" / "MgImplantSegLib" / "Resources"
    of_engine = (
        f"{part}/{name}" for part in PACKAGED_RESOURCES for name in files_below(CHECKOUT / "Resources" / part, "*")
    )
    assert files_below(installed, "*") == sorted(of_engine)


def packed(path: Path) -> list[str]:
    return sorted(path.read_text("utf-8").split(";"))
