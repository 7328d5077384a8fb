"""Simulated explants that are learned from besides, so that what the model knew is not forgotten."""

from __future__ import annotations

import math

import numpy as np

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.preprocessing.preprocess import Preprocessing, preprocess
from MgImplantSegLib.simulation import ImplantKind, SimulationSettings, simulate_explant
from MgImplantSegLib.training.loop.losses import IGNORE
from MgImplantSegLib.training.loop.process import silent
from MgImplantSegLib.training.teach.scan import GREY_LEVELS, LabelledScan

SIZE, LARGEST_SIZE = 96, 160
LEAST_FIELD_UM = 1250.0
MOST_EXPLANTS, ITERATIONS_BETWEEN = 6, 6  # one after the other, so that learning begins at once
FIRST_SEED = 7_400_000


def replay_size(preprocessing: Preprocessing) -> int:
    """Edge of the explants in voxels; 0 where voxels are so fine that making them would take too long."""
    size = max(SIZE, math.ceil(LEAST_FIELD_UM / preprocessing.spacing_um))
    return size if size <= LARGEST_SIZE and preprocessing.spacing_um <= 100 else 0


def can_replay(scheme: LabelScheme) -> bool:
    """Whether the model has a channel for every class of a simulated explant."""
    return {label.role for label in LabelScheme().labels} <= {label.role for label in scheme.labels}


def replay_scan(
    number: int, seed: int, preprocessing: Preprocessing, scheme: LabelScheme, events: Events
) -> LabelledScan:
    """Simulated explant `number` of a round, wholly labelled, on the model's grid; with random shape and scanner."""
    settings = SimulationSettings(
        replay_size(preprocessing),
        preprocessing.spacing_um,
        FIRST_SEED + 1000 * (seed % 1000) + number,
        kind=tuple(ImplantKind)[number % 3],
    )
    explant = simulate_explant(settings, silent(events))
    channel_of_role = {label.role: channel for channel, label in reversed(list(enumerate(scheme.labels)))}
    channels = np.full(explant.labels.array.shape, IGNORE, dtype=np.uint8)
    for label in explant.labels.scheme.labels:
        channels[explant.labels.array == label.value] = channel_of_role[label.role]
    image = preprocess(explant.image, preprocessing, silent(events)).array
    return LabelledScan("simulated", np.rint(image * GREY_LEVELS).astype(np.uint8), channels, len(scheme.labels))
