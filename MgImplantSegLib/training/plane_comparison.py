"""IoU of one network for several plane sets and fusion rules, from a single prediction of every slicing plane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from MgImplantSegLib.events import Events
from MgImplantSegLib.inference.accumulator import Accumulator, slabs
from MgImplantSegLib.inference.fused import FusedPrediction, predict_fused
from MgImplantSegLib.inference.fusion import FUSIONS
from MgImplantSegLib.planes import PLANE_SETS, Shape, SlicingPlane
from MgImplantSegLib.training.process import silent
from MgImplantSegLib.training.score import confusion_matrix

SUM_SCALE = 2**23  # of an accumulator with 32 bits, whatever the number of its planes
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
    """Sums and votes of several planes, added one plane after the other; read as an `Accumulator` is."""

    def __init__(self, shape_zyx: Shape, classes: int) -> None:
        self.shape_zyx, self.classes, self.scale, self.plane_count = shape_zyx, classes, SUM_SCALE, 0
        self._sums = np.zeros((classes, *shape_zyx), np.uint32)
        self._votes = np.zeros((classes, *shape_zyx), np.uint8)

    @property
    def rounding(self) -> int:
        """By how much class 0 may be too small."""
        return self.plane_count * (self.classes - 1)

    def add(self, plane: Accumulator) -> None:
        """Add what one plane says."""
        self.plane_count += 1
        for slab in slabs(self.shape_zyx):
            self._sums[:, slab] += plane.sums(slab).astype(np.uint32)
            self._votes[:, slab] += plane.votes(slab).astype(np.uint8)

    def sums(self, slab: slice) -> np.ndarray:
        """Sums of the probabilities in a slab of z, (classes, z, y, x), int64."""
        return self._sums[:, slab].astype(np.int64)

    def votes(self, slab: slice) -> np.ndarray:
        """Number of planes for each label in a slab of z, (classes, z, y, x), int64."""
        return self._votes[:, slab].astype(np.int64)


def compare_planes(
    image: np.ndarray,
    channels: np.ndarray,
    predict: Callable[[np.ndarray], np.ndarray],
    classes: int,
    size_multiple: int,
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
    predict : callable
        As in `predict_fused`.
    classes, size_multiple : int
        Of the network.
    schemes : tuple of PlaneScheme
        What is compared.
    events : Events
        Progress by planes.
    """
    needed = _planes_of(schemes)
    totals = {scheme.planes: PlaneTotal(image.shape, classes) for scheme in schemes}
    batch_size = max(1, PIXELS_PER_BATCH // (max(image.shape) ** 2))
    with events.task("planes", len(needed)) as task:
        for plane in needed:
            task.advance(0, f"plane {plane.name}")
            single = predict_fused(
                image, predict, (plane,), "soft", classes, batch_size=batch_size, size_multiple=size_multiple,
                with_votes=True, events=silent(events),
            )  # fmt: skip
            for name, total in totals.items():
                if plane in PLANE_SETS[name]:
                    total.add(single.accumulator)
            task.advance()
    return {
        scheme: _confusion(FusedPrediction(totals[scheme.planes], FUSIONS[scheme.fusion]), channels, classes)
        for scheme in schemes
    }


def _planes_of(schemes: tuple[PlaneScheme, ...]) -> tuple[SlicingPlane, ...]:
    return tuple(dict.fromkeys(plane for scheme in schemes for plane in PLANE_SETS[scheme.planes]))


def _confusion(prediction: FusedPrediction, channels: np.ndarray, classes: int) -> torch.Tensor:
    counts = torch.zeros(classes, classes, dtype=torch.int64)
    for slab in slabs(channels.shape):
        truth = torch.from_numpy(np.array(channels[slab]))
        counts += confusion_matrix(torch.from_numpy(prediction.labels_of(slab)), truth, classes)
    return counts
