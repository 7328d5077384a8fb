"""Tiles of a slice that a network can predict one by one with exactly the result of the whole slice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """What the network sees (`outer`) and which part of that is kept (`inner`): (start, stop) of rows and columns."""

    outer: tuple[Span, Span]
    inner: tuple[Span, Span]

    @property
    def outer_slices(self) -> tuple[slice, slice]:
        """Index of what the network sees, in the slice."""
        return slice(*self.outer[0]), slice(*self.outer[1])

    @property
    def inner_slices(self) -> tuple[slice, slice]:
        """Index of what is kept, in the slice."""
        return slice(*self.inner[0]), slice(*self.inner[1])

    @property
    def inner_in_outer(self) -> tuple[slice, slice]:
        """Index of what is kept, in what the network has seen."""
        rows, columns = (
            slice(inner[0] - outer[0], inner[1] - outer[0]) for inner, outer in zip(self.inner, self.outer, strict=True)
        )
        return rows, columns


def halo(receptive_field: int, multiple: int) -> int:
    """How far a tile has to look beyond its edge: half of the receptive field, rounded up to a multiple."""
    return -(-receptive_field // (2 * multiple)) * multiple


def tiles(shape: tuple[int, int], edge: int, halo_pixels: int) -> Iterator[Tile]:
    """Tiles that cover a slice.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns, multiples of the network's size multiple.
    edge : int
        Largest edge of the kept part, a multiple of the network's size multiple.
    halo_pixels : int
        See `halo`. Where the slice ends, the tile ends too, so the network pads there as in the whole slice.
    """
    for row_spans in _spans(shape[0], edge, halo_pixels):
        for column_spans in _spans(shape[1], edge, halo_pixels):
            yield Tile((row_spans[0], column_spans[0]), (row_spans[1], column_spans[1]))


def _spans(size: int, edge: int, halo_pixels: int) -> Iterator[tuple[Span, Span]]:
    for start in range(0, size, edge):
        stop = min(start + edge, size)
        yield (max(0, start - halo_pixels), min(size, stop + halo_pixels)), (start, stop)
