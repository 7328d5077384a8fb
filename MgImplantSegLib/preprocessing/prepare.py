"""A scan that is too large for Slicer becomes a volume of 16 bits: cropped, resampled, written as it is read.

One pass over the slices of the box: each is read once, resampled in its plane, and waits until the slices of the result
that it counts for are done. So the result does not depend on how the file is cut into blocks, and memory depends on the
size of a slice only. Resampling is that of `grids.resample`, as before the network: the triangle of linear
interpolation, widened to the new voxel size where that is coarser, along z, y and x, with its weights centred where the
new voxel is. Voxels beyond the box count where
the filter reaches them, so what is cropped has the values that the whole would have.

Grey values become numbers of 16 bits. Those of scans with 8 or 16 bits stay as they are; of others two percentiles of
the grey values in the box become 0 and 65535. They are taken from the slices of a first look (`coarse_look`), which
costs a small part of the time, since exact ones would cost a second pass; voxels outside the window are counted in the
one pass, and window and counts are written to the header. NaN outside the field of view becomes 0 and is counted too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from MgImplantSegLib import __version__
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.boxes import Box, shape_of, start_of
from MgImplantSegLib.grids.resample import interpolation_matrices, resampled_in_plane, resampled_slices
from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.io.header_keys import keys_of_window
from MgImplantSegLib.io.nrrd_stream import write_nrrd_slices
from MgImplantSegLib.preprocessing.doubtful_values import outside_field_of_view
from MgImplantSegLib.preprocessing.given_back import GivenBack
from MgImplantSegLib.preprocessing.prepare_plan import PreparePlan, percent_text, support_of, voxels_text

PROVENANCE_KEY = "MgImplantSeg_Prepared"
LEAST_WEIGHT = 0.5  # part of an interpolated value that comes from inside the field of view
MOST_CLIPPED = 0.005


@dataclass
class Counts:
    """Voxels of the result that the window has changed, and those outside the field of view."""

    clipped_below: int = 0
    clipped_above: int = 0
    outside: int = 0
    written: int = 0

    def to_dict(self) -> dict[str, int]:
        """As stated in the header."""
        return {
            "clipped_below": self.clipped_below,
            "clipped_above": self.clipped_above,
            "voxels_outside": self.outside,
        }


def prepare(scan: Volume, planned: PreparePlan, path: Path, events: Events) -> Counts:
    """Write the prepared scan to `path`, which is left half-written if anything fails: give a temporary name.

    Raises InputError if a slice is damaged, or its values are not finite inside the field of view; OutputError if the
    file cannot be written; Cancelled if the user asks to stop.

    Parameters
    ----------
    scan : Volume
        As `io.open_volume` opens it.

    Returns
    -------
    Counts
        What became of the voxels.
    """
    counts, grid = Counts(), planned.grid
    record = {PROVENANCE_KEY: json.dumps(_provenance(scan, planned))}
    with events.task("preparing", grid.shape_zyx[0]) as task:
        write_nrrd_slices(
            path,
            _counted(_stored_slices(scan, planned, counts), task),
            np.dtype(np.uint16),
            grid,
            lambda: {**keys_of_window(planned.window, counts.to_dict()), **record},
        )
    _warn(counts, events)
    return counts


def _counted(slices: Iterator[np.ndarray], task: Any) -> Iterator[np.ndarray]:
    for image in slices:
        yield image
        task.advance()


def _stored_slices(scan: Volume, planned: PreparePlan, counts: Counts) -> Iterator[np.ndarray]:
    """The slices of the result as they are stored."""
    box = support_of(planned.box, scan.geometry, planned.grid)
    matrices = interpolation_matrices(
        scan.geometry.cropped(start_of(box), shape_of(box)), planned.grid, keep_ramps=True
    )
    source = _Source(scan.array, box)
    channels = _with_weights if scan.array.dtype.kind == "f" else None
    for image in resampled_slices(source.read, matrices, channels):
        grey, inside = (image, None) if channels is None else _inside(*image)
        if inside is not None:
            grey[~inside] = planned.window.intercept
            counts.outside += int(np.count_nonzero(~inside))
        numbers, below, above = planned.window.stored(grey)
        counts.clipped_below += below
        counts.clipped_above += above
        counts.written += numbers.size
        yield numbers


def _with_weights(values: np.ndarray, along_y: sparse.csr_array, along_x: sparse.csr_array) -> np.ndarray:
    """Values (y, x), NaN outside the field of view, resampled; and the weight of what lies inside, shape (2, y, x)."""
    missing = np.isnan(values)
    if not missing.any():
        plain = resampled_in_plane(values, along_y, along_x)
        return np.stack([plain, np.ones_like(plain)])
    both = np.stack([np.where(missing, np.float32(0), values), (~missing).astype(np.float32)])
    return resampled_in_plane(both, along_y, along_x)


def _inside(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Grey values, and where they lie inside the field of view; None if all do."""
    if weights.min() > 1 - 1e-5:
        return values, None
    inside = weights > LEAST_WEIGHT
    return np.where(inside, values / np.where(inside, weights, 1), 0).astype(np.float32), inside


