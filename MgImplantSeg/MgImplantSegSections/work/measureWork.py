"""From a segmentation node to a table of measures: hand over, run the engine, put the table into the scene."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MgImplantSegLib.base.options import words
from MgImplantSegLib.grids.labels import CANAL, CRACK, OPENING_OF_ID, Role, class_of_word, template_of
from MgImplantSegLib.grids.regions import write_roi_markups
from MgImplantSegLib.quantification.measures.all_measures import DEFAULT_MEASURES
from MgImplantSegLib.quantification.options import QuantifyOptions
from MgImplantSegLib.scene.markups import box_of_roi_node
from MgImplantSegLib.scene.segmentation_reading import label_map_of_node, reading_of_node
from MgImplantSegLib.scene.segments import role_of_segment
from MgImplantSegLib.scene.volumes import geometry_of_node, volume_of_node
from MgImplantSegSections.engine.engineRun import runEngine, sceneOf, whileWanted
from MgImplantSegSections.engine.exchange import ROLES_WORD, rolesWord, taskFolder, writeImage, writeLabels
from MgImplantSegSections.work import disagreement
from MgImplantSegSections.work.initialModel import FILE_NAME, writeModel
from MgImplantSegSections.work.measuresReport import addTable, reportFromDict

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLSegmentationNode

    from MgImplantSegLib.grids.labels import LabelScheme
    from MgImplantSegLib.grids.volume import Geometry
    from MgImplantSegSections.engine.engineRun import CancelToken

ROLES_ATTRIBUTE = "MgImplantSeg.Roles"
MEASURES_OF_OPENING = {CRACK.word: "cracks", CANAL.word: "canals"}  # on request, and where there are such segments


@dataclass(frozen=True)
class QuantifyRequest:
    """How to measure; what is None or empty is not known.

    :param options: the engine's `QuantifyOptions`, screw and regions apart.
    :param initialNode: segmentation of the screw before implantation.
    :param disagreementNode: disagreement of the planes that made the segmentation, for ranges beside values.
    :param whyNoRanges: why there is none although ranges are wanted and planes have disagreed; empty else.
    :param initialModelNode: closed surface of it, in place of a segmentation.
    """

    options: QuantifyOptions = field(default_factory=QuantifyOptions)
    initialNode: Any = None
    initialModelNode: Any = None
    initialVolumeMm3: float | None = None
    initialAreaMm2: float | None = None
    roiNodes: tuple = ()
    disagreementNode: Any = None
    whyNoRanges: str = ""

    def boxes(self):
        """The ROI boxes in the world, in LPS."""
        return tuple(box_of_roi_node(node) for node in self.roiNodes)


def quantifySteps(
    segmentationNode: vtkMRMLSegmentationNode,
    request: Any,
    python: Any,
    temporaryFolder: str | Path,
    token: CancelToken,
):
    """Generator of events; returns the table node and the `QuantificationReport`.

    :raises InputError: if the segmentation, a ROI or the initial screw cannot be used.
    :raises EngineError: if the engine fails.
    """
    scene = sceneOf(segmentationNode)
    with taskFolder(temporaryFolder) as folder:
        names = {folder / "segmentation.mha": segmentationNode.GetName()}
        written = yield from writeSegmentation(segmentationNode, folder / "segmentation.mha", token, withOpenings=True)
        warnings = [*filter(None, [request.whyNoRanges]), *overlapTexts(segmentationNode, written)]
        arguments = ["quantify", folder / "segmentation.mha", "--roles", rolesWord(written.scheme)]
        arguments += measureArguments(withMeasuresOf(request, written.scheme), folder)
        if request.initialNode is not None:
            path = folder / "initial.mha"
            names[path] = request.initialNode.GetName()
            initial = yield from writeSegmentation(request.initialNode, path, token, Role.RESIDUAL_MATERIAL)
            warnings += overlapTexts(request.initialNode, initial)
            arguments += ["--initial", path, "--initial-roles", ROLES_WORD]
        scanNode = scanOf(segmentationNode, written.geometry)
        if scanNode is not None:
            scan = volume_of_node(scanNode)
            names[folder / "scan.mha"] = scanNode.GetName()
            yield from writeImage(scan.array, scan.geometry, folder / "scan.mha", token)
            arguments += ["--image", folder / "scan.mha"]
        if request.disagreementNode is not None:
            problem = disagreement.gridProblem(request.disagreementNode, written.geometry)
            warnings += [problem] if problem else []
            if not problem:
                path = folder / disagreement.FILE_NAME
                yield from disagreement.writeSteps(request.disagreementNode, written.geometry, path, token)
                arguments += ["--disagreement", path]
        names |= modelNames(request, folder)
        engine = runEngine(python, arguments, folder / "log.txt", token, names=names)
        result = yield from whileWanted(engine, lambda: scene.IsNodePresent(segmentationNode), token)
    inputs = {**_readableInputs(result["inputs"], segmentationNode, request), "label_scheme": written.scheme.to_dict()}
    report = reportFromDict({**result, "inputs": inputs})
    name = _("{segmentation} measures").format(segmentation=segmentationNode.GetName())
    node = addTable(scene, report, name, segmentationNode, [*warnings, *result.get("warnings", ())])
    return node, report


def withMeasuresOf(request: Any, scheme: LabelScheme):
    """The request with the measures of cracks and canals, where no others are chosen and there are such segments."""
    found = {MEASURES_OF_OPENING[label.word] for label in scheme.labels if label.is_opening}
    if request.options.measures is not None or not found:
        return request
    measures = (*DEFAULT_MEASURES, *sorted(found))
    return replace(request, options=replace(request.options, measures=measures))


def scanOf(segmentationNode: vtkMRMLSegmentationNode, geometry: Geometry):
    """The scan that was segmented, if it is in the scene on that grid: what lies outside its round view is not known.

    A cropped or resampled segmentation, a label map or a colour image as reference give None.
    """
    node = segmentationNode.GetNodeReference(segmentationNode.GetReferenceImageGeometryReferenceRole())
    image = node.GetImageData() if node is not None and node.GetClassName() == "vtkMRMLScalarVolumeNode" else None
    if image is None or image.GetNumberOfScalarComponents() != 1:
        return None
    return node if geometry_of_node(node).same_grid(geometry) else None


def writeSegmentation(
    node: vtkMRMLNode, path: Any, token: CancelToken, onlyRole: Any = None, withOpenings: bool = False
):
    """Write a segmentation node as label map with the values of `rolesWord`; yields events.

    :param onlyRole: as in `labelMapOf`.
    :param withOpenings: whether cracks and canals are told from other background.
    :returns: the `SegmentationReading`, which knows grid and meaning.
    """
    reading = reading_of_node(node, _wantedRoles(node, onlyRole), with_openings=withOpenings)
    yield from writeLabels(reading, path, token)
    return reading


def labelMapOf(node: vtkMRMLNode, onlyRole: Any = None):
    """The label map of a segmentation node, its segments being what the user has said.

    :param onlyRole: role of a single segment whose name does not tell what it is.
    :raises InputError: if the meaning of a segment is not known.
    """
    return label_map_of_node(node, _wantedRoles(node, onlyRole))


def readingOf(node: vtkMRMLNode, onlyRole: Any = None):
    """As `labelMapOf`, its voxels being read when they are asked for; for work beside the GUI."""
    return reading_of_node(node, _wantedRoles(node, onlyRole))


def _wantedRoles(node: vtkMRMLNode, onlyRole: Any):
    roles = rolesOf(node)
    segmentation = node.GetSegmentation()
    if onlyRole is not None and not roles and segmentation.GetNumberOfSegments() == 1:
        roles = {segmentation.GetNthSegmentID(0): onlyRole}
    return roles


def measureArguments(request: Any, folder: Path):
    """Words of the command line for a request, the initial segmentation apart; writes the ROIs' file.

    :raises InputError: if a ROI or the surface model cannot be used.
    """
    found = knownWords(request)
    if request.initialModelNode is not None:
        writeModel(request.initialModelNode, folder / FILE_NAME)
        found += ["--initial", folder / FILE_NAME]
    if request.roiNodes:
        write_roi_markups(request.boxes(), folder / "rois.mrk.json")
        found += ["--roi", folder / "rois.mrk.json"]
    return found


def knownWords(request: Any):
    """Words of the command line for what is typed and how to measure: all that holds for any scan."""
    found = words(request.options)
    typed = {"--initial-volume-mm3": request.initialVolumeMm3, "--initial-area-mm2": request.initialAreaMm2}
    for option, value in typed.items():
        found += [] if value is None else [option, f"{value:.10g}"]
    return found


def modelNames(request: Any, folder: Path):
    """What people call the file of the surface model."""
    model = request.initialModelNode
    return {} if model is None else {folder / FILE_NAME: model.GetName()}


def overlapTexts(node: vtkMRMLNode, reading: Any):
    """A sentence on voxels that lie in several segments, if there were any among those that were read."""
    count = reading.array.overlapping
    if not count:
        return []
    text = _('"{name}": {count} voxels belong to several segments; they are assigned to the last of these.')
    return [text.format(name=node.GetName(), count=count)]


def rolesOf(segmentationNode: vtkMRMLSegmentationNode):
    """Roles that the user has given to segments, by segment ID; ``crack`` and ``canal`` where they are openings."""
    text = segmentationNode.GetAttribute(ROLES_ATTRIBUTE)
    known = {
        segmentationNode.GetSegmentation().GetNthSegmentID(index)
        for index in range(segmentationNode.GetSegmentation().GetNumberOfSegments())
    }
    given = {key: value for key, value in json.loads(text or "{}").items() if key in known}
    return {key: value if value in OPENING_OF_ID else Role(value) for key, value in given.items()}


def classOf(segmentationNode: vtkMRMLSegmentationNode, segmentId: str):
    """The usual class of a segment: what the user has said, else what it says itself; None if that is unknown."""
    given = rolesOf(segmentationNode).get(segmentId)
    if given is not None:
        return class_of_word(given)
    segmentation = segmentationNode.GetSegmentation()
    role = role_of_segment(segmentation, segmentId)
    return None if role is None else template_of(role, segmentation.GetSegment(segmentId).GetName())


def roleOf(segmentationNode: vtkMRMLSegmentationNode, segmentId: str):
    """The role of a segment's class; None if that is unknown."""
    found = classOf(segmentationNode, segmentId)
    return None if found is None else found.role


def setRole(segmentationNode: vtkMRMLSegmentationNode, segmentId: str, role: Role | str):
    """Keep what a segment is with its node; the role may be ``crack`` or ``canal`` too."""
    roles = {**rolesOf(segmentationNode), segmentId: role}
    text = json.dumps({key: str(getattr(value, "value", value)) for key, value in roles.items()})
    segmentationNode.SetAttribute(ROLES_ATTRIBUTE, text)


def _readableInputs(inputs: Any, segmentationNode: vtkMRMLSegmentationNode, request: Any):
    """The inputs with names of nodes in place of temporary paths."""
    initial = request.initialNode or request.initialModelNode
    return {
        **inputs,
        "segmentation": segmentationNode.GetName(),
        "rois": [node.GetName() for node in request.roiNodes],
        **({"initial": initial.GetName()} if initial is not None else {}),
    }
