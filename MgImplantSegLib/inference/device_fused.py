"""Fused prediction on devices: volume, slices, probabilities, sums, votes and labels stay there as torch tensors.

For GPUs whose memory holds the volume and the sums: only the volume goes up and only labels come back. Several devices
share the planes; their sums are whole numbers, so the result does not depend on who added what. The same code runs on
the CPU, where `fused.predict_fused` is as fast; the tests compare both.

It has not been run on a GPU yet; `Testing/Benchmarks/gpu.py` is prepared to measure it. `segment` uses it for several
GPUs, and for one whose memory is large enough, see `device_memory`; else the sums stay in the memory of the computer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import torch

from MgImplantSegLib.base.errors import InputError, ResourceError
from MgImplantSegLib.base.events import Events, Task
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.inference.accumulator import Allocate, bytes_per_voxel
from MgImplantSegLib.inference.device_accumulator import SUM_BITS, DeviceAccumulator
from MgImplantSegLib.inference.device_errors import device_errors, first_line, no_memory
from MgImplantSegLib.inference.device_planes import DevicePlane
from MgImplantSegLib.inference.fused import SLICES_PER_BLOCK, FusedPlan, FusedPrediction, require_sum_of_one
from MgImplantSegLib.inference.fusion import FUSIONS
from MgImplantSegLib.inference.predictor import NetworkPredictor
from MgImplantSegLib.planes.diagonal_plane import Shape
from MgImplantSegLib.planes.plane_sets import SlicingPlane, plane_set

TensorPredict = Callable[[torch.Tensor], torch.Tensor]
VOXELS_PER_SLAB = 1 << 24


@dataclass(frozen=True)
class DeviceNetwork:
    """A network on a device: slices (batch, 1, rows, columns) to probabilities (batch, classes, rows, columns)."""

    device: str
    predict: TensorPredict

    @classmethod
    def of(cls, predictor: NetworkPredictor) -> DeviceNetwork:
        """That of a predictor, with its precision."""
        return cls(predictor.compute.device, predictor.probabilities_on_device)


@dataclass(frozen=True)
class DevicePrediction(FusedPrediction):
    """As `FusedPrediction`; labels are decided on the device and come back as bytes."""

    def labels(self, allocate: Allocate = np.zeros) -> np.ndarray:
        """Class of every voxel, (z, y, x), uint8."""
        accumulator = self.accumulator
        if not isinstance(accumulator, DeviceAccumulator):
            return super().labels(allocate)
        result = allocate(accumulator.shape_zyx, np.uint8)
        for slab in slabs(accumulator.shape_zyx, VOXELS_PER_SLAB):
            result[slab] = accumulator.labels(slab, self.rule.needs_votes).cpu().numpy()
        return result


def bytes_on_device(shape_zyx: Shape, plan: FusedPlan) -> int:
    """What volume, sums and votes take on a device, without the network."""
    votes = plan.with_votes or FUSIONS.find(plan.fusion).needs_votes
    return math.prod(shape_zyx) * (4 + bytes_per_voxel(plan.classes, SUM_BITS, votes))


def predict_on_devices(
    array_zyx: np.ndarray, networks: Sequence[DeviceNetwork], plan: FusedPlan, events: Events | None = None
) -> DevicePrediction:
    """As `predict_fused`, with everything on the devices of the networks, which share the planes.

    Raises
    ------
    InputError
        If the plan needs neighbouring slices, which are not read here, or the networks give no probabilities.
    ResourceError
        If a device has too little memory for a single slice beside the sums, or fails.
    Cancelled
        If the user asks to stop.
    """
    if plan.context:
        raise InputError("Expected a network that sees single slices, got one that sees their neighbours.")
    planes, shape = plane_set(plan.planes), array_zyx.shape
    total = sum(plane.slice_count(shape) for plane in planes)
    with (events or Events()).task("slices", total) as task:
        shares = _shares(planes, shape, len(networks))
        workers = [_Worker(array_zyx, network, plan, len(planes)) for network in networks[: len(shares)]]
        if len(workers) == 1:
            workers[0].run(shares[0], task)
        else:
            with ThreadPoolExecutor(len(workers)) as threads:
                list(threads.map(lambda worker, share: worker.run(share, task), workers, shares))
    first, *others = (worker.accumulator for worker in workers)
    for other in others:
        first.merge(other)
    return DevicePrediction(first, FUSIONS.find(plan.fusion), first.squares.cpu().numpy())  # type: ignore[arg-type]


def _shares(planes: Sequence[SlicingPlane], shape: Shape, count: int) -> list[list[SlicingPlane]]:
    """The planes for each device, about the same number of slices each; no more shares than planes."""
    shares: list[list[SlicingPlane]] = [[] for _ in range(min(count, len(planes)))]
    loads = [0] * len(shares)
    for plane in sorted(planes, key=lambda plane: -plane.slice_count(shape)):
        least = loads.index(min(loads))
        shares[least].append(plane)
        loads[least] += plane.slice_count(shape)
    return shares


class _Worker:
    """One device with its volume, its network and its sums."""

    def __init__(self, array_zyx: np.ndarray, network: DeviceNetwork, plan: FusedPlan, plane_count: int) -> None:
        self._network, self._plan, self._most, self._pixels = network, plan, plan.batch_size, 0
        with device_errors(network.device):
            try:
                self._volume = torch.from_numpy(np.ascontiguousarray(array_zyx, dtype=np.float32)).to(network.device)
                self.accumulator = DeviceAccumulator(array_zyx.shape, plan, plane_count, network.device)
                self._sum_of_all = torch.zeros((), dtype=torch.float64, device=network.device)
            except torch.OutOfMemoryError as error:
                raise ResourceError(
                    f"Expected {bytes_on_device(array_zyx.shape, plan) / 1e9:.1f} GB of memory on {network.device} for "
                    f"the volume and the sums, got: {first_line(error)}.",
                    "Name a single GPU [[device]], whose sums stay in the memory of the computer where they do not "
                    "fit, or choose a region [[roi]].",
                ) from error

    def run(self, planes: Sequence[SlicingPlane], task: Task) -> None:
        """Predict the slices of these planes."""
        with device_errors(self._network.device):
            try:
                self._predict(planes, task)
            except torch.OutOfMemoryError as error:
                raise no_memory(self._network.device, "a block of slices beside the sums", error) from error

    def _predict(self, planes: Sequence[SlicingPlane], task: Task) -> None:
        with torch.inference_mode():
            for plane in planes:
                on_device = DevicePlane(plane, self.accumulator.shape_zyx, self._network.device)
                count, kept = plane.slice_count(self.accumulator.shape_zyx), list[torch.Tensor]()
                for start in range(0, count, SLICES_PER_BLOCK):
                    slices = on_device.read_block(self._volume, start, min(start + SLICES_PER_BLOCK, count))
                    block = kept + self._predicted(slices, task)
                    self.accumulator.add(on_device, start - len(kept), block)
                    kept = block[-plane.overlap :] if plane.overlap else []
                require_sum_of_one(float(self._sum_of_all) / self._pixels)  # once a plane: it waits for the device

    def _predicted(self, slices: list[torch.Tensor], task: Task) -> list[torch.Tensor]:
        """Probabilities of the classes 1 and up, (classes − 1, rows, columns), of every slice."""
        results: list[torch.Tensor] = []
        while len(results) < len(slices):
            batch = self._batch(slices[len(results) :])
            try:
                probabilities = self._network.predict(batch)
            except torch.OutOfMemoryError as error:
                reason = str(error)  # the error itself holds on to the memory of the failed try
                probabilities = None
            if probabilities is None:
                self._ask_for_less(len(batch), reason)
                continue
            self._sum_of_all += probabilities.sum(dtype=torch.float64)
            self._pixels += probabilities[:, 0].numel()
            for values in probabilities:
                rows, columns = slices[len(results)].shape
                results.append(values[1:, :rows, :columns])
            task.advance(len(batch))
        return results

    def _batch(self, slices: list[torch.Tensor]) -> torch.Tensor:
        """As many of the first slices as have the same padded shape, (batch, 1, rows, columns)."""
        shape = self._padded(slices[0])
        same = list(takewhile(lambda values: self._padded(values) == shape, slices[: self._most]))
        batch = torch.zeros((len(same), 1, *shape), dtype=torch.float32, device=self._network.device)
        for target, values in zip(batch, same, strict=True):
            target[0, : values.shape[0], : values.shape[1]] = values
        return batch

    def _padded(self, values: torch.Tensor) -> tuple[int, ...]:
        multiple = self._plan.size_multiple
        return tuple(-(-edge // multiple) * multiple for edge in values.shape)

    def _ask_for_less(self, in_use: int, reason: str) -> None:
        if in_use == 1:
            raise no_memory(self._network.device, "one slice", reason)
        self._most = in_use // 2
        if self._network.device.startswith("cuda"):
            torch.cuda.empty_cache()
