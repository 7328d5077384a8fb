"""Surface areas against formulas and against SimpleITK, on anisotropic and cut bodies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
from measured_shapes import ball, cylinder, plain_grid, turned_grid

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.quantification import SURFACE_METHODS, surface_area_mm2
from MgImplantSegLib.quantification.surfaces import mesh as mesh_module

ISOTROPIC = (0.05, 0.05, 0.05)
ANISOTROPIC = [(0.1, 0.05, 0.05), (0.05, 0.1, 0.05), (0.05, 0.05, 0.1), (0.05, 0.1, 0.15)]
MESHES = ("smoothed-mesh", "raw-mesh")


def padded_box(*voxels_zyx: int) -> np.ndarray:
    return np.pad(np.ones(voxels_zyx, dtype=bool), 3)


@pytest.mark.parametrize("spacing", [ISOTROPIC, *ANISOTROPIC])
@pytest.mark.parametrize("radius_voxels", [10, 16])
def test_the_default_is_within_one_and_a_half_percent_on_balls(spacing, radius_voxels):
    radius = radius_voxels * max(spacing)
    grid = turned_grid(2.3 * radius, spacing)
    area = surface_area_mm2(ball(grid, radius), spacing)
    assert area == pytest.approx(4 * math.pi * radius**2, rel=0.015)


@pytest.mark.parametrize("direction", [(0, 0, 1), (1, 0, 0), (1, 0.6, 0.3)])
@pytest.mark.parametrize("spacing", [ISOTROPIC, ANISOTROPIC[0]])
def test_the_default_is_within_three_percent_on_cylinders_of_any_direction(spacing, direction):
    radius, length = 10 * max(spacing), 26 * max(spacing)
    grid = turned_grid(36 * max(spacing), spacing)
    area = surface_area_mm2(cylinder(grid, radius, length, direction), spacing)
    assert area == pytest.approx(2 * math.pi * radius * (radius + length), rel=0.03)


def test_the_default_is_within_one_and_a_half_percent_on_an_ellipsoid():
    grid = plain_grid(52, 36, 28)
    z, y, x = (np.arange(n) - (n - 1) / 2 + 0.2 for n in grid.shape_zyx)
    inside = (z[:, None, None] / 22.5) ** 2 + (y[:, None] / 15.5) ** 2 + (x / 10.5) ** 2 <= 1
    polar, azimuth = np.meshgrid(np.linspace(0, np.pi, 1001), np.linspace(0, 2 * np.pi, 2001), indexing="ij")
    normal = np.stack(
        [
            15.5 * 10.5 * np.cos(polar),
            22.5 * 10.5 * np.sin(polar) * np.cos(azimuth),
            22.5 * 15.5 * np.sin(polar) * np.sin(azimuth),
        ]
    )
    density = np.linalg.norm(normal, axis=0) * np.sin(polar)
    exact = np.trapezoid(np.trapezoid(density, azimuth[0], axis=1), polar[:, 0])
    assert surface_area_mm2(inside, grid.spacing_zyx_mm) == pytest.approx(exact, rel=0.015)


@pytest.mark.parametrize("edges", [(24, 24, 24), (24, 30, 42)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 0.5, 0.5), (0.5, 0.25, 1.0)])
def test_the_default_is_within_three_percent_on_boxes_of_24_of_the_widest_voxels_and_more(edges, spacing):
    voxels = [round(edge / step) for edge, step in zip(edges, spacing, strict=True)]
    area = surface_area_mm2(padded_box(*voxels), spacing)
    z, y, x = edges
    assert area == pytest.approx(2 * (z * y + y * x + z * x), rel=0.03)


def test_voxel_faces_are_exact_on_boxes_of_any_spacing():
    area = surface_area_mm2(padded_box(2, 3, 4), (0.5, 0.25, 2.0), "voxel-faces")
    z, y, x = 2 * 0.5, 3 * 0.25, 4 * 2.0
    assert area == pytest.approx(2 * (z * y + y * x + z * x), rel=1e-12)


def test_voxel_faces_are_half_as_much_again_on_a_ball():
    area = surface_area_mm2(ball(plain_grid(44, 44, 44), 20), (1.0, 1.0, 1.0), "voxel-faces")
    assert area == pytest.approx(1.5 * 4 * math.pi * 400, rel=0.01)


def test_the_raw_mesh_is_some_nine_percent_high_on_a_ball():
    area = surface_area_mm2(ball(plain_grid(44, 44, 44), 20), (1.0, 1.0, 1.0), "raw-mesh")
    assert area == pytest.approx(1.087 * 4 * math.pi * 400, rel=0.01)


@pytest.mark.parametrize("spacing", [ISOTROPIC, *ANISOTROPIC])
def test_crofton_is_within_half_a_percent_on_balls(spacing):
    radius = 12 * max(spacing)
    area = surface_area_mm2(ball(turned_grid(2.3 * radius, spacing), radius), spacing, "crofton")
    assert area == pytest.approx(4 * math.pi * radius**2, rel=0.005)


def test_crofton_agrees_with_simpleitk_on_an_isotropic_body():
    mask = np.pad(cylinder(plain_grid(30, 30, 30), 9, 20, (1, 0.5, 0.2)), 2)
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.ComputePerimeterOn()
    statistics.Execute(image)
    assert surface_area_mm2(mask, (1, 1, 1), "crofton") == pytest.approx(statistics.GetPerimeter(1), rel=1e-3)


@pytest.mark.parametrize("method", SURFACE_METHODS)
def test_a_cylinder_through_the_volume_has_only_its_side(method):
    _z, y, x = np.ogrid[:30, :36, :36]
    through = np.broadcast_to((y - 17.3) ** 2 + (x - 17.8) ** 2 <= 14**2, (30, 36, 36))
    tolerance = {"smoothed-mesh": 0.015, "raw-mesh": 0.07, "crofton": 0.05, "voxel-faces": 0.28}[method]
    for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0)):
        area = surface_area_mm2(through.transpose(order), (1.0, 1.0, 1.0), method)
        assert area == pytest.approx(2 * math.pi * 14 * 30, rel=tolerance)


@pytest.mark.parametrize("method", SURFACE_METHODS)
def test_a_closed_border_adds_the_ends_of_a_box(method):
    mask = np.ones((30, 30, 30), dtype=bool)
    assert surface_area_mm2(mask, (1.0, 1.0, 1.0), method) == 0
    tolerance = 0.15 if method == "crofton" else 0.03
    assert surface_area_mm2(mask, (1.0, 1.0, 1.0), method, closed=True) == pytest.approx(5400, rel=tolerance)


@pytest.mark.parametrize("method", SURFACE_METHODS)
def test_surface_counts_only_where_both_sides_count(method):
    grid = plain_grid(60, 34, 34)
    mask = cylinder(grid, 12, 50)
    half = np.zeros(mask.shape, dtype=bool)
    half[:30] = True
    whole = surface_area_mm2(mask, grid.spacing_zyx_mm, method)
    lower = surface_area_mm2(mask, grid.spacing_zyx_mm, method, counted=half)
    upper = surface_area_mm2(mask, grid.spacing_zyx_mm, method, counted=~half)
    assert lower == pytest.approx(upper, rel=0.03)
    assert lower + upper == pytest.approx(whole, rel=0.04 if method == "crofton" else 0.02)


@pytest.mark.parametrize("method", SURFACE_METHODS)
def test_an_empty_mask_has_no_surface(method):
    assert surface_area_mm2(np.zeros((5, 6, 7), dtype=bool), (1.0, 1.0, 1.0), method) == 0


@pytest.mark.parametrize("method", SURFACE_METHODS)
def test_a_single_voxel_has_a_surface(method):
    mask = np.zeros((5, 5, 5), dtype=bool)
    mask[2, 2, 2] = True
    assert 0 < surface_area_mm2(mask, (1.0, 1.0, 1.0), method) <= 6


@pytest.mark.parametrize("method", SURFACE_METHODS)
def test_areas_grow_with_the_square_of_the_unit(method):
    mask = ball(plain_grid(24, 24, 24), 9)
    small = surface_area_mm2(mask, (0.001, 0.001, 0.001), method)
    assert small == pytest.approx(1e-6 * surface_area_mm2(mask, (1.0, 1.0, 1.0), method), rel=1e-6)


@pytest.mark.parametrize("method", SURFACE_METHODS)
def test_areas_do_not_depend_on_the_order_of_the_axes(method):
    spacing = (0.03, 0.02, 0.015)
    mask = cylinder(turned_grid(0.9, spacing), 0.25, 0.6, (1, 2, 3))
    area = surface_area_mm2(mask, spacing, method)
    for order in ((2, 0, 1), (1, 2, 0), (2, 1, 0)):
        turned = surface_area_mm2(mask.transpose(order), tuple(spacing[axis] for axis in order), method)
        assert turned == pytest.approx(area, rel=2e-3)


@pytest.mark.parametrize("name", MESHES)
def test_a_mesh_in_slabs_has_the_area_of_the_mesh_in_one(name, monkeypatch):
    mask = ball(plain_grid(40, 40, 40), 17)
    whole = surface_area_mm2(mask, (1.0, 1.0, 1.0), name)
    cut = mesh_module.slabs
    monkeypatch.setattr(mesh_module, "slabs", lambda shape, voxels: cut(shape, 7 * shape[1] * shape[2]))
    assert surface_area_mm2(mask, (1.0, 1.0, 1.0), name) == pytest.approx(whole, rel=1e-6)


def test_an_unknown_method_is_refused_with_the_names_there_are():
    with pytest.raises(InputError, match="smoothed-mesh"):
        surface_area_mm2(np.ones((2, 2, 2), dtype=bool), (1.0, 1.0, 1.0), "marching")
