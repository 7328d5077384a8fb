"""A segmentation in parts, each a work of its own: some blocks of slices, whose sums are kept as a folder.

Sums are whole numbers, so the parts together are what one process would have summed, whatever their number and order. A
part is a folder with ``sums.npy`` (and ``votes.npy`` where the fusion rule counts votes), of the box of voxels that it
has reached, and ``part.json``, which says what it is a part of. It is whole or not there.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import atomic_folder, output_errors
from MgImplantSegLib.base.text_files import json_table
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.inference.accumulator import VOXELS_PER_SLAB, Accumulator
from MgImplantSegLib.inference.fused import (
    SLICES_PER_BLOCK,
    FusedPlan,
    FusedPrediction,
    Predict,
    Stretch,
    all_stretches,
    predict_stretches,
)
from MgImplantSegLib.inference.fusion import FUSIONS
from MgImplantSegLib.planes.diagonal_plane import Shape
from MgImplantSegLib.planes.plane_sets import AxisPlane, SlicingPlane, plane_set

RECORD = "part.json"
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Part:
    """One of `count` parts of about equal work; `number` from 0 on."""

    number: int
    count: int

    def stretches(self, plan: FusedPlan, shape_zyx: Shape) -> list[Stretch]:
        """Its blocks of slices; all parts together have each block once.

        Raises InputError if there are more parts than blocks.
        """
        planes = plane_set(plan.planes)
        whole = all_stretches(plan, shape_zyx)
        blocks = [(stretch.plane, block) for stretch in whole for block in stretch.blocks]
        if self.count > len(blocks):
            raise InputError(
                f"Expected at most {len(blocks)} tasks for this scan and these planes, got {self.count}.",
                f"Choose fewer tasks [[tasks]]; each needs {SLICES_PER_BLOCK} slices.",
            )
        edges = self._edges(np.cumsum([_pixels(planes[plane], shape_zyx, block) for plane, block in blocks]))
        own = blocks[edges[self.number] : edges[self.number + 1]]
        starts = [n for n in range(len(own)) if n == 0 or own[n][0] != own[n - 1][0]]
        return [
            Stretch(own[first][0], range(own[first][1], own[stop - 1][1] + 1))
            for first, stop in pairwise([*starts, len(own)])
        ]

    def _edges(self, work: np.ndarray) -> list[int]:
        """The blocks where the parts begin, and the end; `work` is that of all blocks up to and with each."""
        edges = [0]
        for place in range(1, self.count):
            wanted = int(np.searchsorted(work, work[-1] * place / self.count, side="right"))
            edges.append(min(max(wanted, edges[-1] + 1), len(work) - (self.count - place)))
        return [*edges, len(work)]


def save_part(
    array_zyx: np.ndarray, predict: Predict, plan: FusedPlan, part: Part, key: str, folder: Path, events: Events
) -> None:
    """Predict a part and keep it as a folder; `key` stands for the volume and all that the result depends on."""
    stretches = part.stretches(plan, array_zyx.shape)
    accumulator = plan.accumulator(array_zyx.shape)
    squares = predict_stretches(array_zyx, predict, plan, accumulator, stretches, events)
    box = _box(plan, array_zyx.shape, stretches)
    edges = [[side.start, side.stop] for side in box]
    record = {"version": 1, "key": key, "number": part.number, "count": part.count, "box": edges}
    with output_errors(folder), atomic_folder(folder, replace=True) as temporary:
        for name, values in accumulator.held.items():
            np.save(temporary / f"{name}.npy", values[(slice(None), *box)])
        (temporary / RECORD).write_text(json.dumps({**record, "squares": squares.tolist()}), "ascii")


def has_part(folder: Path, part: Part, key: str) -> bool:
    """Whether a folder holds this part of this work."""
    found = _record(folder)
    return found is not None and (found["key"], found["number"], found["count"]) == (key, part.number, part.count)


def merged(plan: FusedPlan, shape_zyx: Shape, folders: Sequence[Path], key: str) -> FusedPrediction:
    """The prediction that all parts together are.

    Raises InputError if one of them is missing, damaged, or part of something else.

    Parameters
    ----------
    folders : sequence of Path
        One for each part, in their order.
    """
    accumulator, squares = plan.accumulator(shape_zyx), []
    for number, folder in enumerate(folders):
        if not has_part(folder, Part(number, len(folders)), key):
            raise InputError(
                f"Expected part {number + 1} of {len(folders)} of this segmentation in {folder}, got none.",
                "Run the same command again; it does the parts that are missing.",
            )
        record: dict[str, Any] = _record(folder) or {}
        box = _sides(record["box"])
        accumulator.add_held(box, _held(folder, accumulator, box))
        squares += record["squares"]
    return FusedPrediction(accumulator, FUSIONS.find(plan.fusion), np.array(squares).sum(axis=0))


def key_of(array: np.ndarray, said: Sequence[Any]) -> str:
    """A text that changes with the voxels of a volume and with everything in `said`."""
    digest = hashlib.sha256(json.dumps([array.shape, str(array.dtype), *said], sort_keys=True, default=str).encode())
    for slab in slabs(array.shape, VOXELS_PER_SLAB):
        digest.update(np.ascontiguousarray(array[slab]).data)
    return digest.hexdigest()


def _pixels(plane: SlicingPlane, shape_zyx: Shape, block: int) -> int:
    """Pixels of the slices of a block."""
    stop = min(plane.slice_count(shape_zyx), (block + 1) * SLICES_PER_BLOCK)
    return sum(math.prod(plane.slice_shape(shape_zyx, index)) for index in range(block * SLICES_PER_BLOCK, stop))


def _box(plan: FusedPlan, shape_zyx: Shape, stretches: Sequence[Stretch]) -> Box:
    """A box with all voxels that the stretches reach: slabs of planes along an axis, for oblique ones all."""
    boxes = [_box_of(plane_set(plan.planes)[one.plane], shape_zyx, one.blocks) for one in stretches]
    edges = [[(box[axis].start, box[axis].stop) for box in boxes] for axis in range(3)]
    z, y, x = (slice(min(start for start, _ in sides), max(stop for _, stop in sides)) for sides in edges)
    return z, y, x


def _box_of(plane: SlicingPlane, shape_zyx: Shape, blocks: range) -> list[slice]:
    box = [slice(0, size) for size in shape_zyx]
    if isinstance(plane, AxisPlane):
        axis = plane.axes[0]
        edges = (min(shape_zyx[axis], edge * SLICES_PER_BLOCK) for edge in (blocks.start, blocks.stop))
        box[axis] = slice(*edges)
    return box


def _record(folder: Path) -> dict[str, Any] | None:
    """What ``part.json`` says; None if there is none that can be understood."""
    found = json_table(folder / RECORD)
    return found if {"key", "number", "count", "box", "squares"} <= set(found) else None


def _sides(edges: Sequence[Sequence[int]]) -> Box:
    z, y, x = (slice(int(start), int(stop)) for start, stop in edges)
    return z, y, x


def _held(folder: Path, accumulator: Accumulator, box: Box) -> dict[str, np.ndarray]:
    """The arrays of a part, mapped from disk. Raises InputError if one is missing or has another shape."""
    held = {}
    for name, own in accumulator.held.items():
        path = folder / f"{name}.npy"
        try:
            held[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"Expected the sums of a part, got {path} ({error}).", "Delete that folder.") from error
        expected = (own.shape[0], *(side.stop - side.start for side in box))
        if held[name].shape != expected or held[name].dtype != own.dtype:
            raise InputError(f"Expected sums of shape {expected}, got others in {path}.", "Delete that folder.")
    return held
