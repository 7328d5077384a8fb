"""Whether a disagreement map of the slicing planes can be one of the segmentation that it is given for."""

from __future__ import annotations

import itertools

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import Geometry, Volume

TOLERANCE_VOXELS = 1.0  # of the map: it has the model's voxels, and a region is rounded to whole ones
OF_THIS_IMAGE = "Give the disagreement that was written when this image was segmented [[disagreement]], or omit it."


def refusal(fault: str) -> InputError:
    """The error for a map with such a fault."""
    return InputError(f"Expected a disagreement map of this image, got {fault}.", OF_THIS_IMAGE)


def require_parts_of_planes(disagreement: Volume) -> None:
    """Raise InputError unless all values are parts of the planes: 0 to 1, without NaN."""
    lowest, highest = float(disagreement.array.min()), float(disagreement.array.max())
    if not 0 <= lowest <= highest <= 1:  # NaN is not either
        raise refusal(f"values of {lowest:g} to {highest:g} instead of 0 to 1")


def require_covered(disagreement: Volume, geometry: Geometry, box: tuple[slice, ...]) -> None:
    """Raise InputError unless the map holds a box of voxels of another grid, whatever the directions of both."""
    edges = [(part.start - 0.5, part.stop - 0.5) for part in box]
    corners = geometry.lps_from_index_zyx(np.array(list(itertools.product(*edges))))
    places = disagreement.geometry.index_zyx_from_lps(corners)
    last = np.array(disagreement.geometry.shape_zyx) - 0.5
    if (places < -0.5 - TOLERANCE_VOXELS).any() or (places > last + TOLERANCE_VOXELS).any():
        raise refusal("a map of another place, which does not cover the implant")
