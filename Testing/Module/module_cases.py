"""Things that several tests of the module need: volumes and segmentations in the scene."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import slicer

from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.volumes import add_volume_node

ENGINE_WITHOUT = """
import runpy, sys
for name in {packages!r}:
    sys.modules[name] = None
sys.argv[0] = "MgImplantSegLib"
runpy.run_module("MgImplantSegLib", run_name="__main__", alter_sys=True)
"""
TURNED = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, -1.0)  # left-handed


def geometry(shape_zyx, spacing_mm=0.02):
    """An oblique, left-handed grid."""
    return Geometry(shape_zyx, (spacing_mm,) * 3, (1.0, -2.0, 3.0), TURNED)


def add_volume(scene, shape_zyx=(12, 14, 16), dtype=np.uint16, spacing_mm=0.02, name="Scan"):
    """A volume node of random grey values."""
    grey = np.random.default_rng(1).integers(0, 255, shape_zyx).astype(dtype)
    return add_volume_node(scene, Volume(grey, geometry(shape_zyx, spacing_mm)), name)


def ball_in_half_bone(size=40, radius=9):
    """Labels: residual material inside, degradation layer around it, bone in the half with the higher z."""
    z, y, x = np.ogrid[:size, :size, :size]
    squared = sum((axis - (size - 1) / 2) ** 2 for axis in (z, y, x))
    array = np.zeros((size,) * 3, np.uint8)
    array[size // 2 :] = 1
    array[squared <= (radius + 3) ** 2] = 2
    array[squared <= radius**2] = 3
    return LabelMap(array, geometry(array.shape))


def add_segmentation(scene, name="Explant", **options):
    """A segmentation node of `ball_in_half_bone`."""
    return add_segmentation_node(scene, ball_in_half_bone(**options), name)


def left_behind():
    """Folders of tasks that were not removed."""
    return list(Path(slicer.app.temporaryPath).glob("MgImplantSeg-*"))


def segmentations():
    """All segmentation nodes of the scene."""
    return slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


def rename_segment(segmentation, old_id, new_id, name):
    """Replace a segment by its copy with another ID and name that say nothing of what it is."""
    copy = slicer.vtkSegment()
    copy.DeepCopy(segmentation.GetSegment(old_id))
    copy.SetName(name)
    copy.SetTag("TerminologyEntry", "")
    segmentation.RemoveSegment(old_id)
    segmentation.AddSegment(copy, new_id)


def engine_without(*packages):
    """A Python for the engine in which some packages cannot be imported."""
    from MgImplantSegSections.engine import pythons
    from MgImplantSegSections.engine.engineRun import EnginePython

    own = pythons.python()
    words = (sys.executable, "-c", ENGINE_WITHOUT.format(packages=packages))
    return EnginePython(words, own.environment, own.folder)
