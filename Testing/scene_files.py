"""Scene bundles (.mrb): everything in the scene in one file that Slicer opens."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.base.files import atomic_output

SUFFIX = ".mrb"


def save_scene(scene: Any, path: str | Path) -> Path:
    """Write the scene with all its data as .mrb.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise OutputError(f"Expected a scene file *{SUFFIX}, got {path.name}.", f"Give it the suffix {SUFFIX}.")
    with atomic_output(path) as temporary, tempfile.TemporaryDirectory(prefix="MgImplantSeg-scene-") as folder:
        bundle = Path(folder) / path.name  # Slicer names the scene in the bundle after the file
        if not scene.WriteToMRB(str(bundle)):
            raise OutputError(f"Expected to write the scene to {path}, Slicer could not.", "Check the disk space.")
        shutil.copyfile(bundle, temporary)
    return path


def add_scene(scene: Any, path: str | Path) -> None:
    """Read the nodes of a .mrb file into the scene, beside what is there.

    Raises
    ------
    InputError
        If it is no scene bundle, or is damaged.
    """
    path = Path(path)
    if not zipfile.is_zipfile(path):
        raise InputError(f"Expected a scene bundle {SUFFIX}, got {path}.", "Save the scene in Slicer as .mrb.")
    if not scene.ReadFromMRB(str(path), False):
        raise InputError(f"Expected a scene bundle that can be read, got {path}.", "Save the scene again.")
