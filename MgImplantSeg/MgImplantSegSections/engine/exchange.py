"""Volumes and label maps between the scene and a child process: MetaImage files (.mha), written and read slab by slab.

The engine reads and writes them with what Slicer's own Python has. Each function is a generator that yields progress
events, so two gigabytes do not stop the GUI.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.labels import CLASSES, DEFAULT_SCHEME, OPENINGS
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.io.label_values import values_in
from MgImplantSegLib.io.metaimage_file import MetaImageHeader
from MgImplantSegLib.io.metaimage_writer import metaimage_steps

if TYPE_CHECKING:
    from MgImplantSegLib.grids.labels import LabelScheme
    from MgImplantSegLib.grids.volume import Geometry
    from MgImplantSegLib.scene.segmentation_reading import SegmentationReading
    from MgImplantSegSections.engine.engineRun import CancelToken

SLAB_VOXELS = 1 << 25
VALUE_OF_ROLE = {label.role: label.value for label in CLASSES}
VALUE_OF_OPENING = {label.word: label.value for label in OPENINGS}
IGNORED_VALUE = 255
ROLES_WORD = ",".join([*(f"{value}={role.value}" for role, value in VALUE_OF_ROLE.items()), f"{IGNORED_VALUE}=ignore"])


def valuesOf(scheme: LabelScheme):
    """The value that is written in place of each value of a scheme."""
    values = {
        label.value: VALUE_OF_OPENING[label.word] if label.is_opening else VALUE_OF_ROLE[label.role]
        for label in scheme.labels
    }
    return values | ({} if scheme.ignore_value is None else {scheme.ignore_value: IGNORED_VALUE})


def rolesWord(scheme: LabelScheme):
    """What the values of `valuesOf` mean: `ROLES_WORD`, and the openings that the scheme has."""
    openings = dict.fromkeys(label.word for label in scheme.labels if label.is_opening)
    return ",".join([ROLES_WORD, *(f"{VALUE_OF_OPENING[word]}={word}" for word in openings)])


@contextlib.contextmanager
def taskFolder(parentFolder: str | Path):
    """A folder for the files of one task, removed at the end whatever happens."""
    folder = tempfile.mkdtemp(prefix="MgImplantSeg-", dir=parentFolder)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Renumbered:
    """An array of labels with other values, of which only the rows asked for are made."""

    dtype = np.dtype(np.uint8)

    def __init__(self, array: Any, values: Any):
        self._array, self._values, self.shape = array, values, array.shape

    def __getitem__(self, rows: Any):
        slab = self._array[rows]
        result = np.zeros(slab.shape, self.dtype)
        for old, new in self._values.items():
            if new:
                result[slab == old] = new
        return result


def writeImage(array: Any, geometry: Geometry, path: Path, token: CancelToken, values: Any = None):
    """Write an array (z, y, x) of any numeric type with its geometry (LPS, mm) as .mha; yields progress events.

    :param array: an array, or anything with a shape and a dtype that gives rows along its first axis by a slice.
    :param values: what is written in place of each value of a label map.
    """
    array = _Renumbered(array, values) if values else array
    for done, total in metaimage_steps(path, array, geometry):
        yield {"event": "progress", "stage": _("transferring the voxels"), "done": done, "total": total}
        token.check()


def writeLabels(labelMap: LabelMap | SegmentationReading, path: Path, token: CancelToken):
    """Write a label map as .mha with the values of `rolesWord`, which says what they mean; yields progress events.

    :param labelMap: a `LabelMap`, or a `SegmentationReading`, of which only a slab is in memory at a time.
    """
    yield from writeImage(labelMap.array, labelMap.geometry, path, token, valuesOf(labelMap.scheme))


def readLabels(path: Path, geometry: Geometry, token: CancelToken, provenance: dict[str, Any] | None = None):
    """The label map that the engine has written on the grid `geometry`, with the values in it; yields progress."""
    header = MetaImageHeader.read(path)
    present: set[int] = set()
    (voxels,) = header.voxels()
    if voxels.shape != geometry.shape_zyx:
        raise InputError(
            _("Expected a result of {size} voxels, got {sizes}.").format(
                size=geometry.shape_zyx[::-1], sizes=voxels.shape[::-1]
            )
        )
    array = np.empty(voxels.shape, voxels.dtype)
    for part in voxels.fill(array, SLAB_VOXELS):
        present.update(values_in(array[part]))
        yield {
            "event": "progress",
            "stage": _("reading the result"),
            "done": part.stop,
            "total": voxels.shape[0],
        }
        token.check()
    return LabelMap(array, geometry, header.scheme or DEFAULT_SCHEME, provenance or {}), present
