"""Impossible voxel sizes: a warning where a file is read, and beside every number that follows from them."""

from __future__ import annotations

import logging

from MgImplantSegLib.base.remarks import remarks_of
from MgImplantSegLib.grids.volume import Geometry, LabelMap

logger = logging.getLogger(__name__)
FINEST_UM, COARSEST_UM = 0.1, 500.0
LARGEST_RATIO = 6.0
LARGEST_EXTENT_MM = 400.0


def voxel_size_doubt(geometry: Geometry) -> str:
    """A sentence about a voxel size that no scan of an explant has; an empty text for one that can be."""
    sizes_um = [1000 * size for size in geometry.spacing_zyx_mm]
    extent_mm = max(geometry.extent_zyx_mm)
    if max(sizes_um) > LARGEST_RATIO * min(sizes_um):
        reason = (
            f"more than {LARGEST_RATIO:g} times as long along one axis as along another (an axis that was never set?)"
        )
    elif max(sizes_um) > COARSEST_UM:
        reason = f"more than {COARSEST_UM:g} µm (a size in µm or m that was mistaken for mm?)"
    elif min(sizes_um) < FINEST_UM:
        reason = f"less than {FINEST_UM:g} µm (a wrong unit?)"
    elif extent_mm > LARGEST_EXTENT_MM:
        reason = f"which makes the volume {extent_mm:.3g} mm long (a wrong unit?)"
    else:
        return ""
    text = " × ".join(f"{size:.6g}" for size in sizes_um[::-1])
    return (
        f"The voxel size of {text} µm (x, y, z) cannot be right: {reason}. Every length, area and volume depends on it."
    )


def warn_of_voxel_size(geometry: Geometry, path: object) -> None:
    """Log a warning if the voxel size of a file cannot be."""
    doubt = voxel_size_doubt(geometry)
    if doubt:
        logger.warning("%s: %s Give the true voxel size.", path, doubt)


def remarks_with_doubt(label_map: LabelMap) -> tuple[str, ...]:
    """What was warned of when a label map was read, and whether its voxel size is possible, said once."""
    remarks, doubt = remarks_of(label_map.provenance), voxel_size_doubt(label_map.geometry)
    return remarks if any(doubt in sentence for sentence in remarks) or not doubt else (*remarks, doubt)
