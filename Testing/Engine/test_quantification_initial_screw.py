"""The screw before implantation from meshes, transforms, registration, and turning explants upright."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from measured_shapes import (
    BONE,
    LAYER,
    METAL,
    OFF_GRID_MM,
    ball,
    cylinder,
    labelled,
    plain_grid,
    positions_mm,
    reordered,
    turned_grid,
)
from scipy import ndimage
from scipy.spatial.transform import Rotation

from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.cli.initial_screw import read_initial_screw
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import read_label_map
from MgImplantSegLib.quantification import InitialScrew, QuantifyOptions, quantify
from MgImplantSegLib.quantification.screw.axis import screw_axis
from MgImplantSegLib.quantification.screw.registration import register_screw
from MgImplantSegLib.quantification.screw.registration_steps import refined_on_greys
from MgImplantSegLib.quantification.screw.rigid_transform import (
    read_rigid_transform,
    rotation_between,
    write_rigid_transform,
)
from MgImplantSegLib.quantification.screw.screw_body import ScrewBody
from MgImplantSegLib.quantification.screw.upright import turned, upright_matrix
from MgImplantSegLib.quantification.surfaces.triangle_mesh import MESH_SUFFIXES

AXIS = (0.48, 0.6, 0.64)


def rigid(seed: int, shift=(3.0, -2.0, 1.0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def turned_geometry(geometry: Geometry, matrix: np.ndarray) -> Geometry:
    """A grid moved by a rigid matrix."""
    return replace(
        geometry,
        origin_lps_mm=tuple(matrix[:3, :3] @ geometry.origin_lps_mm + matrix[:3, 3]),
        direction_lps=tuple((matrix[:3, :3] @ geometry.direction_matrix).ravel()),
    )


def write_mesh(path, source, header: str = "") -> None:
    """Write a VTK source as a mesh file of any kind, with text of its first line."""
    import vtk

    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputConnection(source.GetOutputPort())
    writers = {
        ".stl": vtk.vtkSTLWriter,
        ".ply": vtk.vtkPLYWriter,
        ".obj": vtk.vtkOBJWriter,
        ".vtk": vtk.vtkPolyDataWriter,
        ".vtp": vtk.vtkXMLPolyDataWriter,
    }
    writer = writers[path.suffix]()
    writer.SetInputConnection(triangles.GetOutputPort())
    writer.SetFileName(str(path))
    if header:
        writer.SetHeader(header)
    writer.Write()


def cube(centre=(0.0, 0.0, 0.0), size=(2.0, 3.0, 4.0)):
    import vtk

    source = vtk.vtkCubeSource()
    source.SetXLength(size[0])
    source.SetYLength(size[1])
    source.SetZLength(size[2])
    source.SetCenter(*centre)
    return source


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_every_kind_of_mesh_file_gives_volume_and_surface_of_a_cube(tmp_path, suffix):
    path = tmp_path / f"screw{suffix}"
    write_mesh(path, cube(centre=(5, 6, 7)))
    shape = InitialScrew.from_mesh(path).shape
    assert shape.volume_mm3 == pytest.approx(24)
    assert shape.area_mm2("smoothed-mesh")[0] == pytest.approx(2 * (6 + 8 + 12))
    assert shape.points_lps_mm.mean(axis=0) == pytest.approx([5, 6, 7])


def test_a_mesh_in_another_unit_is_scaled(tmp_path):
    write_mesh(tmp_path / "screw.stl", cube())
    assert InitialScrew.from_mesh(tmp_path / "screw.stl", unit_mm=0.001).shape.volume_mm3 == pytest.approx(24e-9)


def test_a_mesh_that_slicer_wrote_in_ras_is_turned_to_lps(tmp_path):
    write_mesh(tmp_path / "ras.vtk", cube(centre=(5, 6, 7)), header="3D Slicer output. SPACE=RAS")
    assert InitialScrew.from_mesh(tmp_path / "ras.vtk").shape.points_lps_mm.mean(axis=0) == pytest.approx([-5, -6, 7])


def test_the_mask_of_a_mesh_on_a_turned_grid_has_its_volume(tmp_path):
    grid = turned_grid(5.0, (0.15, 0.1, 0.12))
    middle = grid.lps_from_index_zyx((np.array(grid.shape_zyx) - 1) / 2)
    write_mesh(tmp_path / "screw.ply", cube(centre=tuple(middle), size=(1.1, 1.7, 2.3)))
    mask = InitialScrew.from_mesh(tmp_path / "screw.ply").shape.mask_on(grid)
    assert mask.sum() * grid.voxel_volume_mm3 == pytest.approx(1.1 * 1.7 * 2.3, rel=0.02)
    expected = (np.abs(positions_mm(grid) + OFF_GRID_MM) < np.array([1.1, 1.7, 2.3]) / 2).all(axis=-1)
    assert (mask != expected).mean() < 1e-3


def rod(centre_lps_mm, radius_mm, height_mm):
    """A closed cylinder along z."""
    import vtk

    source = vtk.vtkCylinderSource()  # along y
    source.SetRadius(radius_mm)
    source.SetHeight(height_mm)
    source.SetResolution(120)
    upright = vtk.vtkTransformPolyDataFilter()
    transform = vtk.vtkTransform()
    transform.Translate(*centre_lps_mm)
    transform.RotateX(90)
    upright.SetTransform(transform)
    upright.SetInputConnection(source.GetOutputPort())
    return upright


def test_the_rate_with_a_mesh_of_the_screw_is_that_with_its_segmentation(tmp_path):
    grid = turned_grid(1.5, (0.03, 0.025, 0.025))
    middle = grid.lps_from_index_zyx((np.array(grid.shape_zyx) - 1) / 2)
    explant = labelled(grid, (cylinder(grid, 0.3, 1.0), LAYER), (cylinder(grid, 0.2, 0.8), METAL))
    write_mesh(tmp_path / "screw.stl", rod(middle + OFF_GRID_MM, 0.3, 1.0))
    options = {"time_days": 100, "measures": ("degradation",)}
    by_mesh = quantify(explant, QuantifyOptions(InitialScrew.from_mesh(tmp_path / "screw.stl"), **options))
    same = InitialScrew.from_label_map(labelled(grid, (cylinder(grid, 0.3, 1.0), METAL)))
    by_mask = quantify(explant, QuantifyOptions(same, **options))
    assert by_mesh.value("V_i") == pytest.approx(math.pi * 0.09, rel=0.002)
    assert by_mesh.value("A_i") == pytest.approx(2 * math.pi * 0.3 * 1.3, rel=0.002)
    assert by_mesh.value("DR") == pytest.approx(by_mask.value("DR"), rel=0.04)
    assert by_mesh.find("A_i").method == "triangles of the mesh"


@pytest.mark.parametrize("height_voxels", [58, 60, 61, 62, 90])
def test_caps_of_a_mesh_at_the_border_where_the_explant_is_cut_are_no_surface(tmp_path, height_voxels):
    grid = plain_grid(60, 50, 50, spacing_zyx_mm=(0.02, 0.02, 0.02))
    middle = grid.lps_from_index_zyx((np.array(grid.shape_zyx) - 1) / 2)
    explant = labelled(grid, (cylinder(grid, 0.36, 9.0), LAYER), (cylinder(grid, 0.3, 9.0), METAL))
    write_mesh(tmp_path / "part.stl", rod(middle + OFF_GRID_MM, 0.36, height_voxels * 0.02))
    screw = InitialScrew.from_mesh(tmp_path / "part.stl")
    rate = quantify(explant, QuantifyOptions(screw, 365.25, measures=("degradation",))).value("DR")
    assert rate == pytest.approx((0.36**2 - 0.3**2) / (2 * 0.36), rel=0.025)


def test_an_open_mesh_is_refused(tmp_path):
    import vtk

    plane = vtk.vtkPlaneSource()
    write_mesh(tmp_path / "open.stl", plane)
    with pytest.raises(InputError, match="closed"):
        InitialScrew.from_mesh(tmp_path / "open.stl")


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_a_broken_mesh_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(b"this is no mesh\n" * 3)
    with pytest.raises(InputError):
        InitialScrew.from_mesh(path)
    with pytest.raises(InputError):
        InitialScrew.from_mesh(tmp_path / f"missing{suffix}")


@pytest.mark.parametrize("suffix", [".tfm", ".txt", ".h5"])
def test_a_transform_survives_its_file(tmp_path, suffix):
    matrix = rigid(2)
    write_rigid_transform(matrix, tmp_path / f"t{suffix}")
    np.testing.assert_allclose(read_rigid_transform(tmp_path / f"t{suffix}"), matrix, atol=1e-9)


def test_itk_resamples_the_screw_onto_the_explant_with_the_file(tmp_path):
    """The file maps points of the explant to points of the screw, as `sitk.Resample` wants it."""
    matrix = rigid(5)
    write_rigid_transform(matrix, tmp_path / "t.tfm")
    to_screw = sitk.ReadTransform(str(tmp_path / "t.tfm"))
    screw_point = np.array([0.3, -0.7, 1.1])
    explant_point = matrix[:3, :3] @ screw_point + matrix[:3, 3]
    np.testing.assert_allclose(to_screw.TransformPoint(tuple(explant_point)), screw_point, atol=1e-9)


def test_a_composite_of_rigid_transforms_can_be_read(tmp_path):
    first, second = sitk.Euler3DTransform(), sitk.TranslationTransform(3, (1.0, 2.0, 3.0))
    first.SetRotation(0.1, 0.2, 0.3)
    sitk.WriteTransform(sitk.CompositeTransform([first, second]), str(tmp_path / "c.tfm"))
    inverse = np.linalg.inv(read_rigid_transform(tmp_path / "c.tfm"))
    expected = first.TransformPoint(second.TransformPoint((0.5, 0.6, 0.7)))
    np.testing.assert_allclose(inverse[:3, :3] @ (0.5, 0.6, 0.7) + inverse[:3, 3], expected, atol=1e-9)


def test_a_scaling_or_mirroring_transform_is_refused(tmp_path):
    scaled = sitk.AffineTransform(3)
    scaled.Scale(1.1)
    sitk.WriteTransform(scaled, str(tmp_path / "s.tfm"))
    with pytest.raises(InputError, match="rigid"):
        read_rigid_transform(tmp_path / "s.tfm")
    with pytest.raises(InputError):
        write_rigid_transform(np.diag([-1.0, 1.0, 1.0, 1.0]), tmp_path / "m.tfm")
    with pytest.raises(InputError):
        write_rigid_transform(np.eye(4), tmp_path / "m.mat")
    with pytest.raises(InputError):
        read_rigid_transform(tmp_path / "missing.tfm")
    with pytest.raises(OutputError):
        write_rigid_transform(np.eye(4), tmp_path / "no folder" / "m.tfm")


def test_moving_a_screw_moves_its_mask():
    grid = turned_grid(1.6, (0.04, 0.04, 0.04))
    screw = labelled(grid, (cylinder(grid, 0.2, 0.9, AXIS), METAL))
    matrix = rigid(7)
    away = InitialScrew.from_label_map(screw).moved(matrix)
    back = away.moved(np.linalg.inv(matrix)).shape.mask_on(grid)
    assert (back == (screw.array > 0)).mean() > 0.999
    assert away.shape.volume_mm3 == InitialScrew.from_label_map(screw).shape.volume_mm3


def headed_screw(grid, core=0.0):
    """A rod with a square head at one end, without any symmetry but two mirror planes."""
    position = positions_mm(grid)
    direction = np.array(AXIS) / np.linalg.norm(AXIS)
    side = np.cross(direction, (0, 0, 1))
    side /= np.linalg.norm(side)
    along, left = position @ direction, position @ side
    up = position @ np.cross(direction, side)
    rod = (np.hypot(left, up) <= 0.2 - core) & (np.abs(along) <= 0.6 - core)
    head = (np.abs(left) <= 0.4 - core) & (np.abs(up) <= 0.28 - core) & (np.abs(along - 0.5) <= 0.12 - core)
    return rod | head


def test_a_screw_is_found_again_wherever_it_was():
    grid = turned_grid(1.9, (0.05, 0.05, 0.05))
    before = labelled(grid, (headed_screw(grid), METAL))
    explant = labelled(grid, (headed_screw(grid), LAYER), (headed_screw(grid, 0.05), METAL))
    lost = rigid(11, shift=(20.0, -5.0, 8.0))
    screw = InitialScrew.from_label_map(before).moved(lost)
    result = register_screw(screw, explant)
    ends = grid.lps_from_index_zyx(np.argwhere(before.array)[::97])
    found = (result.matrix @ lost)[:3, :3] @ ends.T + (result.matrix @ lost)[:3, 3:]  # maybe turned about the axis
    direction = np.array(AXIS) / np.linalg.norm(AXIS)
    moved = InitialScrew.from_label_map(before).moved(result.matrix @ lost).shape.mask_on(grid)
    overlap = 2 * (moved & (before.array > 0)).sum() / (moved.sum() + (before.array > 0).sum())
    assert overlap > 0.93
    assert result.dice == pytest.approx(overlap, abs=0.02)
    assert result.residual_inside_percent > 98
    np.testing.assert_allclose(found.T @ direction, ends @ direction, atol=0.06)


def test_a_mesh_is_registered_alike(tmp_path):
    grid = plain_grid(40, 40, 40, spacing_zyx_mm=(0.05,) * 3)
    write_mesh(tmp_path / "bar.stl", cube(centre=(40, 0, 0), size=(0.3, 1.6, 0.5)))
    bar = (np.abs(positions_mm(grid)) <= np.array([0.15, 0.25, 0.8])).all(axis=-1)
    explant = labelled(grid, (bar, METAL))
    result = register_screw(InitialScrew.from_mesh(tmp_path / "bar.stl"), explant)
    assert result.dice > 0.9


def test_a_screw_that_lies_well_stays_where_no_place_is_found_that_overlaps_more(monkeypatch):
    from MgImplantSegLib.quantification.screw import registration

    grid = turned_grid(1.9, (0.05, 0.05, 0.05))
    explant = labelled(grid, (headed_screw(grid), METAL))
    screw = InitialScrew.from_label_map(explant)
    monkeypatch.setattr(registration, "refined", lambda pair, matrix: (0.0, rigid(3, (0.1, 0.0, 0.0))))
    result = register_screw(screw, explant)
    assert np.array_equal(result.matrix, np.eye(4)) and result.dice == pytest.approx(1.0)
    assert "as placed" in result.method


def test_grey_values_refine_the_place_of_a_screw():
    """The same texture in both scans pins down the turn about the axis that a plain rod leaves open."""
    grid = plain_grid(36, 36, 36, spacing_zyx_mm=(0.05,) * 3)
    rod = cylinder(grid, 0.35, 1.2, AXIS)
    texture = ndimage.gaussian_filter(np.random.default_rng(1).random(grid.shape_zyx), 2.0)
    texture = np.where(rod, 100 + 800 * (texture - texture.mean()), 0).astype(np.float32)
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec(np.deg2rad(6) * np.array(AXIS) / np.linalg.norm(AXIS)).as_matrix()
    turn[:3, 3] = 0.04, -0.03, 0.02
    explant, scan = labelled(grid, (rod, METAL)), Volume(texture, grid)
    before = turned_geometry(grid, turn)
    screw = InitialScrew.from_label_map(LabelMap(explant.array, before))
    body = ScrewBody(rod, np.ones(grid.shape_zyx, bool), grid)
    start = np.eye(4)  # as if masks had found the shift but not the turn
    start[:3, 3] = -turn[:3, 3]
    found = refined_on_greys(Volume(texture, before), scan, body, start)
    points = grid.lps_from_index_zyx(np.argwhere(rod)[::53])
    apart = (found @ turn)[:3, :3] @ points.T + (found @ turn)[:3, 3:] - points.T
    assert np.linalg.norm(apart, axis=0).max() < 0.025
    result = register_screw(screw, explant, grey_values=(Volume(texture, before), scan))
    assert "mutual information" in result.method
    assert result.dice > 0.9


def test_registration_needs_a_shape_and_an_implant():
    grid = plain_grid(10, 10, 10)
    screw = InitialScrew.from_label_map(labelled(grid, (ball(grid, 3), METAL)))
    with pytest.raises(InputError, match="shape"):
        register_screw(InitialScrew.from_values(1.0, 1.0), labelled(grid, (ball(grid, 3), METAL)))
    with pytest.raises(InputError, match="implant"):
        register_screw(screw, labelled(grid, (ball(grid, 3), BONE)))


def test_the_axis_of_a_rod_and_of_a_plate_are_found_on_any_array():
    grid = turned_grid(1.4, (0.05, 0.03, 0.04))
    direction = np.array(AXIS) / np.linalg.norm(AXIS)
    for body in (cylinder(grid, 0.15, 1.0, AXIS), cylinder(grid, 0.5, 0.15, AXIS)):
        label_map = labelled(grid, (body, METAL))
        for order, flipped in (((0, 1, 2), ()), ((2, 0, 1), (1,))):
            other = reordered(label_map, order, flipped)
            axis = screw_axis(other.array > 0, other.geometry)
            np.testing.assert_allclose(axis.direction_lps, direction, atol=0.01)


@pytest.mark.parametrize("angle", [0.0, 1.0, 2.0, 3.0, 3.14159, math.pi - 1e-7, math.pi])
def test_a_rotation_between_directions_is_exact_at_every_angle(angle):
    start = np.array([0.48, 0.6, 0.64]) / np.linalg.norm([0.48, 0.6, 0.64])
    across = np.cross(start, (1.0, 0, 0)) / np.linalg.norm(np.cross(start, (1.0, 0, 0)))
    end = math.cos(angle) * start + math.sin(angle) * across
    rotation = rotation_between(start, end)
    np.testing.assert_allclose(rotation @ start, end, atol=1e-12)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_a_turned_explant_stands_upright_and_keeps_its_volumes():
    grid = turned_grid(1.4, (0.04, 0.04, 0.04))
    explant = labelled(grid, (cylinder(grid, 0.2, 0.8, AXIS), LAYER), (cylinder(grid, 0.1, 0.6, AXIS), METAL))
    upright = turned(explant, upright_matrix(explant))
    assert isinstance(upright, LabelMap)
    assert upright.geometry.direction_lps == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    axis = screw_axis(upright.array > 0, upright.geometry)
    np.testing.assert_allclose(axis.direction_lps, (0, 0, 1), atol=0.02)
    for value in (LAYER, METAL):
        assert (upright.array == value).sum() == pytest.approx((explant.array == value).sum(), rel=0.03)


def test_grey_values_are_turned_with_the_labels():
    grid = turned_grid(1.4, (0.05, 0.04, 0.04))
    body = cylinder(grid, 0.2, 0.8, AXIS)
    explant = labelled(grid, (body, METAL))
    image = Volume(np.where(body, 100.0, 10.0).astype(np.float32), grid)
    matrix = upright_matrix(explant)
    labels, greys = turned(explant, matrix), turned(image, matrix)
    assert greys.geometry == labels.geometry
    assert greys.array[labels.array == METAL].mean() > 85


def test_nothing_to_turn_upright_is_an_error():
    with pytest.raises(InputError, match="implant"):
        upright_matrix(labelled(plain_grid(4, 4, 4)))


UNITS = [(1000.0, "µm"), (1 / 10, "cm"), (1 / 25.4, "inch"), (1 / 1000, "m"), (100.0, "")]


@pytest.mark.parametrize(("scale", "unit"), UNITS)
@pytest.mark.parametrize("kind", ["mesh", "segmentation"])
def test_a_screw_in_another_unit_is_refused_with_the_unit_before_memory_is_taken(tmp_path, scale, unit, kind):
    grid = turned_grid(1.4, (0.05, 0.04, 0.04))
    middle = grid.lps_from_index_zyx((np.array(grid.shape_zyx) - 1) / 2) + OFF_GRID_MM
    explant = labelled(grid, (cylinder(grid, 0.3, 1.0), LAYER), (cylinder(grid, 0.2, 0.8), METAL))
    if kind == "mesh":
        write_mesh(tmp_path / "screw.stl", rod(middle, 0.3, 1.0))
        screw = InitialScrew.from_mesh(tmp_path / "screw.stl", unit_mm=scale)
    else:
        other = Geometry(grid.shape_zyx, tuple(scale * s for s in grid.spacing_zyx_mm))
        screw = InitialScrew.from_label_map(LabelMap(np.where(explant.array > 0, METAL, 0), other))
    for measure in (lambda: register_screw(screw, explant), lambda: quantify(explant, QuantifyOptions(screw))):
        with pytest.raises(InputError, match=r"Check the unit \(mm\)") as refusal:
            measure()
        assert ("seems to be in" in refusal.value.remedy) == bool(unit)
        assert f"in {unit}." in refusal.value.remedy or not unit


def test_the_screw_of_a_remnant_or_of_a_small_part_of_it_is_not_refused():
    grid = turned_grid(1.4, (0.05, 0.04, 0.04))
    before = labelled(grid, (cylinder(grid, 0.4, 1.2), METAL))
    remnant = labelled(grid, (ball(grid, 0.06), METAL))
    slice_of_it = LabelMap(before.array[12:15].copy(), grid.cropped((12, 0, 0), (3, *grid.shape_zyx[1:])))
    for explant, screw in ((remnant, before), (slice_of_it, before), (before, slice_of_it)):
        assert quantify(explant, QuantifyOptions(InitialScrew.from_label_map(screw))).value("V_i") > 0


def test_the_sizes_of_a_screw_are_the_same_as_mesh_and_as_segmentation(tmp_path):
    grid = turned_grid(3.0, (0.05, 0.04, 0.04))
    middle = grid.lps_from_index_zyx((np.array(grid.shape_zyx) - 1) / 2) + OFF_GRID_MM
    write_mesh(tmp_path / "screw.stl", cube(centre=tuple(middle), size=(1.0, 1.5, 2.0)))
    assert InitialScrew.from_mesh(tmp_path / "screw.stl").shape.sizes_mm == pytest.approx((2, 1.5, 1), rel=1e-5)
    mask = (np.abs(positions_mm(grid)) < np.array((0.5, 0.75, 1.0))).all(axis=-1)
    segmentation = InitialScrew.from_label_map(labelled(grid, (mask, METAL)))
    assert segmentation.shape.sizes_mm == pytest.approx((2, 1.5, 1), rel=0.03)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("screw.step", "as STL in mm"),
        ("SCREW.STP", "as STL in mm"),
        ("screw.3mf", "as STL in mm"),
        ("C0001.ISQ", "Scanco"),
        ("C0001.AIM;1", "Scanco"),
        ("labels.am", "Amira"),
        ("scan.vol", "nhdr"),
        ("screw.xyz", "Convert"),
    ],
)
def test_a_foreign_format_is_refused_with_the_way_to_convert_it(tmp_path, name, advice):
    (tmp_path / name).write_bytes(b"ISO-10303-21;")
    with pytest.raises(InputError, match=r"mesh \(.stl .ply .obj .vtk .vtp\)") as refusal:
        read_initial_screw(tmp_path / name)
    assert advice in refusal.value.remedy
    with pytest.raises(InputError, match=r"\.nrrd") as refusal:
        read_label_map(tmp_path / name)
    assert advice in refusal.value.remedy


def scaled_bar(path: Path, factor: float) -> Path:
    write_mesh(path, cube(centre=(40, 0, 0), size=(0.3 * factor, 1.6 * factor, 0.5 * factor)))
    return path


def bar_explant() -> LabelMap:
    grid = plain_grid(40, 40, 40, spacing_zyx_mm=(0.05,) * 3)
    bar = (np.abs(positions_mm(grid)) <= np.array([0.15, 0.25, 0.8])).all(axis=-1)
    return labelled(grid, (bar, METAL))


@pytest.mark.parametrize("factor", [1.0, 1.1])
def test_a_screw_that_fits_is_registered_without_doubt(tmp_path, factor):
    result = register_screw(InitialScrew.from_mesh(scaled_bar(tmp_path / "bar.stl", factor)), bar_explant())
    assert result.doubt == "" and result.dice > 0.7


@pytest.mark.parametrize("factor", [0.5, 1.6, 3.0, 8.0])
def test_a_screw_of_another_size_is_doubted_or_refused(tmp_path, factor):
    try:
        result = register_screw(InitialScrew.from_mesh(scaled_bar(tmp_path / "bar.stl", factor)), bar_explant())
    except InputError as error:
        assert "no place where it overlaps the implant" in error.message and "Check the unit" in error.remedy
    else:
        assert f"Dice {result.dice:.2f}" in result.doubt and "unit" in result.doubt


def test_what_is_left_of_a_screw_that_has_degraded_to_less_than_half_is_still_registered(tmp_path):
    grid = plain_grid(40, 40, 40, spacing_zyx_mm=(0.05,) * 3)
    rest = (np.abs(positions_mm(grid)) <= np.array([0.1, 0.2, 0.65])).all(axis=-1)
    result = register_screw(
        InitialScrew.from_mesh(scaled_bar(tmp_path / "bar.stl", 1.0)), labelled(grid, (rest, METAL))
    )
    assert result.residual_inside_percent > 90


@pytest.mark.parametrize("damage", [b"Transform: \xff\xfe\xc3(", b"#\xe9\n\xff", b"Transform: Euler\xc33DTransform"])
def test_a_transform_with_bytes_that_are_no_text_is_refused_in_one_line(tmp_path, damage):
    write_rigid_transform(np.eye(4), tmp_path / "t.tfm")
    content = (tmp_path / "t.tfm").read_bytes()
    lines = [damage if line.startswith(b"Transform:") else line for line in content.splitlines()]
    (tmp_path / "t.tfm").write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(InputError, match="ITK transform"):
        read_rigid_transform(tmp_path / "t.tfm")
