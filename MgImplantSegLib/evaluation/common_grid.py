"""The voxels that two segmentations have in common, where one shows a part of what the other shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.quantification.boxes import Box, intersection, relative_to, shape_of, start_of, whole
from MgImplantSegLib.volume import Geometry, LabelMap


def on_common_grid(first: LabelMap, second: LabelMap) -> tuple[LabelMap, LabelMap]:
    """Both cropped to the box of voxels that both show; as they are where their grids are the same.

    Raises
    ------
    InputError
        If the voxels of the two do not lie at the same places, or they have none in common.
    """
    if first.geometry.same_grid(second.geometry):
        return first, second
    start = np.round(second.geometry.index_zyx_from_lps(first.geometry.origin_lps_mm)).astype(int)
    shape = first.geometry.shape_zyx
    box = tuple(slice(int(s), int(s) + n) for s, n in zip(start, shape, strict=True))
    common = intersection(box, whole(second.geometry.shape_zyx))
    if not second.geometry.cropped(start, shape).same_grid(first.geometry) or min(shape_of(common)) < 1:
        raise InputError(
            f"Expected both segmentations on one grid, or one on a part of the other's, got {_text(first.geometry)} "
            f"and {_text(second.geometry)}.",
            "Resample one of them to the other's grid.",
        )
    return _cropped(first, relative_to(common, box)), _cropped(second, common)


def _cropped(label_map: LabelMap, box: Box) -> LabelMap:
    return replace(
        label_map, array=label_map.array[box], geometry=label_map.geometry.cropped(start_of(box), shape_of(box))
    )


def _text(geometry: Geometry) -> str:
    size = " × ".join(str(n) for n in geometry.shape_zyx[::-1])
    spacing = " × ".join(f"{1000 * s:g}" for s in geometry.spacing_zyx_mm[::-1])
    origin = ", ".join(f"{x:g}" for x in geometry.origin_lps_mm)
    return f"{size} voxels of {spacing} µm from ({origin}) mm"
