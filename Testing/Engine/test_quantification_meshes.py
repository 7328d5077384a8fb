"""Meshes of the new screw: every winding gives the same solid; what is damaged or encloses no clear volume is told."""

from __future__ import annotations

import itertools
import os
import struct
import sys

import numpy as np
import pytest

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.quantification.surfaces.mesh_measures import mesh_area_mm2, mesh_mask, mesh_volume_mm3
from MgImplantSegLib.quantification.surfaces.mesh_solid import Solid, solid_of
from MgImplantSegLib.quantification.surfaces.triangle_mesh import MESH_SUFFIXES, read_mesh

Mesh = tuple[np.ndarray, np.ndarray]
TETRAHEDRON = (
    np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]]),
    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
)


def box(low=(0, 0, 0), size=(1, 1, 1)) -> Mesh:
    """A box of twelve triangles that face outward."""
    corners = np.array(list(itertools.product((0, 1), repeat=3)))  # x y z
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    triangles = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    return np.array(low) + corners * np.array(size, float), np.array(triangles)


def together(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(points) for points, _ in meshes)])
    parts = [triangles + start for (_, triangles), start in zip(meshes, starts, strict=False)]
    return np.concatenate([points for points, _ in meshes]), np.concatenate(parts)


def turned(mesh: Mesh, which: np.ndarray | slice = slice(None)) -> Mesh:
    triangles = mesh[1].copy()
    triangles[which] = triangles[which][:, ::-1]
    return mesh[0], triangles


def soup(mesh: Mesh, noise: float = 0.0) -> Mesh:
    """Three points of its own for every triangle, moved at random."""
    points = mesh[0][mesh[1]].reshape(-1, 3)
    points = points + np.random.default_rng(5).uniform(-noise, noise, points.shape)
    return points, np.arange(len(points)).reshape(-1, 3)


def at_random(mesh: Mesh) -> Mesh:
    return turned(mesh, np.random.default_rng(2).random(len(mesh[1])) < 0.5)


def solid(mesh: Mesh) -> Solid:
    return solid_of(*mesh, "screw.stl")


def volume_and_area(mesh: Mesh) -> tuple[float, float]:
    found = solid(mesh)
    return (
        pytest.approx(mesh_volume_mm3(found.points_lps_mm, found.triangles), rel=1e-5),
        pytest.approx(mesh_area_mm2(found.points_lps_mm, found.triangles), rel=1e-5),
    )


def mesh_of(source) -> Mesh:
    """Points and triangles of a VTK source."""
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    split = vtk.vtkTriangleFilter()
    split.SetInputConnection(source.GetOutputPort())
    split.Update()
    polys = split.GetOutput().GetPolys().GetConnectivityArray()
    return vtk_to_numpy(split.GetOutput().GetPoints().GetData()).astype(float), vtk_to_numpy(polys).reshape(-1, 3)


def ball(radius: float = 1.0) -> Mesh:
    import vtk

    source = vtk.vtkSphereSource()
    source.SetRadius(radius)
    source.SetThetaResolution(24)
    source.SetPhiResolution(24)
    return mesh_of(source)


@pytest.mark.parametrize("start", [box(), TETRAHEDRON, ball()], ids=["box", "tetrahedron", "ball"])
def test_the_winding_of_triangles_does_not_matter(start):
    a, b, c = np.moveaxis(start[0][start[1]], 1, 0)
    volume, area = np.sum(a * np.cross(b, c)) / 6, np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    for mesh in (start, turned(start), at_random(start), turned(start, slice(0, 2)), at_random(soup(start))):
        assert volume_and_area(mesh) == (volume, area)
        assert not solid(mesh).note


@pytest.mark.parametrize("mesh", [box(), at_random(box()), turned(box())])
def test_the_triangles_of_a_solid_face_outward(mesh):
    found = solid(mesh)
    a, b, c = np.moveaxis(found.points_lps_mm[found.triangles], 1, 0)
    assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), (a + b + c) / 3 - 0.5) > 0).all()


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_points_that_single_precision_has_moved_apart_are_one(offset):
    start = soup(box(low=(offset, 0, 0)), noise=1e-7 if offset == 0 else 0)
    assert volume_and_area((start[0].astype(np.float32).astype(float), start[1])) == (1, 6)


def test_a_shell_within_a_body_is_a_cavity_whichever_way_both_are_wound():
    hollow = together(box(size=(3, 3, 3)), turned(box(low=(1, 1, 1))))
    for mesh in (hollow, turned(hollow), at_random(hollow), soup(hollow)):
        assert volume_and_area(mesh) == (26, 60)


