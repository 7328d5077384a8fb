"""Slices that are too large for the memory are predicted in tiles: what all predictors have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from MgImplantSegLib.inference.device import Compute
from MgImplantSegLib.inference.tiles import halo, tiles
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.networks import network_spec


class TiledPredictor(ABC):
    """Computes the probabilities of slices, whole or in tiles with the halo that makes them exact.

    Parameters
    ----------
    tile_edge : int
        Largest edge of a tile in pixels; slices up to it are predicted whole.
    """

    def __init__(self, card: ModelCard, compute: Compute, tile_edge: int = 1 << 16) -> None:
        self.card, self.compute = card, compute
        self.spec = network_spec(card.network)
        self._tile_edge = self._rounded(tile_edge)

    def __call__(self, slices: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (batch, classes, rows, columns), of slices, float32 (batch, channels, rows, columns).

        Raises ResourceError if not even the smallest tile fits into the device's memory.
        """
        return self._whole_or_tiled(slices)

    @abstractmethod
    def _probabilities(self, slices: np.ndarray) -> np.ndarray:
        """The probabilities of slices that fit as they are."""

    def _whole_or_tiled(self, slices: np.ndarray) -> np.ndarray:
        shape = slices.shape[2:]
        if max(shape) <= self._tile_edge:
            return self._probabilities(slices)
        result = np.empty((len(slices), self.spec.classes, *shape), np.float32)
        for tile in tiles(shape, self._tile_edge, halo(self.spec.receptive_field, self.spec.size_multiple)):
            part = self._probabilities(np.ascontiguousarray(slices[:, :, *tile.outer_slices]))
            result[:, :, *tile.inner_slices] = part[:, :, *tile.inner_in_outer]
        return result

    def _rounded(self, edge: int) -> int:
        multiple = self.spec.size_multiple
        return max(multiple, edge // multiple * multiple)
