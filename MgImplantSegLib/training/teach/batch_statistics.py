"""Batch norm statistics of whole slices, as they come in segmentation, in place of those of patches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from MgImplantSegLib.planes.plane_sets import AxisPlane
from MgImplantSegLib.training.loop.precision import Arithmetic
from MgImplantSegLib.training.teach.scan import GREY_LEVELS, LabelledScan


@torch.no_grad()
def renew_statistics(
    network: nn.Module,
    scans: Sequence[LabelledScan],
    planes: Sequence[AxisPlane],
    slices: int,
    multiple: int,
    pixels: int,
    arithmetic: Arithmetic,
) -> None:
    """Take running mean and variance anew, in place, from whole slices evenly spread over the scans.

    Parameters
    ----------
    network : Module
        Left in the state for prediction.
    scans, planes : sequence of LabelledScan, sequence of AxisPlane
        Where slices are taken from; labels are not looked at.
    slices : int
        How many of every scan and orientation.
    multiple : int
        Slices are padded with zeros to multiples of this.
    pixels : int
        Most pixels of a batch, to spare memory; a batch has one slice at least.
    arithmetic : Arithmetic
        Device and precision.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    for scan in scans:
        for plane in planes:
            images = torch.from_numpy(_slices(scan, plane, slices, multiple))
            for batch in images.split(max(1, pixels // (images.shape[2] * images.shape[3]))):
                with arithmetic.autocast():
                    network(batch.to(arithmetic.device, memory_format=torch.channels_last))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def _slices(scan: LabelledScan, plane: AxisPlane, count: int, multiple: int) -> np.ndarray:
    total = plane.slice_count(scan.shape_zyx)
    chosen = sorted({int((part + 0.5) * total / count) for part in range(count)})
    stack = np.stack([plane.read(scan.image, index) for index in chosen]) / np.float32(GREY_LEVELS)
    pads = [(0, 0), *((0, -size % multiple) for size in stack.shape[1:])]
    return np.pad(stack, pads)[:, None]
