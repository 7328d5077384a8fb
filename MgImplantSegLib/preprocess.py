"""Preprocessing of Baltruschat et al. 2021 (doi 10.1038/s41598-021-03542-y): resample, clip, scale.

The input is read slice by slice and may lie on disk; besides it there is only the result. Percentiles are those of the
resampled volume and exact. Voxels outside a masked field of view count like all others, as in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.events import Events, Task
from MgImplantSegLib.percentiles import percentiles
from MgImplantSegLib.resample import interpolation_matrices, resampled_slices
from MgImplantSegLib.volume import Geometry, Volume

SMALLEST_EDGE_VOXELS = 8
SAME_SPACING = 1e-3
ANISOTROPIC_RATIO = 1.5
COARSER_WARNING_RATIO = 1.5
COARSEST_RATIO = 8.0
FINER_WARNING_RATIO = 1 / 20
VOXELS_PER_PIECE = 1 << 22
BYTES_BEFORE_GIVING_BACK = 1 << 24


@dataclass(frozen=True)
class Preprocessing:
    """How grey values become a network's input; a model's card holds the numbers it was trained with.

    Parameters
    ----------
    spacing_um : float
        Edge length of the isotropic voxels in micrometres.
    lower_percentile, upper_percentile : float
        Grey values are clipped to these percentiles of the resampled volume and scaled linearly to [0, 1].

    Raises
    ------
    InputError
        If the spacing is not positive or the percentiles do not lie in order in 0–100.
    """

    spacing_um: float
    lower_percentile: float = 0.5
    upper_percentile: float = 99.9

    def __post_init__(self) -> None:
        for name in ("spacing_um", "lower_percentile", "upper_percentile"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise InputError(f"Expected {name} of the preprocessing as a number, got {value!r}.")
        if self.spacing_um <= 0:
            raise InputError(f"Expected a positive spacing in µm, got {self.spacing_um}.")
        if not 0 <= self.lower_percentile < self.upper_percentile <= 100:
            raise InputError(
                f"Expected percentiles in order within 0–100, got {self.lower_percentile} and {self.upper_percentile}."
            )


def preprocess(
    volume: Volume,
    settings: Preprocessing,
    events: Events | None = None,
    give_back: Callable[[], None] | None = None,
) -> Volume:
    """The volume on the isotropic grid, clipped and scaled to [0, 1].

    Parameters
    ----------
    volume : Volume
        Grey values of any real type.
    settings : Preprocessing
        Spacing and percentiles.
    events : Events
        Progress, and warnings about doubtful spacings.
    give_back : callable, optional
        Called now and then while the input is read, to take what was read of a mapped file out of memory.

    Returns
    -------
    Volume
        float32; `provenance` tells the grey values that became 0 and 1 (`clipped_to`).

    Raises
    ------
    InputError
        If the values are not finite real numbers, are all equal, or the grids do not fit, see `model_grid`.
    """
    events = events or Events()
    _require_real_numbers(volume.array)
    geometry = model_grid(volume.geometry, settings)
    for warning in spacing_warnings(volume, settings):
        events.warning(warning, kind="spacing")
    with events.task("preprocessing", geometry.shape_zyx[0]) as task:
        array = _resampled(volume, geometry, task, give_back or (lambda: None))
    lower, upper = percentiles(array, (settings.lower_percentile, settings.upper_percentile))
    if not upper > lower:
        raise InputError(
            f"Expected grey values that differ, got {lower:g} at both percentiles "
            f"{settings.lower_percentile} and {settings.upper_percentile}.",
            "Choose the image, not a mask or an empty volume, or crop it to the sample.",
        )
    _clip_and_scale(array.reshape(-1), lower, upper)
    provenance = {**volume.provenance, "clipped_to": (lower, upper), "spacing_um": settings.spacing_um}
    return Volume(array, geometry, volume.spacing_is_known, provenance)


def model_grid(geometry: Geometry, settings: Preprocessing) -> Geometry:
    """The isotropic grid over the same field; the input's own grid if its spacing agrees within 0.1 %.

    Raises
    ------
    InputError
        If the grid has fewer than 8 voxels along an axis, or the input is more than 8 times coarser.
    """
    spacing_mm = settings.spacing_um / 1000
    ratios = [spacing / spacing_mm for spacing in geometry.spacing_zyx_mm]
    if max(ratios) > COARSEST_RATIO:
        raise InputError(
            f"Expected voxels of about {settings.spacing_um:g} µm as the model was trained with, "
            f"got {_spacing_text(geometry)} µm (z, y, x).",
            "Set the true voxel size [[spacing_um]], or choose a model for this resolution.",
        )
    fits = all(abs(ratio - 1) < SAME_SPACING for ratio in ratios)
    target = geometry if fits else geometry.resampled((spacing_mm,) * 3)
    if min(target.shape_zyx) < SMALLEST_EDGE_VOXELS:
        raise InputError(
            f"Expected at least {SMALLEST_EDGE_VOXELS} voxels of {settings.spacing_um:g} µm along every axis, got "
            f"{_times_text(target.shape_zyx)} from {_times_text(geometry.shape_zyx)} of {_spacing_text(geometry)} µm "
            "(z, y, x).",
            "Check the voxel size [[spacing_um]], or choose a larger volume or a model with finer voxels.",
        )
    return target


def spacing_warnings(volume: Volume, settings: Preprocessing) -> list[str]:
    """What is doubtful about the volume's spacing; empty where nothing is."""
    spacing_um = [1000 * spacing for spacing in volume.geometry.spacing_zyx_mm]
    text, warnings = f"{_spacing_text(volume.geometry)} µm (z, y, x)", []
    if not volume.spacing_is_known or set(spacing_um) == {1000.0}:
        warnings.append(
            f"The voxel size is not set in the file and {text} is assumed: all lengths, areas, volumes and rates "
            "depend on it. Set it."
        )
    if max(spacing_um) > ANISOTROPIC_RATIO * min(spacing_um):
        warnings.append(
            f"The voxels are not cubes: {text}. They are resampled to cubes of {settings.spacing_um:g} µm; details "
            "along the coarse axis are lost. Check the voxel size if the scan should be isotropic."
        )
    if max(spacing_um) > COARSER_WARNING_RATIO * settings.spacing_um:
        warnings.append(f"The voxels, {text}, are coarser than the model's {settings.spacing_um:g} µm: expect errors.")
    elif max(spacing_um) < FINER_WARNING_RATIO * settings.spacing_um:
        warnings.append(
            f"The voxels, {text}, are far finer than the model's {settings.spacing_um:g} µm: most detail is averaged "
            "away. Check the voxel size, or choose a model with finer voxels."
        )
    return warnings


