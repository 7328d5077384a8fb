"""Which patches a batch has, and their pieces of slices from the cache.

The patches of iteration n depend on the seed and n alone: not on the number of processes or workers, nor on where a
run was interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.planes.diagonal_plane import with_neighbours
from MgImplantSegLib.planes.plane_sets import AxisPlane
from MgImplantSegLib.training.data.cache import CachedSample
from MgImplantSegLib.training.data.geometry_augmentation import RawBatch
from MgImplantSegLib.training.loop.distributed import World
from MgImplantSegLib.training.loop.losses import IGNORE
from MgImplantSegLib.training.settings.augmentation_settings import AugmentationSettings

ELASTIC_REACH = 3  # standard deviations of the displacement that a canvas has room for
CENTRE_MARGIN = 0.42  # of the slice's edge: how near to its border a patch may have its centre if it is too large


@dataclass(frozen=True)
class PatchSettings:
    """What patches depend on: edge length, patches a batch, share of balanced ones, variation, seed, neighbours."""

    size: int
    batch_size: int
    balanced_share: float
    augmentation: AugmentationSettings
    seed: int
    context: int = 0


@dataclass(frozen=True)
class Patch:
    """A place for a patch: `to_slice` (2, 3) leads from patch pixel (x, y, 1) to slice pixel (x, y)."""

    sample: CachedSample
    plane: AxisPlane
    index: int
    to_slice: np.ndarray
    centre_xy: np.ndarray
    extent_px: float
    resampled: bool
    seed: int


class PatchBatches(Dataset):
    """Raw batches by iteration: item n is this rank's part of the patches of iteration n.

    Parameters
    ----------
    planes : sequence of AxisPlane
        Slicing planes, used equally often.
    world : World
        Rank and number of processes; the batch size has to be a multiple of the latter.
    """

    def __init__(
        self, samples: Sequence[CachedSample], planes: Sequence[AxisPlane], settings: PatchSettings, world: World
    ) -> None:
        if settings.batch_size % world.size:
            raise InputError(
                f"Expected a batch_size that the number of processes divides, got {settings.batch_size} patches for "
                f"{world.size} processes."
            )
        self._samples, self._planes, self._settings = list(samples), list(planes), settings
        share = settings.batch_size // world.size
        self._positions = range(world.rank * share, (world.rank + 1) * share)
        self._stacks = [(sample, plane) for sample in self._samples for plane in self._planes]
        counts = [len(sample.places[f"known_{plane.axes[0]}"]) for sample, plane in self._stacks]
        self._slices_before = np.cumsum([0, *counts])
        classes = len(self._samples[0].voxels_per_class)
        self._holders = [[s for s in self._samples if s.voxels_per_class[channel]] for channel in range(classes)]
        self._present = [channel for channel, holders in enumerate(self._holders) if holders]

    def batches(self, start: int, stop: int, workers: int, pin: bool) -> Iterator[RawBatch]:
        """The batches of the iterations `start` to `stop` − 1, read ahead by `workers` processes."""
        return iter(
            DataLoader(
                self,
                batch_size=None,
                sampler=range(start, stop),
                num_workers=workers,
                pin_memory=pin,
                prefetch_factor=4 if workers else None,
            )
        )

    def __getitem__(self, iteration: int) -> RawBatch:
        patches = [self.choose(iteration, position) for position in self._positions]
        side = max(math.ceil(patch.extent_px) for patch in patches)
        pieces = [_read_canvas(patch, side, self._settings.context) for patch in patches]
        images, labels, affines, boxes = zip(*pieces, strict=True)
        return RawBatch(
            torch.from_numpy(np.stack(images)),
            torch.from_numpy(np.stack(labels)),
            torch.from_numpy(np.stack(affines)),
            torch.from_numpy(np.stack(boxes)),
            torch.tensor([patch.resampled for patch in patches]),
            torch.tensor([patch.seed for patch in patches], dtype=torch.int64),
            tuple(patch.sample.name for patch in patches),
        )

    def choose(self, iteration: int, position: int) -> Patch:
        """The patch at `position` of the global batch of `iteration`."""
        random = np.random.default_rng([self._settings.seed, iteration, position])
        balanced = random.random() < self._settings.balanced_share
        sample, plane, index, point_xy = self.choose_place(random, balanced)
        rows, columns = plane.slice_shape(sample.shape_zyx, index)
        resampled = random.random() >= self._settings.augmentation.unresampled_share
        linear = self._choose_linear(random, rows * columns, resampled)  # (2, 2)
        extent_xy = np.abs(linear).sum(axis=1) * self._settings.size
        centre_xy = _choose_centre(random, extent_xy, np.array([columns, rows]), point_xy)
        middle = (self._settings.size - 1) / 2
        offset = centre_xy - linear @ (middle, middle)
        if not resampled:
            offset = np.rint(offset)
        room = 2 * ELASTIC_REACH * self._settings.augmentation.elastic_px * resampled + 4
        return Patch(
            sample,
            plane,
            index,
            np.column_stack((linear, offset)),
            centre_xy,
            float(extent_xy.max()) + room,
            resampled,
            int(random.integers(2**62)),
        )

    def choose_place(
        self, random: np.random.Generator, balanced: bool
    ) -> tuple[Any, AxisPlane, int, np.ndarray | None]:
        """A sample, a slice of it, and with `balanced` the place (x, y) of a voxel of a class drawn at random."""
        return self._choose_point(random) if balanced else self._choose_slice(random)

    def _choose_slice(self, random: np.random.Generator) -> tuple[CachedSample, AxisPlane, int, None]:
        """A slice, all with known voxels alike."""
        number = int(random.integers(self._slices_before[-1]))
        stack = int(np.searchsorted(self._slices_before, number, side="right")) - 1
        sample, plane = self._stacks[stack]
        known = sample.places[f"known_{plane.axes[0]}"]
        return sample, plane, int(known[number - self._slices_before[stack]]), None

    def _choose_point(self, random: np.random.Generator) -> tuple[CachedSample, AxisPlane, int, np.ndarray]:
        """A slice through a voxel of a class: classes alike, then the samples that have it alike."""
        channel = self._present[random.integers(len(self._present))]
        holders = self._holders[channel]
        sample = holders[random.integers(len(holders))]
        points = sample.places[f"class_{channel}"]
        point_zyx = points[random.integers(len(points))]
        plane = self._planes[random.integers(len(self._planes))]
        along, row, column = (int(point_zyx[axis]) for axis in plane.axes)
        return sample, plane, along, np.array([column, row], dtype=float)

    def _choose_linear(self, random: np.random.Generator, slice_area: int, resampled: bool) -> np.ndarray:
        """The linear part (2, 2) of patch pixel → slice pixel: size, flip and rotation."""
        settings, size = self._settings.augmentation, self._settings.size
        flip = -1.0 if random.random() < settings.flip_probability else 1.0
        if not resampled:
            quarter_turns = random.integers(4) if settings.rotation_deg >= 90 else 0
            return _rotation(90.0 * quarter_turns).round() * (flip, 1.0)
        area = random.uniform(*settings.patch_area) * (slice_area if settings.patch_scale == "slice" else size**2)
        aspect = math.exp(random.uniform(*np.log(settings.patch_aspect)))
        width, height = math.sqrt(area * aspect), math.sqrt(area / aspect)
        turn = _rotation(random.uniform(-settings.rotation_deg, settings.rotation_deg))
        return turn * (flip * width / size, height / size)


def _rotation(angle_deg: float) -> np.ndarray:
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return np.array([[cosine, -sine], [sine, cosine]])


def _choose_centre(
    random: np.random.Generator, extent_xy: np.ndarray, slice_xy: np.ndarray, point_xy: np.ndarray | None
) -> np.ndarray:
    """A centre that keeps the patch on the slice, or near the slice's centre where it is too large; near a point."""
    margin = np.minimum(extent_xy / 2, CENTRE_MARGIN * slice_xy)
    ends = np.array([margin, slice_xy - margin]) - 0.5
    if point_xy is None:
        return np.asarray(random.uniform(*ends))
    return np.clip(point_xy + random.uniform(-0.4, 0.4, 2) * extent_xy, *ends)


