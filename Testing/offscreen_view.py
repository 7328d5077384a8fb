"""Off-screen view of a scene: what Slicer's 3D view shows (models, segmentations, ROI boxes), without a display."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from MgImplantSegLib.scene.canvas import new_render_window, new_renderer, pixels_of_window, write_png
from MgImplantSegLib.scene.standalone import require_slicer

MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLVolumeRenderingDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)
DIRECTION_RAS = (-0.5, 0.8, 0.35)
UP_RAS = (0.0, 0.0, 1.0)


class OffscreenView:
    """A 3D view of a scene in memory, for scripts; close it or use it in a `with` statement.

    Inside the Slicer application its own views show the scene.

    Parameters
    ----------
    scene : vtkMRMLScene
    application_logic : vtkMRMLApplicationLogic
    width, height : int
        Pixels.

    Raises
    ------
    DependencyError
        If slicer-core, VTK or OpenGL is missing.
    """

    def __init__(self, scene: Any, application_logic: Any, width: int = 1200, height: int = 900) -> None:
        slicer = require_slicer()
        self.scene = scene
        self._window = new_render_window()
        self._window.SetSize(width, height)
        self.renderer = new_renderer(self._window)
        self._interactor = self._new_interactor()
        self._view_node = self._new_view_node()
        self._group = slicer.vtkMRMLDisplayableManagerGroup()
        self._group.SetRenderer(self.renderer)
        for name in MANAGERS:
            manager = getattr(slicer, name)()
            manager.SetMRMLApplicationLogic(application_logic)
            self._group.AddDisplayableManager(manager)
        self._group.SetMRMLDisplayableNode(self._view_node)
        self.look_at(self.bounds_ras_mm())

    def _new_interactor(self) -> Any:
        """Displayable managers ask for one; it never runs."""
        from vtkmodules.vtkRenderingCore import vtkRenderWindowInteractor

        interactor = vtkRenderWindowInteractor()
        interactor.SetRenderWindow(self._window)
        return interactor

    def _new_view_node(self) -> Any:
        node = self.scene.AddNewNodeByClass("vtkMRMLViewNode", "off-screen view")
        node.SetBoxVisible(False)
        node.SetAxisLabelsVisible(False)
        node.SetBackgroundColor(1, 1, 1)
        node.SetBackgroundColor2(1, 1, 1)
        node.SaveWithSceneOff()
        return node

    def bounds_ras_mm(self) -> np.ndarray:
        """Bounds of everything visible in the scene, (3, 2) in RAS; of the unit cube if there is nothing."""
        found = []
        for index in range(self.scene.GetNumberOfNodesByClass("vtkMRMLDisplayableNode")):
            node, bounds = self.scene.GetNthNodeByClass(index, "vtkMRMLDisplayableNode"), [0.0] * 6
            if node.GetDisplayVisibility() and not node.IsA("vtkMRMLVolumeNode"):
                node.GetRASBounds(bounds)
                found.append(np.reshape(bounds, (3, 2)))
        found = [bounds for bounds in found if (bounds[:, 0] <= bounds[:, 1]).all()]
        if not found:
            return np.array([[-0.5, 0.5]] * 3)
        return np.stack([np.min(found, axis=0)[:, 0], np.max(found, axis=0)[:, 1]], axis=1)

    def look_at(self, bounds_ras_mm: np.ndarray, to_camera_ras: tuple[float, ...] = DIRECTION_RAS) -> None:
        """Point the camera at a box from a direction, in parallel projection, superior up."""
        low, high = np.asarray(bounds_ras_mm).T
        centre, radius = (low + high) / 2, np.linalg.norm(high - low) / 2
        direction = np.array(to_camera_ras) / np.linalg.norm(to_camera_ras)
        camera = self.renderer.GetActiveCamera()
        camera.ParallelProjectionOn()
        camera.SetFocalPoint(*centre)
        camera.SetPosition(*(centre + 4 * radius * direction))
        camera.SetViewUp(*(UP_RAS if abs(direction[2]) < 0.99 else (0, 1, 0)))
        camera.SetParallelScale(radius)
        self.renderer.ResetCameraClippingRange()

    def pixels(self) -> np.ndarray:
        """Draw, and return the picture as uint8 array (height, width, 3), first row on top."""
        return pixels_of_window(self._window)

    def save(self, path: str | Path) -> Path:
        """Draw into a PNG file."""
        return write_png(self.pixels(), path)

    def close(self) -> None:
        """Take the view out of the scene and free the graphics memory."""
        self._group.SetMRMLDisplayableNode(None)
        self.scene.RemoveNode(self._view_node)
        self._window.Finalize()

    def __enter__(self) -> OffscreenView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
