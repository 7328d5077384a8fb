"""What preparing a large scan gives and takes, decided before it starts: `plan`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError, ResourceError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.grey_window import GreyWindow
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.boxes import Box, grown, shape_of, start_of, whole
from MgImplantSegLib.grids.resample import corner_aligned
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.io.slices_on_disk import SlicesOnDisk
from MgImplantSegLib.preprocessing.coarse_look import MOST_PIXELS, MOST_SLICES, VALUES_ACROSS, CoarseLook, coarse_look
from MgImplantSegLib.preprocessing.given_back import MAPPED_BYTES
from MgImplantSegLib.preprocessing.prepare_options import PrepareOptions
from MgImplantSegLib.preprocessing.sample_box import sample_box

DEFAULT_PERCENTILES = (0.05, 99.95)
MOST_BYTES = 2_000_000_000  # of a result whose voxel size nobody gives
BYTES_PER_VOXEL = 2
COARSEST_MM = 1.0
SAME_SPACING = 1e-6
PROGRAM_BYTES = 190_000_000
COPIES_OF_COARSE = 10  # while the sample is looked for in it
PART_FOR_BLOCKS = 0.25
SECONDS_PER_VOXEL = 1.5e-8  # converting and resampling, one core


@dataclass(frozen=True)
class PreparePlan:
    """What a scan becomes.

    Parameters
    ----------
    box : tuple of slice
        The voxels (z, y, x) of the scan that are kept.
    grid : Geometry
        Of the result; its first corner is that of the box.
    window : GreyWindow
        Which grey values 0 and 65535 are.
    memory_bytes : int
        What the whole process takes at most.
    output_bytes : int
        Size of the file.
    seconds : float or None
        About how long it takes; None if nothing of the scan was looked at yet.
    look : CoarseLook or None
        The first look, where one was needed.
    """

    box: Box
    grid: Geometry
    window: GreyWindow
    memory_bytes: int
    output_bytes: int
    seconds: float | None = None
    look: CoarseLook | None = None

    def to_dict(self, scan: Volume) -> dict[str, Any]:
        """Plain data; axes in the order x, y, z."""
        return {
            "scan_voxels": list(scan.geometry.shape_zyx[::-1]),
            "scan_um": [1000 * size for size in scan.geometry.spacing_zyx_mm[::-1]],
            "scan_type": scan.array.dtype.name,
            "scan_bytes": int(scan.array.nbytes),
            "box": [[part.start, part.stop] for part in self.box[::-1]],
            "voxels": list(self.grid.shape_zyx[::-1]),
            "voxel_um": [1000 * size for size in self.grid.spacing_zyx_mm[::-1]],
            "window": self.window.to_dict(),
            "memory_bytes": self.memory_bytes,
            "output_bytes": self.output_bytes,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
        }


def plan(scan: Volume, options: PrepareOptions, events: Events, *, with_look: bool = False) -> PreparePlan:
    """What preparing a scan gives and takes; looks at some slices if the options need it, or `with_look`.

    Raises InputError if the box or the voxel size does not fit the scan, or its grey values cannot be used;
    ResourceError if the work does not fit into the memory limit.
    """
    if scan.array.dtype.kind not in "buif":
        raise InputError(f"Expected grey values as real numbers, got values of type {scan.array.dtype}.")
    kept = GreyWindow.of_type(scan.array.dtype) if options.percentiles is None else None
    needs_look = with_look or kept is None or options.crop == "sample"
    if needs_look:
        _require_memory(_bytes_of_look(scan), options)
    look = coarse_look(scan, events) if needs_look else None
    box = _box(scan, options, look, events)
    window = kept or _window(options, look, box, scan)
    grid = target_grid(scan.geometry.cropped(start_of(box), shape_of(box)), options.target_um)
    memory = max(_bytes_of_look(scan) if needs_look else 0, _memory_bytes(scan, box, grid))
    _require_memory(memory, options)
    seconds = None if look is None else _seconds(scan, box, look)
    return PreparePlan(box, grid, window, memory, BYTES_PER_VOXEL * math.prod(grid.shape_zyx), seconds, look)


def memory_of_type(scan: Geometry, dtype: np.dtype, target_um: float | None) -> int:
    """What preparing a whole scan of that size and type takes, read slice by slice."""

    def none_read(z: int) -> np.ndarray:
        raise ValueError("only the size counts")

    array = SlicesOnDisk(scan.shape_zyx, dtype, none_read).as_array()
    volume = Volume(array, scan)
    return max(_bytes_of_look(volume), _memory_bytes(volume, whole(scan.shape_zyx), target_grid(scan, target_um)))


def block_bytes(memory_gb: float) -> int:
    """What may be read at one time of a file without single slices."""
    return int(PART_FOR_BLOCKS * memory_gb * 1e9)


def target_grid(part: Geometry, target_um: float | None) -> Geometry:
    """The grid of the result over a part of the scan, from its first corner on.

    Without a voxel size the finest whole multiple of the scan's whose file has at most `MOST_BYTES`. Raises InputError
    if the voxel size is one that no scan has.
    """
    if target_um is None:
        factor = 1
        while BYTES_PER_VOXEL * math.prod(max(1, round(n / factor)) for n in part.shape_zyx) > MOST_BYTES:
            factor += 1
        spacing = triple(factor * size for size in part.spacing_zyx_mm)
    else:
        spacing = (target_um / 1000,) * 3
        if max(spacing) > max(COARSEST_MM, max(part.extent_zyx_mm) / 2):
            raise InputError(
                f"Expected a voxel size in µm finer than the scan is long, got {target_um:g}.",
                "Correct it [[target_um]].",
            )
    same = all(abs(a / b - 1) < SAME_SPACING for a, b in zip(spacing, part.spacing_zyx_mm, strict=True))
    return part if same else corner_aligned(part, spacing)


def support_of(box: Box, scan: Geometry, grid: Geometry) -> Box:
    """The voxels of the scan that count for the result: the box and what the filter reaches beyond it."""
    reach = triple(
        math.ceil(max(1.0, new / old)) + 1 for old, new in zip(scan.spacing_zyx_mm, grid.spacing_zyx_mm, strict=True)
    )
    return grown(box, reach, scan.shape_zyx)


def _box(scan: Volume, options: PrepareOptions, look: CoarseLook | None, events: Events) -> Box:
    geometry = scan.geometry
    if options.box is not None:
        return options.box.of(geometry)
    if options.roi is not None:
        return options.box_of_roi(geometry)
    if options.crop == "sample" and look is not None:
        found = sample_box(look, options.margin_mm, geometry.shape_zyx)
        if found is not None:
            return found
        events.warning("No sample stands out from its surroundings; nothing is cropped.", kind="crop")
    return whole(geometry.shape_zyx)


def _window(options: PrepareOptions, look: CoarseLook | None, box: Box, scan: Volume) -> GreyWindow:
    percents = options.percentiles or DEFAULT_PERCENTILES
    if look is None:
        raise ValueError("percentiles need a look at the scan")
    low, high = look.percentiles(percents, box, scan.geometry.shape_zyx)
    return GreyWindow.of_range(low, high, percents)


def _reading_bytes(scan: Volume) -> int:
    """What the program takes with the slices as they are read."""
    pixels = math.prod(scan.geometry.shape_zyx[1:])
    held = int(getattr(scan.array, "held_bytes", MAPPED_BYTES))
    return PROGRAM_BYTES + held + pixels * (2 * scan.array.dtype.itemsize + 4)


def _bytes_of_look(scan: Volume) -> int:
    """What the process takes while a scan is looked at."""
    return _reading_bytes(scan) + 4 * MOST_SLICES * (COPIES_OF_COARSE * MOST_PIXELS**2 + VALUES_ACROSS**2)


def _memory_bytes(scan: Volume, box: Box, grid: Geometry) -> int:
    """What the process takes while slices are resampled, with those that wait for their neighbours."""
    channels = 2 if scan.array.dtype.kind == "f" else 1
    part_rows, part_columns = shape_of(box)[1:]
    target_rows, target_columns = grid.shape_zyx[1:]
    step = max(1.0, grid.spacing_zyx_mm[0] / scan.geometry.spacing_zyx_mm[0])
    waiting = (2 * math.ceil(step) + 1) * channels * 4 * target_rows * target_columns
    in_plane = 4 * channels * (2 * part_rows * part_columns + 2 * target_rows * part_columns)
    missing = 7 * math.prod(scan.geometry.shape_zyx[1:]) if channels == 2 else 0
    finishing = 5 * 4 * channels * target_rows * target_columns
    seen = 4 * MOST_SLICES * (MOST_PIXELS**2 + VALUES_ACROSS**2)
    return _reading_bytes(scan) + seen + waiting + in_plane + missing + finishing


def _require_memory(needed: int, options: PrepareOptions) -> None:
    if needed > options.memory_gb * 1e9:
        raise ResourceError(
            f"Expected at least {math.ceil(needed / 1e7) / 100:.2f} GB of memory for this scan, "
            f"got {options.memory_gb:.2f} GB.",
            "Give more memory [[memory_gb]], or crop the scan [[box]].",
        )


def _seconds(scan: Volume, box: Box, look: CoarseLook) -> float:
    """The time of the slices that were looked at, for all that are read; and the work on their voxels."""
    slices, apart = box[0].stop - box[0].start, scan.array.shape[0] / look.volume.array.shape[0]
    read_for_one = max(1.0, min(apart, float(getattr(scan.array, "read_along", 1))))
    return look.seconds_per_slice / read_for_one * slices + SECONDS_PER_VOXEL * math.prod(shape_of(box))


def without_look(planned: PreparePlan) -> PreparePlan:
    """The plan without what was seen, whose memory is then free."""
    return replace(planned, look=None)


def percent_text(part: float) -> str:
    """A small part as percent."""
    return f"{100 * part:.2g} %"


def voxels_text(shape_zyx: tuple[int, ...] | np.ndarray) -> str:
    """``2510 × 2510 × 2130`` in the order x, y, z."""
    return " × ".join(str(int(n)) for n in shape_zyx[::-1])
