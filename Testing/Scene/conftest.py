"""A small explant (threaded screw in a gyroid of bone) and a scene outside Slicer for all tests of the scene."""

import numpy as np
import pytest
from scipy import ndimage

from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.scene.standalone import StandaloneScene

# x, y, z axes of a turned, left-handed frame: columns are perpendicular, the determinant is -1
TURNED_LEFT_HANDED = (0.8, 0.0, -0.6, 0.36, 0.8, 0.48, -0.48, 0.6, -0.64)


@pytest.fixture
def standalone():
    with StandaloneScene() as started:
        yield started


@pytest.fixture
def scene(standalone):
    return standalone.scene


@pytest.fixture
def made_of_surfaces(scene):
    """A segmentation node whose segment "residual_material" is a surface, as one from an STL file."""
    import vtk

    sphere = vtk.vtkSphereSource()
    sphere.Update()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "from surface")
    node.SetSourceRepresentationToClosedSurface()
    node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "screw", [1, 0, 0], "residual_material")
    return node


@pytest.fixture
def oblique_geometry():
    return Geometry((5, 6, 7), (0.012, 0.008, 0.005), (1.5, -2.25, 3.125), TURNED_LEFT_HANDED)


@pytest.fixture(scope="session")
def explant():
    """Grey image and label map of 48³ voxels of 40 µm: classes 1 bone, 2 layer, 3 metal; the screw along z."""
    labels = _explant_labels(48)
    grey = np.array([0.1, 0.6, 0.45, 0.65])[labels]
    image = (ndimage.gaussian_filter(grey, 0.7) * 40000).astype(np.uint16)
    geometry = Geometry(labels.shape, (0.04, 0.04, 0.04), (-0.94, -0.94, -0.94))
    return Volume(image, geometry), LabelMap(labels, geometry)


def _explant_labels(count):
    z, y, x = (np.indices((count, count, count)) - (count - 1) / 2) / count
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    thread = 1 - 2 * np.abs((z / 0.15 - angle / (2 * np.pi)) % 1 - 0.5)
    screw = (radius < np.where(z > 0.3, 0.30, 0.17 + 0.05 * thread)) & (np.abs(z) < 0.42)
    wave = 2 * np.pi / 0.25
    gyroid = np.sin(wave * x) * np.cos(wave * y) + np.sin(wave * y) * np.cos(wave * z)
    gyroid += np.sin(wave * z) * np.cos(wave * x)
    labels = ((gyroid > 0.4) & (radius < 0.48)).astype(np.uint8)
    labels[screw] = 2
    labels[ndimage.binary_erosion(screw, iterations=2)] = 3
    return labels