def _resampled(volume: Volume, geometry: Geometry, task: Task, give_back: Callable[[], None]) -> np.ndarray:
    result = np.empty(geometry.shape_zyx, dtype=np.float32)
    lowest, highest, read_bytes = math.inf, -math.inf, 0

    def read(z: int) -> np.ndarray:
        nonlocal lowest, highest, read_bytes
        with np.errstate(over="ignore"):
            image = np.ascontiguousarray(volume.array[z], dtype=np.float32)
        low, high = float(image.min()), float(image.max())  # NaN if one voxel is
        if not math.isfinite(low) or not math.isfinite(high):
            _refuse_not_finite(volume.array)
        lowest, highest, read_bytes = min(lowest, low), max(highest, high), read_bytes + volume.array[z].nbytes
        if read_bytes >= BYTES_BEFORE_GIVING_BACK:
            give_back()
            read_bytes = 0
        return image

    for z, image in enumerate(resampled_slices(read, interpolation_matrices(volume.geometry, geometry))):
        result[z] = image
        task.advance()
    give_back()
    if lowest == highest:
        raise InputError(
            f"Expected grey values that differ, got {lowest:g} in all voxels.", "Choose the image, not an empty volume."
        )
    return result


def _clip_and_scale(flat: np.ndarray, lower: float, upper: float) -> None:
    for start in range(0, flat.size, VOXELS_PER_PIECE):
        piece = flat[start : start + VOXELS_PER_PIECE]
        np.clip(piece, lower, upper, out=piece)
        piece -= np.float32(lower)
        piece /= np.float32(upper) - np.float32(lower)


def _require_real_numbers(array: np.ndarray) -> None:
    if array.dtype.kind not in "buif":
        raise InputError(f"Expected grey values as real numbers, got values of type {array.dtype}.")


def _refuse_not_finite(array: np.ndarray) -> None:
    count, first = 0, None
    for z in range(len(array)):
        with np.errstate(over="ignore"):
            bad = ~np.isfinite(np.asarray(array[z], dtype=np.float32))
        if first is None and bad.any():
            first = (z, *(int(i) for i in np.argwhere(bad)[0]))
        count += int(bad.sum())
    raise InputError(
        f"Expected finite grey values, got {count} voxels with NaN or infinity, the first at index (z, y, x) {first}.",
        "Replace them, for example by the mean of their neighbours, or reconstruct the scan again.",
    )


def _spacing_text(geometry: Geometry) -> str:
    return " × ".join(f"{1000 * spacing:.4g}" for spacing in geometry.spacing_zyx_mm)


def _times_text(sizes: tuple[int, ...]) -> str:
    return " × ".join(str(size) for size in sizes)
