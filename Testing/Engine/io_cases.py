"""A small volume without any symmetry, on turned, left-handed, anisotropic, shifted grids, for the tests of files."""

import numpy as np

from MgImplantSegLib.grids.volume import Geometry

# columns: perpendicular unit vectors of the axes x, y, z; determinant -1
TURNED_LEFT_HANDED = (0.8, 0.0, -0.6, 0.36, 0.8, 0.48, -0.48, 0.6, -0.64)
TURNED_RIGHT_HANDED = (0.8, 0.0, 0.6, 0.36, 0.8, -0.48, -0.48, 0.6, 0.64)
SHAPE_ZYX = (4, 5, 6)
SPACING_ZYX_MM = (0.007, 0.006, 0.005)
ORIGIN_LPS_MM = (1.5, -2.25, 3.125)
LEFT_HANDED = Geometry(SHAPE_ZYX, SPACING_ZYX_MM, ORIGIN_LPS_MM, TURNED_LEFT_HANDED)
RIGHT_HANDED = Geometry(SHAPE_ZYX, SPACING_ZYX_MM, ORIGIN_LPS_MM, TURNED_RIGHT_HANDED)


def grey_values(dtype="uint16"):
    """Voxels 0, 1, 2, … in the order z, y, x."""
    return np.arange(np.prod(SHAPE_ZYX)).reshape(SHAPE_ZYX).astype(dtype)


def label_values():
    """Bone, layer and metal in boxes of different size, away from the borders."""
    labels = np.zeros(SHAPE_ZYX, np.uint8)
    labels[1:3, 1:4, 1:3] = 1
    labels[2:4, 2:4, 3:6] = 2
    labels[3, 3, 3:5] = 3
    return labels


def is_mapped_from_disk(array):
    """Whether the memory of an array is a mapped file."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False
