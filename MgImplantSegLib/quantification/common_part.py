"""The part of the screw that was seen before and after implantation, so that V_i, A_i and V_r are of the same part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.typed import present, triple
from MgImplantSegLib.grids.boxes import Box, intersection, relative_to, shape_of, start_of, whole
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.quantification.codes import METAL, UNKNOWN, implant_in
from MgImplantSegLib.quantification.measures.common_lengths import CommonLength
from MgImplantSegLib.quantification.options import QuantifyOptions
from MgImplantSegLib.quantification.screw.axis import ScrewAxis, screw_axis
from MgImplantSegLib.quantification.screw.cut_ends import box_without_cut_ends
from MgImplantSegLib.quantification.screw.screw_size import require_plausible_size

MARGIN_VOXELS = 6
LENGTH_TOLERANCE = 0.05
SIDE_LOSSES = 3.0  # ends degrade from more sides than one, and pits are deeper than the mean
LEAST_CROSS_SECTION = 0.01
LARGEST_GROWTH = 27


class Explant(Protocol):
    """What is asked of the explant: a `MeasureContext` has it."""

    codes: np.ndarray
    geometry: Geometry
    options: QuantifyOptions

    @property
    def implant_box(self) -> Box | None:
        """The smallest box around the implant."""

    @property
    def axis(self) -> ScrewAxis | None:
        """The implant's axis."""


@dataclass(frozen=True, eq=False)
class CommonPart:
    """The initial screw on the explant's grid, and what of it counts.

    Parameters
    ----------
    box : Box
        Box around the screw in indices of the volume; it may reach outside.
    geometry : Geometry
        The grid of that box.
    initial : bool array (z, y, x)
        The initial screw in that box.
    counted : bool array (z, y, x)
        True where both scans have seen something, on the common length.
    initial_voxels, residual_voxels : int
        Voxels of the initial screw, and of residual material, that count.
    residual_outside_voxels : int
        Those of the residual material that count and lie outside the initial screw.
    left_out_voxels, residual_left_out_voxels : int
        Voxels of the initial screw, and of residual material, that do not count.
    length_mm : float
        Common length along the axis.
    """

    box: Box
    geometry: Geometry
    initial: np.ndarray
    counted: np.ndarray
    initial_voxels: int
    residual_voxels: int
    residual_outside_voxels: int
    left_out_voxels: int
    residual_left_out_voxels: int
    length_mm: float

    @property
    def is_cropped(self) -> bool:
        """Whether a part of the initial screw or of the residual material does not count."""
        return self.left_out_voxels > 0 or self.residual_left_out_voxels > 0


def common_part(context: Explant) -> CommonPart | None:
    """The part of the screw that both scans show; None where the initial screw's shape or the implant is missing.

    Raises InputError if the initial screw is far larger than the volume, as with a wrong unit.
    """
    options = context.options
    if options.initial is None or options.initial.shape is None or context.implant_box is None:
        return None
    shape, implant_axis = options.initial.shape, present(context.axis)
    require_plausible_size(shape, implant_axis, context.geometry)
    box = box_around(shape.corners_lps_mm, context.geometry)
    geometry = context.geometry.cropped(start_of(box), shape_of(box))
    initial = shape.mask_on(geometry)
    codes = codes_in(box, context.codes)
    counted = shape.known_on(geometry)
    kept = box_without_cut_ends(initial | ~counted, box, context.codes)
    counted &= codes != UNKNOWN
    axis = screw_axis(initial, geometry, options.axis_lps) if initial.any() else implant_axis
    before, after = _profile(initial & counted, geometry, axis), _implant_profile(context, axis)
    rule = CommonLength(options.common_length)
    _leave_out(counted, axis, geometry, _limits_mm(before, after, rule), intersection(kept, box), box)
    residual, all_residual = _residual_voxels(context, shape, axis, _limits_mm(after, before, rule), kept)
    inside = int(np.count_nonzero((codes == METAL) & counted & initial))
    initial_voxels = int(np.count_nonzero(initial & counted))
    left_out = int(np.count_nonzero(initial)) - initial_voxels
    length_mm = 0.0
    if before is not None and after is not None:
        length_mm = max(0.0, min(before.high_mm, after.high_mm) - max(before.low_mm, after.low_mm))
    return CommonPart(
        box,
        geometry,
        initial,
        counted,
        initial_voxels,
        residual,
        residual - inside,
        left_out,
        all_residual - residual,
        length_mm,
    )


def box_around(points_lps_mm: np.ndarray, geometry: Geometry) -> Box:
    """The box of a grid around points in LPS mm, with a margin; it may reach outside the grid.

    Raises InputError if it is far larger than the grid, as with a wrong unit.
    """
    index_zyx = geometry.index_zyx_from_lps(points_lps_mm)
    start = np.floor(index_zyx.min(axis=0)).astype(int) - MARGIN_VOXELS
    stop = np.ceil(index_zyx.max(axis=0)).astype(int) + MARGIN_VOXELS + 1
    if np.prod((stop - start).astype(float)) > LARGEST_GROWTH * max(math.prod(geometry.shape_zyx), 1 << 24):
        size_mm = (stop - start) * np.array(geometry.spacing_zyx_mm)
        raise InputError(
            f"Expected an initial screw that fits the volume of {geometry.extent_zyx_mm} mm, got {size_mm} mm.",
            "Check the unit (mm) and the voxel size of the initial screw.",
        )
    return triple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))


