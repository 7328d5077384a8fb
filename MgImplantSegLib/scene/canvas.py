"""An off-screen render window: one renderer, no display needed, pixels out as an array or a PNG file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.errors import DependencyError
from MgImplantSegLib.files import atomic_output

PEELS = 8
WINDOWS_WITHOUT_DRIVER = ("vtkOSOpenGLRenderWindow", "vtkRenderWindow")


def require_vtk() -> None:
    """Load VTK with its OpenGL parts, which VTK needs before the first render window is made.

    Raises
    ------
    DependencyError
        If VTK or a library that it draws with is missing.
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

    Raises
    ------
    DependencyError
        If there is neither; VTK would end the process at the first picture.
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
    return window


class OffscreenCanvas:
    """A render window that is never shown, `width` × `height` pixels, with correct transparency.

    Raises `DependencyError` where there is no OpenGL.
    """

    def __init__(self, width: int, height: int, background_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> None:
        self.window = new_render_window()
        from vtkmodules.vtkRenderingCore import vtkRenderer

        self.width, self.height = width, height
        self.renderer = vtkRenderer()
        self.renderer.SetBackground(*background_rgb)
        self.renderer.SetUseDepthPeeling(True)
        self.renderer.SetMaximumNumberOfPeels(PEELS)
        self.renderer.SetOcclusionRatio(0.0)
        self.renderer.SetUseFXAA(True)
        self.window.SetAlphaBitPlanes(True)
        self.window.SetSize(width, height)
        self.window.AddRenderer(self.renderer)

    def pixels(self) -> np.ndarray:
        """Draw, and return the picture as uint8 array (height, width, 3), first row on top."""
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

        self.window.Render()
        grab = vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.ShouldRerenderOff()
        grab.Update()
        rgb = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
        return rgb.reshape(self.height, self.width, 3)[::-1].copy()  # VTK has the first row at the bottom

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
