"""Preprocessing of Baltruschat et al. 2021 (doi 10.1038/s41598-021-03542-y): resample, clip, scale.

The input is read slice by slice and may lie on disk; pages of a mapped file leave the memory again. The only other
array is the result. Percentiles are those of the resampled volume and exact. Voxels outside a masked field of view
count like all others, as in the paper, unless they are NaN: these count nowhere and become 0 at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events, Task
from MgImplantSegLib.base.mapped_memory import give_back_pages
from MgImplantSegLib.base.remarks import add_remark, with_remarks
from MgImplantSegLib.grids.resample import interpolation_matrices, resampled_slices
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.preprocessing.doubtful_values import few_values, outside_field_of_view
from MgImplantSegLib.preprocessing.given_back import GivenBack
from MgImplantSegLib.preprocessing.percentiles import percentiles

SMALLEST_EDGE_VOXELS = 8
SAME_SPACING = 1e-3
ANISOTROPIC_RATIO = 1.5
COARSER_WARNING_RATIO = 1.5
COARSEST_RATIO = 8.0
FINER_WARNING_RATIO = 1 / 20
VOXELS_PER_PIECE = 1 << 22
LEAST_WEIGHT = 0.5  # part of an interpolated value that comes from inside the field of view


@dataclass(frozen=True)
class Preprocessing:
    """How grey values become a network's input; a model's card holds the numbers it was trained with.

    Raises InputError if the spacing is not positive or the percentiles do not lie in order in 0–100.

    Parameters
    ----------
    spacing_um : float
        Edge length of the isotropic voxels in micrometres.
    lower_percentile, upper_percentile : float
        Grey values are clipped to these percentiles of the resampled volume and scaled linearly to [0, 1].
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
) -> Volume:
    """The volume on the isotropic grid, clipped and scaled to [0, 1].

    Raises InputError if the values are not finite real numbers, are all equal, or the grids do not fit, see
    `model_grid`.

    Parameters
    ----------
    volume : Volume
        Grey values of any real type.

    Returns
    -------
    Volume
        float32; `provenance` has the grey values that became 0 and 1 (`clipped_to`), how many voxels of the input lie
        outside the field of view because they are NaN (`voxels_outside`), and the warnings.
    """
    events, remarks = events or Events(), list[str]()

    def warn(message: str, kind: str = "warning") -> None:
        events.warning(message, kind=kind)
        add_remark(remarks, message)

    _require_real_numbers(volume.array)
    geometry = model_grid(volume.geometry, settings)
    for warning in spacing_warnings(volume, settings):
        warn(warning, kind="spacing")
    if values := few_values(volume.array):
        listed = ", ".join(f"{value:g}" for value in values)
        warn(
            f"{volume.provenance.get('path', 'The image')} holds only the values {listed}, as a label map does; it is "
            "taken as a scan. Check the file."
        )
    with events.task("preprocessing", geometry.shape_zyx[0]) as task:
        try:
            array, outside, numbers = _resampled(volume, geometry, task)
        except _NotFinite:
            _refuse_not_finite(volume.array)
            raise
    if outside:
        part = outside / volume.array.size
        warn(f"{outside} voxels ({part:.1%}) are NaN; they are treated as outside the field of view and ignored.")
    lower, upper = percentiles(array, (settings.lower_percentile, settings.upper_percentile), count=numbers)
    if not upper > lower:
        raise InputError(
            f"Expected differing grey values, got {lower:g} at both percentiles "
            f"{settings.lower_percentile} and {settings.upper_percentile}.",
            "Choose the image, not a mask or an empty volume, or crop it to the sample.",
        )
    _clip_and_scale(array.reshape(-1), lower, upper)
    provenance = {**volume.provenance, "clipped_to": (lower, upper), "spacing_um": settings.spacing_um}
    provenance["voxels_outside"] = outside
    return Volume(array, geometry, volume.spacing_is_known, with_remarks(provenance, remarks))