def test_a_body_within_a_cavity_counts_again():
    nested = together(box(size=(5, 5, 5)), turned(box(low=(1, 1, 1), size=(3, 3, 3))), box(low=(2, 2, 2)))
    assert volume_and_area(nested) == (125 - 27 + 1, 150 + 54 + 6)


def test_a_shell_within_a_body_that_may_be_a_body_itself_is_refused():
    both = together(box(size=(3, 3, 3)), box(low=(1, 1, 1)))
    for mesh in (both, turned(both)):
        with pytest.raises(InputError, match="shell within a shell of the same sense"):
            solid(mesh)


@pytest.mark.parametrize("times", [2, 3])
def test_a_body_that_is_listed_again_counts_once_and_is_told(times):
    for copy in (box(), turned(box())):
        mesh = together(box(), *[copy] * (times - 1))
        for variant in (mesh, soup(mesh), at_random(mesh)):
            assert volume_and_area(variant) == (1, 6)
            assert "more than once" in solid(variant).note


def test_bodies_apart_add_up_however_each_is_wound():
    for other in (box(low=(3, 0, 0)), turned(box(low=(3, 0, 0)))):
        assert volume_and_area(together(box(), other)) == (2, 12)


@pytest.mark.parametrize(("low", "area"), [((1, 0, 0), 10), ((1, 1, 0), 12), ((1, 1, 1), 12)])
def test_bodies_that_share_a_face_an_edge_or_a_corner_are_one_solid(low, area):
    for other in (box(low=low), turned(box(low=low))):
        for mesh in (together(box(), other), soup(together(box(), other))):
            assert volume_and_area(mesh) == (2, area)
            assert not solid(mesh).note


def test_a_body_that_lies_on_another_is_told():
    found = solid(together(box(), box(low=(1, 0.2, 0.3), size=(0.5, 0.5, 0.5))))
    assert mesh_volume_mm3(found.points_lps_mm, found.triangles) == pytest.approx(1.125)
    assert "touch" in found.note


@pytest.mark.parametrize(
    "mesh",
    [
        together(box(), box(low=(0.5, 0.2, 0.1))),
        together(box(), turned(box(low=(0.5, 0.2, 0.1)))),
        together(box(size=(4, 1, 1)), box(low=(1.5, -1.5, -0.1), size=(1, 4, 1.2))),  # no corner of one in the other
        together(box(), box(), box(low=(1, 0, 0))),
    ],
    ids=["overlap", "overlap, turned", "cross", "doubled in part"],
)
def test_bodies_that_overlap_are_refused(mesh):
    with pytest.raises(InputError, match=r"Expected a (surface that does not cross itself|closed mesh)"):
        solid(mesh)


def test_a_surface_that_crosses_itself_is_refused():
    points, triangles = box()
    points[7] = (-2, 0.4, 0.5)  # pulled through the opposite side
    with pytest.raises(InputError, match="cross itself"):
        solid((points, triangles))


def test_a_hole_is_refused_with_the_number_of_open_edges():
    for left_out, edges in ((1, 3), (2, 4)):
        with pytest.raises(InputError, match=f"{edges} open edges"):
            solid((box()[0], box()[1][left_out:]))


def test_triangles_without_area_do_not_open_a_surface():
    points, triangles = box()
    assert volume_and_area((points, np.concatenate([triangles, [[0, 0, 1], [2, 2, 2]]]))) == (1, 6)


def test_a_flat_mesh_encloses_nothing():
    points, triangles = box()
    with pytest.raises(InputError, match=r"encloses a volume|closed"):
        solid((points * (1, 1, 0), triangles))


def test_a_moebius_strip_in_a_mesh_is_refused():
    turns = np.linspace(0, 2 * np.pi, 13)[:-1]
    across = np.stack([np.cos(turns / 2) * np.cos(turns), np.cos(turns / 2) * np.sin(turns), np.sin(turns / 2)], axis=1)
    ring = np.stack([2 * np.cos(turns), 2 * np.sin(turns), 0 * turns], axis=1)
    points = np.concatenate([ring - 0.3 * across, ring + 0.3 * across])
    ends = [(k, 12 + k, k + 1, 13 + k) if k < 11 else (11, 23, 12, 0) for k in range(12)]
    triangles = np.array([t for a, b, c, d in ends for t in ((a, b, c), (b, d, c))])
    with pytest.raises(InputError, match=r"open edges|crosses itself"):
        solid((points, triangles))


