"""What segmenting a volume will take, before it is started; needs no torch, so the GUI can ask too."""

from __future__ import annotations

import math
from dataclasses import dataclass

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.inference.accumulator import MAPPED_BYTES, bytes_per_voxel
from MgImplantSegLib.inference.fused import SLICES_PER_BLOCK
from MgImplantSegLib.inference.fusion import FUSIONS
from MgImplantSegLib.inference.grids import INPUT, MODEL
from MgImplantSegLib.inference.tiles import halo
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.networks import network_spec
from MgImplantSegLib.planes.diagonal_plane import Shape
from MgImplantSegLib.planes.plane_sets import SlicingPlane, plane_set
from MgImplantSegLib.preprocessing.preprocess import model_grid

SUM_BITS = 16
ROI_MARGIN_VOXELS = 32
FIXED_BYTES = 470_000_000  # a process that has loaded torch and a model, and `WORKING_BYTES`
WORKING_BYTES = 75_000_000  # what torch makes for itself when it computes, besides the slices
TIDYING_BYTES_PER_VOXEL = 6
BLOCK_BYTES_PER_CLASS_AND_PIXEL = 14
READING_BYTES_PER_PIXEL = 16  # a slice in float32, resampled along y, and turned


@dataclass(frozen=True)
class Estimate:
    """Sizes of a segmentation.

    Parameters
    ----------
    model_shape_zyx, predicted_shape_zyx : tuple of int
        The volume on the model's grid, and the part of it that is predicted (all of it without a region).
    evaluations : int
        How many slices the network sees.
    pixels, multiplications : float
        How many pixels these slices have, and how many multiply–adds that takes.
    largest_slice : tuple of int
        Rows and columns, as padded for the network.
    volume_bytes, accumulator_bytes : int
        The preprocessed volume (and the part of it that is predicted), and the one accumulator.
    network_bytes : int
        The network with the largest slice, in float32.
    block_bytes : int
        The block of slices that is read, predicted and settled at one time.
    finishing_bytes : int
        Label maps on both grids and tidying up, after the prediction.
    mapped_bytes : int
        What of an accumulator on disk is in memory at one time.
    """

    model_shape_zyx: Shape
    predicted_shape_zyx: Shape
    evaluations: int
    pixels: float
    multiplications: float
    largest_slice: tuple[int, int]
    volume_bytes: int
    accumulator_bytes: int
    network_bytes: int
    block_bytes: int
    finishing_bytes: int
    mapped_bytes: int = 0

    @property
    def memory_bytes(self) -> int:
        """The most that is needed at one time in addition to the input, all in memory and on the CPU."""
        predicting = self.volume_bytes + self.block_bytes + self.network_bytes
        return FIXED_BYTES + self.accumulator_bytes + max(predicting, self.finishing_bytes)


def estimate(
    geometry: Geometry,
    card: ModelCard,
    planes: str | tuple[SlicingPlane, ...] = "3",
    fusion: str = "soft",
    *,
    roi: OrientedBox | None = None,
    with_votes: bool = False,
    on_grid: str = INPUT,
) -> Estimate:
    """Memory and network evaluations for a volume of that geometry, with the label map on a grid of `GRIDS`.

    Raises InputError if a choice is unknown or the volume does not fit the model, see
    `MgImplantSegLib.preprocessing.preprocess.model_grid`.
    """
    spec, planes, rule = network_spec(card.network), plane_set(planes), FUSIONS.find(fusion)
    grid = model_grid(geometry, card.preprocessing)
    shape = grid.shape_zyx if roi is None else box_shape(roi_box(roi, grid))
    evaluations, pixels, largest = _count_slices(planes, shape, spec.size_multiple)
    volume_bytes = 4 * math.prod(grid.shape_zyx) + (0 if roi is None else 4 * math.prod(shape))
    accumulator_bytes = math.prod(shape) * bytes_per_voxel(spec.classes, SUM_BITS, with_votes or rule.needs_votes)
    network_bytes = 4 * (spec.parameter_count + spec.activations_per_pixel * math.prod(largest))
    block_bytes = (
        SLICES_PER_BLOCK
        * math.prod(largest)
        * (BLOCK_BYTES_PER_CLASS_AND_PIXEL * spec.classes + 4 * (spec.in_channels - 1))
    )
    output = grid if on_grid == MODEL else geometry
    finishing_bytes = math.prod(shape) * (1 + TIDYING_BYTES_PER_VOXEL) + math.prod(output.shape_zyx)
    return Estimate(
        grid.shape_zyx,
        shape,
        evaluations,
        pixels,
        pixels * spec.multiplications_per_pixel,
        largest,
        volume_bytes,
        accumulator_bytes,
        network_bytes,
        block_bytes,
        finishing_bytes,
        min(accumulator_bytes, 2 * MAPPED_BYTES),
    )


def reading_bytes(scan: Geometry, held_bytes: int | None = None) -> int:
    """What a scan that is read slice by slice also takes: what its file holds (else two slices of float32), and the
    slice on its way to the model's grid.
    """
    pixels = math.prod(scan.shape_zyx[1:])
    return (8 * pixels if held_bytes is None else held_bytes) + READING_BYTES_PER_PIXEL * pixels


def roi_box(roi: OrientedBox, grid: Geometry) -> tuple[slice, slice, slice]:
    """The part of the model's grid that is predicted for a region: its bounding box, and a margin for context.

    Raises InputError if the region lies outside the grid.
    """
    bounds = roi.index_bounds(grid)
    if min(box_shape(bounds)) < 1:
        raise InputError(
            f"Expected a region inside the volume, got {roi.name!r} outside it.", "Move or enlarge the ROI."
        )
    return triple(
        slice(max(0, part.start - ROI_MARGIN_VOXELS), min(size, part.stop + ROI_MARGIN_VOXELS))
        for part, size in zip(bounds, grid.shape_zyx, strict=True)
    )


def box_shape(box: tuple[slice, slice, slice]) -> Shape:
    """Number of voxels (z, y, x) in a box of indices."""
    return tuple(part.stop - part.start for part in box)


def tile_edge_for(card: ModelCard, available_bytes: float) -> int:
    """Largest edge of a tile whose network fits into that memory, in float32; 0 or less if none does."""
    spec = network_spec(card.network)
    pixels = (available_bytes - 4 * spec.parameter_count) / (4 * spec.activations_per_pixel)
    edge = math.isqrt(max(0, int(pixels))) - 2 * halo(spec.receptive_field, spec.size_multiple)
    return edge // spec.size_multiple * spec.size_multiple


def tile_bytes(card: ModelCard) -> int:
    """What the network takes with the smallest tile, in float32."""
    spec = network_spec(card.network)
    edge = spec.size_multiple + 2 * halo(spec.receptive_field, spec.size_multiple)
    return 4 * (spec.parameter_count + spec.activations_per_pixel * edge**2)


def _count_slices(planes: tuple[SlicingPlane, ...], shape: Shape, multiple: int) -> tuple[int, float, tuple[int, int]]:
    evaluations, pixels, largest = 0, 0.0, (0, 0)
    for plane in planes:
        for index in range(plane.slice_count(shape)):
            rows, columns = (-(-edge // multiple) * multiple for edge in plane.slice_shape(shape, index))
            padded = (rows, columns)
            evaluations += 1
            pixels += math.prod(padded)
            largest = max(largest, padded, key=math.prod)
    return evaluations, pixels, largest
