"""The scene as Slicer's 3D view shows it, drawn without a display; and what is said when something is missing."""

import sys

import numpy as np
import pytest
import vtk
from offscreen_view import OffscreenView

from MgImplantSegLib.base.errors import DependencyError
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.scene import canvas
from MgImplantSegLib.scene.closed_surfaces import create_closed_surfaces
from MgImplantSegLib.scene.markups import add_roi_node
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.slices import draw_slices
from MgImplantSegLib.scene.standalone import StandaloneScene
from MgImplantSegLib.scene.surface_models import add_contact_model


def colored(pixels):
    """Pixels that are not grey, black or white."""
    return np.ptp(pixels.astype(int), axis=2) > 25


def test_segmentation_and_roi_are_seen_and_the_view_leaves_no_trace(standalone, explant):
    node = add_segmentation_node(standalone.scene, explant[1], "explant")
    create_closed_surfaces(node)
    before = standalone.scene.GetNumberOfNodes()
    with OffscreenView(standalone.scene, standalone.application_logic, 320, 240) as view:
        pixels = view.pixels()
    assert pixels.shape == (240, 320, 3)
    assert colored(pixels).mean() > 0.1
    assert standalone.scene.GetNumberOfNodes() == before
    add_roi_node(standalone.scene, OrientedBox((0, 0, 0), size_mm=(3, 3, 3)))
    with OffscreenView(standalone.scene, standalone.application_logic, 320, 240) as view:
        with_roi = view.pixels()
    assert colored(with_roi)[:, 160].any()
    assert not np.array_equal(with_roi, pixels)


def test_the_view_holds_all_that_is_visible(standalone, explant):
    node = add_contact_model(standalone.scene, explant[1], "contact")
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    with OffscreenView(standalone.scene, standalone.application_logic, 320, 240) as view:
        np.testing.assert_allclose(view.bounds_ras_mm(), np.reshape(bounds, (3, 2)))
        inside = view.pixels()
    edge = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    assert (edge > 250).all()
    node.GetDisplayNode().SetVisibility(False)
    with OffscreenView(standalone.scene, standalone.application_logic, 320, 240) as view:
        assert (view.pixels() > 250).all()


def test_without_slicer_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "slicer", None)
    with pytest.raises(DependencyError, match="pip install slicer-core"):
        StandaloneScene()


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch, explant, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(DependencyError, match="pip install matplotlib"):
        draw_slices(*explant, tmp_path / "slices.png")


def test_without_vtks_opengl_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "vtkmodules.vtkRenderingOpenGL2", None)
    with pytest.raises(DependencyError, match="pip install vtk"):
        canvas.OffscreenCanvas(200, 200)


def test_without_a_driver_there_is_an_error_in_place_of_the_end_of_the_process(monkeypatch):
    monkeypatch.setenv("VTK_DEFAULT_OPENGL_WINDOW", "vtkOSOpenGLRenderWindow")
    with pytest.raises(DependencyError, match="libegl1"):
        canvas.OffscreenCanvas(200, 200)


def test_png_files_have_the_pixels_that_were_written(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    reader = vtk.vtkPNGReader()
    reader.SetFileName(str(canvas.write_png(pixels, tmp_path / "a.png")))
    reader.Update()
    from vtk.util.numpy_support import vtk_to_numpy

    values = vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars()).reshape(7, 5, 3)
    np.testing.assert_array_equal(values[::-1], pixels)
