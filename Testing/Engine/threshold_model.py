"""A model file whose network is known exactly: the class of a pixel follows from its grey value by thresholds."""

from pathlib import Path

import torch

from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.model.file import ModelCard, save_model
from MgImplantSegLib.networks import build_network
from MgImplantSegLib.preprocessing.preprocess import Preprocessing

NETWORK = {"name": "unet", "depth": 1, "width": 1, "classes": 4, "in_channels": 1}


def threshold_weights(sharpness: float, thresholds=(0.25, 0.5, 0.75)) -> dict[str, torch.Tensor]:
    """Weights for class n where n of the thresholds lie below the pixel's value in [0, 1]; sharp ones for steps."""
    network = build_network(NETWORK)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            tensor.fill_(float("norm" in name))
        for block in (network.encoder[0], network.decoder[0]):
            for n in (0, 3):
                block[n].weight[0, 0, 1, 1] = 1  # the pixel itself, of the skipped features
                block[n + 1].weight.fill_(1)
                block[n + 1].eps = 0.0
        values = torch.tensor(thresholds)
        for _ in range(4):
            values = torch.nn.functional.mish(values)
        network.head.weight[:, 0, 0, 0] = sharpness * torch.arange(4.0)
        network.head.bias[1:] = -sharpness * values.cumsum(0)
    return network.state_dict()


def save_threshold_model(
    path: Path, spacing_um: float, scheme: LabelScheme | None = None, sharpness: float = 400.0, **card
) -> Path:
    """Write the model; percentiles 0 and 100, so grey values are scaled by their extremes."""
    preprocessing = Preprocessing(spacing_um, 0.0, 100.0)
    model_card = ModelCard("thresholds", NETWORK, preprocessing, scheme or LabelScheme(), **card)
    save_model(path, model_card, threshold_weights(sharpness))
    return path
