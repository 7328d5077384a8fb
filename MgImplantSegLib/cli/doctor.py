"""``doctor``: what is installed, which devices there are, how much memory; and what to do about what is missing."""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import platform
import shutil
import sys
from ctypes.util import find_library
from pathlib import Path
from typing import Any

import numpy as np

import MgImplantSegLib
from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.machine import available_memory_bytes, core_count, package_version, total_memory_bytes
from MgImplantSegLib.base.resources import DEFAULT_MODEL, bundled_models, find_model
from MgImplantSegLib.cli.console import duration_text
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.inference.estimate import estimate, reading_bytes
from MgImplantSegLib.inference.grids import MODEL
from MgImplantSegLib.inference.openvino_predictor import (
    INSTALL,
    LEAST_VERSION,
    computes_with_bf16,
    openvino_problem,
)
from MgImplantSegLib.model.file import read_card
from MgImplantSegLib.preprocessing.prepare_plan import SECONDS_PER_VOXEL, memory_of_type, voxels_text

NAME = "doctor"
RAW_SCAN_ZYX, RAW_SCAN_UM, RESULT_UM = (2130, 2510, 2510), 2.4, 5.0
HELP = "installed packages, devices and memory, what a raw scan takes, and what to do about what is missing"

ENGINE, SCENE, FIGURES = "the engine", "the scene and 3D views", "figures"
PACKAGES = {
    "numpy": ENGINE,
    "scipy": ENGINE,
    "SimpleITK": ENGINE,
    "pynrrd": ENGINE,
    "tifffile": ENGINE,
    "h5py": ENGINE,
    "vtk": SCENE,
    "slicer-core": SCENE,
    "matplotlib": FIGURES,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(_arguments: argparse.Namespace, _events: Events) -> dict[str, Any]:
    """Look at this computer and this Python; every check is a name, whether it is well, what is there, a remedy."""
    checks = [_check_python(), _check_memory(), _check_disk(), *(_check_package(name) for name in PACKAGES)]
    checks += [_check_torch(), _check_openvino(), _check_devices(), _check_drawing(), _check_model()]
    checks += [_check_large_scans()]
    return {
        "ok": all(check["ok"] for check in checks),
        "version": MgImplantSegLib.__version__,
        "place": str(Path(MgImplantSegLib.__file__).parent),
        "checks": checks,
    }


def report(result: dict[str, Any]) -> str:
    """One line a check."""
    lines = [f"MgImplantSeg {result['version']} in {result['place']}"]
    width = max(len(check["name"]) for check in result["checks"]) + 2
    for check in result["checks"]:
        lines.append(f"  {'✓' if check['ok'] else '✗'} {check['name']:<{width}}{check['found']}")
        if not check["ok"]:
            lines.append(f"    {'':<{width}}{check['remedy']}")
    return "\n".join(lines)


def _check(name: str, ok: bool, found: str, remedy: str = "") -> dict[str, Any]:
    return {"name": name, "ok": ok, "found": found, "remedy": "" if ok else remedy}


def _check_python() -> dict[str, Any]:
    ok = sys.version_info[:2] in ((3, 11), (3, 12))
    found = f"{platform.python_version()}, {platform.platform()}, {sys.executable}"
    return _check("Python", ok, found, "Use Python 3.11 or 3.12; other versions are not tested.")


def _check_memory() -> dict[str, Any]:
    total, available = total_memory_bytes(), available_memory_bytes()
    found = f"{core_count()} cores, {_gigabytes(total)} memory, {_gigabytes(available)} free now"
    return _check("computer", total is None or total >= 4e9, found, "4 GB of memory or more are expected.")


def _check_disk() -> dict[str, Any]:
    free = shutil.disk_usage(Path.cwd()).free
    return _check("disk", free > 1e9, f"{_gigabytes(free)} free in {Path.cwd()}", "Free disk space.")


def _gigabytes(number: int | None) -> str:
    return "unknown" if number is None else f"{number / 1e9:.1f} GB"


def _check_package(name: str) -> dict[str, Any]:
    found = package_version(name) or f"missing; needed for {PACKAGES[name]}"
    return _check(name, package_version(name) is not None, found, f"Install it with: pip install {name}")


def _check_torch() -> dict[str, Any]:
    """Torch has to be there, unless OpenVINO is: then it is needed for training only."""
    if version := package_version("torch"):
        return _check("torch", True, version)
    if openvino_problem():
        found = "missing; needed to segment without OpenVINO, and for training"
        return _check("torch", False, found, "Install it with: pip install torch (or, to segment: openvino)")
    return _check("torch", True, "missing; OpenVINO can segment, training needs torch")


def _check_openvino() -> dict[str, Any]:
    """OpenVINO may be missing, but not be there without working."""
    problem = openvino_problem()
    if not problem:
        bf16 = "bf16" if computes_with_bf16() else "no bf16"
        return _check("openvino", True, f"{importlib.metadata.version('openvino')} ({bf16} on this CPU)")
    if package_version("openvino") is None:
        return _check("openvino", True, f"missing; segments about twice as fast on a CPU: {INSTALL}")
    least = ".".join(map(str, LEAST_VERSION))
    return _check("openvino", False, problem, f"Expected {least} or newer; install it again: {INSTALL}")


def _check_devices() -> dict[str, Any]:
    try:
        import torch
    except (ImportError, OSError) as error:
        if package_version("torch") is None and not openvino_problem():
            return _check("devices", True, "cpu (OpenVINO)")
        return _check("devices", False, f"torch cannot be loaded ({error})", "Install torch again: pip install torch")
    names = [_gpu_text(torch, index) for index in range(torch.cuda.device_count())]
    return _check("devices", True, ", ".join(["cpu", *names]) + ("" if names else " (no GPU that torch can use)"))


def _gpu_text(torch: Any, index: int) -> str:
    properties = torch.cuda.get_device_properties(index)
    return f"cuda:{index} {properties.name} {_gigabytes(properties.total_memory)}"


def _check_drawing() -> dict[str, Any]:
    found = find_library("EGL") if sys.platform == "linux" else platform.system()
    remedy = "On Debian and Ubuntu: apt-get install libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri"
    return _check("3D views", bool(found), f"drawn off-screen with {found}" if found else "no libEGL", remedy)


def _check_large_scans() -> dict[str, Any]:
    """What a raw scan of a synchrotron takes, by the same estimates as before the work."""
    scan = Geometry(RAW_SCAN_ZYX, (RAW_SCAN_UM / 1000,) * 3)
    voxels = math.prod(RAW_SCAN_ZYX)
    prepared = memory_of_type(scan, np.dtype(np.float32), RESULT_UM)
    found = (
        f"{voxels_text(RAW_SCAN_ZYX)} float32 ({4e-9 * voxels:.0f} GB): prepare to {RESULT_UM:g} µm takes "
        f"{_gigabytes(prepared)} memory and, besides reading, about {duration_text(SECONDS_PER_VOXEL * voxels)}"
    )
    needed = prepared
    try:
        segmented = estimate(scan, read_card(find_model()), on_grid=MODEL).memory_bytes + reading_bytes(scan)
        found += f"; segment --grid model takes {_gigabytes(segmented)} memory"
        needed = max(needed, segmented)
    except MgImplantSegError:
        pass  # reported by the check of the bundled model
    total = total_memory_bytes()
    return _check(
        "large scans", total is None or total >= needed, found, "Prepare them on a computer with more memory."
    )


def _check_model() -> dict[str, Any]:
    try:
        find_model()
    except MgImplantSegError as error:
        return _check("bundled model", False, f"no {DEFAULT_MODEL}", error.remedy)
    return _check("bundled model", True, ", ".join(bundled_models()))
