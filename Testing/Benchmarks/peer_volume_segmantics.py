"""Trains and applies volume-segmantics 0.3.2 on a CPU. `peer_training` starts it with the Python that has the package.

The release knows CUDA devices only, so it is told of the CPU where it asks for one: the model's device, the batch size
(that of its larger GPUs), checkpoints that are read back. All else is its own: slices, augmentation, model, loss,
learning rate search, one cycle of the rate, best checkpoint by validation loss. The cycle follows the time spent
instead of a number of epochs, which nobody knows beforehand.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # its checkpoints hold an enum

import numpy as np
import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:  # its compiled part does not load beside this build of torch; nothing here calls it
    OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        OPERATORS.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import volume_segmantics.utilities.base_data_utils as utils
import volume_segmantics.utilities.config as cfg
from volume_segmantics.data import TrainingDataSlicer, get_settings_data
from volume_segmantics.data.augmentations import get_padded_dimension
from volume_segmantics.model import VolSeg2DPredictionManager, VolSeg2dTrainer
from volume_segmantics.model.model_2d import create_model_from_file
from volume_segmantics.model.operations import vol_seg_2d_predictor
from volume_segmantics.utilities.early_stopping import EarlyStopping

# Its own settings of that release, but for: clip_data in training as in prediction, no frozen epochs because there are
# no pre-trained weights to freeze, and the image size, which is that of the slices (see `train`).
COMMON = {"clip_data": True, "st_dev_factor": 2.575, "data_hdf5_path": "/data", "cuda_device": 0, "downsample": False}
TRAINING = COMMON | {
    "seg_hdf5_path": "/data",
    "training_axes": "All",
    "training_set_proportion": 0.8,
    "patience": 3,
    "loss_criterion": "DiceLoss",
    "alpha": 0.75,
    "beta": 0.25,
    "eval_metric": "MeanIoU",
    "pct_lr_inc": 0.3,
    "starting_lr": 1e-6,
    "end_lr": 50,
    "lr_find_epochs": 1,
    "lr_reduce_factor": 500,
    "plot_lr_graph": False,
    "model": {"type": "U_Net", "encoder_name": "resnet34", "encoder_weights": None},
}
PREDICTION = COMMON | {"output_probs": False, "one_hot": False, "prediction_axis": "Z", "quality": "medium"}
QUALITIES = {3: utils.Quality.MEDIUM, 12: utils.Quality.HIGH}
SEARCH_SHARE = 0.1  # of the time, for the search of the learning rate, where its one epoch takes longer
CYCLE_STEPS = 1000
NO_LIMIT = 1_000_000  # epochs
PACKAGES = ("volume-segmantics", "segmentation-models-pytorch", "albumentations", "torch")


class Clock:
    """Time spent as a share of the budget, and until which share the current part may go on."""

    def __init__(self, minutes: float) -> None:
        self.budget_s, self.started, self.end = 60 * minutes, time.monotonic(), 1.0

    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def share(self) -> float:
        """Time spent over the budget."""
        return self.elapsed_s() / self.budget_s

    def is_over(self) -> bool:
        """Whether the current part has to end."""
        return self.share() >= self.end


class BatchesInTime:
    """A loader whose passes end when the time is up, after one batch at least."""

    def __init__(self, loader: Any, clock: Clock) -> None:
        self.loader, self.clock = loader, clock

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        for batch in self.loader:
            yield batch
            if self.clock.is_over():
                return


class CycleInTime:
    """One cycle of the learning rate over the time that is left."""

    def __init__(self, cycle: torch.optim.lr_scheduler.OneCycleLR, clock: Clock) -> None:
        self.cycle, self.clock, self.first = cycle, clock, clock.share()

    def step(self) -> None:
        """Bring the rate to where it belongs by now."""
        share = min(1.0, (self.clock.share() - self.first) / (1 - self.first))
        while self.cycle.last_epoch < int(share * (CYCLE_STEPS - 1)):
            self.cycle.step()


class BestInTime(EarlyStopping):
    """Keeps the best checkpoint and ends when the time is up, no sooner."""

    def __init__(self, clock: Clock, path: Path, model_dict: dict[str, Any]) -> None:
        super().__init__(patience=NO_LIMIT, path=path, model_dict=model_dict)
        self.clock = clock

    def __call__(self, *state: Any) -> None:
        """Take a validation loss into account."""
        super().__call__(*state)
        self.early_stop = self.clock.is_over()


class TrainerInTime(VolSeg2dTrainer):
    """Its trainer on a CPU, with a time limit."""

    def __init__(self, images: Path, labels: Path, classes: int, settings: Any, minutes: float, rate: float) -> None:
        super().__init__(images, labels, classes, settings)
        self.model_device_num = "cpu"
        self.rate, self.iterations, self.trained_s = rate, 0, 0.0
        self.clock = Clock(minutes)
        self.training_loader = BatchesInTime(self.training_loader, self.clock)

    def _run_lr_finder(self) -> float:
        """The rate that it was given, or that of the search."""
        if not self.rate:
            self.clock.end = SEARCH_SHARE
            self.rate = float(super()._run_lr_finder())
            self.clock.end, self.iterations = 1.0, 0
        return self.rate

    def _lr_exp_stepper(self, step: int) -> float:
        share = max(step / len(self.training_loader), self.clock.share() / SEARCH_SHARE)
        return math.exp(min(1.0, share) * self.log_lr_ratio)

    def _create_oc_lr_scheduler(self, num_epochs: int, lr_to_use: float) -> CycleInTime:
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=lr_to_use, total_steps=CYCLE_STEPS, pct_start=self.settings.pct_lr_inc
        )
        return CycleInTime(cycle, self.clock)

    def _create_early_stopping(self, output_path: Path, patience: int, best_score: float | None = None) -> BestInTime:
        return BestInTime(self.clock, output_path, self.model_struc_dict)

    def _train_one_batch(self, lr_scheduler: Any, batch: Any) -> torch.Tensor:
        loss = super()._train_one_batch(lr_scheduler, batch)
        self.iterations, self.trained_s = self.iterations + 1, self.clock.elapsed_s()
        return loss

    def _load_in_weights(self, output_path: Path, optimizer: bool = False, gpu: bool = False) -> float:
        return super()._load_in_weights(output_path, optimizer=optimizer, gpu=False)


def adapt_to_cpu(threads: int) -> None:
    """Batch sizes without asking a GPU, one process that reads slices for each thread."""
    torch.set_num_threads(threads)
    cfg.NUM_WORKERS, cfg.PIN_CUDA_MEMORY = threads, False
    utils.get_batch_size = lambda settings, prediction=False: (
        cfg.BIG_CUDA_PRED_BATCH if prediction else cfg.BIG_CUDA_TRAIN_BATCH
    )
    vol_seg_2d_predictor.create_model_from_file = lambda path, _device: create_model_from_file(path, False, "cpu")


def train(explants: list[Path], folder: Path, minutes: float, rate: float, seed: int) -> dict[str, Any]:
    """Train on ``image.h5`` and ``labels.h5`` of the explants; the best checkpoint is ``model.pytorch`` in `folder`."""
    for seeded in (random.seed, np.random.seed, torch.manual_seed):
        seeded(seed)
    settings = get_settings_data(dict(TRAINING))
    images, labels = folder / "data", folder / "seg"
    for number, explant in enumerate(explants):
        slicer = TrainingDataSlicer(str(explant / "image.h5"), str(explant / "labels.h5"), settings)
        slicer.output_data_slices(images, f"data{number}")
        slicer.output_label_slices(labels, f"seg{number}")
    settings.image_size = get_padded_dimension(max(slicer.data_vol_shape))  # slices of 128² are neither scaled nor cut
    trainer = TrainerInTime(images, labels, slicer.num_seg_classes, settings, minutes, rate)
    trainer.train_model(folder / "model.pytorch", NO_LIMIT, settings.patience, create=True, frozen=False)
    slicer.clean_up_slices()
    return {
        "training_minutes": trainer.trained_s / 60,
        "iterations": trainer.iterations,
        "epochs": len(trainer.avg_valid_losses),
        "parameters": trainer._count_parameters(),
        "image_size": settings.image_size,
        "rate": trainer.rate,
        "versions": {name: version(name) for name in PACKAGES},
    }


def predict(explants: list[Path], folder: Path, directions: int) -> dict[str, Any]:
    """Segment ``image.h5`` of the explants into HDF5 files of their names in `folder`; seconds for each."""
    seconds = []
    for explant in explants:
        started = time.monotonic()
        manager = VolSeg2DPredictionManager(
            str(folder / "model.pytorch"), str(explant / "image.h5"), get_settings_data(dict(PREDICTION))
        )
        manager.predictor.model_device_num = "cpu"
        manager.predict_volume_to_path(folder / f"{explant.name}_{directions}.h5", QUALITIES[directions])
        seconds.append(time.monotonic() - started)
    return {"seconds": seconds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "predict"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("explants", type=Path, nargs="+")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.0, help="highest learning rate; 0: its search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--directions", type=int, choices=tuple(QUALITIES), default=3)
    parser.add_argument("--report", type=Path, required=True, help="JSON file for what was done")
    arguments = parser.parse_args()
    adapt_to_cpu(arguments.threads)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.task == "train":
        done = train(arguments.explants, arguments.folder, arguments.minutes, arguments.rate, arguments.seed)
    else:
        done = predict(arguments.explants, arguments.folder, arguments.directions)
    arguments.report.write_text(json.dumps(done), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