def test_the_mask_of_a_hollow_body_is_empty_in_its_cavity():
    found = solid(at_random(together(box(size=(3, 3, 3)), turned(box(low=(1, 1, 1))))))
    grid = Geometry((6, 6, 6), (0.5,) * 3, (0.25,) * 3)
    mask = mesh_mask(found.points_lps_mm, found.triangles, grid)
    expected = np.ones((6, 6, 6), bool)
    expected[2:4, 2:4, 2:4] = False
    np.testing.assert_array_equal(mask, expected)


def binary_stl(mesh: Mesh, name: bytes = b"a mesh", count: int | None = None) -> bytes:
    records = np.zeros(len(mesh[1]), dtype=[("normal", "<3f4"), ("corners", "<9f4"), ("attribute", "<u2")])
    records["corners"] = mesh[0][mesh[1]].reshape(-1, 9)
    return name.ljust(80, b" ") + struct.pack("<I", len(records) if count is None else count) + records.tobytes()


def text_ply(mesh: Mesh, vertices: int | None = None) -> bytes:
    points, triangles = mesh
    header = f"ply\nformat ascii 1.0\nelement vertex {len(points) if vertices is None else vertices}\n"
    header += "property float x\nproperty float y\nproperty float z\n"
    header += f"element face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    rows = [" ".join(map(str, row)) for row in points] + [" ".join(map(str, (3, *row))) for row in triangles]
    return (header + "\n".join(rows) + "\n").encode()


def binary_ply(mesh: Mesh, order: str) -> bytes:
    name = {"<": "binary_little_endian", ">": "binary_big_endian"}[order]
    header = text_ply(mesh).split(b"end_header\n")[0].replace(b"ascii", name.encode()) + b"end_header\n"
    faces = np.zeros(len(mesh[1]), dtype=[("n", "u1"), ("corners", f"{order}3i4")])
    faces["n"], faces["corners"] = 3, mesh[1]
    return header + mesh[0].astype(f"{order}f4").tobytes() + faces.tobytes()


def obj(mesh: Mesh, relative: bool = False) -> bytes:
    points, triangles = mesh
    numbers = triangles - len(points) if relative else triangles + 1
    rows = ["v " + " ".join(map(str, row)) for row in points] + ["f " + " ".join(map(str, row)) for row in numbers]
    return ("# a screw\nmtllib none.mtl\no screw\n" + "\n".join(rows) + "\n").encode()


def vtk_text(points: np.ndarray, cells: str) -> bytes:
    values = " ".join(map(str, points.ravel()))
    start = f"# vtk DataFile Version 3.0\nscrew\nASCII\nDATASET POLYDATA\nPOINTS {len(points)} float\n"
    return f"{start}{values}\n{cells}\n".encode()


STRIP_AND_QUADS = """VERTICES 1 2
1 0
LINES 1 3
2 0 1
POLYGONS 2 10
4 0 1 3 2
4 4 6 7 5
TRIANGLE_STRIPS 1 11
10 0 4 1 5 3 7 2 6 0 4"""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("solid.stl", binary_stl(box(), b"solid made by a CAD program")),
        ("facet.stl", binary_stl(box(), b"solid facet normal 0 0 1")),
        ("little.ply", binary_ply(box(), "<")),
        ("big.ply", binary_ply(box(), ">")),
        ("text.ply", text_ply(box())),
        ("windows.ply", text_ply(box()).replace(b"\n", b"\r\n")),
        ("plain.obj", obj(box())),
        ("relative.obj", obj(box(), relative=True)),
        ("quads.vtk", vtk_text(box()[0], STRIP_AND_QUADS)),
        ("CAPITALS.STL", binary_stl(box())),
    ],
)
def test_every_legal_way_to_write_a_box_is_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    found = read_mesh(tmp_path / name)
    assert mesh_volume_mm3(found.points_lps_mm, found.triangles) == pytest.approx(1)
    assert mesh_area_mm2(found.points_lps_mm, found.triangles) == pytest.approx(6)
    assert not found.note


