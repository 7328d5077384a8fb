"""From painted slices to a model of one's own: hand over, run ``suggest`` or ``teach``, install the model, compare."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.options import words
from MgImplantSegLib.base.resources import MODEL_SUFFIX
from MgImplantSegLib.base.toml_writer import toml_text
from MgImplantSegLib.grids.labels import CLASSES, Role
from MgImplantSegLib.grids.regions import write_roi_markups
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.scene.markups import box_of_roi_node
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.segmentation_reading import reading_of_node
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.segments import segment_ids
from MgImplantSegLib.scene.volumes import geometry_of_node, volume_of_node
from MgImplantSegLib.training.teach.slices import slices_text
from MgImplantSegSections.engine.engineRun import runEngine, sceneOf, whileWanted
from MgImplantSegSections.engine.exchange import (
    IGNORED_VALUE,
    ROLES_WORD,
    VALUE_OF_ROLE,
    taskFolder,
    writeImage,
    writeLabels,
)
from MgImplantSegSections.work import models
from MgImplantSegSections.work.measureWork import roleOf, rolesOf
from MgImplantSegSections.work.segmentWork import PREVIEW, SECONDS_TO_STOP_ELSEWHERE
from MgImplantSegSections.work.teachSlices import doneSlicesIn

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode

    from MgImplantSegSections.engine.engineRun import CancelToken

PLANES_THAT_CAN_DISAGREE = "3"
PAINTED_BACKGROUND = 4  # background that somebody has painted, beside the 0 of what nobody has


class EarlyEnd:
    """Ends a teaching on this computer now, so that the model so far is kept."""

    def __init__(self):
        self._path: Path | None = None

    def at(self, path: Path):
        """The engine looks for this file."""
        self._path = path

    def request(self):
        """End now; nothing happens where no teaching has begun."""
        if self._path is not None and self._path.parent.is_dir():
            self._path.touch()


@dataclass(frozen=True)
class TeachRequest:
    """How to teach.

    :param parent: model file to start from.
    :param name: name of the new model.
    :param minutes: from start to model file; None for no limit.
    :param iterations: training steps; None for as many as the time allows.
    :param roiNode: inside it all is labelled.
    :param others: further scans with their labels, pairs of nodes, of which the done slices are learned from too.
    :param farEnvironment: name of a host or cluster that does the work.
    :param scribbles: whether every voxel in a segment is labelled, besides done slices and ROI.
    :param earlyEnd: ends learning early, on this computer only.
    """

    parent: Path
    name: str
    minutes: float | None = 5.0
    iterations: int | None = None
    roiNode: Any = None
    others: tuple = ()
    device: str = "auto"
    farEnvironment: str = ""
    scribbles: bool = False
    earlyEnd: EarlyEnd | None = None


def scanOfLabels(segmentationNode: vtkMRMLSegmentationNode, otherwise: Any = None):
    """The scan that a segmentation was drawn on; the volume `otherwise` where it names none that is in the scene."""
    role = segmentationNode.GetReferenceImageGeometryReferenceRole() if segmentationNode is not None else ""
    node = segmentationNode.GetNodeReference(role) if segmentationNode is not None else None
    return node if node is not None and node.GetClassName() == "vtkMRMLScalarVolumeNode" else otherwise


def lastLabelsOf(volumeNode: vtkMRMLScalarVolumeNode, nodes: Any):
    """The last of the segmentations that was drawn on a scan, previews apart; None if there is none."""
    found = [node for node in nodes if scanOfLabels(node) is volumeNode and PREVIEW not in provenance_of_node(node)]
    return found[-1] if found else None


def otherTaught(scan: Any, nodes: Any):
    """Other scans of which slices are done, each with its last segmentation of that kind, as pairs of nodes.

    :param nodes: segmentations to look among.
    """
    found = {}
    for node in nodes:
        other = scanOfLabels(node)
        if other not in (None, scan) and doneSlicesIn(other, node):
            found[other.GetID()] = (other, node)
    return tuple(found.values())


def addEmptyLabels(volumeNode: vtkMRMLScalarVolumeNode):
    """A new segmentation on the grid of a scan, with all classes as empty segments."""
    geometry = geometry_of_node(volumeNode)
    labelMap = LabelMap(np.zeros(geometry.shape_zyx, np.uint8), geometry)
    name = _("{volume} labels").format(volume=volumeNode.GetName())
    return add_segmentation_node(volumeNode.GetScene(), labelMap, name, volumeNode, keep_absent=True, present={0})


def suggestSteps(
    volumeNode: vtkMRMLScalarVolumeNode,
    segmentationNode: vtkMRMLSegmentationNode,
    count: int,
    options: Any,
    farEnvironment: Any,
    python: Any,
    temporaryFolder: str | Path,
    token: CancelToken,
):
    """Generator of events; returns the suggested slices as the engine's dictionaries.

    :param options: the engine's `SegmentOptions`, with which the scan is segmented to see where the planes disagree.
    """
    options = replace(options, planes=PLANES_THAT_CAN_DISAGREE)
    with taskFolder(temporaryFolder) as folder:
        written = yield from _written(volumeNode, segmentationNode, folder, token)
        arguments = ["suggest", *written, "--count", str(count), *words(options)]
        arguments += _common(volumeNode, segmentationNode, farEnvironment)
        result = yield from _run(python, arguments, folder, (volumeNode, segmentationNode), farEnvironment, token)
    return result["slices"]


def teachSteps(
    volumeNode: vtkMRMLScalarVolumeNode,
    segmentationNode: vtkMRMLSegmentationNode,
    request: Any,
    python: Any,
    temporaryFolder: str | Path,
    token: CancelToken,
):
    """Generator of events; returns the installed model's path and the fields of the engine's result.

    :raises InputError: if scan, labels or name cannot be used.
    :raises EngineError: if the engine fails.
    :raises Cancelled: if the user has asked to stop, or scan or labels have left the scene.
    """
    with taskFolder(temporaryFolder) as folder:
        written = yield from _written(volumeNode, segmentationNode, folder, token, request.scribbles)
        pairs = yield from _writtenOthers(request.others, folder, token)
        target = folder / f"{request.name}{MODEL_SUFFIX}"
        arguments = ["teach", *written, target, "--from", request.parent, "--device", request.device]
        arguments += [] if request.minutes is None else ["--minutes", f"{request.minutes:g}"]
        arguments += [] if request.iterations is None else ["--iterations", str(request.iterations)]
        if request.roiNode is not None:
            write_roi_markups((box_of_roi_node(request.roiNode),), folder / "roi.mrk.json")
            arguments += ["--roi", folder / "roi.mrk.json"]
        arguments += ["--labelled", "painted"] if request.scribbles else []
        if request.earlyEnd is not None and not request.farEnvironment:
            request.earlyEnd.at(folder / "end")
            arguments += ["--finish-file", folder / "end"]
        arguments += [*pairs, *_common(volumeNode, segmentationNode, request.farEnvironment)]
        nodes = (volumeNode, segmentationNode, *(node for pair in request.others for node in pair))
        result = yield from _run(python, arguments, folder, nodes, request.farEnvironment, token)
        return models.add(target), result


def _written(
    volumeNode: vtkMRMLScalarVolumeNode,
    segmentationNode: vtkMRMLSegmentationNode,
    folder: Path,
    token: CancelToken,
    hasScribbles: bool = False,
):
    """Write scan and labels on the scan's grid; returns their paths.

    :param hasScribbles: whether background that was painted, as a segment of its own, is told from what was not.
    """
    volume = volume_of_node(volumeNode)
    image = folder / f"{_fileName(volumeNode.GetName())}.mha"
    yield from writeImage(volume.array, volume.geometry, image, token)
    background = _backgroundOf(segmentationNode) if hasScribbles else {}
    reading = reading_of_node(segmentationNode, {**rolesOf(segmentationNode), **background}, volumeNode)
    if background:
        values = {label.value: VALUE_OF_ROLE[label.role] for label in reading.scheme.labels}
        values |= {label.value: PAINTED_BACKGROUND for label in reading.scheme.labels if label.segment_id in background}
        values |= {} if reading.scheme.ignore_value is None else {reading.scheme.ignore_value: IGNORED_VALUE}
        yield from writeImage(reading.array, reading.geometry, folder / "labels-of-scan.mha", token, values)
    else:
        yield from writeLabels(reading, folder / "labels-of-scan.mha", token)
    return [image, folder / "labels-of-scan.mha"]


def _backgroundOf(segmentationNode: vtkMRMLSegmentationNode):
    """Segments of background, each with a role in whose place it is read: it would be left out otherwise."""
    ids = segment_ids(segmentationNode.GetSegmentation())
    return {entry: Role.BONE for entry in ids if roleOf(segmentationNode, entry) is Role.BACKGROUND}


def _writtenOthers(others: Any, folder: Path, token: CancelToken):
    """Write further scans with labels, and the file that names them; returns the words for the command line."""
    tables = []
    for number, (scan, labels) in enumerate(others, start=2):
        (folder / str(number)).mkdir()
        image, path = yield from _written(scan, labels, folder / str(number), token)
        table = {
            "image": str(image),
            "labels": str(path),
            "name": f"{_fileName(scan.GetName())}-{number}",
            "done_slices": slices_text(doneSlicesIn(scan, labels)),
            "roles": {str(label.value): label.role.value for label in CLASSES},
            "unlabelled": IGNORED_VALUE,
        }
        tables.append(table | ({"spacing_um": 1000.0} if _isOfMillimetres(scan) else {}))
    if not tables:
        return []
    (folder / "pairs.toml").write_text(toml_text({"pairs": tables}), "utf-8")
    return ["--pairs", folder / "pairs.toml"]


def _fileName(name: str):
    return "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name) or "scan"


def _common(volumeNode: vtkMRMLScalarVolumeNode, segmentationNode: vtkMRMLSegmentationNode, farEnvironment: Any):
    arguments = ["--roles", f"{ROLES_WORD},{PAINTED_BACKGROUND}={Role.BACKGROUND.value}"]
    done = slices_text(doneSlicesIn(volumeNode, segmentationNode))
    if done:
        arguments += ["--done-slices", done]
    if _isOfMillimetres(volumeNode):
        arguments += ["--spacing-um", "1000"]  # the user has seen the warning about it
    return arguments + (["--environment", farEnvironment] if farEnvironment else [])


def _isOfMillimetres(volumeNode: vtkMRMLScalarVolumeNode):
    return all(abs(spacing - 1) < 1e-6 for spacing in geometry_of_node(volumeNode).spacing_zyx_mm)


def _run(python: Any, arguments: Any, folder: Path, nodes: Any, farEnvironment: Any, token: CancelToken):
    scene = sceneOf(nodes[0])
    politeSeconds = SECONDS_TO_STOP_ELSEWHERE if farEnvironment else None
    engine = runEngine(python, arguments, folder / "log.txt", token, politeSeconds)
    return (yield from whileWanted(engine, lambda: all(map(scene.IsNodePresent, nodes)), token))


def overlapSteps(volumeNode: vtkMRMLScalarVolumeNode, oldNode: Any, newNode: Any, token: CancelToken):
    """Generator without events; returns IoU of two segmentations of a scan by role, for the classes that either has.

    :raises InputError: if a segmentation cannot be read.
    """
    readings = [reading_of_node(node, rolesOf(node), volumeNode) for node in (oldNode, newNode)]
    roles = [label.role for label in CLASSES if label.role is not Role.BACKGROUND]
    both, either = np.zeros(len(roles), dtype=np.int64), np.zeros(len(roles), dtype=np.int64)
    for old, new in zip(*(reading.slabs() for reading in readings), strict=True):
        for number, role in enumerate(roles):
            ofOld, ofNew = old.mask(role), new.mask(role)
            both[number] += np.count_nonzero(ofOld & ofNew)
            either[number] += np.count_nonzero(ofOld | ofNew)
        yield None
        token.check()
    return {role: float(a / b) for role, a, b in zip(roles, both, either, strict=True) if b}


def modelName(text: str, volumeNode: vtkMRMLScalarVolumeNode):
    """The name of the new model: what was typed, else the scan's name and the first free number.

    :raises InputError: if it cannot be the name of a file, or is taken.
    """
    taken, text = models.installed(), text.strip()
    if not text:
        stem, number = _fileName(volumeNode.GetName()), 1
        while f"{stem}-taught-{number}" in taken:
            number += 1
        return f"{stem}-taught-{number}"
    if text.startswith(".") or any(letter in '/\\:*?"<>|' or not letter.isprintable() for letter in text):
        raise InputError(_("a name of letters, digits, - and _ for the new model, not {name!r}").format(name=text))
    if text in taken:
        raise InputError(_("another name for the new model; {name!r} is already in use").format(name=text))
    return text


def hideInViews(segmentationNode: vtkMRMLSegmentationNode):
    """Hide a segmentation that another one has taken the place of; it stays in the scene."""
    if segmentationNode.GetDisplayNode() is not None:
        segmentationNode.GetDisplayNode().SetVisibility(False)


def openEditor(volumeNode: vtkMRMLScalarVolumeNode, segmentationNode: vtkMRMLSegmentationNode):
    """Open Slicer's Segment Editor on a segmentation of a scan; the list of modules leads back.

    :raises InputError: if Slicer has no main window to show it in.
    """
    try:
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.util.getModuleWidget("SegmentEditor").editor
    except (RuntimeError, AttributeError) as error:
        raise InputError(
            _("Expected Slicer's Segment Editor, got: {reason}.").format(reason=error),
            _("Open it from the list of modules and choose the segmentation {name!r} there.").format(
                name=segmentationNode.GetName()
            ),
        ) from error
    editor.setSegmentationNode(segmentationNode)
    editor.setSourceVolumeNode(volumeNode)