def codes_in(box: Box, codes: np.ndarray) -> np.ndarray:
    """Codes in a box that may reach outside; unknown there."""
    found = np.full(shape_of(box), UNKNOWN, dtype=np.uint8)
    common = intersection(box, whole(codes.shape))
    if min(shape_of(common)) > 0:
        found[relative_to(common, box)] = codes[common]
    return found


def _leave_out(
    counted: np.ndarray, axis: ScrewAxis, geometry: Geometry, limits_mm: tuple[float, float], kept: Box, box: Box
) -> None:
    """Set to False, in place, what of a mask of `box` lies beyond the limits on the axis or outside the box `kept`."""
    if np.isfinite(limits_mm).any():
        counted &= axis.between(geometry, *limits_mm)
    for number, part in enumerate(relative_to(kept, box)):
        before = (slice(None),) * number
        counted[(*before, slice(0, part.start))] = False
        counted[(*before, slice(part.stop, None))] = False


@dataclass(frozen=True, eq=False)
class _Profile:
    """Where a body begins and ends on the axis, and the radius of a circle with its cross-section at each step."""

    low_mm: float
    high_mm: float
    middles_mm: np.ndarray
    radii_mm: np.ndarray

    @property
    def length_mm(self) -> float:
        return self.high_mm - self.low_mm

    def radius_mm(self, positions_mm: np.ndarray) -> np.ndarray:
        return np.interp(positions_mm, self.middles_mm, self.radii_mm, left=0.0, right=0.0)


def _profile(mask: np.ndarray, geometry: Geometry, axis: ScrewAxis) -> _Profile | None:
    """None without a voxel; cross-sections below 1 % of the largest, stray voxels, are no end."""
    if not mask.any():
        return None
    step_mm = max(geometry.spacing_zyx_mm)
    start_mm, counts = axis.profile(mask, geometry, step_mm)
    solid = np.flatnonzero(counts >= LEAST_CROSS_SECTION * counts.max())
    low_mm, high_mm = start_mm + solid[0] * step_mm, start_mm + (solid[-1] + 1) * step_mm
    radii_mm = np.sqrt(counts * geometry.voxel_volume_mm3 / step_mm / np.pi)
    return _Profile(low_mm, high_mm, start_mm + (np.arange(counts.size) + 0.5) * step_mm, radii_mm)


def _implant_profile(context: Explant, axis: ScrewAxis) -> _Profile | None:
    box = present(context.implant_box)
    geometry = context.geometry.cropped(start_of(box), shape_of(box))
    return _profile(implant_in(context.codes[box]), geometry, axis)


def _limits_mm(body: _Profile | None, other: _Profile | None, rule: CommonLength) -> tuple[float, float]:
    """Between which positions on the axis a body counts, given the other; infinite where it is not cut.

    It is cut only where it continues beyond the other: where it ends by itself, its end is surface and counts.
    """
    if body is None or other is None or rule is CommonLength.SCAN:
        return -np.inf, np.inf
    tolerance_mm = 0.0
    if rule is CommonLength.AUTO:
        tolerance_mm = max(LENGTH_TOLERANCE * body.length_mm, SIDE_LOSSES * _loss_at_the_sides_mm(body, other))
    low = other.low_mm if other.low_mm - body.low_mm > tolerance_mm else -np.inf
    high = other.high_mm if body.high_mm - other.high_mm > tolerance_mm else np.inf
    return low, high


def _loss_at_the_sides_mm(body: _Profile, other: _Profile) -> float:
    """By how much the body's radius is larger than the other's, in the middle half of the length that both have."""
    low_mm, high_mm = max(body.low_mm, other.low_mm), min(body.high_mm, other.high_mm)
    if high_mm <= low_mm:
        return 0.0
    positions_mm = np.linspace(0.75 * low_mm + 0.25 * high_mm, 0.25 * low_mm + 0.75 * high_mm, 65)
    return max(0.0, float(np.median(body.radius_mm(positions_mm) - other.radius_mm(positions_mm))))


def _residual_voxels(
    context: Explant, shape, axis: ScrewAxis, limits_mm: tuple[float, float], kept: Box
) -> tuple[int, int]:
    """Voxels of residual material on the common length that the initial scan has seen, and all of them."""
    box = present(context.implant_box)
    geometry = context.geometry.cropped(start_of(box), shape_of(box))
    counted = context.codes[box] == METAL
    metal_voxels = int(np.count_nonzero(counted))
    counted &= shape.known_on(geometry)
    _leave_out(counted, axis, geometry, limits_mm, intersection(kept, box), box)
    return int(np.count_nonzero(counted)), metal_voxels
