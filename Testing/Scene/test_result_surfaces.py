"""Coloured surfaces: bone contact on the implant, depth of degradation below the initial surface."""

import numpy as np
import pytest
from PIL import Image
from vtk.util.numpy_support import vtk_to_numpy

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.quantification import QuantifyOptions, quantify
from MgImplantSegLib.scene.implant_surfaces import (
    BONE_CONTACT,
    CONTACT,
    DEPTH,
    FREE,
    NOT_COUNTED,
    contact_surface,
    depth_surface,
)
from MgImplantSegLib.scene.meshes import enclosed_volume_mm3
from MgImplantSegLib.scene.model_pictures import render_model
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.surface_models import add_contact_model, add_depth_model, readable_limit


def cells(mesh, kind):
    return np.count_nonzero(vtk_to_numpy(mesh.GetCellData().GetArray(CONTACT)) == kind)


def cylinder(radius_mm, geometry, shift_mm=0.0):
    """True within a distance of the grid's own z axis through its middle, except for its ends."""
    index = np.indices(geometry.shape_zyx)
    middle = (np.array(geometry.shape_zyx) - 1) / 2
    z, y, x = ((index[axis] - middle[axis]) * geometry.spacing_zyx_mm[axis] for axis in range(3))
    return (np.hypot(y, x - shift_mm) < radius_mm) & (np.abs(z) < 0.4 * geometry.extent_zyx_mm[0])


def test_the_contact_surface_counts_faces_as_the_bic_does(explant):
    mesh = contact_surface(explant[1])
    percent = 100 * cells(mesh, BONE_CONTACT) / (cells(mesh, BONE_CONTACT) + cells(mesh, FREE))
    report = quantify(explant[1], QuantifyOptions(), Events())
    assert percent == pytest.approx(report.value("BIC"))


def test_every_face_of_a_small_implant_is_classified():
    labels = np.zeros((5, 6, 7), np.uint8)
    labels[2:4, 2:4, 2:4] = 3
    labels[2, 2, 2] = 2
    labels[4, 2:4, 2:4] = 1  # bone on one side: 4 of 24 faces
    mesh = contact_surface(LabelMap(labels, Geometry(labels.shape)))
    assert [cells(mesh, kind) for kind in (FREE, BONE_CONTACT, NOT_COUNTED)] == [2 * 20, 2 * 4, 0]  # two triangles each


def test_faces_towards_the_border_and_the_unknown_are_not_counted():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[0, 1, 1] = 3  # its lower face lies on the border of the volume
    labels[0, 1, 2] = 9  # of this voxel nothing is known
    mesh = contact_surface(LabelMap(labels, Geometry((4, 4, 4)), LabelScheme(ignore_value=9)))
    assert cells(mesh, NOT_COUNTED) == 2 * 2
    assert cells(mesh, FREE) == 2 * 4


def test_bone_contact_is_coloured_where_the_bone_is_in_an_oblique_left_handed_volume(oblique_geometry):
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[5:15, 5:15, 5:15] = 3
    labels[15:, 5:15, 5:15] = 1  # above, in the direction of the third axis
    geometry = Geometry(labels.shape, (0.005, 0.005, 0.005), (1, 2, 3), oblique_geometry.direction_lps)
    mesh = contact_surface(LabelMap(labels, geometry))
    points = vtk_to_numpy(mesh.GetPoints().GetData()).astype(float)
    triangles = vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    touching = vtk_to_numpy(mesh.GetCellData().GetArray(CONTACT)) == BONE_CONTACT
    middle_lps = points[triangles[touching]].mean(axis=(0, 1)) * (-1, -1, 1)
    np.testing.assert_allclose(geometry.index_zyx_from_lps(middle_lps), (14.5, 9.5, 9.5), atol=0.2)
    assert enclosed_volume_mm3(mesh) == pytest.approx(1000 * 0.005**3, rel=0.2)  # faces outward, edges are rounded


