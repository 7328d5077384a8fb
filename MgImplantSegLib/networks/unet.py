"""The U-Net of Baltruschat et al. 2021 (doi 10.1038/s41598-021-03542-y), for slices of any size."""

from __future__ import annotations

import torch
from torch import nn

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.networks.spec import UNetSpec


class ConvolutionBlock(nn.Sequential):
    """Twice: 3×3 convolution with zero padding, batch norm, Mish. The batch norm makes a bias needless."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.Mish(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.Mish(inplace=True),
        )


class UNet(nn.Module):
    """Slices in, one logit a class and pixel out; softmax is left to the loss and to the predictor.

    Parameters
    ----------
    spec : UNetSpec
        Depth, width, classes and input channels.
    """

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec = spec
        channels = spec.channels
        inputs = (spec.in_channels, *channels[:-2])
        self.encoder = nn.ModuleList(ConvolutionBlock(a, b) for a, b in zip(inputs, channels[:-1], strict=True))
        self.bottleneck = ConvolutionBlock(channels[-2], channels[-1])
        self.upsampling = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, stride=2) for c in channels[-2::-1])
        self.decoder = nn.ModuleList(ConvolutionBlock(2 * c, c) for c in channels[-2::-1])
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(spec.width, spec.classes, 1)

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Logits, shape (batch, classes, rows, columns), of `slices`, shape (batch, in_channels, rows, columns).

        Raises InputError if rows or columns are not a multiple of ``2**depth``.
        """
        rows, columns = slices.shape[-2:]
        multiple = self.spec.size_multiple
        if rows % multiple or columns % multiple:
            raise InputError(f"Expected slices with edges in multiples of {multiple}, got {rows}×{columns}.")
        skips = []
        features = slices
        for block in self.encoder:
            features = block(features)
            skips.append(features)
            features = self.pool(features)
        features = self.bottleneck(features)
        for upsample, block in zip(self.upsampling, self.decoder, strict=True):
            features = block(torch.cat((skips.pop(), upsample(features)), dim=1))
        return self.head(features)
