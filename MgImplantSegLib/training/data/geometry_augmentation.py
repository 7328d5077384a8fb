"""Patches from canvases: area, aspect, flip, rotation and elastic deformation in one resampling per batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from MgImplantSegLib.training.loop.losses import IGNORE


@dataclass(frozen=True)
class RawBatch:
    """Pieces of slices as they were read, and where a patch lies in each.

    Attributes
    ----------
    images : Tensor
        (B, n, c, c), uint8 or float16, the grey values of the slice, in the middle, and its neighbours; 0 outside.
    labels : Tensor
        (B, c, c), uint8, channel numbers; `IGNORE` where nothing is known.
    affine : Tensor
        (B, 2, 3), float32: patch pixel (x, y, 1) → canvas pixel (x, y).
    slice_box : Tensor
        (B, 4), float32: first x, first y, last x, last y of the slice in the canvas.
    resampled : Tensor
        (B,), bool: False for patches that are cut out voxel by voxel.
    seeds : Tensor
        (B,), int64: where the randomness of each patch starts.
    samples : tuple of str
        The sample of each patch.
    """

    images: torch.Tensor
    labels: torch.Tensor
    affine: torch.Tensor
    slice_box: torch.Tensor
    resampled: torch.Tensor
    seeds: torch.Tensor
    samples: tuple[str, ...]

    def to(self, device: torch.device) -> RawBatch:
        """The same batch on another device; the seeds stay, since generators are seeded from the CPU."""
        stay = {"seeds": self.seeds, "samples": self.samples}
        moved = {key: value.to(device, non_blocking=True) for key, value in vars(self).items() if key not in stay}
        return RawBatch(**moved, **stay)

    def split(self, parts: int) -> list[RawBatch]:
        """The batch in so many equal parts."""
        size = len(self.samples) // parts
        cuts = [slice(start, start + size) for start in range(0, len(self.samples), size)]
        return [RawBatch(**{key: value[cut] for key, value in vars(self).items()}) for cut in cuts]

    def pin_memory(self) -> RawBatch:
        """The same batch in memory that a GPU reads without waiting."""
        pinned = {key: value.pin_memory() for key, value in vars(self).items() if key != "samples"}
        return RawBatch(**pinned, samples=self.samples)


def sample_patches(
    batch: RawBatch, size: int, displacement: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Resample the patches: images linearly, labels by nearest neighbour.

    Parameters
    ----------
    batch : RawBatch
        Canvases with the place of the patches.
    size : int
        Edge length of the patches in pixels.
    displacement : Tensor, optional
        (B, 2, size, size), (x, y) in canvas pixels, added to the place of every patch pixel.

    Returns
    -------
    images : Tensor
        (B, n, size, size), float32, in [0, 1].
    labels : Tensor
        (B, size, size), uint8.
    inside : Tensor
        (B, size, size), bool: the pixel lies on the slice.
    """
    x, y = canvas_coordinates(batch.affine, size, displacement)  # each (B, size, size)
    first_x, first_y, last_x, last_y = (edge[:, None, None] for edge in batch.slice_box.unbind(1))
    inside = (x >= first_x - 0.5) & (x <= last_x + 0.5) & (y >= first_y - 0.5) & (y <= last_y + 0.5)
    return _linear(batch.images, x, y) * inside[:, None], _nearest(batch.labels, x, y, inside), inside


def canvas_coordinates(
    affine: torch.Tensor, size: int, displacement: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Canvas coordinates x and y, each (B, size, size), of all patch pixels."""
    steps = torch.arange(size, dtype=torch.float32, device=affine.device)
    along_x, along_y, offset = (affine[:, :, n, None, None] for n in range(3))  # each (B, 2, 1, 1)
    place = along_x * steps + along_y * steps[:, None] + offset  # (B, 2, size, size)
    if displacement is not None:
        place = place + displacement
    return place[:, 0], place[:, 1]


def smooth_field(nodes: torch.Tensor, size: int) -> torch.Tensor:
    """Random nodes (B, n, g, g) as smooth fields (B, n, size, size)."""
    return functional.interpolate(nodes, size=(size, size), mode="bicubic", align_corners=True)


def _linear(canvas: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    grey = canvas.float() / 255 if canvas.dtype == torch.uint8 else canvas.float()
    height, width = canvas.shape[2:]
    grid = torch.stack((x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1), dim=-1)  # (B, size, size, 2)
    return functional.grid_sample(grey, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _nearest(canvas: torch.Tensor, x: torch.Tensor, y: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    height, width = canvas.shape[1:]
    column = x.round().clamp(0, width - 1).long()
    row = y.round().clamp(0, height - 1).long()
    values = canvas.flatten(1).gather(1, (row * width + column).flatten(1)).reshape(x.shape)
    return values.masked_fill(~inside, IGNORE)
