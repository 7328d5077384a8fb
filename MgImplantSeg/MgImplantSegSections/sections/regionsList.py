"""The list of ROIs to measure in: add, add around the implant, remove; they are live in the views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.scene.markups import box_of_roi_node
from MgImplantSegSections.parameters import addRoi, removeRoi, roiNodes
from MgImplantSegSections.sections.wholeTables import WholeTable
from MgImplantSegSections.sections.workbench import errorText, setEnabled
from MgImplantSegSections.work.regionWork import roiAroundSteps
from MgImplantSegSections.work.scanFolders import placeWith

if TYPE_CHECKING:
    from slicer import vtkMRMLNode

    from MgImplantSegSections.sections.workbench import Workbench

COLUMNS = 3


class RegionsList:
    """A row a ROI: name, edge lengths, volume."""

    def __init__(self, workbench: Workbench):
        self.workbench, self.ui, self._task = workbench, workbench.ui, None
        table = self.ui.roiTable
        table.setColumnCount(COLUMNS)
        table.setHorizontalHeaderLabels([_("ROIs"), _("Size in mm"), _("mm³")])
        table.setEditTriggers(qt.QTableWidget.NoEditTriggers)
        self._whole = WholeTable(table, wide=(0,))
        self.ui.addRoiButton.connect("clicked(bool)", self.onAdd)
        self.ui.addRoiAroundButton.connect("clicked(bool)", self.onAddAround)
        self.ui.removeRoiButton.connect("clicked(bool)", self.onRemove)
        self.ui.roiSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onChosen)
        table.connect("itemSelectionChanged()", self.refreshButtons)

    def onChosen(self):
        """A ROI was chosen to be added."""
        self.refreshButtons()

    def onAdd(self):
        """Add the chosen ROI to the list."""
        roi, segmentation = self.ui.roiSelector.currentNode(), self.workbench.parameters.measuredSegmentation
        if segmentation is not None:
            placeWith(roi, segmentation)
        addRoi(self.workbench.parameters, roi)

    def onAddAround(self):
        """Look for the implant beside the GUI."""
        node, distanceMm = self.workbench.parameters.measuredSegmentation, self.workbench.parameters.distanceMm
        self._task = self.workbench.start(
            lambda token: roiAroundSteps(node, distanceMm, token),
            lambda event: None,
            self.onFound,
            self.onFailed,
            self.refreshButtons,
        )
        self.ui.measuresStateLabel.text = _("Looking for the implant…")
        self.refreshButtons()

    def isLooking(self):
        """Whether the implant is being looked for."""
        return self._task is not None and self._task.isRunning

    def onFound(self, roi: Any):
        """Add the new ROI to the list."""
        self.ui.measuresStateLabel.text = ""
        addRoi(self.workbench.parameters, roi)
        self.workbench.changed()

    def onFailed(self, error: Exception):
        """What happened, and what to do."""
        self.ui.measuresStateLabel.text = errorText(error)
        self.refreshButtons()

    def onRemove(self):
        """Take the selected ROI out of the list."""
        nodes, row = roiNodes(self.workbench.parameters), self.ui.roiTable.currentRow()
        if 0 <= row < len(nodes):
            removeRoi(self.workbench.parameters, nodes[row])

    def refresh(self):
        """Show the list as it is now."""
        table, nodes = self.ui.roiTable, roiNodes(self.workbench.parameters)
        table.setRowCount(len(nodes))
        for row, node in enumerate(nodes):
            for column, text in enumerate((node.GetName(), *_sizes(node))):
                item = qt.QTableWidgetItem(text)
                table.setItem(row, column, item)
        self._whole.fit()
        self.refreshButtons()

    def refreshButtons(self):
        """States of the buttons."""
        if self.workbench.parameters is None:
            return
        missing = [] if self.workbench.parameters.measuredSegmentation is not None else [_("a segmentation")]
        missing += [_("wait for the search for the implant to finish")] if self.isLooking() else []
        setEnabled(
            self.ui.addRoiAroundButton,
            missing,
            _("Place an ROI on the implant's oriented bounding box, enlarged by the shell's thickness."),
        )
        chosen = self.ui.roiSelector.currentNode()
        setEnabled(
            self.ui.addRoiButton,
            [] if chosen is not None else [_("an ROI chosen on the left")],
            _("Add the chosen ROI to the list."),
        )
        setEnabled(
            self.ui.removeRoiButton,
            [] if self.ui.roiTable.currentRow() >= 0 else [_("a selected row")],
            _("Remove the selected ROI from the list; it stays in the scene."),
        )


def _sizes(node: vtkMRMLNode):
    """Edge lengths and volume in the world; what is wrong with it if it cannot be used."""
    try:
        box = box_of_roi_node(node)
    except MgImplantSegError as error:
        return errorText(error), ""
    return " × ".join(f"{size:.3g}" for size in box.size_mm), f"{box.volume_mm3:.4g}"
