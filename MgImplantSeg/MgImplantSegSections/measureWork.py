"""From a segmentation node to a table of measures: hand over, run the engine, put the table into the scene."""

import functools
import json
import math
from dataclasses import dataclass, field, replace
from typing import Any

from slicer.i18n import tr as _

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.labels import Role
from MgImplantSegLib.options import words
from MgImplantSegLib.quantification.options import QuantifyOptions
from MgImplantSegLib.quantification.results import Measure, QuantificationReport, Series
from MgImplantSegLib.regions import write_roi_markups
from MgImplantSegLib.scene.markups import box_of_roi_node
from MgImplantSegLib.scene.meshes import enclosed_volume_mm3
from MgImplantSegLib.scene.nodes import place_beside, provenance_of_node
from MgImplantSegLib.scene.segmentation_reading import label_map_of_node, reading_of_node
from MgImplantSegLib.scene.segments import role_of_segment
from MgImplantSegLib.scene.tables import add_measures_table
from MgImplantSegLib.scene.volumes import geometry_of_node, volume_of_node
from MgImplantSegSections.engineRun import runEngine, sceneOf, whileWanted
from MgImplantSegSections.exchange import ROLES_WORD, taskFolder, writeImage, writeLabels

REPORT_ATTRIBUTE = "MgImplantSeg.Report"
ROLES_ATTRIBUTE = "MgImplantSeg.Roles"
STATE_COLUMN, CURRENT, STALE = "State", "current", "stale"


@dataclass(frozen=True)
class QuantifyRequest:
    """How to measure; what is None or empty is not known.

    :param options: the engine's `QuantifyOptions`, screw and regions apart.
    :param initialNode: segmentation of the screw before implantation.
    :param initialModelNode: closed surface of it, in place of a segmentation.
    """

    options: QuantifyOptions = field(default_factory=QuantifyOptions)
    initialNode: Any = None
    initialModelNode: Any = None
    initialVolumeMm3: float | None = None
    initialAreaMm2: float | None = None
    roiNodes: tuple = ()

    def boxes(self):
        """The ROI boxes in the world, in LPS."""
        return tuple(box_of_roi_node(node) for node in self.roiNodes)


def quantifySteps(segmentationNode, request, python, temporaryFolder, token):
    """Generator of events; returns the table node and the `QuantificationReport`.

    :raises InputError: if the segmentation, a ROI or the initial screw cannot be used.
    :raises EngineError: if the engine fails.
    """
    scene = sceneOf(segmentationNode)
    with taskFolder(temporaryFolder) as folder:
        written = yield from writeSegmentation(segmentationNode, folder / "segmentation.mha", token)
        arguments = ["quantify", folder / "segmentation.mha", "--roles", ROLES_WORD, *measureArguments(request, folder)]
        if request.initialNode is not None:
            yield from writeSegmentation(request.initialNode, folder / "initial.mha", token, Role.RESIDUAL_MATERIAL)
            arguments += ["--initial", folder / "initial.mha", "--initial-roles", ROLES_WORD]
        scanNode = scanOf(segmentationNode, written.geometry)
        if scanNode is not None:
            scan = volume_of_node(scanNode)
            yield from writeImage(scan.array, scan.geometry, folder / "scan.mha", token)
            arguments += ["--image", folder / "scan.mha"]
        engine = runEngine(python, arguments, folder / "log.txt", token)
        result = yield from whileWanted(engine, lambda: scene.IsNodePresent(segmentationNode), token)
    inputs = {**_readableInputs(result["inputs"], segmentationNode, request), "label_scheme": written.scheme.to_dict()}
    report = reportFromDict({**result, "inputs": inputs})
    name = _("{segmentation} measures").format(segmentation=segmentationNode.GetName())
    node = addTable(scene, report, name, segmentationNode)
    return node, report


def scanOf(segmentationNode, geometry):
    """The scan that was segmented, if it is in the scene on that grid: what lies outside its round view is not known.

    A cropped or resampled segmentation, a label map or a colour image as reference give None.
    """
    node = segmentationNode.GetNodeReference(segmentationNode.GetReferenceImageGeometryReferenceRole())
    image = node.GetImageData() if node is not None and node.GetClassName() == "vtkMRMLScalarVolumeNode" else None
    if image is None or image.GetNumberOfScalarComponents() != 1:
        return None
    return node if geometry_of_node(node).same_grid(geometry) else None


def writeSegmentation(node, path, token, onlyRole=None):
    """Write a segmentation node as label map with the values of `ROLES_WORD`; yields events.

    :param onlyRole: as in `labelMapOf`.
    :returns: the `SegmentationReading`, which knows grid and meaning.
    """
    reading = readingOf(node, onlyRole)
    yield from writeLabels(reading, path, token)
    return reading


def labelMapOf(node, onlyRole=None):
    """The label map of a segmentation node, its segments being what the user has said.

    :param onlyRole: role of a single segment whose name does not tell what it is.
    :raises InputError: if the meaning of a segment is not known.
    """
    return label_map_of_node(node, _wantedRoles(node, onlyRole))


