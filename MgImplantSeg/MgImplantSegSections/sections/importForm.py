"""The fields of the dialog that imports a large scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from MgImplantSegSections.parameters import shownNodes
from MgImplantSegSections.work.importWork import BOX, ROI, SAMPLE, WHOLE, ImportRequest, defaultOutput, isRotated

CROPS = (WHOLE, SAMPLE, BOX, ROI)
COARSEST_UM = 1000.0


class ImportForm:
    """Scan, voxel sizes, what is kept, and the file for the result.

    :param rows: the form layout that the fields go into.
    """

    def __init__(self, rows: Any):
        self._onChange: Any = lambda: None
        self._rois: list[Any] = []
        self._build()
        self._tell()
        rows.addRow(_("Scan:"), _inRow(self.scanEdit, self.folderButton, self.fileButton))
        rows.addRow(_("Dataset:"), self.datasetEdit)
        rows.addRow(_("Voxel size of the scan:"), self.spacingSpinBox)
        rows.addRow(_("Voxel size of the result:"), self.targetSpinBox)
        rows.addRow(_("Keep:"), _inRow(self.cropSelector, self.boxEdit, self.roiSelector))
        rows.addRow("", self.roiLabel)
        rows.addRow(_("Save as:"), _inRow(self.outEdit, self.outButton))
        self._connect()
        self.onChanged()

    def _build(self):
        self.scanEdit, self.datasetEdit, self.boxEdit, self.outEdit = (qt.QLineEdit() for _number in range(4))
        self.folderButton, self.fileButton = qt.QPushButton(_("Folder…")), qt.QPushButton(_("File…"))
        self.outButton = qt.QPushButton(_("Choose…"))
        self.spacingSpinBox, self.targetSpinBox = _sizeBox(_("as in the file")), _sizeBox(_("to at most 2 GB"))
        self.cropSelector = qt.QComboBox()
        self.cropSelector.addItems([_("The whole scan"), _("The sample"), _("A box"), _("An ROI of the scene")])
        self.roiSelector, self.roiLabel = qt.QComboBox(), qt.QLabel()
        self.roiLabel.wordWrap = True
        self.boxEdit.placeholderText = _("X0:X1,Y0:Y1,Z0:Z1")
        for button in (self.folderButton, self.fileButton, self.outButton):
            button.autoDefault = False

    def _tell(self):
        self.scanEdit.toolTip = _("A folder with one TIFF, BMP or PNG file per slice, or an image file.")
        self.folderButton.toolTip = _("Choose the folder with the slices.")
        self.fileButton.toolTip = _("Choose an image file: HDF5, TIFF, NRRD, MetaImage, NIfTI.")
        self.datasetEdit.toolTip = _("Path of the volume inside an HDF5 file; empty: the one that fits.")
        self.spacingSpinBox.toolTip = _("Edge length of a voxel of the scan, if its file does not say it.")
        self.targetSpinBox.toolTip = _(
            "Edge length of a voxel of the result. As it stands: the finest whole multiple of the scan's that gives at "
            "most 2 GB."
        )
        self.cropSelector.toolTip = _("The sample is the largest bright object, with a margin of 0.2 mm.")
        self.boxEdit.toolTip = _("First and end voxel along x, y and z; mm from the first corner with mm at the end.")
        self.roiSelector.toolTip = _(
            "The ROI where it stands in the scene, transforms included. The smallest box of whole voxels around it is "
            "kept, also of a rotated one."
        )
        self.outEdit.toolTip = _("The file for the result, .nrrd.")
        self.outButton.toolTip = _("Choose the file for the result.")

    def _connect(self):
        for edit in (self.scanEdit, self.datasetEdit, self.boxEdit, self.outEdit):
            edit.connect("textChanged(QString)", self.onChanged)
        for box in (self.spacingSpinBox, self.targetSpinBox):
            box.connect("valueChanged(double)", self.onChanged)
        for selector in (self.cropSelector, self.roiSelector):
            selector.connect("currentIndexChanged(int)", self.onChanged)
        self.folderButton.connect("clicked(bool)", self.onFolder)
        self.fileButton.connect("clicked(bool)", self.onFile)
        self.outButton.connect("clicked(bool)", self.onOut)

    def whenChanged(self, listener: Callable[[], Any]):
        """Call `listener` after each change."""
        self._onChange = listener

    def request(self):
        """What is chosen."""
        scan = self.scanEdit.text.strip()
        return ImportRequest(
            scan,
            self.outEdit.text.strip() or defaultOutput(scan),
            self.datasetEdit.text.strip(),
            self.spacingSpinBox.value,
            self.targetSpinBox.value,
            CROPS[max(0, self.cropSelector.currentIndex)],
            "".join(self.boxEdit.text.split()),
            self._rois[self.roiSelector.currentIndex] if self._rois else None,
        )

    def refillRois(self):
        """List the ROIs of the scene; the chosen one stays chosen."""
        chosen = self.request().roiNode
        self._rois = shownNodes("vtkMRMLMarkupsROINode")
        self.roiSelector.blockSignals(True)
        self.roiSelector.clear()
        self.roiSelector.addItems([node.GetName() for node in self._rois])
        if chosen in self._rois:
            self.roiSelector.setCurrentIndex(self._rois.index(chosen))
        self.roiSelector.blockSignals(False)
        self.onChanged()

    def offerBox(self, text: str):
        """Put in the box that was found, for a person to change."""
        if self.request().crop != BOX:
            self.boxEdit.text = text

    def onFolder(self):
        """Choose a folder of slices."""
        path = qt.QFileDialog.getExistingDirectory(self.scanEdit.window(), _("Choose the folder with the slices"))
        if path:
            self.scanEdit.text = path

    def onFile(self):
        """Choose an image file."""
        path = qt.QFileDialog.getOpenFileName(self.scanEdit.window(), _("Choose a scan"))
        if path:
            self.scanEdit.text = path

    def onOut(self):
        """Choose the file for the result."""
        path = qt.QFileDialog.getSaveFileName(
            self.scanEdit.window(), _("Save the result"), self.request().out, "NRRD (*.nrrd)"
        )
        if path:
            self.outEdit.text = path

    def onChanged(self):
        """Show where the result goes, and box or ROI only where one is wanted."""
        request = self.request()
        self.outEdit.placeholderText = defaultOutput(request.scan)
        self.boxEdit.enabled = request.crop == BOX
        self.boxEdit.visible, self.roiSelector.visible = request.crop != ROI, request.crop == ROI
        isMore = request.crop == ROI and request.roiNode is not None and isRotated(request.roiNode)
        self.roiLabel.text = _("This ROI is rotated: the box of whole voxels around it is kept.") if isMore else ""
        self.roiLabel.visible = isMore
        self._onChange()


def _sizeBox(automatic):
    box = qt.QDoubleSpinBox()
    box.setRange(0.0, COARSEST_UM)
    box.setDecimals(3)
    box.setSuffix(" µm")
    box.setSpecialValueText(automatic)
    return box


def _inRow(*widgets):
    row = qt.QWidget()
    layout = qt.QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return row
