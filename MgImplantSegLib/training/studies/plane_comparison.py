"""IoU of one network for several plane sets and fusion rules, from a single prediction of every slicing plane."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.machine import available_memory_bytes
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.inference.accumulator import VOXELS_PER_SLAB, Accumulator, Allocate, bytes_per_voxel
from MgImplantSegLib.inference.fused import FusedPlan, FusedPrediction, predict_fused
from MgImplantSegLib.inference.fusion import FUSIONS
from MgImplantSegLib.inference.memory import zeros_on_disk
from MgImplantSegLib.networks.spec import UNetSpec
from MgImplantSegLib.planes.plane_sets import PLANE_SETS, Shape
from MgImplantSegLib.training.loop.process import silent
from MgImplantSegLib.training.loop.score import confusion_matrix

PART_OF_AVAILABLE_MEMORY = 0.5
PIXELS_PER_BATCH = 1 << 19


@dataclass(frozen=True)
class PlaneScheme:
    """A plane set and a fusion rule, as one row of the paper's Table 2."""

    planes: str
    fusion: str

    @property
    def name(self) -> str:
        """``rc`` for a single plane, ``9 planes, soft voting`` for several."""
        single = len(PLANE_SETS[self.planes]) == 1
        return self.planes if single else f"{self.planes} planes, {FUSIONS[self.fusion].name}"


PAPER_SCHEMES = (
    PlaneScheme("rc", "soft"),
    PlaneScheme("cp", "soft"),
    PlaneScheme("pr", "soft"),
    PlaneScheme("3", "soft"),
    PlaneScheme("3", "majority"),
    PlaneScheme("9", "soft"),
    PlaneScheme("9", "majority"),
)


class PlaneTotal:
    """Sums and votes of several planes, taken from accumulators of one plane each; read as an `Accumulator` is."""

    def __init__(self, shape_zyx: Shape, classes: int, plane_count: int, allocate: Allocate) -> None:
        self.shape_zyx, self.classes, self.plane_count = shape_zyx, classes, plane_count
        self.scale, self.rounding = 0, plane_count * (classes - 1)
        self._sums = allocate((classes, *shape_zyx), np.uint32)
        self._votes = allocate((classes, *shape_zyx), np.uint8)

    def include(self, single: Accumulator) -> None:
        """Add what one plane says; all of them have the same scale."""
        self.scale = single.scale
        for slab in slabs(self.shape_zyx, VOXELS_PER_SLAB):
            self._sums[:, slab] += single.sums(slab).astype(np.uint32)
            self._votes[:, slab] += single.votes(slab).astype(np.uint8)

    def sums(self, slab: slice) -> np.ndarray:
        """Sums of all classes in a slab of z, shape (classes, z, y, x), int64; each voxel has ``scale · planes``."""
        return self._sums[:, slab].astype(np.int64)

    def votes(self, slab: slice) -> np.ndarray:
        """Votes for all classes in a slab of z, shape (classes, z, y, x), int64; each voxel has one a plane."""
        return self._votes[:, slab].astype(np.int64)


def compare_planes(
    image: np.ndarray,
    channels: np.ndarray,
    predict: Callable[[np.ndarray], np.ndarray],
    spec: UNetSpec,
    schemes: tuple[PlaneScheme, ...],
    events: Events,
) -> dict[PlaneScheme, torch.Tensor]:
    """Confusion matrix (classes, classes) of every scheme; every plane is predicted once.

    Parameters
    ----------
    image : array
        Grey values in [0, 1], (z, y, x).
    channels : array
        True channel numbers, (z, y, x); `IGNORE` where nothing is known.
    """
    needed = tuple(dict.fromkeys(plane for scheme in schemes for plane in PLANE_SETS[scheme.planes]))
    several = dict.fromkeys(scheme.planes for scheme in schemes if len(PLANE_SETS[scheme.planes]) > 1)
    allocate = _allocation(len(several) + 1, image.shape, spec.classes)
    totals = {name: PlaneTotal(image.shape, spec.classes, len(PLANE_SETS[name]), allocate) for name in several}
    confusions: dict[PlaneScheme, torch.Tensor] = {}
    with events.task("planes", len(needed)) as task:
        for plane in needed:
            task.advance(0, f"plane {plane.name}")
            plan = FusedPlan(
                (plane,),
                "soft",
                spec.classes,
                _batch_size(image),
                spec.size_multiple,
                spec.context,
                with_votes=True,
                allocate=allocate,
            )
            single = predict_fused(image, predict, plan, silent(events))
            for name in several:
                if plane in PLANE_SETS[name]:
                    totals[name].include(single.accumulator)
            for scheme in schemes:
                if PLANE_SETS[scheme.planes] == (plane,):
                    confusions[scheme] = _confusion(single.accumulator, scheme, channels)
            task.advance()
    for scheme in schemes:
        if scheme.planes in totals:
            confusions[scheme] = _confusion(totals[scheme.planes], scheme, channels)
    return {scheme: confusions[scheme] for scheme in schemes}


def _batch_size(image: np.ndarray) -> int:
    return max(1, PIXELS_PER_BATCH // max(image.shape) ** 2)


def _allocation(accumulators: int, shape_zyx: Shape, classes: int) -> Allocate:
    """Where accumulators are kept: in memory, or on disk if they would take more than half of what is free."""
    available = available_memory_bytes()
    needed = accumulators * math.prod(shape_zyx) * bytes_per_voxel(classes, 32, with_votes=True)
    return np.zeros if available is None or needed < PART_OF_AVAILABLE_MEMORY * available else zeros_on_disk


def _confusion(accumulator: Accumulator | PlaneTotal, scheme: PlaneScheme, channels: np.ndarray) -> torch.Tensor:
    prediction = FusedPrediction(cast(Accumulator, accumulator), FUSIONS[scheme.fusion])
    counts = torch.zeros(accumulator.classes, accumulator.classes, dtype=torch.int64)
    for slab in slabs(channels.shape, VOXELS_PER_SLAB):
        truth = torch.from_numpy(np.array(channels[slab]))
        counts += confusion_matrix(torch.from_numpy(prediction.labels_of(slab)), truth, accumulator.classes)
    return counts