def readingOf(node, onlyRole=None):
    """As `labelMapOf`, its voxels being read when they are asked for; for work beside the GUI."""
    return reading_of_node(node, _wantedRoles(node, onlyRole))


def _wantedRoles(node, onlyRole):
    roles = rolesOf(node)
    segmentation = node.GetSegmentation()
    if onlyRole is not None and not roles and segmentation.GetNumberOfSegments() == 1:
        roles = {segmentation.GetNthSegmentID(0): onlyRole}
    return roles


def measureArguments(request, folder):
    """Words of the command line for a request, the initial segmentation apart; writes the ROIs' file.

    :raises InputError: if a ROI or the surface model cannot be used.
    """
    if request.initialModelNode is not None:
        volume, area = _volumeAndArea(request.initialModelNode)
        request = replace(request, initialVolumeMm3=volume, initialAreaMm2=area)
    found = knownWords(request)
    if request.roiNodes:
        write_roi_markups(request.boxes(), folder / "rois.mrk.json")
        found += ["--roi", folder / "rois.mrk.json"]
    return found


def knownWords(request):
    """Words of the command line for what is typed and how to measure: all that holds for any scan."""
    found = words(request.options)
    typed = {"--initial-volume-mm3": request.initialVolumeMm3, "--initial-area-mm2": request.initialAreaMm2}
    for option, value in typed.items():
        found += [] if value is None else [option, f"{value:.10g}"]
    return found


def _volumeAndArea(modelNode):
    """Volume in mm³ and area in mm² of a closed surface."""
    import vtk

    mesh = modelNode.GetPolyData()
    volume = abs(enclosed_volume_mm3(mesh)) if mesh is not None else 0.0
    if not volume > 0:
        raise InputError(
            _("Expected a closed surface of the screw, got {name} without volume.").format(name=modelNode.GetName()),
            _("Choose another model or enter the numbers."),
        )
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputData(mesh)
    properties = vtk.vtkMassProperties()
    properties.SetInputConnection(triangles.GetOutputPort())
    return volume, properties.GetSurfaceArea()


def rolesOf(segmentationNode):
    """Roles that the user has given to segments, by segment ID."""
    text = segmentationNode.GetAttribute(ROLES_ATTRIBUTE)
    known = {
        segmentationNode.GetSegmentation().GetNthSegmentID(index)
        for index in range(segmentationNode.GetSegmentation().GetNumberOfSegments())
    }
    return {key: Role(value) for key, value in json.loads(text or "{}").items() if key in known}


def roleOf(segmentationNode, segmentId):
    """What a segment is: what the user has said, else what it says itself; None if that is unknown."""
    given = rolesOf(segmentationNode).get(segmentId)
    return given or role_of_segment(segmentationNode.GetSegmentation(), segmentId)


def setRole(segmentationNode, segmentId, role):
    """Keep what a segment is with its node."""
    roles = {**rolesOf(segmentationNode), segmentId: role}
    text = json.dumps({key: value.value for key, value in roles.items()})
    segmentationNode.SetAttribute(ROLES_ATTRIBUTE, text)


def addTable(scene, report, name, segmentationNode):
    """The table of a report beside its segmentation, with a column that says whether a row is current."""
    import vtk

    model = provenance_of_node(segmentationNode).get("model", "")
    node = add_measures_table(scene, report, name, model if isinstance(model, str) else "")
    column = vtk.vtkStringArray()
    column.SetName(STATE_COLUMN)
    for _measure in report.measures:
        column.InsertNextValue(CURRENT)
    node.AddColumn(column)
    node.SetAttribute(REPORT_ATTRIBUTE, json.dumps(report.to_dict()))
    place_beside(scene, node, segmentationNode)
    return node


def reportOfTable(tableNode):
    """The report behind a table node, or None if it is another table."""
    text = tableNode.GetAttribute(REPORT_ATTRIBUTE) if tableNode is not None else None
    return _reportOfText(text) if text else None


@functools.lru_cache(maxsize=4)
def _reportOfText(text):
    """Kept, because it is looked at again and again while a ROI is dragged."""
    return reportFromDict(json.loads(text))


def reportFromDict(data):
    """The `QuantificationReport` of what ``quantify --json`` writes."""
    measures = tuple(_measure(entry) for entry in data["measures"])
    series = tuple(
        Series(
            **{
                **entry,
                **{name: tuple(_number(value) for value in entry[name]) for name in ("x_low", "x_high", "values")},
            }
        )
        for entry in data.get("series", ())
    )
    return QuantificationReport(measures, data["inputs"], series)


def _measure(entry):
    numbers = {name: _number(entry.get(name)) for name in ("value", "low", "high")}
    counts = {name: _number(count) for name, count in entry["counts"].items()}
    return Measure(**{**entry, **numbers, "counts": counts})


def _number(value):
    return math.nan if value is None else float(value)


def _readableInputs(inputs, segmentationNode, request):
    """The inputs with names of nodes in place of temporary paths."""
    initial = request.initialNode or request.initialModelNode
    return {
        **inputs,
        "segmentation": segmentationNode.GetName(),
        "rois": [node.GetName() for node in request.roiNodes],
        **({"initial": initial.GetName()} if initial is not None else {}),
    }
