"""Weights between a model and the same model fine-tuned: ``python Testing/Benchmarks/mix_models.py --help``.

A fine-tuned network forgets some of what it knew; weights on the straight line between both keep most of the old and of
the new (Wortsman et al. 2022, doi 10.1109/CVPR52688.2022.00780). Mean and variance of batch norm are taken anew from
patches of the run's training samples. Prints loss and IoU on the run's validation slices, on which the share is chosen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.resources import find_model
from MgImplantSegLib.model.file import load_model, save_model
from MgImplantSegLib.networks import build_network
from MgImplantSegLib.planes.plane_sets import axis_planes
from MgImplantSegLib.training.data.cache import CachedSample, cache_samples
from MgImplantSegLib.training.data.patches import PatchBatches, PatchSettings
from MgImplantSegLib.training.loop.distributed import World
from MgImplantSegLib.training.loop.losses import build_loss
from MgImplantSegLib.training.loop.run import _augmentation
from MgImplantSegLib.training.loop.validation import ValidationSlices, validate
from MgImplantSegLib.training.settings.configuration import TrainingConfig

SEED, BATCHES = 77, 40


def mixed(base: dict[str, np.ndarray], tuned: dict[str, np.ndarray], share: float) -> dict[str, torch.Tensor]:
    """Weights at `share` of the way from `base` to `tuned`, float32."""
    return {
        key: torch.lerp(torch.as_tensor(base[key]).float(), torch.as_tensor(tuned[key]).float(), share) for key in base
    }


def settle_batch_norm(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Mean and variance of every batch norm anew, in place: the averages over the batches of images."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    network.train()
    with torch.no_grad():
        for images in batches:
            network(images)
    network.eval()


def training_images(config: TrainingConfig, samples: list[CachedSample]) -> Iterable[torch.Tensor]:
    """Augmented patches as the run learns from."""
    loop, augment = config.training, _augmentation(config)
    settings = PatchSettings(loop.input_size, loop.batch_size, loop.balanced_share, config.augmentation, SEED)
    patches = PatchBatches(samples, axis_planes(config.data.planes), settings, World())
    return (augment(patches[number])[0] for number in range(BATCHES))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of the run that fine-tuned")
    parser.add_argument("tuned", type=Path, help="its model file")
    parser.add_argument("output", type=Path, help="model file to write, with the last of the shares")
    parser.add_argument("--base", default=None, help="model that it started from; default the bundled one")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.6], help="of the fine-tuned weights")
    arguments = parser.parse_args()
    config = TrainingConfig.read(arguments.run / "configuration.toml")
    samples = cache_samples(config.data.samples, config.data, Events())
    of_split = {name: [s for s in samples if s.settings.split == name] for name in ("train", "validation")}
    card, tuned = load_model(arguments.tuned)
    _card, base = load_model(find_model(arguments.base))
    network = build_network(card.network)
    slices = ValidationSlices(of_split["validation"], axis_planes(config.data.planes), config.validation, network.spec)
    loss = build_loss(config.training.loss, config.training.loss_options, config.data.scheme)
    for share in arguments.shares:
        network.load_state_dict(mixed(base, tuned, share), strict=False)
        settle_batch_norm(network, training_images(config, of_split["train"]))
        result = validate(network, slices, loss, len(config.data.classes), torch.device("cpu"), World())
        sys.stdout.write(f"share {share:g}: loss {result.loss:.4f}, mean IoU {np.nanmean(result.iou):.4f}\n")
    metrics = {"validation": {"loss": result.loss, "mean_iou": float(np.nanmean(result.iou))}}
    training = card.training | {"mixed": {"share_of_fine_tuned": share, "batch_norm_from_batches": BATCHES}}
    save_model(
        arguments.output, replace(card, metrics=metrics, training=training, calibration={}), network.state_dict()
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
