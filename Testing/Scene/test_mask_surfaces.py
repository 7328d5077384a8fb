"""Surfaces made without Slicer are those that Slicer makes, and become the surfaces of segments."""

import numpy as np
import pytest

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.scene.closed_surfaces import (
    SurfaceMethod,
    SurfaceSettings,
    create_closed_surfaces,
    put_closed_surfaces,
)
from MgImplantSegLib.scene.mask_surfaces import read_mesh, surface_of_mask, write_mesh
from MgImplantSegLib.scene.meshes import enclosed_volume_mm3
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.volume import Geometry, LabelMap


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
