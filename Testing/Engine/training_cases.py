"""Small samples and configurations for the tests of training."""

from __future__ import annotations

import copy
import csv
import math
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.training.settings.configuration import TrainingConfig

GREY_OF_CLASS = np.array([20.0, 130.0, 180.0, 230.0])
OBLIQUE = (0.6, 0.8, 0.0, -0.8, 0.6, 0.0, 0.0, 0.0, 1.0)


def labelled_scan(seed: int, shape_zyx=(26, 24, 22)) -> tuple[np.ndarray, np.ndarray]:
    """A round implant with layer, striped bone and noise: grey values and labels 0–3."""
    random = np.random.default_rng(seed)
    z, y, x = np.indices(shape_zyx)
    centre_y, centre_x = np.array(shape_zyx[1:]) / 2 + random.uniform(-2, 2, 2)
    radius = np.hypot(y - centre_y, x - centre_x)
    labels = np.where((z + x) % 8 < 3, 1, 0)
    labels[radius < 7] = 2
    labels[radius < 5] = 3
    return GREY_OF_CLASS[labels] + random.normal(0, 5, shape_zyx), labels.astype(np.uint8)


def write_sample(folder: Path, seed: int, direction=OBLIQUE) -> None:
    """``image.nrrd`` and ``labels.nrrd`` with 20 µm voxels on an oblique grid."""
    folder.mkdir(parents=True)
    grey, labels = labelled_scan(seed)
    geometry = Geometry(grey.shape, (0.02, 0.02, 0.02), (3.0, -2.0, 1.0), direction)
    write_volume(Volume(grey.astype(np.float32), geometry), folder / "image.nrrd")
    write_label_map(LabelMap(labels, geometry), folder / "labels.nrrd")


def write_samples(folder: Path, count: int = 3) -> Path:
    """Samples ``s0``, ``s1``, … in `folder`."""
    for seed in range(count):
        write_sample(folder / f"s{seed}", seed)
    return folder


SMALL: dict[str, Any] = {
    "name": "small",
    "output": "runs",
    "data": {
        "spacing_um": 20.0,
        "samples": [{"image": "samples/*/image.nrrd", "labels": "samples/*/labels.nrrd"}],
    },
    "network": {"depth": 1, "width": 4},
    "augmentation": {"elastic_px": 1.0, "elastic_grid_px": 8.0, "noise_probability": 0.5, "gamma": 0.1},
    "training": {
        "input_size": 16,
        "batch_size": 4,
        "iterations": 12,
        "learning_rate": 0.01,
        "device": "cpu",
        "precision": "fp32",
        "balanced_share": 0.5,
    },
    "validation": {"every_iterations": 4, "slices_per_sample": 2},
}


def small_data(**changes: dict[str, Any] | Any) -> dict[str, Any]:
    """Plain data of the small configuration; tables in `changes` are merged, other values replaced."""
    data = copy.deepcopy(SMALL)
    for key, value in changes.items():
        if isinstance(value, dict):
            data.setdefault(key, {}).update(value)
        else:
            data[key] = value
    return data


def small_config(folder: Path, **changes: Any) -> TrainingConfig:
    """The small configuration with paths in `folder`."""
    return TrainingConfig.from_dict(small_data(**changes), folder)


def read_history(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's ``metrics.csv``; empty fields are NaN."""
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [{key: float(value) if value else math.nan for key, value in row.items()} for row in rows]
