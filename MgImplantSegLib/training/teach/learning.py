"""The loop: patches, steps, the held-out part, the settled end."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from MgImplantSegLib.base.events import Events, Task
from MgImplantSegLib.grids.labels import LabelScheme, Role
from MgImplantSegLib.planes.plane_sets import axis_planes
from MgImplantSegLib.preprocessing.preprocess import Preprocessing
from MgImplantSegLib.training.data.augmentation import Augmentation
from MgImplantSegLib.training.data.patches import PatchSettings
from MgImplantSegLib.training.loop.learner import Learner
from MgImplantSegLib.training.teach.batch_statistics import renew_statistics
from MgImplantSegLib.training.teach.course import Course
from MgImplantSegLib.training.teach.held_out import HeldOut, measure, named
from MgImplantSegLib.training.teach.patches import SparsePatches
from MgImplantSegLib.training.teach.replay import (
    ITERATIONS_BETWEEN,
    MOST_EXPLANTS,
    can_replay,
    replay_scan,
    replay_size,
)
from MgImplantSegLib.training.teach.scan import LabelledScan
from MgImplantSegLib.training.teach.settings import TeachSettings

PLANES = axis_planes("3")
SECONDS_BETWEEN_METRICS = 2.0
STEPS_TO_FIRST_MEASUREMENT = 20  # after seconds, so that the user sees whether teaching does anything
MEASURING_SHARE = 0.05  # of the computing
PASSES_OF_STEP = 3  # a pixel learned from is computed so often as one that is predicted: there and back
PIXELS_FOR_CURVE = 100_000  # of every orientation, for the statistics behind a point of the curve


@dataclass
class HeldOutResult:
    """What was measured on the held-out slices: before the round, and when they were about to be learned from too."""

    before: dict[str, Any]
    after: dict[str, Any]
    iteration: int = 0
    slices_learned: int = 0


class Teaching:
    """One round of learning; `run` is the loop.

    Parameters
    ----------
    settings : TeachSettings
        How.
    scans : sequence of LabelledScan
        All that is labelled.
    held_out : HeldOut
        What is kept from learning in the first part.
    learner : Learner
        The network and what a step is.
    preprocessing, scheme : Preprocessing, LabelScheme
        Of the model, for simulated explants.
    course : Course
        How long.
    events : Events
        Progress with the time left, and metrics: ``loss``, ``held_out_mean_iou``.
    """

    def __init__(
        self,
        settings: TeachSettings,
        scans: Sequence[LabelledScan],
        held_out: HeldOut,
        learner: Learner,
        preprocessing: Preprocessing,
        scheme: LabelScheme,
        course: Course,
        events: Events,
    ) -> None:
        self.settings, self.scans, self.held_out = settings, list(scans), held_out
        self.learner, self.course, self.events = learner, course, events
        self._preprocessing, self._scheme = preprocessing, scheme
        self._roles = [label.role.value for label in scheme.labels]
        self._replay: list[LabelledScan] = []
        can = can_replay(scheme) and replay_size(preprocessing) and settings.replay_share
        self._replay_wanted = MOST_EXPLANTS if can else 0
        self._patches = self._patches_of(held_out.removed_from(scans) if held_out.measured else self.scans)
        self._is_holding = bool(held_out.measured)
        self.held_out_result: HeldOutResult | None = None
        self._reported_at = time.monotonic()
        self._losses: list[float] = []
        self._next_measurement = 0

    def run(self) -> str:
        """Learn to the end; returns why it ended.

        Raises
        ------
        Cancelled
            If the user has asked to stop.
        """
        with self.events.task("teaching", 100) as task:
            while True:
                share = self.course.share()
                if self.course.part_is_over(share):
                    if not self._is_holding:
                        break
                    if self.course.is_stopped:
                        self._measure_held_out(self.settings.statistics_slices)
                        break
                    self._release_held_out(share)
                self._measure_now_and_then(share)
                self._add_replay_now_and_then()
                loss = self.learner.step(self._patches[self.course.iteration], self.course.rate(share))
                self.course.note(loss, share)
                self._report_now_and_then(loss, share)
                self._advance(task)
        return self._reason()

    def _release_held_out(self, share: float) -> None:
        """Measure what has not been learned from for the last time, and learn from it too."""
        self._measure_held_out(self.settings.statistics_slices)
        self._is_holding = False
        self._patches = self._patches_of(self.scans)
        self.course.begin_last_part(share)

    def _measure_now_and_then(self, share: float) -> None:
        iteration = self.course.iteration
        if not self._is_holding or iteration < self._next_measurement:
            return
        largest = max(math.prod(sorted(scan.shape_zyx)[1:]) for scan in self.scans)
        slices = max(1, min(self.settings.statistics_slices, PIXELS_FOR_CURVE // largest))
        self.course.note_held_out(self._measure_held_out(slices), share)
        steps = self._steps_between_measurements(slices) if iteration else STEPS_TO_FIRST_MEASUREMENT
        self._next_measurement = iteration + steps

    def _steps_between_measurements(self, statistics_slices: int) -> int:
        """So many that measuring takes its share of the computing and no more."""
        measured = sum(self.scans[number].channels[entry.place].size for number, entry in self.held_out.measured)
        for scan in self.scans:
            measured += statistics_slices * sum(math.prod(scan.shape_zyx) // length for length in scan.shape_zyx)
        learned = PASSES_OF_STEP * self.settings.batch_size * self.settings.patch_px**2
        return max(STEPS_TO_FIRST_MEASUREMENT, math.ceil(measured / (MEASURING_SHARE * learned)))

    def _measure_held_out(self, statistics_slices: int) -> float:
        """Measure, report, and return the mean IoU."""
        iou = named(self._iou_on_held_out(statistics_slices), self._roles)
        if self.held_out_result is None:
            self.held_out_result = HeldOutResult(iou, iou)
        self.held_out_result.after = iou
        self.held_out_result.iteration = self.course.iteration
        self.held_out_result.slices_learned = sum(len(scan.slices) for scan in self.held_out.removed_from(self.scans))
        self.events.metric(
            iteration=self.course.iteration,
            elapsed_s=round(self.course.elapsed_s, 1),
            held_out_mean_iou=iou["mean"],
            **{f"held_out_iou_{role}": iou[role] for role in self._roles},
        )
        return float(iou["mean"])

    def _iou_on_held_out(self, statistics_slices: int) -> list[float]:
        """Of the model as it would be written now, with the statistics of so many slices of every orientation."""
        multiple, arithmetic = self.learner.network.spec.size_multiple, self.learner.arithmetic
        network = copy.deepcopy(self.learner.trained_network)
        if self.settings.statistics_slices and self.course.iteration:
            self.renew_statistics(network, statistics_slices)
        network.eval()

        def predict(images: torch.Tensor) -> torch.Tensor:
            with torch.no_grad(), arithmetic.autocast():
                return network(images.to(memory_format=torch.channels_last)).float()

        return measure(predict, self.scans, self.held_out.measured, multiple, arithmetic.device)

    def renew_statistics(self, network: nn.Module, slices: int) -> None:
        """Give a network the batch norm statistics of so many slices of every scan and orientation."""
        pixels = self.settings.batch_size * self.settings.patch_px**2
        multiple = self.learner.network.spec.size_multiple
        renew_statistics(network, self.scans, PLANES, slices, multiple, pixels, self.learner.arithmetic)

    def _add_replay_now_and_then(self) -> None:
        made = len(self._replay)
        if made < self._replay_wanted and self.course.iteration >= ITERATIONS_BETWEEN * made:
            scan = replay_scan(made, self.settings.seed, self._preprocessing, self._scheme, self.events)
            self._replay.append(scan)
            self._patches.add_replay(scan)

    def _patches_of(self, scans: Sequence[LabelledScan]) -> SparsePatches:
        settings = self.settings
        chosen = PatchSettings(
            settings.patch_px, settings.batch_size, settings.balanced_share, settings.augmentation, settings.seed
        )
        return SparsePatches(scans, self._replay, PLANES, chosen, settings.replay_share, settings.slice_exponent)

    def _report_now_and_then(self, loss: float, share: float) -> None:
        self._losses.append(loss)
        if time.monotonic() - self._reported_at < SECONDS_BETWEEN_METRICS and self.course.iteration > 1:
            return
        self._reported_at = time.monotonic()
        self.events.metric(
            iteration=self.course.iteration,
            elapsed_s=round(self.course.elapsed_s, 1),
            loss=sum(self._losses) / len(self._losses),
            learning_rate=self.course.rate(share),
        )
        self._losses = []

    def _advance(self, task: Task) -> None:
        share = self.course.share()
        stage = "teaching" if not self._is_holding else "teaching, a slice held out"
        task.advance(max(0.0, 100 * self.course.done(share) - task.done), stage)

    def _reason(self) -> str:
        if self.course.is_stopped:
            return "stopped on request"
        if self.course.settled:
            return "settled"
        by_iterations = self.settings.iterations and self.course.iteration >= self.settings.iterations
        return "all iterations done" if by_iterations else "time is up"


def augmentation_of(settings: TeachSettings, scheme: LabelScheme) -> Augmentation:
    """What turns raw patches into those that are learned from."""
    channel = {label.role: number for number, label in enumerate(scheme.labels)}
    return Augmentation(
        settings.augmentation,
        settings.patch_px,
        channel.get(Role.BACKGROUND),
        channel.get(Role.DEGRADATION_LAYER),
    )