class _Source:
    """Parts of the scan's slices as float32."""

    def __init__(self, array: np.ndarray, box: Box) -> None:
        self._slices, self._box = GivenBack(array), box

    def read(self, z: int) -> np.ndarray:
        """The part of slice `z` of the box."""
        number = self._box[0].start + z
        image = self._slices[number]
        with np.errstate(over="ignore"):
            part = np.ascontiguousarray(image[self._box[1], self._box[2]], dtype=np.float32)
        if image.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                total = part.sum(dtype=np.float64)
            if not np.isfinite(total):
                self._check(image, part, number)
        return part

    def _check(self, image: np.ndarray, part: np.ndarray, number: int) -> None:
        """Raise InputError unless what is not finite is NaN outside the field of view."""
        bad = ~np.isfinite(part) & ~outside_field_of_view(image)[self._box[1], self._box[2]]
        if bad.any():
            row, column = (int(i) for i in np.argwhere(bad)[0])
            raise InputError(
                f"Expected finite grey values in the field of view, got {int(bad.sum())} voxels with NaN or infinity "
                f"in slice {number}, the first in row {row + self._box[1].start}, column "
                f"{column + self._box[2].start}.",
                "Replace them, for example by the mean of their neighbours, or reconstruct the scan again.",
            )


def _warn(counts: Counts, events: Events) -> None:
    clipped = (counts.clipped_below + counts.clipped_above) / max(1, counts.written)
    if clipped > MOST_CLIPPED:
        events.warning(
            f"{percent_text(clipped)} of the voxels lie outside the grey-value window and were clipped. Choose wider "
            "percentiles if they belong to the sample.",
            kind="window",
        )


def _provenance(scan: Volume, planned: PreparePlan) -> dict[str, Any]:
    return {
        "scan": Path(str(scan.provenance.get("path", ""))).name,
        "dataset": scan.provenance.get("dataset"),
        **{name: planned.to_dict(scan)[name] for name in ("scan_voxels", "scan_um", "scan_type", "box")},
        "filter": "triangle, as wide as the coarser voxel on either side",
        "software_version": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def summary(scan: Volume, planned: PreparePlan) -> str:
    """One sentence about what will be made, and what it takes."""
    size = " × ".join(f"{1000 * edge:.4g}" for edge in planned.grid.spacing_zyx_mm[::-1])
    return (
        f"{voxels_text(scan.geometry.shape_zyx)} voxels of {scan.array.dtype.name} become "
        f"{voxels_text(planned.grid.shape_zyx)} of {size} µm in {planned.output_bytes / 1e9:.2f} GB; "
        f"this takes at most {planned.memory_bytes / 1e9:.2f} GB of memory"
    )
