"""A finished sample of a batch in the scene: scan, segmentation and the table of its measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import DependencyError, InputError
from MgImplantSegLib.cli.batch import SEGMENTATION
from MgImplantSegLib.cli.batch_record import Record, read_record
from MgImplantSegLib.io.volumes import read_volume
from MgImplantSegLib.scene.volumes import add_volume_node
from MgImplantSegSections.work.measuresReport import addTable, reportFromDict
from MgImplantSegSections.work.measuresStore import keepTable
from MgImplantSegSections.work.scanFolders import gather, placeWith

if TYPE_CHECKING:
    from slicer import vtkMRMLScene

MEASURES, FOLDER_ATTRIBUTE = "measures.json", "MgImplantSeg.BatchFolder"
READ_BY_SLICER = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")
MICROMETRES = 1000.0


def openSample(scene: Any, folder: Path, scanPath: Path):
    """Load scan, segmentation and measures into one folder of the scene; returns the nodes of scan and segmentation.

    A sample that is open already is not loaded again. Voxel size and dataset are those that the batch was given.

    :param folder: of the sample among the results.
    :param scanPath: where the scan is now; where it was then counts if nothing is there.
    :raises InputError: if a file is missing or cannot be read.
    """
    opened = _openedBefore(scene, folder)
    if opened is not None:
        return opened.GetNodeReference(opened.GetReferenceImageGeometryReferenceRole()), opened
    record = read_record(folder)
    if record is None or not (folder / SEGMENTATION).is_file():
        raise InputError(
            _("Expected the results of a finished scan in {folder}, got none.").format(folder=folder),
            _("Start the batch again."),
        )
    scanPath = scanPath if scanPath.is_file() or scanPath.is_dir() else Path(record.image)
    if not scanPath.exists():
        raise InputError(_("Expected the scan {path}, got none.").format(path=scanPath), _("Choose its folder again."))
    report = _readMeasures(folder / MEASURES)
    volume = _loadScan(scene, scanPath, record)
    try:
        segmentation = slicer.util.loadSegmentation(str(folder / SEGMENTATION))
    except RuntimeError as error:
        scene.RemoveNode(volume)
        raise InputError(
            _("Expected a segmentation in {path}, Slicer could not read it.").format(path=folder / SEGMENTATION)
        ) from error
    segmentation.SetName(scene.GenerateUniqueName(_("{sample} segmentation").format(sample=folder.name)))
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    gather(volume)
    placeWith(segmentation, volume)
    segmentation.SetAttribute(FOLDER_ATTRIBUTE, str(folder.resolve()))
    name = _("{segmentation} measures").format(segmentation=segmentation.GetName())
    keepTable(segmentation, addTable(scene, report, name, segmentation, record.warnings))
    return volume, segmentation


def _openedBefore(scene: vtkMRMLScene, folder: Path):
    wanted = str(folder.resolve())
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLSegmentationNode")
        if node.GetAttribute(FOLDER_ATTRIBUTE) == wanted:
            return node
    return None


def _loadScan(scene: vtkMRMLScene, path: Any, record: Record):
    """The scan as the engine reads it, on whose grid the segmentation is; as Slicer does where a package is missing."""
    try:
        scan = read_volume(path, dataset=record.dataset, spacing_um=record.spacing_um)
        return add_volume_node(scene, scan, path.name.split(".")[0])
    except DependencyError:
        if not path.name.lower().endswith(READ_BY_SLICER):
            raise
    try:
        node = slicer.util.loadVolume(str(path))
    except RuntimeError as error:
        raise InputError(_("Expected a scan in {path}, Slicer could not read it.").format(path=path)) from error
    if record.spacing_um:
        node.SetSpacing(*[record.spacing_um / MICROMETRES] * 3)
    return node


def _readMeasures(path: Any):
    try:
        return reportFromDict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            _("Expected the measures in {path}, got: {reason}.").format(path=path, reason=error)
        ) from error
