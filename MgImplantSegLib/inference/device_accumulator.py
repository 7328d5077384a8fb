"""Sums of probabilities and votes of all planes on a device, as torch tensors.

Sums have 16 bits, as on the host. torch adds no unsigned numbers of 16 bits, so the bits are those of signed ones:
adding them is the same, and `_unsigned` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from MgImplantSegLib.inference.accumulator import PROBABILITY_ROUNDING
from MgImplantSegLib.inference.device_planes import DevicePlane
from MgImplantSegLib.inference.fused import FusedPlan
from MgImplantSegLib.inference.fusion import FUSIONS
from MgImplantSegLib.planes.diagonal_plane import Shape

SUM_BITS = 16


class DeviceAccumulator:
    """What all planes say about every voxel, see `accumulator.Accumulator`."""

    def __init__(self, shape_zyx: Shape, plan: FusedPlan, plane_count: int, device: str) -> None:
        if plan.sum_bits != SUM_BITS:
            raise ValueError(f"sums of {plan.sum_bits} bits")
        self.shape_zyx, self.classes, self.plane_count, self.device = shape_zyx, plan.classes, plane_count, device
        self.scale = (2**SUM_BITS - 1) // plane_count
        self.rounding = plane_count * (plan.classes - 1)
        others = (plan.classes - 1, *shape_zyx)
        needs_votes = plan.with_votes or FUSIONS.find(plan.fusion).needs_votes
        self.sum_tensor = torch.zeros(others, dtype=torch.int16, device=device)
        self.vote_tensor = torch.zeros(others, dtype=torch.uint8, device=device) if needs_votes else None
        self.squares = torch.zeros(plan.classes, dtype=torch.float64, device=device)

    def add(self, plane: DevicePlane, start: int, slices: Sequence[torch.Tensor]) -> None:
        """Count what slices from `start` on say, each with the probabilities of the classes 1 and up."""
        values, band = plane.settle(start, slices)
        first = 1 - values.sum(dim=0)
        everything = torch.cat([first[None], values]).flatten(1)
        self.squares += (everything * everything).sum(dim=1, dtype=torch.float64)
        if self.vote_tensor is not None:
            labels = largest_class(torch.cat([(first + float(PROBABILITY_ROUNDING))[None], values]))
            others = torch.arange(1, self.classes, device=self.device).view(-1, *[1] * labels.ndim)
            plane.add(self.vote_tensor, start, (labels == others).to(torch.uint8), band)
        counts = (values * self.scale + 0.5).to(torch.int32)  # float to int16 is not defined beyond 2^15
        plane.add(self.sum_tensor, start, counts.to(torch.int16), band)

    def merge(self, other: DeviceAccumulator) -> None:
        """Add the sums of another device."""
        self.sum_tensor += other.sum_tensor.to(self.device)
        self.squares += other.squares.to(self.device)
        if self.vote_tensor is not None and other.vote_tensor is not None:
            self.vote_tensor += other.vote_tensor.to(self.device)

    def sums(self, slab: slice) -> np.ndarray:
        """As `Accumulator.sums`, on the host."""
        return self._sums(slab).cpu().numpy()

    def votes(self, slab: slice) -> np.ndarray:
        """As `Accumulator.votes`, on the host."""
        return self._votes(slab).cpu().numpy()

    def labels(self, slab: slice, by_votes: bool) -> torch.Tensor:
        """Class of every voxel in a slab of z, uint8, on the device; rules as in `fusion`."""
        scores = self._sums(slab)
        scores[0] += self.rounding
        if by_votes:
            scores += self._votes(slab) * (2 * self.scale * self.plane_count)
        return largest_class(scores)

    def _sums(self, slab: slice) -> torch.Tensor:
        return _with_first_class(_unsigned(self.sum_tensor[:, slab]), self.scale * self.plane_count)

    def _votes(self, slab: slice) -> torch.Tensor:
        if self.vote_tensor is None:
            raise ValueError("votes were not counted")
        return _with_first_class(self.vote_tensor[:, slab].to(torch.int32), self.plane_count)


def largest_class(scores: torch.Tensor) -> torch.Tensor:
    """Class of the largest score, the lower class of two that are the same, as uint8."""
    largest, classes = scores[0].clone(), torch.zeros(scores.shape[1:], dtype=torch.uint8, device=scores.device)
    for index, values in enumerate(scores[1:], start=1):
        classes[values > largest] = index
        largest = torch.maximum(largest, values)
    return classes


def _unsigned(sums: torch.Tensor) -> torch.Tensor:
    """Numbers 0 to 2^16 − 1, int32, whose bits lie in an int16."""
    return sums.to(torch.int32) & (2**SUM_BITS - 1)


def _with_first_class(others: torch.Tensor, total: int) -> torch.Tensor:
    first = (total - others.sum(dim=0, dtype=torch.int32)).clamp_(min=0)
    return torch.cat([first[None], others])
