"""Cracks of a segmentation that is in the scene: of the whole scan, or of the slices around one for a preview."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import Cancelled, InputError
from MgImplantSegLib.base.options import words
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.segmentation_reading import reading_of_node
from MgImplantSegLib.scene.segmentations import add_segmentation_node, fill_segmentation_node
from MgImplantSegLib.scene.volumes import volume_of_node
from MgImplantSegSections.engine.engineRun import runEngine, sceneOf, whileWanted
from MgImplantSegSections.engine.exchange import (
    readLabels,
    rolesWord,
    taskFolder,
    valuesOf,
    writeImage,
)
from MgImplantSegSections.work import disagreement
from MgImplantSegSections.work.measureWork import rolesOf
from MgImplantSegSections.work.scanFolders import placeWith
from MgImplantSegSections.work.segmentWork import showOnly

if TYPE_CHECKING:
    from MgImplantSegLib.cracks.options import OpeningOptions
    from MgImplantSegSections.engine.engineRun import CancelToken, EnginePython

PREVIEW_ROWS = 20  # so many slices on both sides take part in a preview
SOURCE_REFERENCE, PREVIEW_REFERENCE = "MgImplantSeg.cracksOf", "MgImplantSeg.crackPreviewOf"


def cracksSteps(
    volumeNode: Any,
    segmentationNode: Any,
    options: OpeningOptions,
    row: int | None,
    python: EnginePython,
    temporaryFolder: str | Path,
    token: CancelToken,
):
    """Generator of events; returns a segmentation node with the cracks as a segment, beside the given one.

    :param row: index along the array's first axis of a slice for a preview; None for the whole scan.
    :raises InputError: if the segmentation does not lie on the voxels of the volume.
    """
    scene = sceneOf(volumeNode)
    scan = volume_of_node(volumeNode)
    reading = reading_of_node(segmentationNode, rolesOf(segmentationNode), volumeNode, with_openings=True)
    if reading.geometry.shape_zyx != scan.geometry.shape_zyx:
        raise InputError(_("Expected a segmentation with the voxels of the volume."), _("Segment the volume first."))
    rows = slice(None) if row is None else slice(max(0, row - PREVIEW_ROWS), row + PREVIEW_ROWS + 1)
    array = scan.array[rows]
    geometry = scan.geometry.cropped((rows.start or 0, 0, 0), array.shape)
    values = valuesOf(reading.scheme)
    with taskFolder(temporaryFolder) as folder:
        yield from writeImage(array, geometry, folder / "image.mha", token)
        yield from writeImage(reading.array[rows], geometry, folder / "labels.mha", token, values)
        files = [folder / "image.mha", folder / "labels.mha", folder / "result.mha"]
        arguments = ["cracks", *files, "--roles", rolesWord(reading.scheme), *words(options)]
        if all(abs(spacing - 1) < 1e-6 for spacing in geometry.spacing_zyx_mm):
            arguments += ["--spacing-um", "1000"]
        engine = runEngine(python, arguments, folder / "log.txt", token, names={files[0]: volumeNode.GetName()})
        yield from whileWanted(engine, lambda: scene.IsNodePresent(volumeNode), token)
        labelMap, present = yield from readLabels(files[2], geometry, token)
    if not scene.IsNodePresent(volumeNode):
        raise Cancelled
    reference = SOURCE_REFERENCE if row is None else PREVIEW_REFERENCE
    return _put(volumeNode, segmentationNode, reference, replace(labelMap, geometry=geometry), present)


def sourceOf(segmentationNode: Any):
    """The segmentation whose cracks a node shows; the node itself if it is no result of this work."""
    for reference in (SOURCE_REFERENCE, PREVIEW_REFERENCE):
        source = segmentationNode.GetNodeReference(reference) if segmentationNode is not None else None
        if source is not None:
            return source
    return segmentationNode


def _put(volumeNode, segmentationNode, reference, labelMap, present):
    """The result in its node: the one of last time, or a new one."""
    scene = volumeNode.GetScene()
    node = _lastResult(scene, segmentationNode, reference)
    provenance = provenance_of_node(segmentationNode)
    if node is None:
        text = _("{name} with cracks") if reference == SOURCE_REFERENCE else _("{name} crack preview")
        name = text.format(name=segmentationNode.GetName())
        node = add_segmentation_node(scene, labelMap, name, volumeNode, provenance=provenance, present=present)
        node.SetNodeReferenceID(reference, segmentationNode.GetID())
        placeWith(node, volumeNode)
    else:
        fill_segmentation_node(node, labelMap, volumeNode, provenance=provenance, present=present)
    if reference == SOURCE_REFERENCE:
        disagreement.share(segmentationNode, node)
    showOnly(node, volumeNode)
    return node


def _lastResult(scene, segmentationNode, reference):
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        node = scene.GetNthNodeByClass(number, "vtkMRMLSegmentationNode")
        if node.GetNodeReference(reference) is segmentationNode:
            return node
    return None
