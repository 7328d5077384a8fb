"""Where a scan cuts the explant, the cut ends of the new screw's shape are not surface."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.boxes import Box
from MgImplantSegLib.quantification.codes import implant_in

END_VOXELS = 4
BEYOND_VOXELS = 2


def box_without_cut_ends(going_on: np.ndarray, box: Box, codes: np.ndarray) -> Box:
    """The box of the volume without its outer layers where the initial screw ends there though the implant continues.

    A mesh of the scanned part of a screw is closed at the border of its own scan; these caps lie within a few voxels
    of the border at which the explant is cut, once the mesh is registered. The screw ends there if it has less than
    half as many voxels two layers outside the volume as four layers inside.

    Parameters
    ----------
    going_on : bool array (z, y, x)
        The initial screw in `box`, and what its own scan has not seen: it may go on there.
    box : Box
        Indices of the volume; may reach outside.
    codes : uint8 array (z, y, x)
        Codes of the whole volume.
    """
    limits = [[0, n] for n in codes.shape]
    for axis, size in enumerate(codes.shape):
        for side, border, inward in ((0, 0, 1), (1, size - 1, -1)):
            if not implant_in(np.take(codes, border, axis)).any():
                continue
            first = border - box[axis].start
            beyond = _layer_voxels(going_on, axis, first - BEYOND_VOXELS * inward)
            if beyond < _layer_voxels(going_on, axis, first + END_VOXELS * inward) / 2:
                limits[axis][side] += inward * END_VOXELS
    return triple(slice(low, max(low, high)) for low, high in limits)


def _layer_voxels(mask: np.ndarray, axis: int, index: int) -> int:
    return int(np.count_nonzero(np.take(mask, index, axis))) if 0 <= index < mask.shape[axis] else 0
