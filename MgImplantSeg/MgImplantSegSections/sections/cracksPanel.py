"""Cracks and canals of the segmentation: two sliders, a preview on the slice of the red view, and a button for all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import ctk
import qt
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.cracks.options import OPENINGS, OpeningOptions
from MgImplantSegLib.scene.volumes import geometry_of_node
from MgImplantSegSections.sections.fixedText import FixedText
from MgImplantSegSections.sections.segmentationSection import shownRow
from MgImplantSegSections.sections.workbench import errorText, setEnabled, stageText
from MgImplantSegSections.work.cracksWork import sourceOf

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench

WIDEST_VOXELS, STATUS_LINES = 10, 2


class CracksPanel:
    """A group at the end of the section Advanced; it works on the segmentation that is measured."""

    def __init__(self, workbench: Workbench):
        self.workbench, self.ui = workbench, workbench.ui
        self._task: Any = None
        self._voxelUm = 0.0
        self._again = False
        self.box = qt.QGroupBox(_("Cracks and canals"))
        form = qt.QFormLayout(self.box)
        self.widthSlider = _slider(form, _("Width:"), _("Narrowest crack or canal that is looked for, in µm."), 1)
        self.widthSlider.suffix = " µm"
        self.contrastSlider = _slider(
            form,
            _("Contrast:"),
            _("How dark it is at least: 0 is the grey value around it, 1 that of the background."),
            2,
        )
        self.contrastSlider.minimum, self.contrastSlider.maximum, self.contrastSlider.singleStep = 0.05, 0.95, 0.05
        self.contrastSlider.value = OpeningOptions().opening_contrast
        self.previewCheckBox = qt.QCheckBox(_("Preview"))
        self.previewCheckBox.toolTip = _("Show what is found around the slice of the red view while the sliders move.")
        self.findButton = qt.QPushButton(_("Find cracks"))
        self.statusLabel = FixedText(qt.QLabel(), STATUS_LINES)
        for widget in (self.previewCheckBox, self.findButton, self.statusLabel.label):
            form.addRow(widget)
        layout = self.ui.advancedSection.layout()
        layout.addWidget(self.box, layout.rowCount(), 0, 1, 2)
        self.findButton.connect("clicked(bool)", self.onFind)
        self.previewCheckBox.connect("toggled(bool)", self.onSettings)
        for slider in (self.widthSlider, self.contrastSlider):
            slider.connect("valueChanged(double)", self.onSettings)
        workbench.onChange(self.refresh)

    def isRunning(self):
        """Whether cracks are being looked for."""
        return self._task is not None and self._task.isRunning

    def options(self):
        """What is looked for."""
        return OpeningOptions(tuple(OPENINGS), self.widthSlider.value, self.contrastSlider.value)

    def missing(self):
        """All that is missing before cracks can be looked for."""
        chosen = self.workbench.parameters
        found = [] if chosen.inputVolume is not None else [_("a volume")]
        return found + ([] if chosen.measuredSegmentation is not None else [_("a segmentation of it")])

    def onFind(self):
        """Look for cracks in the whole scan, or cancel what runs."""
        if self.isRunning():
            self._task.cancel()
            return
        self._start(None)

    def onSettings(self):
        """A slider has moved: preview with the new values once the running preview has ended."""
        if not self.previewCheckBox.checked or self.missing():
            return
        if self.isRunning():
            self._again = True
            return
        self._start(shownRow(self.workbench.parameters.inputVolume))

    def _start(self, row):
        chosen = self.workbench.parameters
        volume, segmentation, options = chosen.inputVolume, sourceOf(chosen.measuredSegmentation), self.options()
        self._again = False
        self.statusLabel.text = _("Looking for cracks…")
        self._task = self.workbench.start(
            lambda token: self.workbench.logic.cracksSteps(volume, segmentation, options, row, token),
            self._onEvent,
            self.onFound if row is None else self.onPreviewed,
            lambda error: self._end(errorText(error)),
            lambda: self._end(_("Cancelled.")),
        )
        self.refresh()

    def _onEvent(self, event):
        """What is being done, how much of it is done, and the time left."""
        if event["event"] == "progress":
            part = 100 * event.get("done", 0) // (event.get("total") or 1)
            self.statusLabel.text = _("{part} % of {stage}").format(part=part, stage=stageText(event))

    def onFound(self, node):
        """Measure the segmentation with cracks from now on."""
        self.workbench.parameters.measuredSegmentation = node
        self._end(_("Done: {name}.").format(name=node.GetName()))

    def onPreviewed(self, node):
        """The preview is shown; one more if a slider has moved meanwhile."""
        self._end(_("Preview: {name}.").format(name=node.GetName()))
        if self._again:
            self.onSettings()

    def _end(self, text):
        self.statusLabel.text = text
        self.workbench.changed()

    def refresh(self):
        """State of the button; widths that fit the voxels of the volume."""
        volume = self.workbench.parameters.inputVolume
        if volume is not None:
            self._offerWidths(volume)
        self.findButton.text = _("Cancel") if self.isRunning() else _("Find cracks")
        setEnabled(
            self.findButton,
            [] if self.isRunning() else self.missing(),
            _("Cracks in the layer and canals in bone become segments of their own; measures take them as background."),
        )

    def _offerWidths(self, volume):
        try:
            voxelUm = 1000 * max(geometry_of_node(volume).spacing_zyx_mm)
        except MgImplantSegError:
            return
        if voxelUm == self._voxelUm:
            return
        self._voxelUm = voxelUm
        slider = self.widthSlider
        slider.blockSignals(True)  # nobody has moved it: no preview
        slider.maximum = WIDEST_VOXELS * voxelUm
        slider.minimum = math.ceil(10 * voxelUm) / 10  # the slider shows one decimal, and no less than a voxel is valid
        slider.singleStep, slider.value = voxelUm / 2, 2 * voxelUm
        slider.blockSignals(False)


def _slider(form, text, toolTip, decimals):
    """A row with a slider."""
    slider = ctk.ctkSliderWidget()
    slider.decimals, slider.toolTip = decimals, toolTip
    form.addRow(text, slider)
    return slider
