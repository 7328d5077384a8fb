"""The 3D view: show, opacity a class, surface method, decimation, colour, scan behind, picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.scene.closed_surfaces import SurfaceMethod, SurfaceSettings
from MgImplantSegLib.scene.segments import is_made_of_surfaces
from MgImplantSegSections.parameters import SurfaceColor
from MgImplantSegSections.sections.workbench import errorText, setEnabled
from MgImplantSegSections.work import display3D, layouts
from MgImplantSegSections.work.surfaceWork import isHuge, isLarge

if TYPE_CHECKING:
    from slicer import vtkMRMLNode

    from MgImplantSegSections.engine.engineRun import CancelToken
    from MgImplantSegSections.sections.workbench import Workbench


class Display3DSection:
    """Shows the segmentation of the measurements section in 3D."""

    def __init__(self, workbench: Workbench, observe: Callable[..., Any]):
        """:param observe: `observe(key, objects, events, callback)` replaces the observations under a key."""
        self.workbench, self.ui, self._observe = workbench, workbench.ui, observe
        self._shown: Any = None
        self._task: Any = None
        self.ui.show3DButton.connect("clicked(bool)", self.onShow)
        self.ui.takePictureButton.connect("clicked(bool)", self.onTakePicture)
        self.ui.showScanCheckBox.connect("toggled(bool)", self.onShowScan)
        self.ui.surfaceColorSelector.connect("activated(int)", self.onColor)
        workbench.onChange(self.refresh)

    def opacities(self):
        """Opacity by role, as the sliders say."""
        chosen = self.workbench.parameters
        return {
            Role.BONE: chosen.boneOpacity,
            Role.DEGRADATION_LAYER: chosen.layerOpacity,
            Role.RESIDUAL_MATERIAL: chosen.metalOpacity,
        }

    def settings(self):
        """Surface settings as chosen; the user has asked, so large ones are made too, decimated unless told otherwise.

        The slider shows what is done.
        """
        chosen = self.workbench.parameters
        if chosen.decimation == 0 and isHuge(chosen.measuredSegmentation):
            chosen.decimation = display3D.DECIMATION_OF_HUGE
        return SurfaceSettings(
            SurfaceMethod(chosen.surfaceMethod.value), decimation=chosen.decimation, even_if_large=True
        )

    def isRunning(self):
        """Whether surfaces are being made beside the GUI."""
        return self._task is not None and self._task.isRunning

    def onShow(self):
        """Make the surfaces and show them, or cancel what runs."""
        if self.isRunning():
            self._task.cancel()
            return
        node, settings = self.workbench.parameters.measuredSegmentation, self.settings()
        if isLarge(node) and not is_made_of_surfaces(node.GetSegmentation()):
            self._start(
                lambda token: self.workbench.logic.surfaceSteps(node, settings, token),
                lambda polygons: self._shownText(node, polygons, settings),
            )
        else:
            show = self.workbench.logic.showIn3D
            self._try(lambda: self._polygonsText(show(node, settings, self.opacities()), settings))

    def _shownText(self, node: vtkMRMLNode, polygons: dict[str, int], settings: Any):
        display3D.showSurfaces(node, self.opacities())
        return self._polygonsText(polygons, settings)

    def onColor(self):
        """Colour the implant's surface as chosen."""
        chosen, kind = self.workbench.parameters, self.workbench.parameters.surfaceColor.value
        node, initial = chosen.measuredSegmentation, chosen.initialSegmentation
        if node is None or self.isRunning():
            return
        if kind != "plain" and isLarge(node):
            self._startColored(node, kind, initial)
        else:
            self._try(lambda: self._showColored(node, kind, initial))

    def _startColored(self, node: vtkMRMLNode, kind: str, initial: Any):
        def steps(token: CancelToken):
            if kind == "depth":
                display3D.requireInitial(initial)
            return self.workbench.logic.coloredSurfaceSteps(node, kind, initial, token)

        self._start(steps, lambda mesh: self._showColored(node, kind, initial, mesh))

    def _showColored(self, node: vtkMRMLNode, kind: str, initial: Any, mesh: Any = None):
        """Colour the surface; the text says nothing, for the legend in the view does."""
        if mesh is None:
            display3D.showColored(node, kind, initial)
        else:
            display3D.putColored(node, kind, mesh, initial)
        display3D.lookAtAll()
        return ""

    def _chooseShownColor(self):
        """After a failure the choice is what the view shows."""
        chosen = self.workbench.parameters
        if chosen is not None and chosen.measuredSegmentation is not None:
            chosen.surfaceColor = SurfaceColor(display3D.shownColor(chosen.measuredSegmentation))

    def onShowScan(self, visible: bool):
        """Show or hide the scan behind the surfaces."""
        if self.workbench.parameters is not None and self.workbench.parameters.inputVolume is not None:
            display3D.showScan(self.workbench.parameters.inputVolume, visible)

    def onTakePicture(self):
        """Ask for a file and write the picture."""
        path = qt.QFileDialog.getSaveFileName(self.ui.Display3DPanel, _("Take picture"), "explant.png", "PNG (*.png)")
        if path:
            self.takePicture(path)

    def takePicture(self, path: Any):
        """Write the picture into a file: what the 3D view shows.

        Where no view is shown, surfaces of a large segmentation are made first, beside the GUI.
        """
        node, settings = self.workbench.parameters.measuredSegmentation, self.settings()
        if layouts.has3D() or display3D.hasSurfaces(node) or not isLarge(node):
            self._try(lambda: self._pictureText(node, path))
        elif not self.isRunning():
            self._start(
                lambda token: self.workbench.logic.surfaceSteps(node, settings, token),
                lambda polygons: self._pictureText(node, path),
            )

    def _pictureText(self, node: vtkMRMLNode, path: Any):
        return _("Written: {path}").format(path=display3D.takePicture(node, path))

    def onViewChanged(self, caller: Any = None, event: Any = None):
        """The 3D view has got another size, perhaps."""
        display3D.fitLegends(slicer.mrmlScene)

    def _followView(self):
        """Legends fit the view that is shown."""
        window = display3D.shownWindow()
        events = ["WindowResizeEvent", "ModifiedEvent"]
        self._observe("view", [window] if window is not None else [], events, self.onViewChanged)

    def refresh(self):
        """States of the buttons."""
        self._followView()
        missing = (
            []
            if self.workbench.parameters.measuredSegmentation is not None
            else [_("a segmentation (Segment makes one, Measurements chooses one)")]
        )
        resting = [_("wait for the current task to finish")] if self.isRunning() else []
        if self.isRunning():
            self.ui.show3DButton.text = _("Cancel")
            setEnabled(self.ui.show3DButton, [], _("Stop; the 3D view stays as it is."))
        else:
            self.ui.show3DButton.text = _("Show 3D")
            setEnabled(self.ui.show3DButton, missing, _("Create the surfaces and show them in the 3D view."))
        picture = _("Write a PNG file of the surfaces with a scale bar.")
        setEnabled(self.ui.takePictureButton, missing + resting, picture)
        self._followOpacities()
        self.ui.surfaceColorSelector.enabled = not missing + resting
        self.ui.showScanCheckBox.enabled = self.workbench.parameters.inputVolume is not None

    def _followOpacities(self):
        """Opacities follow the sliders at once; nothing is done while they stay."""
        node, opacities = self.workbench.parameters.measuredSegmentation, self.opacities()
        if node is not None and self._shown not in (None, opacities):
            display3D.setOpacities(node, opacities)
        self._shown = opacities

    def _polygonsText(self, polygons: dict[str, int], settings: Any):
        text = _("{count} triangles in {segments} surfaces.").format(
            count=f"{sum(polygons.values()):,}", segments=sum(count > 0 for count in polygons.values())
        )
        if not settings.decimation:
            return text
        return _("{text} Decimated by up to {part:.0f} %.").format(text=text, part=100 * settings.decimation)

    def _start(self, steps: Any, finish: Any):
        """Run what takes long beside the GUI; `finish` puts its result into the scene and returns a text."""
        self.ui.segmentStatusLabel.text = _("Starting…")
        self._task = self.workbench.start(
            steps, self.onEvent, lambda result: self._end(finish, result), self.onFailed, self.onCancelled
        )
        self.refresh()

    def onEvent(self, event: Any):
        """Say what is being done."""
        if event["event"] == "progress":
            part = 100 * event.get("done", 0) // (event.get("total") or 1)
            self.ui.segmentStatusLabel.text = _("{stage}: {part} %").format(stage=event.get("stage", ""), part=part)

    def _end(self, finish: Any, result: Any):
        self._try(lambda: finish(result))
        self.workbench.changed()

    def onFailed(self, error: Exception):
        """What happened, and what to do."""
        self.ui.segmentStatusLabel.text = errorText(error)
        self._chooseShownColor()
        self.workbench.changed()

    def onCancelled(self):
        """The view stays as it is."""
        self.ui.segmentStatusLabel.text = _("Cancelled; nothing was changed.")
        self._chooseShownColor()
        self.workbench.changed()

    def _try(self, action: Any):
        """Run what keeps Slicer busy for a moment, saying so, and show how it ended."""
        self.ui.segmentStatusLabel.text = _("Working…")
        slicer.app.setOverrideCursor(qt.Qt.WaitCursor)
        self.ui.segmentStatusLabel.repaint()
        try:
            self.ui.segmentStatusLabel.text = action() or ""
        except MgImplantSegError as error:
            self.ui.segmentStatusLabel.text = errorText(error)
            self._chooseShownColor()
        finally:
            slicer.app.restoreOverrideCursor()