def _read_canvas(patch: Patch, side: int, context: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images (slices, side, side), labels, affine and slice box of a piece of the slice and its neighbours."""
    images, labels = (patch.plane.view(array) for array in patch.sample.arrays(patch.plane.axes[0]))
    numbers = with_neighbours(patch.index, patch.index + 1, context, len(images))
    labels = labels[patch.index]
    first_x, first_y = np.floor(patch.centre_xy - (side - 1) / 2).astype(int)
    rows, columns = labels.shape
    box = np.array([-first_x, -first_y, columns - 1 - first_x, rows - 1 - first_y], dtype=np.float32)
    affine = patch.to_slice.copy()
    affine[:, 2] -= (first_x, first_y)
    return (
        np.stack([_window(images[number], first_y, first_x, side, 0) for number in numbers]),
        _window(labels, first_y, first_x, side, IGNORE),
        affine.astype(np.float32),
        box,
    )


def _window(array: np.ndarray, row: int, column: int, side: int, fill: int) -> np.ndarray:
    """The `side` × `side` window at (row, column); `fill` where it leaves the array."""
    window = np.full((side, side), fill, dtype=array.dtype)
    rows = slice(max(row, 0), min(row + side, array.shape[0]))
    columns = slice(max(column, 0), min(column + side, array.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        window[rows.start - row : rows.stop - row, columns.start - column : columns.stop - column] = array[
            rows, columns
        ]
    return window
