"""An off-screen render window: one renderer, no display needed, pixels out as an array or a PNG file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import DependencyError
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.scene.viewpoint import Viewpoint

PEELS = 6
FRAME = 0.03
STRIP = 0.12
WINDOWS_WITHOUT_DRIVER = ("vtkOSOpenGLRenderWindow", "vtkRenderWindow")


def require_vtk() -> None:
    """Load VTK with its OpenGL parts, which VTK needs before the first render window is made.

    Raises DependencyError if VTK or a library that it draws with is missing.
    """
    try:
        import vtkmodules.vtkInteractionStyle
        import vtkmodules.vtkRenderingFreeType
        import vtkmodules.vtkRenderingOpenGL2  # noqa: F401
    except ImportError as error:
        raise DependencyError(
            f"Expected VTK with OpenGL for 3D pictures, got: {error}.",
            "Install it with: pip install vtk (Linux also needs libegl1 and libgl1 of the system).",
        ) from error


def new_render_window() -> Any:
    """A `vtkRenderWindow` that is never shown: X where there is a display, EGL without one, as VTK picks by itself.

    Raises DependencyError if there is neither; VTK would end the process at the first picture.
    """
    require_vtk()
    from vtkmodules.vtkCommonCore import vtkObject
    from vtkmodules.vtkRenderingCore import vtkRenderWindow

    warnings_were_on = vtkObject.GetGlobalWarningDisplay()
    vtkObject.GlobalWarningDisplayOff()  # that there is no display is no news
    try:
        window = vtkRenderWindow()
    finally:
        vtkObject.SetGlobalWarningDisplay(warnings_were_on)
    if window.GetClassName() in WINDOWS_WITHOUT_DRIVER:
        raise DependencyError(
            "Expected OpenGL by X or EGL for 3D pictures, got neither.",
            "Install a driver; on Linux without a display: libegl1, libgl1 and libgl1-mesa-dri.",
        )
    window.SetOffScreenRendering(True)
    window.SetMultiSamples(0)
    window.SetAlphaBitPlanes(True)
    return window


def new_renderer(window: Any) -> Any:
    """A `vtkRenderer` in a window, with correct transparency, smooth edges and the lights of a studio."""
    from vtkmodules.vtkRenderingCore import vtkLightKit, vtkRenderer

    renderer = vtkRenderer()
    renderer.SetUseDepthPeeling(True)
    renderer.SetMaximumNumberOfPeels(PEELS)
    renderer.SetOcclusionRatio(0.0)
    renderer.SetUseFXAA(True)
    lights = vtkLightKit()
    lights.SetKeyToFillRatio(2.0)
    lights.AddLightsToRenderer(renderer)
    window.AddRenderer(renderer)
    return renderer


def pixels_of_window(window: Any) -> np.ndarray:
    """Draw, and return the picture as uint8 array (height, width, 3), first row on top."""
    from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

    window.Render()
    grab = vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.ShouldRerenderOff()
    return _pixels(grab)


def pixels_shown(window: Any) -> np.ndarray:
    """The picture in a window of the application, which draws it itself; as `pixels_of_window`."""
    from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

    grab = vtkWindowToImageFilter()
    grab.SetInput(window)
    return _pixels(grab)


def _pixels(grab: Any) -> np.ndarray:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    grab.Update()
    width, height, _depth = grab.GetOutput().GetDimensions()
    rgb = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
    return rgb.reshape(height, width, 3)[::-1].copy()  # VTK has the first row at the bottom


class OffscreenCanvas:
    """A render window that is never shown, `width` × `height` pixels, with correct transparency.

    Raises `DependencyError` where there is no OpenGL.
    """

    def __init__(self, width: int, height: int, background_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> None:
        self.window = new_render_window()
        self.width, self.height = width, height
        self._points_ras_mm: list[np.ndarray] = []
        self.window.SetSize(width, height)
        self.renderer = new_renderer(self.window)
        self.renderer.SetBackground(*background_rgb)

    def add_mesh(self, mesh: Any, color_rgb: tuple[float, float, float], opacity: float = 1.0) -> Any:
        """Draw a mesh in one colour; returns the `vtkProperty` that its look can be changed with."""
        mapper, style = self._add_actor(mesh)
        mapper.ScalarVisibilityOff()
        style.SetColor(*color_rgb)
        style.SetOpacity(opacity)
        return style

    def add_colored_mesh(self, mesh: Any, array: str, lookup_table: Any) -> Any:
        """Draw a mesh in the colours of one of its arrays, of points or of cells."""
        mapper, style = self._add_actor(mesh)
        if mesh.GetCellData().HasArray(array):
            mapper.SetScalarModeToUseCellFieldData()
        else:
            mapper.SetScalarModeToUsePointFieldData()
        mapper.SelectColorArray(array)
        mapper.SetLookupTable(lookup_table)
        mapper.UseLookupTableScalarRangeOn()
        mapper.SetColorModeToMapScalars()
        mapper.InterpolateScalarsBeforeMappingOn()
        return style

    def _add_actor(self, mesh: Any) -> tuple[Any, Any]:
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

        mapper, actor = vtkPolyDataMapper(), vtkActor()
        mapper.SetInputData(mesh)
        actor.SetMapper(mapper)
        self.renderer.AddActor(actor)
        if mesh.GetNumberOfPoints():
            self._points_ras_mm.append(vtk_to_numpy(mesh.GetPoints().GetData()))
        style = actor.GetProperty()
        style.SetInterpolationToPhong()
        style.SetAmbient(0.15)
        style.SetDiffuse(0.85)
        style.SetSpecularPower(30)
        return mapper, style

    def aim(self, viewpoint: Viewpoint) -> None:
        """Look at all meshes from a viewpoint, in parallel projection, as large as they fit above a strip for notes."""
        axes = viewpoint.screen_axes
        seen_mm = [points @ axes for points in self._points_ras_mm]
        low, high = (np.array([limit(part, axis=0) for part in seen_mm]) for limit in (np.min, np.max))
        low, high = low.min(axis=0), high.max(axis=0)  # (right, up, towards the viewer)
        usable = np.array([self.width - 2 * FRAME * self.height, (1 - STRIP - FRAME) * self.height])  # pixels
        mm_per_pixel = max((high - low)[:2] / usable)
        focus = (low + high) / 2
        focus[1] -= (STRIP - FRAME) / 2 * self.height * mm_per_pixel
        camera = self.renderer.GetActiveCamera()
        camera.ParallelProjectionOn()
        camera.SetFocalPoint(*(axes @ focus))
        camera.SetPosition(*(axes @ focus + axes[:, 2] * 2 * np.linalg.norm(high - low)))
        camera.SetViewUp(*axes[:, 1])
        camera.SetParallelScale(mm_per_pixel * self.height / 2)
        self.renderer.ResetCameraClippingRange()

    def pixels(self) -> np.ndarray:
        """Draw, and return the picture as uint8 array (height, width, 3), first row on top."""
        return pixels_of_window(self.window)

    def save(self, path: str | Path) -> Path:
        """Draw into a PNG file."""
        return write_png(self.pixels(), path)

    def close(self) -> None:
        """Free the graphics memory."""
        self.window.Finalize()


def write_png(pixels: np.ndarray, path: str | Path) -> Path:
    """Write an array (height, width, 3) of uint8, first row on top, as PNG."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkIOImage import vtkPNGWriter

    height, width, _ = pixels.shape
    image = vtkImageData()
    image.SetDimensions(width, height, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(pixels[::-1]).reshape(-1, 3), deep=True))
    writer = vtkPNGWriter()
    writer.SetInputData(image)
    writer.WriteToMemoryOn()
    writer.Write()
    with atomic_output(path) as temporary:
        temporary.write_bytes(vtk_to_numpy(writer.GetResult()).tobytes())
    return Path(path)
