"""Slices of a volume that lies on a device, as torch tensors: read there, settled there, see `planes.plane_sets`.

The same weights as on the host: an oblique slice or pixel is the sum of four neighbours, gathered by their numbers. So
the same code runs on a GPU and, in the tests, on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from MgImplantSegLib.planes.diagonal_plane import BAND_MARGIN, Band, DiagonalPlane, Shape
from MgImplantSegLib.planes.plane_sets import AxisPlane, SlicingPlane


@dataclass(frozen=True)
class DevicePlane:
    """A slicing plane of volumes of one shape on one device.

    Parameters
    ----------
    plane : SlicingPlane
        One of the planes of `PLANE_SETS`.
    device : str
        As torch calls it.
    """

    plane: SlicingPlane
    shape_zyx: Shape
    device: str

    def view(self, tensor: torch.Tensor) -> torch.Tensor:
        """The last three axes (z, y, x) of a tensor in the order that the plane counts in, without a copy."""
        if isinstance(self.plane, AxisPlane):
            return tensor.movedim([axis - 3 for axis in self.plane.axes], (-3, -2, -1))
        if isinstance(self.plane, DiagonalPlane):
            return tensor.movedim(self.plane.rotation_axis - 3, -1)
        raise TypeError(f"a plane of the kind {type(self.plane).__name__}")

    def read_block(self, volume_zyx: torch.Tensor, start: int, stop: int) -> list[torch.Tensor]:
        """The slices from `start` up to but not including `stop`, float32 (rows, columns)."""
        lines = self.view(volume_zyx)
        if not isinstance(self.plane, DiagonalPlane):
            return list(lines[start:stop].float())
        grid = self.plane.grid(self.shape_zyx)
        band = grid.band_around(start, stop - 1, BAND_MARGIN)
        rows = [np.arange(first, last + 1) for first, last in map(grid.row_range, range(start, stop))]
        weights = grid.reading_weights(list(zip(range(start, stop), rows, strict=True)), band)
        pixels = self._gathered(weights, lines[self._pixels(band)].float())
        return list(pixels.split([len(along) for along in rows]))

    def add(self, target: torch.Tensor, start: int, counts: torch.Tensor, band: Band | None) -> None:
        """Add what slices from `start` on have settled, see `settle`, to a tensor (classes, z, y, x)."""
        view = self.view(target)
        if band is None:
            view[:, start : start + counts.shape[1]] += counts
        else:
            b, c = self._pixels(band)
            view[:, b, c] = view[:, b, c] + counts  # a block has every voxel once

    def settle(self, start: int, slices: Sequence[torch.Tensor]) -> tuple[torch.Tensor, Band | None]:
        """What consecutive slices, each (classes, rows, columns), say about the voxels on and between them.

        Returns
        -------
        values : Tensor
            Shape (classes, slices, rows, columns), or (classes, pixels, columns) of the pixels of the band.
        band : Band or None
            The pixels of a diagonal plane; None for the slices themselves.
        """
        if not isinstance(self.plane, DiagonalPlane):
            return torch.stack(list(slices), dim=1), None
        grid = self.plane.grid(self.shape_zyx)
        band = grid.band_between(start, start + len(slices) - 1)
        weights = grid.settling_weights(start, [values.shape[1] for values in slices], band)
        classes, _, columns = slices[0].shape
        rows = torch.cat([values.transpose(0, 1) for values in slices]).reshape(-1, classes * columns)
        settled = self._gathered(weights, rows).reshape(-1, classes, columns)
        return settled.transpose(0, 1), band

    def _pixels(self, band: Band) -> tuple[torch.Tensor, torch.Tensor]:
        b, c = band.pixels()
        return torch.from_numpy(b).to(self.device), torch.from_numpy(c).to(self.device)

    def _gathered(self, weights: sparse.csr_array, values: torch.Tensor) -> torch.Tensor:
        """A matrix with as many entries in every row times values (columns of the matrix, any)."""
        count = weights.shape[0]
        numbers = torch.from_numpy(weights.indices.reshape(count, -1).astype(np.int64)).to(self.device)
        factors = torch.from_numpy(weights.data.reshape(count, -1)).to(self.device)
        result = torch.zeros((count, values.shape[1]), dtype=torch.float32, device=self.device)
        for entry in range(numbers.shape[1]):
            result += factors[:, entry, None] * values[numbers[:, entry]]
        return result
