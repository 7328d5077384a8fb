"""What a network is built from, without torch: `UNetSpec`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from MgImplantSegLib.base.errors import InputError

LIMITS = {"depth": (1, 8), "width": (1, 512), "classes": (2, 64)}


@dataclass(frozen=True)
class UNetSpec:
    """A 2D U-Net: `depth` encoder blocks, `width` channels in the first of them, a slice as the only input channel.

    Block l of the encoder has ``width · 2**l`` channels, the bottleneck ``width · 2**depth``. Raises InputError if a
    number is not whole or lies outside `LIMITS`, or there are other input channels than the network takes.
    """

    CHANNELS: ClassVar[tuple[int, ...]] = (1,)

    depth: int
    width: int
    classes: int = 4
    in_channels: int = 1

    def __post_init__(self) -> None:
        for name, (lowest, highest) in LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
                raise InputError(f"Expected {name} of the U-Net as a whole number {lowest}–{highest}, got {value!r}.")
        if self.in_channels not in self.CHANNELS:
            known = ", ".join(map(str, self.CHANNELS))
            raise InputError(f"Expected in_channels of {known} for this network, got {self.in_channels!r}.")

    @property
    def context(self) -> int:
        """How many neighbouring slices on either side the network sees in addition to the slice itself."""
        return self.in_channels // 2

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the encoder blocks and, last, of the bottleneck."""
        return tuple(self.width * 2**level for level in range(self.depth + 1))

    @property
    def size_multiple(self) -> int:
        """Rows and columns of a slice have to be multiples of this."""
        return 2**self.depth

    @property
    def receptive_field(self) -> int:
        """Edge length, in pixels, of the square of the input that an output pixel depends on, on average.

        It varies by a few pixels with the place of the pixel in its 2**depth block; half of it is always
        enough around a tile that begins and ends at multiples of 2**depth.
        """
        return 13 * 2**self.depth - 8

    @property
    def parameter_count(self) -> int:
        """Number of learned values: weights, biases, and scale and shift of the batch norms."""

        def block(inputs: int, outputs: int) -> int:
            return 9 * inputs * outputs + 9 * outputs * outputs + 4 * outputs

        channels = self.channels
        encoder = sum(block(a, b) for a, b in zip((self.in_channels, *channels), channels, strict=False))
        decoder = sum(4 * 2 * c * c + c + block(2 * c, c) for c in channels[:-1])
        return encoder + decoder + self.width * self.classes + self.classes

    @property
    def multiplications_per_pixel(self) -> float:
        """Multiply–add operations of the convolutions for one pixel of a slice; a FLOP count is twice that."""
        channels = self.channels
        total = float(self.width * self.classes)
        for level, (inputs, outputs) in enumerate(zip((self.in_channels, *channels), channels, strict=False)):
            total += 9 * outputs * (inputs + outputs) / 4**level
        for level, c in enumerate(channels[:-1]):
            total += (2 * c * c + 9 * c * (2 * c + c)) / 4**level
        return total

    @property
    def activations_per_pixel(self) -> int:
        """Most values held at one time while a slice is predicted, for one of its pixels; measured, rounded up."""
        return 8 * self.width + self.in_channels - 1
