"""Every file that belongs to the extension's package is listed in CMake, and every listed file exists."""

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


def listed(cmake_file: Path, variable: str) -> list[str]:
    """The entries of ``set(VARIABLE ...)`` in a CMake file."""
    match = re.search(rf"(?m)^set\({variable}\b([^)]*)\)", cmake_file.read_text("utf-8"))
    assert match, f"{cmake_file} has no set({variable} ...)"
    return [word.replace("${MODULE_NAME}", cmake_file.parent.name) for word in match.group(1).split()]


def files_below(folder: Path, pattern: str) -> list[str]:
    """Files below a folder as paths relative to it, in the order in which they are listed."""
    found = (path for path in folder.rglob(pattern) if path.is_file() and not IGNORED & set(path.parts))
    return sorted(path.relative_to(folder).as_posix() for path in found if path.name != "CMakeLists.txt")


def as_list(files: list[str]) -> str:
    return "the list has to be:\n" + "\n".join(f"  {name}" for name in files)


def test_the_engine_is_listed_file_by_file():
    files = files_below(CHECKOUT / "MgImplantSegLib", "*.py")
    assert listed(CHECKOUT / "MgImplantSegLib" / "CMakeLists.txt", "MODULE_PYTHON_SCRIPTS") == files, as_list(files)


def test_the_resources_of_the_engine_are_listed_file_by_file():
    resources = CHECKOUT / "Resources"
    files = sorted(f"{part}/{name}" for part in PACKAGED_RESOURCES for name in files_below(resources / part, "*"))
    assert listed(resources / "CMakeLists.txt", "RESOURCES") == files, as_list(files)


@pytest.mark.skipif(not any(MODULE.glob("*.py")), reason="the Slicer module is not in this checkout")
@pytest.mark.parametrize(("variable", "pattern"), [("MODULE_PYTHON_SCRIPTS", "*.py"), ("MODULE_PYTHON_RESOURCES", "*")])
def test_the_module_is_listed_file_by_file(variable, pattern):
    files = files_below(MODULE, pattern)
    if variable == "MODULE_PYTHON_RESOURCES":
        files = [name for name in files if name.startswith("Resources/")]
    assert listed(MODULE / "CMakeLists.txt", variable) == files, as_list(files)


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
  foreach(file ${MY_SCRIPTS} ${MY_RESOURCES})
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      message(FATAL_ERROR "missing ${file}")
    endif()
  endforeach()
endmacro()
macro(slicer_add_python_unittest)
endmacro()
"""


@pytest.mark.skipif(shutil.which("cmake") is None, reason="CMake is not installed")
def test_cmake_configures_the_extension_and_installs_the_resources_beside_the_engine(tmp_path):
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
    installed = tmp_path / "installed" / "lib" / "qt-scripted-modules" / "MgImplantSegLib" / "Resources"
    assert files_below(installed, "*") == listed(CHECKOUT / "Resources" / "CMakeLists.txt", "RESOURCES")
