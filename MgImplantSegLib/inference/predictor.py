"""A trained network as the predictor of fused prediction: slices in, probabilities out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from MgImplantSegLib.inference.device import Compute, choose_compute
from MgImplantSegLib.inference.device_errors import device_errors, no_memory
from MgImplantSegLib.inference.tiled import TiledPredictor
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.model.file import load_model
from MgImplantSegLib.networks import build_network


class NetworkPredictor(TiledPredictor):
    """Computes probabilities with torch on a device.

    When the device runs out of memory, smaller batches are tried, then tiles with the halo that makes them exact; what
    fits is kept for the slices that follow. It never moves to another device on its own.

    Parameters
    ----------
    tile_edge : int
        Largest edge of a tile in pixels; slices up to it are predicted whole.
    """

    def __init__(
        self, card: ModelCard, state_dict: dict[str, torch.Tensor], compute: Compute, tile_edge: int = 1 << 16
    ) -> None:
        super().__init__(card, compute, tile_edge)
        network = build_network(card.network)
        network.load_state_dict(state_dict)
        folded = fold_batch_norms(network.eval())
        with device_errors(compute.device):
            try:
                self._network = folded.to(compute.device, memory_format=torch.channels_last)
            except torch.OutOfMemoryError as error:
                raise no_memory(compute.device, "the network", error) from error
        self._most_slices = 1 << 16

    @classmethod
    def from_file(cls, path: str | Path, device: str = "auto", precision: str = "auto") -> NetworkPredictor:
        """The predictor of a model file.

        Raises InputError if the file is not a usable model, or a word is unknown; ResourceError if the device is not
        there.
        """
        card, state_dict = load_model(path)
        return cls(card, state_dict, choose_compute(device, precision))

    def __call__(self, slices: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (batch, classes, rows, columns), of slices, float32 (batch, channels, rows, columns).

        Raises ResourceError if not even the smallest tile fits into the device's memory, or the device fails.
        """
        with device_errors(self.compute.device):
            while True:
                try:
                    pieces = [slices[n : n + self._most_slices] for n in range(0, len(slices), self._most_slices)]
                    results = [self._whole_or_tiled(piece) for piece in pieces]
                    return results[0] if len(results) == 1 else np.concatenate(results)
                except torch.OutOfMemoryError as error:
                    reason = str(error)  # the error itself holds on to the memory of the failed try
                self._ask_for_less(slices, reason)

    def _probabilities(self, slices: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), self.compute.autocast():
            batch = torch.from_numpy(slices).to(self.compute.device)
            return self.probabilities_on_device(batch).contiguous().cpu().numpy()

    def probabilities_on_device(self, slices: torch.Tensor) -> torch.Tensor:
        """Probabilities of slices that lie on the device, as they are; they stay there, float32."""
        with torch.inference_mode(), self.compute.autocast():
            batch = slices.to(memory_format=torch.channels_last)
            return self._network(batch).float().softmax(dim=1)

    def _ask_for_less(self, slices: np.ndarray, reason: str) -> None:
        in_use = min(self._most_slices, len(slices))
        edge = min(self._tile_edge, max(slices.shape[2:]))
        if in_use > 1:
            self._most_slices = in_use // 2
        elif edge > self.spec.size_multiple:
            self._tile_edge = self._rounded(edge // 2)
        else:
            raise no_memory(self.compute.device, f"a tile of {edge} pixels", reason)
        if self.compute.device.startswith("cuda"):
            torch.cuda.empty_cache()


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """The same network, in place, with every batch norm worked into the convolution before it; only for prediction."""
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for n in range(len(module) - 1):
                if isinstance(module[n], nn.Conv2d) and isinstance(module[n + 1], nn.BatchNorm2d):
                    module[n] = fuse_conv_bn_eval(module[n], module[n + 1])
                    module[n + 1] = nn.Identity()
    return network
