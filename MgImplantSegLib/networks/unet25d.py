"""A 2.5D U-Net: the U-Net, which labels a slice and sees its neighbours as further channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from MgImplantSegLib.networks.spec import UNetSpec


@dataclass(frozen=True)
class UNet25dSpec(UNetSpec):
    """As `UNetSpec`, with 2k + 1 input channels: the slice in the middle and k neighbours on either side."""

    CHANNELS: ClassVar[tuple[int, ...]] = (3, 5, 7, 9, 11, 13, 15)

    in_channels: int = 3
