"""The main job: a volume goes in, a label map on the same grid comes out."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from MgImplantSegLib import __version__
from MgImplantSegLib.events import Events
from MgImplantSegLib.inference.accumulator import VOXELS_PER_SLAB
from MgImplantSegLib.inference.device import Compute, choose_compute, keep_freed_memory
from MgImplantSegLib.inference.estimate import (
    FIXED_BYTES,
    SUM_BITS,
    WORKING_BYTES,
    Estimate,
    box_shape,
    estimate,
    roi_box,
)
from MgImplantSegLib.inference.fused import FusedPrediction, plane_set, predict_fused
from MgImplantSegLib.inference.fusion import fusion_rule
from MgImplantSegLib.inference.memory import MemoryPlan, plan_memory
from MgImplantSegLib.inference.output_grid import labels_on_grid
from MgImplantSegLib.inference.postprocess import Postprocessing, postprocessing
from MgImplantSegLib.labels import LabelScheme
from MgImplantSegLib.machine import resident_bytes
from MgImplantSegLib.mapped_memory import give_back_pages, is_mapped
from MgImplantSegLib.model_card import ModelCard
from MgImplantSegLib.model_file import load_model
from MgImplantSegLib.preprocess import preprocess
from MgImplantSegLib.regions import OrientedBox
from MgImplantSegLib.slabs import slabs
from MgImplantSegLib.volume import Geometry, LabelMap, Volume

if TYPE_CHECKING:
    import torch

PIXELS_PER_BATCH = {"cpu": 1 << 16, "cuda": 1 << 21}


@dataclass(frozen=True)
class SegmentOptions:
    """How to segment.

    Parameters
    ----------
    model : Path
        The model file.
    planes : str
        A key of `PLANE_SETS`.
    fusion : str
        A key of `FUSIONS`.
    device, precision : str
        See `MgImplantSegLib.inference.device.choose_compute`.
    postprocessing : str or None
        A key of `POSTPROCESSING`; None takes the default in the model's card.
    roi : OrientedBox or None
        Only this region is segmented. The label map still has the input's grid; outside the region it has the
        scheme's ignore value, because nothing is known there.
    memory_gb : float or None
        What the process may have in memory, in 1e9 bytes; None takes what the machine has free.
    want_probabilities, want_disagreement : bool
        Whether the result has them.

    Raises
    ------
    InputError
        If a choice is unknown.
    """

    model: Path
    planes: str = "3"
    fusion: str = "soft"
    device: str = "auto"
    precision: str = "auto"
    postprocessing: str | None = None
    roi: OrientedBox | None = None
    memory_gb: float | None = None
    want_probabilities: bool = False
    want_disagreement: bool = False

    def __post_init__(self) -> None:
        plane_set(self.planes)
        fusion_rule(self.fusion)
        if self.postprocessing is not None:
            postprocessing(self.postprocessing)


@dataclass(frozen=True)
class SegmentationResult:
    """What came out.

    Parameters
    ----------
    label_map : LabelMap
        uint8, on the input's grid, with the label scheme of the model's card.
    probabilities : mapping of str to Volume, or None
        Mean probability of the planes for every segment ID, float32 on the model's grid (of the region and its
        margin, if there is one).
    disagreement : Volume or None
        Part of the planes, 0–1, whose own label is not the fused one, float32 on the model's grid.
    provenance : mapping
        Model, choices, software and time, as plain data.
    """

    label_map: LabelMap
    probabilities: Mapping[str, Volume] | None = None
    disagreement: Volume | None = None
    provenance: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def segment_volume(volume: Volume, options: SegmentOptions, events: Events | None = None) -> SegmentationResult:
    """Segment a volume.

    Parameters
    ----------
    volume : Volume
        Grey values.
    options : SegmentOptions
        Model and choices.
    events : Events
        Progress and warnings; cancelling raises `Cancelled`.

    Raises
    ------
    InputError
        If the model file is unusable, a choice is unknown, or the volume cannot be segmented.
    ResourceError
        If the device is not there, or memory or disk do not suffice.
    """
    events, start = events or Events(), time.monotonic()
    job = _set_up(volume, options, events)
    prediction, grid, clipped_to = _predict(volume, job, options, events)
    classes = prediction.labels()
    job.tidy.tidy(classes, prediction, job.card.label_scheme)
    values, scheme = labels_on_grid(
        prediction, classes, grid, volume.geometry, job.card.label_scheme, options.roi, events
    )
    provenance = _provenance(job, options, clipped_to, time.monotonic() - start)
    return SegmentationResult(
        LabelMap(values, volume.geometry, scheme, provenance),
        _probabilities(prediction, grid, job.card.label_scheme) if options.want_probabilities else None,
        Volume(prediction.disagreement(), grid) if options.want_disagreement else None,
        MappingProxyType(provenance),
    )


@dataclass(frozen=True)
class _Job:
    """What is known before the first voxel is touched."""

    card: ModelCard
    weights: dict[str, torch.Tensor]
    compute: Compute
    tidy: Postprocessing
    sizes: Estimate
    plan: MemoryPlan


def _set_up(volume: Volume, options: SegmentOptions, events: Events) -> _Job:
    keep_freed_memory()
    card, weights = load_model(options.model)
    compute = choose_compute(options.device, options.precision)
    sizes = estimate(
        volume.geometry, card, options.planes, options.fusion, roi=options.roi, with_votes=options.want_disagreement
    )
    sizes = replace(sizes, finishing_bytes=sizes.finishing_bytes + _further_bytes(sizes, card, options))
    plan = plan_memory(
        sizes,
        card,
        options.memory_gb,
        network_on_gpu=compute.device != "cpu",
        resident=resident_bytes() or FIXED_BYTES - WORKING_BYTES,
        input_bytes=volume.array.nbytes if is_mapped(volume.array) else 0,
    )
    if plan.accumulator_on_disk:
        events.warning("Memory is short: the accumulator is kept on disk, which is slower.", kind="memory")
    tidy = postprocessing(options.postprocessing or card.default_postprocessing)
    return _Job(card, weights, compute, tidy, sizes, plan)


def _further_bytes(sizes: Estimate, card: ModelCard, options: SegmentOptions) -> int:
    """What probabilities and disagreement take beside the label maps, float32."""
    volumes = len(card.label_scheme.labels) * options.want_probabilities + options.want_disagreement
    return 4 * volumes * math.prod(sizes.predicted_shape_zyx)


def _predict(
    volume: Volume, job: _Job, options: SegmentOptions, events: Events
) -> tuple[FusedPrediction, Geometry, tuple[float, float]]:
    """The prediction, its grid, and the grey values that became 0 and 1."""
    from MgImplantSegLib.inference.predictor import NetworkPredictor

    give_back = (lambda: give_back_pages(volume.array)) if job.plan.gives_back_input else None
    prepared = preprocess(volume, job.card.preprocessing, events, give_back)
    array, grid = prepared.array, prepared.geometry
    if options.roi is not None:
        box = roi_box(options.roi, grid)
        array, grid = array[box], grid.cropped([part.start for part in box], box_shape(box))
    predictor = NetworkPredictor(job.card, job.weights, job.compute, tile_edge=job.plan.tile_edge)
    pixels_per_batch = PIXELS_PER_BATCH["cpu" if job.compute.device == "cpu" else "cuda"]
    prediction = predict_fused(
        array,
        predictor,
        options.planes,
        options.fusion,
        predictor.spec.classes,
        batch_size=max(1, pixels_per_batch // math.prod(job.sizes.largest_slice)),
        size_multiple=predictor.spec.size_multiple,
        sum_bits=SUM_BITS,
        with_votes=options.want_disagreement,
        allocate=job.plan.allocate,
        side_by_side=job.compute.device != "cpu",
        events=events,
    )
    return prediction, grid, prepared.provenance["clipped_to"]


def _probabilities(prediction: FusedPrediction, grid: Geometry, scheme: LabelScheme) -> Mapping[str, Volume]:
    result = {label.segment_id: np.empty(grid.shape_zyx, np.float32) for label in scheme.labels}
    for slab in slabs(grid.shape_zyx, VOXELS_PER_SLAB):
        for array, values in zip(result.values(), prediction.probabilities(slab), strict=True):
            array[slab] = values
    return MappingProxyType({name: Volume(array, grid) for name, array in result.items()})


def _provenance(job: _Job, options: SegmentOptions, clipped_to: tuple[float, float], seconds: float) -> dict[str, Any]:
    return {
        "model": job.card.name,
        "model_hash": job.card.hash,
        "model_software_version": job.card.software_version,
        "software_version": __version__,
        "planes": options.planes,
        "fusion": options.fusion,
        "postprocessing": job.tidy.name,
        "spacing_um": job.card.preprocessing.spacing_um,
        "clipped_to": list(clipped_to),
        "roi": None if options.roi is None else options.roi.name,
        "device": job.compute.device,
        "precision": job.compute.precision,
        "evaluations": job.sizes.evaluations,
        "seconds": round(seconds, 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