NOT_A_NUMBER = (np.where(box()[0] == 1, np.nan, 0), box()[1])
INFINITE = (np.where(box()[0] == 1, np.inf, 0), box()[1])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.stl", binary_stl(box())[:-30]),
        ("count.stl", binary_stl(box(), count=4_294_967_295)),
        ("nan.stl", binary_stl(NOT_A_NUMBER)),
        ("infinite.stl", binary_stl(INFINITE)),
        ("empty.stl", b""),
        ("cut_little.ply", binary_ply(box(), "<")[:-40]),
        ("cut_big.ply", binary_ply(box(), ">")[:-70]),
        ("many.ply", text_ply(box(), vertices=2_000_000_000)),
        ("minus.ply", text_ply(box(), vertices=-1)),
        ("beyond.ply", text_ply((box()[0], box()[1] + 99_999_999))),
        ("huge_beyond.ply", binary_ply((box()[0], box()[1] * 250_000_000), "<")),
        ("beyond.obj", obj((box()[0], box()[1] + 5))),
        ("far_back.obj", obj((box()[0], box()[1] - 50), relative=True)),
        ("number_0.obj", obj((box()[0], box()[1] - 1))),
        ("beyond.vtk", vtk_text(box()[0], "POLYGONS 1 4\n3 0 1 99999999")),
        ("count.vtk", vtk_text(box()[0], "POLYGONS 1 4\n999999999 0 1 2")),
        ("many.vtk", vtk_text(box()[0], "POLYGONS 1 4000000000\n3 0 1 2")),
        ("minus.vtk", vtk_text(box()[0], "POLYGONS 1 4\n3 0 -7 2")),
        ("cut.vtk", vtk_text(box()[0], STRIP_AND_QUADS)[:-30]),
        ("text.vtp", b"<VTKFile type='PolyData'><PolyData>"),
        ("grid.vtk", vtk_text(box()[0], "CELLS 1 4\n3 0 1 2").replace(b"POLYDATA", b"UNSTRUCTURED_GRID")),
        ("points.vtk", vtk_text(box()[0], "VERTICES 1 2\n1 0")),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as refusal:
        read_mesh(tmp_path / name)
    assert name in refusal.value.message
    assert "\n" not in refusal.value.message
    assert refusal.value.remedy


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_half_a_file_is_never_a_mesh(tmp_path, suffix):
    import vtk

    writers = {
        ".stl": vtk.vtkSTLWriter,
        ".ply": vtk.vtkPLYWriter,
        ".obj": vtk.vtkOBJWriter,
        ".vtk": vtk.vtkPolyDataWriter,
        ".vtp": vtk.vtkXMLPolyDataWriter,
    }
    source, writer = vtk.vtkSphereSource(), writers[suffix]()
    writer.SetInputConnection(source.GetOutputPort())
    writer.SetFileName(str(tmp_path / f"whole{suffix}"))
    writer.Write()
    content = (tmp_path / f"whole{suffix}").read_bytes()
    (tmp_path / f"half{suffix}").write_bytes(content[: len(content) // 2])
    assert read_mesh(tmp_path / f"whole{suffix}").triangles.shape == (96, 3)
    with pytest.raises(InputError):
        read_mesh(tmp_path / f"half{suffix}")


def test_a_body_whose_faces_pass_through_voxel_centres_holds_as_many_voxels_as_its_volume():
    points, triangles = box((2, 3, 4), (4, 3, 2))
    inside = mesh_mask(points, triangles, Geometry((9, 9, 9)))
    assert inside.sum() == 4 * 3 * 2
    touching = mesh_mask(*box((6, 3, 4), (2, 3, 2)), Geometry((9, 9, 9)))
    assert not (inside & touching).any() and touching.sum() == 2 * 3 * 2


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_names_that_are_not_utf_8_are_read(tmp_path, suffix):
    import vtk

    writers = {
        ".stl": vtk.vtkSTLWriter,
        ".ply": vtk.vtkPLYWriter,
        ".obj": vtk.vtkOBJWriter,
        ".vtk": vtk.vtkPolyDataWriter,
        ".vtp": vtk.vtkXMLPolyDataWriter,
    }
    source, writer = vtk.vtkSphereSource(), writers[suffix]()
    writer.SetInputConnection(source.GetOutputPort())
    writer.SetFileName(str(tmp_path / f"a{suffix}"))
    writer.Write()
    plain = read_mesh(tmp_path / f"a{suffix}")
    strange = tmp_path / os.fsdecode(b"scr\xe9w" + suffix.encode())
    (tmp_path / f"a{suffix}").rename(strange)
    np.testing.assert_array_equal(read_mesh(strange).points_lps_mm, plain.points_lps_mm)


def test_coordinates_that_no_screw_has_are_refused(tmp_path):
    corners = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1e308)]
    faces = [(1, 3, 2), (1, 2, 4), (2, 3, 4), (1, 4, 3)]
    lines = [f"v {x} {y} {z}" for x, y, z in corners] + [f"f {a} {b} {c}" for a, b, c in faces]
    (tmp_path / "screw.obj").write_text("\n".join(lines))
    with pytest.raises(InputError, match="beyond 1e\\+12"):
        read_mesh(tmp_path / "screw.obj")