@pytest.mark.parametrize("spacing", [(0.02, 0.02, 0.02), (0.04, 0.02, 0.02)])
def test_depth_is_the_difference_of_the_radii_of_two_cylinders(spacing, oblique_geometry):
    geometry = Geometry((40, 60, 60), spacing, (1, 2, 3), oblique_geometry.direction_lps)
    explant = LabelMap(np.where(cylinder(0.36, geometry), 3, 0).astype(np.uint8), geometry)
    initial = LabelMap(np.where(cylinder(0.50, geometry), 3, 0).astype(np.uint8), geometry)
    mesh = depth_surface(explant, initial)
    side = (
        np.abs(vtk_to_numpy(mesh.GetPointData().GetNormals()) @ (geometry.direction_matrix[:, 2] * (-1, -1, 1))) < 0.1
    )
    depth_mm = vtk_to_numpy(mesh.GetPointData().GetArray(DEPTH))
    assert np.median(depth_mm[side]) == pytest.approx(0.14, abs=0.005)


def test_the_initial_screw_may_lie_on_another_grid():
    coarse = Geometry((30, 40, 40), (0.03, 0.03, 0.03), (0, 0, 0))
    middle_lps = coarse.lps_from_index_zyx((np.array(coarse.shape_zyx) - 1) / 2)
    fine = Geometry((36, 60, 60), (0.02, 0.02, 0.02), tuple(middle_lps - (np.array((60, 60, 36)) - 1) / 2 * 0.02))
    explant = LabelMap(np.where(cylinder(0.30, fine), 3, 0).astype(np.uint8), fine)
    initial = LabelMap(np.where(cylinder(0.45, coarse), 3, 0).astype(np.uint8), coarse)
    depth_mm = vtk_to_numpy(depth_surface(explant, initial).GetPointData().GetArray(DEPTH))
    assert np.percentile(depth_mm, 90) == pytest.approx(0.15, abs=0.015)


def test_material_outside_the_initial_screw_has_a_negative_depth():
    geometry = Geometry((20, 50, 50), (0.02, 0.02, 0.02))
    explant = LabelMap(np.where(cylinder(0.3, geometry, shift_mm=0.1), 3, 0).astype(np.uint8), geometry)
    initial = LabelMap(np.where(cylinder(0.3, geometry), 3, 0).astype(np.uint8), geometry)
    depth_mm = vtk_to_numpy(depth_surface(explant, initial).GetPointData().GetArray(DEPTH))
    assert depth_mm.min() == pytest.approx(-0.1, abs=0.02)


def test_no_implant_and_no_metal_are_refused(explant):
    bone = LabelMap((explant[1].array == 1).astype(np.uint8), explant[1].geometry)
    with pytest.raises(InputError, match="an implant"):
        contact_surface(bone)
    layer = LabelMap((explant[1].array == 2).astype(np.uint8) * 2, explant[1].geometry)
    with pytest.raises(InputError, match="residual material"):
        depth_surface(layer, explant[1])
    with pytest.raises(InputError, match="initial screw"):
        depth_surface(explant[1], bone)


def test_the_models_are_coloured_by_their_arrays_and_keep_their_origin(scene, explant):
    initial = LabelMap(np.where(explant[1].array >= 2, 3, 0).astype(np.uint8), explant[1].geometry)
    contact = add_contact_model(scene, explant[1], "bone contact", {"model": "m"})
    depth = add_depth_model(scene, explant[1], initial, "depth")
    assert contact.GetDisplayNode().GetActiveScalarName() == CONTACT
    assert contact.GetDisplayNode().GetColorNode().GetColorName(BONE_CONTACT) == "bone contact"
    assert provenance_of_node(contact) == {"model": "m"}
    low, high = depth.GetDisplayNode().GetScalarRange()
    assert low == 0
    assert 0.05 < high < 0.125  # two voxels of 40 µm were eroded


def test_pictures_of_the_models_show_both_colors(scene, explant, tmp_path):
    node = add_contact_model(scene, explant[1], "bone contact")
    path = render_model(node, tmp_path / "contact.png", width=500, height=300)
    pixels = np.array(Image.open(path)).astype(int)
    assert pixels.shape == (300, 500, 3)
    is_bone = pixels[..., 0] > pixels[..., 2] + 40
    is_grey = (np.ptp(pixels, axis=2) < 25) & (pixels.max(axis=2) < 200) & (pixels.max(axis=2) > 50)
    for half in (slice(0, 250), slice(250, 500)):
        assert is_bone[:250, half].sum() > 200
        assert is_grey[:250, half].sum() > 200


