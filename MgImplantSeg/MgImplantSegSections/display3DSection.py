"""The 3D part of section 3: show, opacity a class, surface method, decimation, colour, scan behind, picture."""

import qt
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.errors import MgImplantSegError
from MgImplantSegLib.labels import Role
from MgImplantSegLib.scene.closed_surfaces import SurfaceMethod, SurfaceSettings
from MgImplantSegSections import display3D
from MgImplantSegSections.workbench import errorText, setEnabled


class Display3DSection:
    """Shows the segmentation of the measurements section in 3D."""

    def __init__(self, workbench):
        self.workbench, self.ui = workbench, workbench.ui
        self._shown = None
        self.ui.show3DButton.connect("clicked(bool)", self.onShow)
        self.ui.takePictureButton.connect("clicked(bool)", self.onTakePicture)
        self.ui.showScanCheckBox.connect("toggled(bool)", self.onShowScan)
        self.ui.surfaceColorSelector.connect("activated(int)", self.onColor)
        workbench.onChange(self.refresh)

    def opacities(self):
        """Opacity by role, as the sliders say."""
        chosen = self.workbench.parameters
        return {Role.BONE: chosen.boneOpacity, Role.DEGRADATION_LAYER: chosen.layerOpacity,
                Role.RESIDUAL_MATERIAL: chosen.metalOpacity}  # fmt: skip

    def settings(self):
        """Surface settings as chosen; the user has asked, so large ones are made too."""
        chosen = self.workbench.parameters
        return SurfaceSettings(SurfaceMethod(chosen.surfaceMethod.value), decimation=chosen.decimation,
                               even_if_large=True)  # fmt: skip

    def onShow(self):
        """Make the surfaces and show them."""
        node = self.workbench.parameters.measuredSegmentation
        self._try(lambda: self._polygonsText(self.workbench.logic.showIn3D(node, self.settings(), self.opacities())))

    def onColor(self):
        """Colour the implant's surface as chosen."""
        chosen = self.workbench.parameters
        if chosen.measuredSegmentation is not None:
            kind = chosen.surfaceColor.value
            self._try(
                lambda: display3D.showColored(chosen.measuredSegmentation, kind, chosen.initialSegmentation) and ""
            )

    def onShowScan(self, visible):
        """Show or hide the scan behind the surfaces."""
        if self.workbench.parameters is not None and self.workbench.parameters.inputVolume is not None:
            display3D.showScan(self.workbench.parameters.inputVolume, visible)

    def onTakePicture(self):
        """Ask for a file and write the picture."""
        path = qt.QFileDialog.getSaveFileName(
            self.ui.SegmentationPanel, _("Take picture"), "explant.png", "PNG (*.png)"
        )
        if path:
            self.takePicture(path)

    def takePicture(self, path):
        """Write the picture into a file."""
        node = self.workbench.parameters.measuredSegmentation
        self._try(lambda: _("Written: {path}").format(path=display3D.takePicture(node, path)))

    def refresh(self):
        """States of the buttons."""
        missing = [] if self.workbench.parameters.measuredSegmentation is not None else [
            _("a segmentation (section 3 makes one, section 4 chooses one)")]  # fmt: skip
        setEnabled(self.ui.show3DButton, missing, _("Make the surfaces and show them in the 3D view."))
        setEnabled(self.ui.takePictureButton, missing, _("Write a PNG file of the surfaces with a scale bar."))
        self._followOpacities()
        self.ui.surfaceColorSelector.enabled = not missing
        self.ui.showScanCheckBox.enabled = self.workbench.parameters.inputVolume is not None

    def _followOpacities(self):
        """Opacities follow the sliders at once; nothing is done while they stay."""
        node, opacities = self.workbench.parameters.measuredSegmentation, self.opacities()
        if node is not None and self._shown not in (None, opacities):
            display3D.setOpacities(node, opacities)
        self._shown = opacities

    def _polygonsText(self, polygons):
        return _("{count} triangles in {segments} surfaces.").format(
            count=f"{sum(polygons.values()):,}", segments=sum(count > 0 for count in polygons.values())
        )

    def _try(self, action):
        """Run what keeps Slicer busy, saying so, and show how it ended."""
        self.ui.display3DLabel.text = _("Working; large volumes take minutes…")
        slicer.app.setOverrideCursor(qt.Qt.WaitCursor)
        self.ui.display3DLabel.repaint()
        try:
            self.ui.display3DLabel.text = action() or ""
        except MgImplantSegError as error:
            self.ui.display3DLabel.text = errorText(error)
        finally:
            slicer.app.restoreOverrideCursor()
