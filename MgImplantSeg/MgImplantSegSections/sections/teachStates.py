"""What is missing before a model can be taught, and the states of its buttons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.scene.frames import local_to_world_ras
from MgImplantSegLib.scene.markups import box_of_roi_node
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.volumes import geometry_of_node
from MgImplantSegSections.sections.workbench import errorText, setEnabled
from MgImplantSegSections.work import teachSlices, teachWork
from MgImplantSegSections.work.segmentWork import SOFTWARE

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsROINode


@dataclass(frozen=True)
class TeachState:
    """What the buttons depend on.

    :param scan: what is missing of scan and labels; `labels` whether it is the labels alone.
    :param model: what is missing of the model.
    :param teach: all that is missing before Teach can be clicked.
    :param isRunning: whether work of this section runs.
    :param isSelected: whether a slice is selected; `isDone` whether it is done.
    :param hasCurves: whether there is something to plot.
    :param canKeep: whether a teaching has learned something that can be kept now.
    """

    scan: list
    labels: bool
    model: list
    teach: list
    isRunning: bool
    isSelected: bool
    isDone: bool
    hasCurves: bool
    canKeep: bool


def missingScan(scan: Any):
    """What is missing of the scan."""
    if scan is None:
        return [_("a volume")]
    return _faults(lambda: geometry_of_node(scan))


def missingLabels(labels: Any):
    """What is missing of the labels."""
    return [_("labels (Start teaching)")] if labels is None else _faults(lambda: local_to_world_ras(labels))


def missingToTeach(labelled: Any, roiNode: vtkMRMLMarkupsROINode, nameText: str, scan: Any):
    """What is missing besides scan, labels and model.

    :param labelled: what `teachSlices.labelledOn` gives.
    """
    found = []
    if roiNode is not None:
        found += _faults(lambda: box_of_roi_node(roiNode))
    elif not labelled.slices:
        found.append(_("a slice that is done, or a labelled ROI"))
    elif not labelled.roles:
        found.append(_("something painted on the done slices"))
    return found + _faults(lambda: teachWork.modelName(nameText, scan))


def missingForScribbles(labels: Any, nameText: str, scan: Any):
    """What is missing where every painted voxel counts: in a result of a model all of it would."""
    isResult = SOFTWARE in provenance_of_node(labels)
    found = [_("labels painted from nothing, not a result of a model")] if isResult else []
    return found + _faults(lambda: teachWork.modelName(nameText, scan))


def _faults(look: Any):
    try:
        look()
    except MgImplantSegError as error:
        return [errorText(error)]
    return []


def setButtons(ui: Any, state: Any):
    """Enable what can be clicked; tooltips list what is missing elsewhere."""
    busy = [_("wait for the current task to finish")] if state.isRunning else []
    setEnabled(
        ui.startTeachingButton,
        [] if state.labels else state.scan,
        _("Open the labels in the Segment Editor. Return to this module after painting."),
    )
    setEnabled(
        ui.suggestButton, busy + state.scan + state.model, _("Suggest slices on which the planes disagree most.")
    )
    again = _("Segment the scan with the chosen model into a new segmentation.")
    setEnabled(ui.segmentAgainButton, busy + state.scan + state.model, again)
    curves = [] if state.hasCurves else [_("metrics of teaching")]
    setEnabled(ui.teachCurvesButton, curves, _("Plot loss and score on the held-out slices."))
    _setSliceButtons(ui, state)
    setEnabled(
        ui.stopAndKeepButton,
        [] if state.canKeep else [_("a teaching run on this computer that has started learning")],
        _("Stop learning now and keep the model trained so far."),
    )
    if state.isRunning:
        ui.teachButton.text = _("Cancel")
        setEnabled(ui.teachButton, [], _("Stop; nothing is changed."))
    else:
        ui.teachButton.text = _("Teach")
        setEnabled(ui.teachButton, state.teach, _("Teach the chosen model the look of this scan."))


def _setSliceButtons(ui: Any, state: Any):
    ui.sliceDoneButton.text = _("This slice is not done") if state.isDone else _("This slice is done")
    setEnabled(
        ui.sliceDoneButton,
        state.scan + ([] if state.isSelected else [_("a selected slice")]),
        _("Mark the selected slice as completely labelled: what belongs to no segment there is background."),
    )
    noViews = [] if teachSlices.sliceNodes() else [_("a slice view")]
    setEnabled(ui.addShownSliceButton, state.scan + noViews, _("Mark the slice shown in this view as done."))