def test_a_plain_model_has_no_picture(scene, tmp_path):
    with pytest.raises(InputError, match="surface"):
        render_model(scene.AddNewNodeByClass("vtkMRMLModelNode", "nothing"), tmp_path / "a.png")


@pytest.mark.parametrize(("largest", "limit"), [(0.301, 0.33), (0.3, 0.3), (1.9, 2.1), (0.0456, 0.048), (10.0, 12.0)])
def test_the_colour_bar_of_depths_ends_at_a_number_that_reads_well(largest, limit):
    assert readable_limit(largest) == pytest.approx(limit)


def test_a_coloured_surface_has_a_legend_that_is_drawn_and_goes_with_it(standalone, scene, explant):
    from offscreen_view import OffscreenView

    from MgImplantSegLib.scene.color_legends import color_legend_of, remove_colored_model

    with OffscreenView(scene, standalone.application_logic, 300, 300) as view:
        model = add_contact_model(scene, explant[1], "contact")
        legend = color_legend_of(model)
        shown = view.pixels()
        legend.SetVisibility(False)
        hidden = view.pixels()
        corner = (slice(150, None), slice(200, None))
        assert (shown[corner] != hidden[corner]).any() and not (shown[:100, :100] != hidden[:100, :100]).any()
        remove_colored_model(model)
    for kind in ("vtkMRMLModelNode", "vtkMRMLColorLegendDisplayNode"):
        left = [scene.GetNthNodeByClass(i, kind).GetName() for i in range(scene.GetNumberOfNodesByClass(kind))]
        assert not [name for name in left if "contact" in name]


@pytest.mark.parametrize("edge_px", [160, 640])
def test_a_legend_takes_a_small_part_of_a_view_of_any_size(standalone, scene, explant, edge_px):
    from offscreen_view import OffscreenView

    from MgImplantSegLib.scene.color_legends import color_legend_of, fit_color_legend, remove_colored_model

    with OffscreenView(scene, standalone.application_logic, edge_px, edge_px) as view:
        model = add_contact_model(scene, explant[1], "contact")
        legend = color_legend_of(model)
        fit_color_legend(legend, edge_px, edge_px)
        shown = view.pixels()
        legend.SetVisibility(False)
        rows, columns = np.nonzero((shown != view.pixels()).any(axis=2))
        remove_colored_model(model)
    assert np.ptp(rows) < 0.65 * edge_px and np.ptp(columns) < 0.5 * edge_px


@pytest.mark.parametrize(
    ("size_px", "dpi", "points"), [((900, 700), 72, 16), ((240, 900), 72, 8), ((1800, 1200), 144, 8)]
)
def test_letters_of_a_legend_are_as_large_as_the_view_allows(scene, size_px, dpi, points):
    from MgImplantSegLib.scene.color_legends import fit_color_legend

    legend = scene.AddNewNodeByClass("vtkMRMLColorLegendDisplayNode")
    fit_color_legend(legend, *size_px, dpi)
    assert (legend.GetTitleTextProperty().GetFontSize(), legend.GetLabelTextProperty().GetFontSize()) == (
        points,
        points,
    )


def test_the_scan_is_a_veil_through_which_more_than_half_of_what_is_behind_it_is_seen():
    from vtkmodules.vtkRenderingCore import vtkVolumeProperty

    from MgImplantSegLib.scene.scan_rendering import set_veil

    veil, length_mm = vtkVolumeProperty(), 4.0
    set_veil(veil, (100.0, 300.0), length_mm)
    opacity = veil.GetScalarOpacity()
    through = (1 - opacity.GetValue(300.0)) ** (length_mm / veil.GetScalarOpacityUnitDistance())
    assert 0.5 < through < 0.8, "through as much of the densest material as the scan is long"
    assert opacity.GetValue(100.0) == opacity.GetValue(200.0) == 0
