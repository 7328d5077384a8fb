"""From a volume node to a segmentation node: hand over, run the engine, fetch the result, put it into the scene."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

import MgImplantSegLib
from MgImplantSegLib.base.errors import Cancelled, InputError
from MgImplantSegLib.base.options import values_of, words
from MgImplantSegLib.grids.regions import write_roi_markups
from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.preprocessing.preprocess import SMALLEST_EDGE_VOXELS
from MgImplantSegLib.scene.markups import box_of_roi_node
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.segmentations import add_segmentation_node, fill_segmentation_node
from MgImplantSegLib.scene.volumes import geometry_of_node, volume_of_node
from MgImplantSegSections.engine.engineRun import runEngine, sceneOf, whileWanted
from MgImplantSegSections.engine.exchange import readLabels, taskFolder, writeImage
from MgImplantSegSections.work import disagreement
from MgImplantSegSections.work.display3D import putColored
from MgImplantSegSections.work.measureWork import ROLES_ATTRIBUTE
from MgImplantSegSections.work.scanFolders import gather, placeWith
from MgImplantSegSections.work.teachSlices import DONE_ATTRIBUTE

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode, vtkMRMLScene

    from MgImplantSegLib.grids.volume import Geometry
    from MgImplantSegSections.engine.engineRun import CancelToken

PREVIEW, SOFTWARE = "preview_of_slice", "software"
SECONDS_TO_STOP_ELSEWHERE = 60.0  # a host or cluster has to be asked, which takes its time to stop the job


@dataclass(frozen=True)
class SegmentRequest:
    """How to segment.

    :param options: the engine's `SegmentOptions`, the region apart.
    :param roiNode: only what lies in this ROI is segmented.
    :param rows: first and last index along the array's first axis, for a preview; None for all.
    :param outputNode: a segmentation that gets the result; None makes a new one.
    :param keepDisagreement: whether the disagreement of the planes is kept with the result, for ranges of measures.
    :param farEnvironment: name of a host or cluster that does the work; the files go there and come back.
    """

    options: SegmentOptions
    roiNode: Any = None
    rows: tuple | None = None
    outputNode: Any = None
    farEnvironment: str = ""
    keepDisagreement: bool = False
    name: str = ""
    provenance: dict = field(default_factory=dict)


def segmentSteps(
    volumeNode: vtkMRMLScalarVolumeNode, request: Any, python: Any, temporaryFolder: str | Path, token: CancelToken
):
    """Generator of events; returns the segmentation node, with provenance, beside the volume.

    :raises InputError: if the volume or the ROI cannot be used.
    :raises EngineError: if the engine fails.
    :raises Cancelled: if the user has asked to stop, or the volume has left the scene.
    """
    scene = sceneOf(volumeNode)
    array, geometry = _wantedRows(volumeNode, request.rows)
    with taskFolder(temporaryFolder) as folder:
        yield from writeImage(array, geometry, folder / "image.mha", token)
        arguments = _arguments(request, geometry, folder)
        politeSeconds = SECONDS_TO_STOP_ELSEWHERE if request.farEnvironment else None
        names = {folder / "image.mha": volumeNode.GetName()}
        engine = runEngine(python, arguments, folder / "log.txt", token, politeSeconds, names)
        result = yield from whileWanted(engine, lambda: scene.IsNodePresent(volumeNode), token)
        provenance = _provenance(volumeNode, request, result)
        labelMap, present = yield from readLabels(folder / "result.mha", geometry, token)
        path = folder / disagreement.FILE_NAME
        parts = (yield from disagreement.readSteps(path, token)) if path.is_file() else None
    if not scene.IsNodePresent(volumeNode):
        raise Cancelled
    labelMap = replace(labelMap, geometry=_placeNow(volumeNode, request.rows, geometry))
    node = request.outputNode
    if node is None or not scene.IsNodePresent(node):
        gather(volumeNode)
        name = request.name or _("{volume} segmentation").format(volume=volumeNode.GetName())
        node = add_segmentation_node(scene, labelMap, name, volumeNode, provenance=provenance, present=present)
    else:
        putColored(node, "plain", None)
        fill_segmentation_node(node, labelMap, volumeNode, provenance=provenance, present=present)
        node.RemoveAttribute(ROLES_ATTRIBUTE)
        node.RemoveAttribute(DONE_ATTRIBUTE)
        gather(volumeNode)
        placeWith(node, volumeNode)
    disagreement.keep(node, parts, labelMap.geometry)
    showOnly(node, volumeNode)
    return node


def showOnly(newNode: Any, volumeNode: vtkMRMLScalarVolumeNode):
    """Hide older results and previews of the same volume behind the newest; what people have made stays as it is."""
    scene, role = newNode.GetScene(), newNode.GetReferenceImageGeometryReferenceRole()
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        node = scene.GetNthNodeByClass(number, "vtkMRMLSegmentationNode")
        isResult = SOFTWARE in provenance_of_node(node) and node.GetNodeReference(role) is volumeNode
        if node.GetDisplayNode() is not None and (node is newNode or isResult):
            node.GetDisplayNode().SetVisibility(node is newNode)


def _placeNow(volumeNode: vtkMRMLScalarVolumeNode, rows: Any, geometry: Geometry):
    """The grid of the result where the volume is now: it may have been moved or got another voxel size meanwhile."""
    _array, now = _wantedRows(volumeNode, rows)
    if now.shape_zyx != geometry.shape_zyx:
        raise InputError(
            _("Expected the volume to keep its {before} voxels, got {now}.").format(
                before=geometry.shape_zyx[::-1], now=now.shape_zyx[::-1]
            ),
            _("Segment the volume again."),
        )
    return now


def _wantedRows(volumeNode: vtkMRMLScalarVolumeNode, rows: Any):
    volume = volume_of_node(volumeNode)
    if rows is None:
        return volume.array, volume.geometry
    first, last = rows
    array = volume.array[first : last + 1]
    return array, volume.geometry.cropped((first, 0, 0), array.shape)


def _arguments(request: Any, geometry: Geometry, folder: Path):
    arguments = ["segment", folder / "image.mha", folder / "result.mha", *words(request.options)]
    if all(abs(spacing - 1) < 1e-6 for spacing in geometry.spacing_zyx_mm):
        arguments += ["--spacing-um", "1000"]  # the user has seen the warning about it
    if request.keepDisagreement:
        arguments += ["--disagreement", folder / disagreement.FILE_NAME]
    if request.farEnvironment:
        arguments += ["--environment", request.farEnvironment]
    if request.roiNode is not None:
        write_roi_markups((box_of_roi_node(request.roiNode),), folder / "roi.mrk.json")
        arguments += ["--roi", folder / "roi.mrk.json"]
    return arguments


def _provenance(volumeNode: vtkMRMLScalarVolumeNode, request: Any, result: Any):
    ran = result.get("provenance", {})
    options = {entry.name: ran.get(entry.name, value) for entry, value in values_of(request.options)}
    options["model"] = request.options.model
    return {
        **ran,
        **request.provenance,
        "input": volumeNode.GetName(),
        "model": Path(options.pop("model")).stem,
        "options": options,
        SOFTWARE: f"MgImplantSeg {MgImplantSegLib.__version__}",
        "created": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "seconds": result.get("seconds"),
    }


def previewRequest(volumeNode: vtkMRMLScalarVolumeNode, request: Any, modelSpacingUm: Any, index: int):
    """The request for a slice: one plane, and as few rows around `index` as the model takes.

    The result takes the place of the last preview of the volume, never of a chosen output.
    """
    geometry = geometry_of_node(volumeNode)
    rows = math.ceil(SMALLEST_EDGE_VOXELS * modelSpacingUm / 1000 / geometry.spacing_zyx_mm[0])
    first = max(0, min(index - rows // 2, geometry.shape_zyx[0] - rows))
    name = _("{volume} preview").format(volume=volumeNode.GetName())
    return SegmentRequest(
        replace(request.options, planes="rc", fusion="soft"),
        rows=(first, first + rows - 1),
        name=name,
        outputNode=_lastPreview(volumeNode.GetScene(), name),
        provenance={PREVIEW: index},
    )


def _lastPreview(scene: vtkMRMLScene, name: str):
    node = scene.GetFirstNode(name, "vtkMRMLSegmentationNode")
    return node if node is not None and PREVIEW in provenance_of_node(node) else None
