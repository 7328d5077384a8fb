"""Patches where labels are: whole labelled slices far more often than slices that only cross labelled ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.planes.plane_sets import AxisPlane
from MgImplantSegLib.training.data.patches import PatchBatches, PatchSettings
from MgImplantSegLib.training.loop.losses import IGNORE
from MgImplantSegLib.training.teach.scan import LabelledScan

WHOLE_SHARE = 0.5


@dataclass(frozen=True)
class _Choice:
    """What is drawn from one scan: its slices and their chances."""

    scan: LabelledScan
    stacks: np.ndarray
    indices: np.ndarray
    chances: np.ndarray


class SparsePatches(PatchBatches):
    """Batches of patches from scans with few labels, and a share of them from simulated explants.

    A slice with n labelled pixels is drawn as often as n to the power `exponent`. A labelled slice is crossed by every
    slice of the two other orientations in a line each, so with 1 two patches of three would show lines alone; with 2
    hardly any would.

    Parameters
    ----------
    scans, replay : sequence of LabelledScan
        What is taught, and what is not to be forgotten; scans of each are drawn alike.
    planes : sequence of AxisPlane
        The three orientations.
    settings : PatchSettings
        Size, number, share of balanced patches, variation, seed.
    replay_share, exponent : float
        See `TeachSettings`.
    """

    def __init__(
        self,
        scans: Sequence[LabelledScan],
        replay: Sequence[LabelledScan],
        planes: Sequence[AxisPlane],
        settings: PatchSettings,
        replay_share: float,
        exponent: float,
    ) -> None:
        self._settings, self._planes, self._exponent = settings, list(planes), exponent
        self._positions = range(settings.batch_size)
        self._scans = [self._choice(scan) for scan in scans]
        self._replay = [self._choice(scan) for scan in replay]
        self._replay_share = replay_share

    def add_replay(self, scan: LabelledScan) -> None:
        """From now on draw from this scan too."""
        self._replay.append(self._choice(scan))

    def choose_place(
        self, random: np.random.Generator, balanced: bool
    ) -> tuple[LabelledScan, AxisPlane, int, np.ndarray | None]:
        """A scan, a slice of it, and with `balanced` the place (x, y) of a voxel of a class drawn at random."""
        is_replay = self._replay and random.random() < self._replay_share
        among = self._replay if is_replay else self._scans
        chosen = among[random.integers(len(among))]
        if not balanced:
            number = int(np.searchsorted(chosen.chances, random.random(), side="right"))
            plane, index = self._planes[chosen.stacks[number]], int(chosen.indices[number])
            return chosen.scan, plane, index, _labelled_point(chosen.scan, plane, index, random)
        points = [points for points in chosen.scan.points if len(points)]
        of_class = points[random.integers(len(points))]
        return self._through(chosen.scan, of_class[random.integers(len(of_class))], random)

    def _through(
        self, scan: LabelledScan, point_zyx: np.ndarray, random: np.random.Generator
    ) -> tuple[LabelledScan, AxisPlane, int, np.ndarray]:
        """A slice through the voxel, those with many labelled pixels more often."""
        counts = [scan.labelled_per_slice[plane.axes[0]][point_zyx[plane.axes[0]]] for plane in self._planes]
        weights = np.array(counts, dtype=float) ** (self._exponent - 1)
        plane = self._planes[random.choice(len(counts), p=weights / weights.sum())]
        along, row, column = (int(point_zyx[axis]) for axis in plane.axes)
        return scan, plane, along, np.array([column, row], dtype=float)

    def _choice(self, scan: LabelledScan) -> _Choice:
        counts = [scan.labelled_per_slice[plane.axes[0]] for plane in self._planes]
        stacks = np.repeat(np.arange(len(counts)), [len(entry) for entry in counts])
        indices = np.concatenate([np.arange(len(entry)) for entry in counts])
        known = np.concatenate(counts).astype(float)
        weights = np.where(known > 0, known**self._exponent, 0)
        drawn = weights > 0
        chances = np.cumsum(weights[drawn]) / weights.sum()
        chances[-1] = 1.0
        return _Choice(scan, stacks[drawn], indices[drawn], chances)


def _labelled_point(scan: LabelledScan, plane: AxisPlane, index: int, random: np.random.Generator) -> np.ndarray | None:
    """A labelled pixel (x, y) of a slice; None where most of the slice is labelled and any place will do."""
    labelled = scan.labelled_per_slice[plane.axes[0]][index]
    rows, columns = plane.slice_shape(scan.shape_zyx, index)
    if labelled > WHOLE_SHARE * rows * columns:
        return None
    row, column = np.nonzero(plane.view(scan.channels)[index] != IGNORE)
    number = random.integers(len(row))
    return np.array([column[number], row[number]], dtype=float)
