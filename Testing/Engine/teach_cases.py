"""A small model, and small scans labelled on a few slices, for the tests of teach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from training_cases import labelled_scan

from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.model.file import ModelCard, save_model
from MgImplantSegLib.networks import build_network
from MgImplantSegLib.preprocessing.preprocess import Preprocessing
from MgImplantSegLib.training.settings.augmentation_settings import AugmentationSettings
from MgImplantSegLib.training.teach.scan import LabelledScan
from MgImplantSegLib.training.teach.settings import TeachSettings
from MgImplantSegLib.training.teach.slices import SliceName, parse_slices

SPACING_MM = 0.02
SMALL = TeachSettings(
    minutes=0,
    iterations=60,
    device="cpu",
    precision="fp32",
    patch_px=16,
    batch_size=4,
    learning_rate=0.01,
    replay_share=0.0,
    settled_iterations=0,
    augmentation=AugmentationSettings(elastic_px=1.0, elastic_grid_px=8.0),
)


def write_model(path: Path, classes: int = 4, seed: int = 0) -> Path:
    """A U-Net of depth 1 and width 4 with random weights, for 20 µm voxels."""
    network = {"name": "unet", "depth": 1, "width": 4, "classes": classes}
    torch.manual_seed(seed)
    scheme = LabelScheme(LabelScheme().labels[:classes])
    save_model(path, ModelCard("small", network, Preprocessing(20.0), scheme), build_network(network).state_dict())
    return path


def write_pair(folder: Path, seed: int = 0, spacing_mm: float = SPACING_MM, slices: str = "") -> tuple[Path, Path]:
    """``scan.nrrd`` and ``labels.nrrd``; with `slices` only they are painted."""
    folder.mkdir(parents=True, exist_ok=True)
    grey, labels = labelled_scan(seed)
    geometry = Geometry(grey.shape, (spacing_mm,) * 3)
    if slices:
        labels = painted_on(labels, slices)
    write_volume(Volume(grey.astype(np.float32), geometry), folder / "scan.nrrd")
    write_label_map(LabelMap(labels, geometry), folder / "labels.nrrd")
    return folder / "scan.nrrd", folder / "labels.nrrd"


def painted_on(labels: np.ndarray, slices: str) -> np.ndarray:
    """The labels on the slices, 0 elsewhere."""
    result = np.zeros_like(labels)
    for entry in parse_slices(slices):
        result[entry.place] = labels[entry.place]
    return result


def scan_of(channels: np.ndarray, slices: tuple[SliceName, ...] = (), classes: int = 4) -> LabelledScan:
    """A scan without grey values and with these channels."""
    return LabelledScan("scan", np.zeros(channels.shape, np.uint8), channels.astype(np.uint8), classes, slices, slices)
