"""Surfaces made without Slicer are those that Slicer makes, and become the surfaces of segments."""

from contextlib import contextmanager

import numpy as np
import pytest

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.scene.closed_surfaces import (
    SurfaceMethod,
    SurfaceSettings,
    create_closed_surfaces,
    put_closed_surfaces,
)
from MgImplantSegLib.scene.mask_surfaces import read_mesh, surface_of_mask, write_mesh
from MgImplantSegLib.scene.meshes import enclosed_volume_mm3
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.segments import segment_ids


@pytest.fixture
def ball(oblique_geometry):
    """A ball that touches the border of an anisotropic, oblique grid."""
    z, y, x = np.ogrid[:20, :25, :26]
    mask = (z - 8) ** 2 + (y - 12) ** 2 + (x - 12) ** 2 <= 81
    geometry = Geometry(mask.shape, (0.005, 0.006, 0.007), (1, 2, 3), oblique_geometry.direction_lps)
    return LabelMap(mask.astype(np.uint8) * 3, geometry)


@pytest.mark.parametrize("method", list(SurfaceMethod))
def test_the_surface_is_that_of_slicer(scene, ball, method):
    node = add_segmentation_node(scene, ball, "ball")
    create_closed_surfaces(node, SurfaceSettings(method))
    theirs = node.GetClosedSurfaceInternalRepresentation("residual_material")
    ours = surface_of_mask(ball.array, ball.geometry, SurfaceSettings(method))
    assert enclosed_volume_mm3(ours) == pytest.approx(enclosed_volume_mm3(theirs), rel=0.01)
    np.testing.assert_allclose(ours.GetBounds(), theirs.GetBounds(), atol=0.002)


@pytest.mark.parametrize("method", list(SurfaceMethod))
def test_decimation_leaves_fewer_triangles_around_the_same_volume(ball, method):
    full = surface_of_mask(ball.array, ball.geometry, SurfaceSettings(method))
    few = surface_of_mask(ball.array, ball.geometry, SurfaceSettings(method, decimation=0.7))
    assert few.GetNumberOfPolys() < 0.5 * full.GetNumberOfPolys()
    assert enclosed_volume_mm3(few) == pytest.approx(enclosed_volume_mm3(full), rel=0.05)


def test_an_empty_mask_gives_an_empty_surface(ball):
    assert surface_of_mask(np.zeros_like(ball.array), ball.geometry).GetNumberOfPolys() == 0


def test_a_mesh_file_comes_back_and_another_file_is_refused(ball, tmp_path):
    mesh = surface_of_mask(ball.array, ball.geometry)
    back = read_mesh(write_mesh(mesh, tmp_path / "ball.vtp"))
    assert back.GetNumberOfPolys() == mesh.GetNumberOfPolys() and back.GetBounds() == mesh.GetBounds()
    (tmp_path / "text.vtp").write_text("no mesh")
    for name in ("text.vtp", "missing.vtp"):
        with pytest.raises(InputError, match=name):
            read_mesh(tmp_path / name)


def test_segments_take_surfaces_that_are_made_already_and_are_shown(scene, ball):
    node = add_segmentation_node(scene, ball, "ball", keep_absent=True)
    mesh = surface_of_mask(ball.array, ball.geometry)
    settings = SurfaceSettings(SurfaceMethod.SURFACE_NETS, decimation=0.5)
    told = []
    node.GetSegmentation().AddObserver(
        node.GetSegmentation().ContainedRepresentationNamesModified, lambda *_event: told.append(True)
    )
    polygons = put_closed_surfaces(node, {"residual_material": mesh}, settings)
    assert polygons == {"bone": 0, "degradation_layer": 0, "residual_material": mesh.GetNumberOfPolys()}
    assert node.GetSegmentation().ContainsRepresentation("Closed surface") and told
    assert node.GetDisplayNode().GetDisplayRepresentationName3D() == "Closed surface"
    assert node.GetSegmentation().GetConversionParameter("Decimation factor") == "0.5"


def test_putting_surfaces_leaves_a_segmentation_that_is_made_of_surfaces_as_it_is(made_of_surfaces, ball):
    polygons = made_of_surfaces.GetClosedSurfaceInternalRepresentation("residual_material").GetNumberOfPolys()
    mesh = surface_of_mask(ball.array, ball.geometry)
    assert put_closed_surfaces(made_of_surfaces, {"residual_material": mesh}) == {"residual_material": polygons}


def test_a_3d_view_shows_the_surfaces_that_were_put_and_makes_none_itself(standalone, explant):
    _image, labels = explant
    with three_d_view_of_segmentations(standalone):
        node = add_segmentation_node(standalone.scene, labels, "explant")
        entries = segment_ids(node.GetSegmentation())
        assert len(entries) == 3
        meshes = {
            entry: surface_of_mask(labels.array == value, labels.geometry)
            for value, entry in enumerate(entries, start=1)
        }
        seen = []

        def look(segmentation, _event):
            surfaces = {entry: segmentation.GetSegment(entry).GetRepresentation("Closed surface") for entry in entries}
            seen.append(all(surface in (None, meshes[entry]) for entry, surface in surfaces.items()))

        node.GetSegmentation().AddObserver(node.GetSegmentation().SegmentModified, look, -1.0)  # after the view
        put_closed_surfaces(node, meshes)
        assert len(seen) >= 3 and all(seen)


@contextmanager
def three_d_view_of_segmentations(standalone):
    """A 3D view with Slicer's own code that shows segmentations in it."""
    import slicer
    import vtk

    factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
    factory.SetMRMLApplicationLogic(standalone.application_logic)
    renderer, window, interactor = vtk.vtkRenderer(), vtk.vtkRenderWindow(), vtk.vtkRenderWindowInteractor()
    window.SetOffScreenRendering(True)
    window.AddRenderer(renderer)
    interactor.SetRenderWindow(window)
    view = standalone.scene.AddNewNodeByClass("vtkMRMLViewNode")
    view.SetMappedInLayout(1)
    group = slicer.vtkMRMLDisplayableManagerGroup()
    group.SetRenderer(renderer)
    manager = slicer.vtkMRMLSegmentationsDisplayableManager3D()
    manager.SetMRMLApplicationLogic(standalone.application_logic)
    group.AddDisplayableManager(manager)
    group.SetMRMLDisplayableNode(view)
    try:
        yield
    finally:
        group.SetMRMLDisplayableNode(None)
