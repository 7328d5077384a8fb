"""Closed surfaces: the volume they enclose, which way they face, and how they are cut open."""

import numpy as np
import pytest
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from MgImplantSegLib.scene.meshes import cut_open, enclosed_volume_mm3, facing_outward, with_normals


def box(x_mm=2.0, y_mm=3.0, z_mm=4.0):
    source = vtk.vtkCubeSource()
    source.SetXLength(x_mm)
    source.SetYLength(y_mm)
    source.SetZLength(z_mm)
    source.SetCenter(10, 20, 30)
    clean = vtk.vtkCleanPolyData()
    clean.SetInputConnection(source.GetOutputPort())
    clean.Update()
    return clean.GetOutput()


def turned_inside_out(mesh):
    reverse = vtk.vtkReverseSense()
    reverse.SetInputData(mesh)
    reverse.ReverseCellsOn()
    reverse.Update()
    return reverse.GetOutput()


def area_mm2(mesh):
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputData(mesh)
    mass = vtk.vtkMassProperties()
    mass.SetInputConnection(triangles.GetOutputPort())
    return mass.GetSurfaceArea()


def test_the_volume_of_a_box_is_the_product_of_its_edges_wherever_it_is():
    assert enclosed_volume_mm3(box()) == pytest.approx(24)
    assert enclosed_volume_mm3(turned_inside_out(box())) == pytest.approx(-24)
    assert enclosed_volume_mm3(vtk.vtkPolyData()) == 0


def test_a_surface_that_faces_inward_is_turned():
    assert enclosed_volume_mm3(facing_outward(turned_inside_out(box()))) == pytest.approx(24)
    mesh = box()
    assert facing_outward(mesh) is mesh


def test_cutting_leaves_the_part_behind_the_plane_and_closes_it_with_a_flat_face():
    rest, cap = cut_open(box(), np.array([10.5, 20, 30]), np.array([1.0, 0, 0]))
    assert rest.GetBounds() == pytest.approx((9, 10.5, 18.5, 21.5, 28, 32))
    assert cap.GetBounds() == pytest.approx((10.5, 10.5, 18.5, 21.5, 28, 32))
    assert area_mm2(cap) == pytest.approx(12)
    assert area_mm2(rest) == pytest.approx(12 + 2 * 1.5 * 3 + 2 * 1.5 * 4)


def test_normals_are_added_where_they_are_missing():
    mesh = with_normals(box())
    normals = vtk_to_numpy(mesh.GetPointData().GetNormals())
    outward = vtk_to_numpy(mesh.GetPoints().GetData()) - (10, 20, 30)
    assert (np.einsum("ij,ij->i", normals, outward) > 0).all()
    assert with_normals(mesh) is mesh
