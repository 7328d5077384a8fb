"""The module's self test inside Slicer: needs no network, no torch and no main window."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import slicer

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.quantification import quantify
from MgImplantSegLib.quantification.context import QuantifyOptions
from MgImplantSegLib.scene.markups import box_of_roi_node
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.segmentation_reading import label_map_of_node
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegSections.work import display3D, models
from MgImplantSegSections.work.measuresReport import addTable

SIZE, RADIUS_VOXELS, SPACING_MM = 48, 12, 0.01


def ballInBone():
    """A ball of residual material in a half space of bone, on a fine grid."""
    z, y, x = np.ogrid[:SIZE, :SIZE, :SIZE]
    centre = (SIZE - 1) / 2
    array = np.zeros((SIZE,) * 3, np.uint8)
    array[SIZE // 2 :] = 1
    array[(z - centre) ** 2 + (y - centre) ** 2 + (x - centre) ** 2 <= RADIUS_VOXELS**2] = 3
    return LabelMap(array, Geometry(array.shape, (SPACING_MM,) * 3))


def runSelfTest(test: Any, logic: Any):
    """Walk through what works without torch and hold the results against known ones.

    :param test: the `unittest.TestCase`.
    """
    labelMap = ballInBone()
    node = add_segmentation_node(slicer.mrmlScene, labelMap, "Self test", provenance={"model": "none"})
    test.assertEqual(node.GetSegmentation().GetNumberOfSegments(), 2)
    test.assertEqual(provenance_of_node(node)["model"], "none")
    test.assertTrue(np.array_equal(label_map_of_node(node).array, labelMap.array))

    polygons = logic.showIn3D(node)
    test.assertTrue(all(count > 0 for count in polygons.values()))
    test.assertIsNotNone(display3D.showColored(node, "contact"))
    display3D.showColored(node, "plain")

    roi = logic.addRoiAroundImplant(node, 0.05)
    test.assertAlmostEqual(min(box_of_roi_node(roi).size_mm), 2 * RADIUS_VOXELS * SPACING_MM + 0.1, delta=0.02)

    options = QuantifyOptions(distance_mm=0.05, profile_step_mm=0.025, rois=(box_of_roi_node(roi),))
    report = quantify(labelMap, options, Events())
    volume = 4 / 3 * math.pi * (RADIUS_VOXELS * SPACING_MM) ** 3
    test.assertAlmostEqual(report.value("V_r") / volume, 1, delta=0.02)
    test.assertAlmostEqual(report.value("BV/TV"), 50, delta=3)
    table = addTable(slicer.mrmlScene, report, "Self test measures", node)
    test.assertEqual(table.GetNumberOfRows(), len(report.measures))
    test.assertIsNotNone(logic.plotBoneVolumeProfile(table))
    test.assertIsInstance(models.installed(), dict)
    test.delayDisplay("Self test passed")
