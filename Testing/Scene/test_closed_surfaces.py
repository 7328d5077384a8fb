"""Closed surfaces enclose their segments, are decimated as asked, and are not made unasked where they are large."""

import numpy as np
import pytest

from MgImplantSegLib.base.errors import InputError, ResourceError
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.scene import closed_surfaces
from MgImplantSegLib.scene.closed_surfaces import SurfaceMethod, SurfaceSettings, create_closed_surfaces
from MgImplantSegLib.scene.meshes import enclosed_volume_mm3, points_and_triangles
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.segments import segment_ids


@pytest.mark.parametrize("method", list(SurfaceMethod))
def test_closed_surfaces_enclose_the_volume_of_their_segment_in_a_left_handed_grid(scene, oblique_geometry, method):
    index = np.indices((24, 25, 26))
    ball = ((index - np.array([12, 12, 12])[:, None, None, None]) ** 2).sum(axis=0) <= 81
    geometry = Geometry(ball.shape, (0.005, 0.005, 0.005), (1, 2, 3), oblique_geometry.direction_lps)
    node = add_segmentation_node(scene, LabelMap(ball.astype(np.uint8) * 3, geometry), "ball")
    polygons = create_closed_surfaces(node, SurfaceSettings(method))
    assert polygons["residual_material"] > 500
    mesh = node.GetClosedSurfaceInternalRepresentation("residual_material")
    assert enclosed_volume_mm3(mesh) == pytest.approx(ball.sum() * 0.005**3, rel=0.05)
    centre = np.array(mesh.GetCenter())
    centre_lps = geometry.lps_from_index_zyx((12, 12, 12))
    np.testing.assert_allclose(centre, centre_lps * (-1, -1, 1), atol=0.0025)


def test_joint_smoothing_of_a_loaded_segmentation_is_switched_off(scene, explant):
    node = add_segmentation_node(scene, explant[1], "explant")
    node.GetSegmentation().SetConversionParameter("Joint smoothing", "1")
    assert min(create_closed_surfaces(node).values()) > 1000
    assert node.GetSegmentation().GetConversionParameter("Joint smoothing") == "0"


def test_a_segmentation_made_of_surfaces_keeps_them(made_of_surfaces):
    polygons = made_of_surfaces.GetClosedSurfaceInternalRepresentation("residual_material").GetNumberOfPolys()
    assert polygons > 0
    assert create_closed_surfaces(made_of_surfaces) == {"residual_material": polygons}
    surface = made_of_surfaces.GetClosedSurfaceInternalRepresentation("residual_material")
    assert surface.GetNumberOfPolys() == polygons


def test_decimation_makes_surfaces_smaller(scene, explant):
    node = add_segmentation_node(scene, explant[1], "explant")
    full = create_closed_surfaces(node)
    small = create_closed_surfaces(node, SurfaceSettings(decimation=0.7))
    assert all(small[entry] < 0.5 * full[entry] for entry in full)


def test_surface_nets_too_are_decimated(scene, explant):
    node = add_segmentation_node(scene, explant[1], "explant")
    create_closed_surfaces(node, SurfaceSettings(SurfaceMethod.SURFACE_NETS))
    full = {entry: triangles(node, entry) for entry in segment_ids(node.GetSegmentation())}
    create_closed_surfaces(node, SurfaceSettings(SurfaceMethod.SURFACE_NETS, decimation=0.7))
    assert all(triangles(node, entry) < 0.5 * full[entry] for entry in full)


def triangles(node, segment_id):
    """Number of triangles of a closed surface, larger polygons being split."""
    return len(points_and_triangles(node.GetClosedSurfaceInternalRepresentation(segment_id))[1])


def test_surfaces_of_large_segmentations_are_made_only_on_request(scene, explant, monkeypatch):
    node = add_segmentation_node(scene, explant[1], "explant")
    monkeypatch.setattr(closed_surfaces, "LARGEST_AUTOMATIC_VOXELS", 100_000)
    with pytest.raises(ResourceError, match="decimation"):
        create_closed_surfaces(node)
    assert create_closed_surfaces(node, SurfaceSettings(even_if_large=True))["bone"] > 1000


@pytest.mark.parametrize("settings", [{"smoothing": 1.5}, {"decimation": 1.0}, {"decimation": -0.1}])
def test_surface_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError):
        SurfaceSettings(**settings)
