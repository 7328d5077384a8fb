"""Validation: loss and IoU per class on the centre crops of fixed slices of the validation samples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from MgImplantSegLib.networks.spec import UNetSpec
from MgImplantSegLib.planes.plane_sets import AxisPlane
from MgImplantSegLib.training.data.cache import CachedSample
from MgImplantSegLib.training.loop.distributed import World
from MgImplantSegLib.training.loop.losses import IGNORE
from MgImplantSegLib.training.loop.score import confusion_matrix, iou_per_class
from MgImplantSegLib.training.settings.loop_settings import ValidationSettings

Place = tuple[CachedSample, AxisPlane, int]


@dataclass(frozen=True)
class ValidationResult:
    """Mean loss over known pixels, and IoU per class."""

    loss: float
    iou: list[float]


class ValidationSlices:
    """The slices that validation is done on: chosen once, the same at any number of processes.

    Parameters
    ----------
    samples, planes
        Where slices are taken from.
    settings : ValidationSettings
        How many, and the size of the centre crop.
    spec : UNetSpec
        Specification of the network: crops are padded with zeros to multiples of its size multiple, and the padding
        does not count; they have as many neighbours as it sees.
    """

    def __init__(
        self,
        samples: Sequence[CachedSample],
        planes: Sequence[AxisPlane],
        settings: ValidationSettings,
        spec: UNetSpec,
    ) -> None:
        self._crop, self._multiple, self._context = settings.crop, spec.size_multiple, spec.context
        by_shape: dict[tuple[int, int], list[Place]] = defaultdict(list)
        for sample in samples:
            for plane in planes:
                for index in _evenly(sample.places[f"known_{plane.axes[0]}"], settings.slices_per_sample):
                    by_shape[self._padded_shape(sample, plane)].append((sample, plane, index))
        self._batches = [
            places[start : start + settings.batch_size]
            for places in by_shape.values()
            for start in range(0, len(places), settings.batch_size)
        ]

    def __len__(self) -> int:
        return len(self._batches)

    def read(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Batch `number`: images (B, channels, h, w), float32, and labels (B, h, w), uint8."""
        images, labels = zip(*(self._read(*place) for place in self._batches[number]), strict=True)
        return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels))

    def _read(self, sample: CachedSample, plane: AxisPlane, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, labels = sample.arrays(plane.axes[0])
        (grey,) = plane.read_block(image, index, index + 1, self._context)
        grey /= np.float32(255 if image.dtype == np.uint8 else 1)
        grey = grey.reshape(-1, *grey.shape[-2:])  # (channels, rows, columns)
        return self._cropped(grey, 0), self._cropped(plane.view(labels)[index], IGNORE)

    def _cropped(self, array: np.ndarray, fill: int) -> np.ndarray:
        rows, columns = (_centre(size, self._crop) for size in array.shape[-2:])
        array = array[..., rows, columns]
        pads = [(0, -size % self._multiple) for size in array.shape[-2:]]
        return np.pad(array, [(0, 0)] * (array.ndim - 2) + pads, constant_values=fill)

    def _padded_shape(self, sample: CachedSample, plane: AxisPlane) -> tuple[int, int]:
        rows, columns = (min(size, self._crop) for size in plane.slice_shape(sample.shape_zyx, 0))
        return rows + -rows % self._multiple, columns + -columns % self._multiple


def validate(
    predict: nn.Module | Callable[[torch.Tensor], torch.Tensor],
    slices: ValidationSlices,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    classes: int,
    device: torch.device,
    world: World,
) -> ValidationResult:
    """Loss and IoU of `predict` (images → logits), each rank on its part of the batches."""
    sums = torch.zeros(2 + classes * classes, dtype=torch.float64, device=device)  # loss, pixels, confusion
    with torch.no_grad():
        for number in range(world.rank, len(slices), world.size):
            images, labels = (tensor.to(device) for tensor in slices.read(number))
            logits = predict(images)
            known = (labels != IGNORE).sum()
            sums[0] += loss(logits, labels).double() * known
            sums[1] += known
            sums[2:] += confusion_matrix(logits.argmax(1), labels, classes).flatten()
        sums = world.sum(sums).cpu()
    return ValidationResult(float(sums[0] / sums[1]), iou_per_class(sums[2:].reshape(classes, classes)))


def _evenly(indices: np.ndarray, count: int) -> list[int]:
    """At most `count` of the indices, in the middle of equal parts; all if `count` is 0."""
    if count == 0 or len(indices) <= count:
        return [int(index) for index in indices]
    return [int(indices[int((part + 0.5) * len(indices) / count)]) for part in range(count)]


def _centre(size: int, crop: int) -> slice:
    start = max(0, (size - crop) // 2)
    return slice(start, start + min(size, crop))