def model_grid(geometry: Geometry, settings: Preprocessing) -> Geometry:
    """The isotropic grid over the same field; the input's own grid if its spacing agrees within 0.1 %.

    Raises InputError if the grid has fewer than 8 voxels along an axis, or the input is more than 8 times coarser.
    """
    spacing_mm = settings.spacing_um / 1000
    ratios = [spacing / spacing_mm for spacing in geometry.spacing_zyx_mm]
    if max(ratios) > COARSEST_RATIO:
        raise InputError(
            f"Expected voxels of about {settings.spacing_um:g} µm, as used to train the model, "
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
            "depend on it. Set the voxel size."
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


def _resampled(volume: Volume, geometry: Geometry, task: Task) -> tuple[np.ndarray, int, int]:
    """The volume on another grid, NaN outside the field of view; how many voxels of the input lie outside it, and
    how many of the result inside.
    """
    result = np.empty(geometry.shape_zyx, dtype=np.float32)
    extremes, outside, numbers = [math.inf, -math.inf], 0, 0
    matrices = interpolation_matrices(volume.geometry, geometry)
    source = GivenBack(volume.array)
    try:
        for z, image in enumerate(resampled_slices(lambda z: _finite_slice(source[z], extremes), matrices)):
            result[z] = image
            task.advance()
        numbers = result.size
    except _HasNaN:
        task.done = 0
        for z, (image, weight) in enumerate(resampled_slices(lambda z: _weighted(source[z], extremes), matrices)):
            seen = weight > LEAST_WEIGHT
            result[z] = np.where(seen, image / np.where(seen, weight, 1), np.float32(np.nan))
            numbers += int(np.count_nonzero(seen))
            task.advance()
        outside = sum(int(np.count_nonzero(np.isnan(source[z]))) for z in range(len(volume.array)))
    give_back_pages(volume.array)
    if not numbers:
        raise InputError("Expected numeric grey values, got NaN in all voxels.", "Reconstruct the scan again.")
    if extremes[0] == extremes[1]:
        raise InputError(
            f"Expected differing grey values, got {extremes[0]:g} in all voxels.",
            "Choose the image, not an empty volume.",
        )
    return result, outside, numbers


class _NotFinite(Exception):
    """A slice holds infinity."""


class _HasNaN(Exception):
    """A slice holds NaN: the volume has to be read with weights."""


def _finite_slice(image: np.ndarray, extremes: list[float]) -> np.ndarray:
    """A slice as float32; `extremes` become those of all slices read.

    Raises _NotFinite if a value is infinite; _HasNaN if one is NaN.
    """
    with np.errstate(over="ignore"):
        image = np.ascontiguousarray(image, dtype=np.float32)
    low, high = float(image.min()), float(image.max())  # NaN if one voxel is
    if math.isnan(low):
        raise _HasNaN
    if not math.isfinite(low) or not math.isfinite(high):
        raise _NotFinite
    extremes[:] = min(extremes[0], low), max(extremes[1], high)
    return image


def _weighted(image: np.ndarray, extremes: list[float]) -> np.ndarray:
    """A slice with 0 outside the field of view, and 1 inside it, shape (2, y, x); both are interpolated."""
    with np.errstate(over="ignore"):
        image = np.ascontiguousarray(image, dtype=np.float32)
    outside = outside_field_of_view(image)
    numbers = image[~outside]
    if not np.isfinite(numbers).all():
        raise _NotFinite
    if numbers.size:
        extremes[:] = min(extremes[0], float(numbers.min())), max(extremes[1], float(numbers.max()))
    return np.stack([np.where(outside, 0, image), ~outside]).astype(np.float32)


def _clip_and_scale(flat: np.ndarray, lower: float, upper: float) -> None:
    for start in range(0, flat.size, VOXELS_PER_PIECE):
        piece = flat[start : start + VOXELS_PER_PIECE]
        np.clip(piece, lower, upper, out=piece)
        piece -= np.float32(lower)
        piece /= np.float32(upper) - np.float32(lower)
        np.nan_to_num(piece, copy=False, nan=0.0)


def _require_real_numbers(array: np.ndarray) -> None:
    if array.dtype.kind not in "buif":
        raise InputError(f"Expected grey values as real numbers, got values of type {array.dtype}.")


def _refuse_not_finite(array: np.ndarray) -> None:
    count, first = 0, None
    for z in range(len(array)):
        with np.errstate(over="ignore"):
            image = np.asarray(array[z], dtype=np.float32)
        bad = ~np.isfinite(image)
        if first is None and bad.any():
            first = (z, *(int(i) for i in np.argwhere(bad)[0]))
        count += int(bad.sum())
    raise InputError(
        "Expected finite grey values in the field of view, got "
        f"{count} voxels with NaN or infinity, the first at index (z, y, x) {first}.",
        "Replace them, for example by the mean of their neighbours, or reconstruct the scan again.",
    )


def _spacing_text(geometry: Geometry) -> str:
    sizes_um = [1000 * spacing for spacing in geometry.spacing_zyx_mm]
    return " × ".join(f"{size:.4g}" if size < 9999 else f"{size:.0f}" for size in sizes_um)


def _times_text(sizes: tuple[int, ...]) -> str:
    return " × ".join(str(size) for size in sizes)
