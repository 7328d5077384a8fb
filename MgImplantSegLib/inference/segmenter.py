"""The main job: a volume goes in, a label map on the same grid comes out."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from MgImplantSegLib import __version__
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.expected_iou import KEY, Calibration, ExpectedIoU
from MgImplantSegLib.base.machine import resident_bytes
from MgImplantSegLib.base.options import record
from MgImplantSegLib.base.remarks import remarks_of, with_remarks
from MgImplantSegLib.base.typed import present
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.inference.accumulator import VOXELS_PER_SLAB
from MgImplantSegLib.inference.backends import LoadedNetwork, load_network
from MgImplantSegLib.inference.device import Compute, keep_freed_memory
from MgImplantSegLib.inference.device_memory import device_has_room
from MgImplantSegLib.inference.estimate import (
    FIXED_BYTES,
    SUM_BITS,
    WORKING_BYTES,
    Estimate,
    box_shape,
    estimate,
    reading_bytes,
    roi_box,
)
from MgImplantSegLib.inference.fused import FusedPlan, FusedPrediction, predict_fused
from MgImplantSegLib.inference.grids import MODEL
from MgImplantSegLib.inference.memory import MemoryPlan, plan_memory
from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.inference.output_grid import ignoring_nan, labels_on_grid
from MgImplantSegLib.inference.parts import Part, has_part, key_of, merged, save_part
from MgImplantSegLib.inference.postprocess import POSTPROCESSING
from MgImplantSegLib.inference.run_statistics import RunStatistics, features_of, run_statistics
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.preprocessing.preprocess import model_grid, preprocess

if TYPE_CHECKING:
    from MgImplantSegLib.inference.tiled import TiledPredictor

PIXELS_PER_BATCH = {"cpu": 1 << 16, "cuda": 1 << 21}


@dataclass(frozen=True)
class SegmentationResult:
    """What came out.

    Parameters
    ----------
    label_map : LabelMap
        uint8, on the input's grid or the model's, with the label scheme of the model's card.
    probabilities : mapping of str to Volume, or None
        Mean probability of the planes for every segment ID, float32 on the model's grid (of the region and its
        margin, if there is one).
    disagreement : Volume or None
        Part of the planes, 0–1, whose own label is not the fused one, float32 on the model's grid.
    provenance : mapping
        Model, choices, software and time, as plain data; the expected IoU, if the model is calibrated.
    statistics : RunStatistics or None
        What the run showed of itself, on the model's grid, before post-processing.
    """

    label_map: LabelMap
    probabilities: Mapping[str, Volume] | None = None
    disagreement: Volume | None = None
    provenance: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    statistics: RunStatistics | None = None


def segment_volume(
    volume: Volume, options: SegmentOptions, events: Events | None = None, parts: Sequence[Path] = ()
) -> SegmentationResult:
    """Segment a volume.

    Parameters
    ----------
    volume : Volume
        Grey values; the array may be `SlicesOnDisk`.
    options : SegmentOptions
        Model and choices.
    events : Events
        Progress and warnings; cancelling raises `Cancelled`.
    parts : sequence of Path
        What `segment_part` has left, all parts in their order; without any the network runs here.

    Raises
    ------
    InputError
        If the model file is unusable, a choice is unknown, the volume cannot be segmented, or a part does not fit.
    ResourceError
        If the device is not there, or memory or disk do not suffice.
    """
    events, start = events or Events(), time.monotonic()
    keep_freed_memory()
    network = load_network(options.model, options.device, options.precision, options.backend)
    card, compute = network.card, network.compute
    options = options.with_defaults_of(card)
    prediction, grid, prepared, evaluations, statistics = _predict(volume, network, options, parts, events)
    classes = prediction.labels()
    POSTPROCESSING.find(present(options.postprocessing)).tidy(classes, prediction, card.label_scheme)
    expected = None if statistics is None else _expected(card, statistics, classes)
    target = model_grid(volume.geometry, card.preprocessing) if options.grid == MODEL else volume.geometry
    values, scheme = labels_on_grid(prediction, classes, grid, target, card.label_scheme, options.roi, events)
    if prepared["voxels_outside"]:
        scheme = ignoring_nan(values, target, volume, scheme)
    provenance = _provenance(card, options, compute) | {
        "clipped_to": list(prepared["clipped_to"]),
        "evaluations": evaluations,
        "seconds": round(time.monotonic() - start, 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if expected is not None:
        voxels = LabelMap(values, target, scheme).voxels_of_roles()
        provenance[KEY] = replace(expected, voxels=voxels).to_dict()
    if expected is not None and expected.is_low:
        events.warning(expected.warning(), kind=KEY)
    provenance = with_remarks(provenance, remarks_of(prepared))
    return SegmentationResult(
        LabelMap(values, target, scheme, provenance),
        _probabilities(prediction, grid, card.label_scheme) if options.want_probabilities else None,
        Volume(prediction.disagreement(), grid) if options.want_disagreement else None,
        MappingProxyType(provenance),
        statistics if options.want_statistics else None,
    )


def segment_part(volume: Volume, options: SegmentOptions, part: Part, folder: Path, events: Events) -> None:
    """Do one part of a segmentation and keep it as a folder, see `parts`; one that is there already is kept.

    Raises
    ------
    InputError, ResourceError
        As `segment_volume`; or if there are more parts than blocks of slices.
    """
    keep_freed_memory()
    network = load_network(options.model, options.device, options.precision, options.backend)
    options = options.with_defaults_of(network.card)
    sizes = _sizes(volume, network.card, options)
    memory = _memory(sizes, volume, network, options, events)
    key = _key_of_parts(volume, network.card, options)
    if has_part(folder, part, key):
        return
    array, _, _ = _prepared(volume, network.card, options, events)
    predictor = network.predictor(memory.tile_edge)
    save_part(array, predictor, _plan(predictor, options, sizes, memory), part, key, folder, events)


def _key_of_parts(volume: Volume, card: ModelCard, options: SegmentOptions) -> str:
    """Changes with the voxels, the model, and all that the sums depend on."""
    chosen = {**record(options), "model": card.hash, "roi": options.roi, "votes": options.want_disagreement}
    return key_of(volume.array, [__version__, chosen, vars(volume.geometry)])


def _predict(
    volume: Volume, network: LoadedNetwork, options: SegmentOptions, parts: Sequence[Path], events: Events
) -> tuple[FusedPrediction, Geometry, Mapping[str, Any], int, RunStatistics | None]:
    """The prediction, its grid, what `preprocess` says, number of evaluations, and statistics where they are needed.

    What the network has seen ends here.
    """
    sizes = _sizes(volume, network.card, options)
    sums_on_device = not parts and device_has_room(sizes, network, events)
    on_host = replace(sizes, accumulator_bytes=0, mapped_bytes=0) if sums_on_device else sizes
    memory = _memory(on_host, volume, network, options, events)
    array, grid, prepared = _prepared(volume, network.card, options, events)
    predictor = network.predictor(memory.tile_edge)
    plan = _plan(predictor, options, sizes, memory)
    if parts:
        prediction = merged(plan, array.shape, parts, _key_of_parts(volume, network.card, options))
    elif sums_on_device:
        from MgImplantSegLib.inference.device_fused import predict_on_devices  # needs torch

        prediction = predict_on_devices(array, present(network.on_devices)(predictor), plan, events)
    else:
        prediction = predict_fused(array, predictor, plan, events)
    needed = bool(network.card.calibration) or options.want_statistics
    return prediction, grid, prepared, sizes.evaluations, run_statistics(prediction) if needed else None


def _expected(card: ModelCard, statistics: RunStatistics, classes: np.ndarray) -> ExpectedIoU | None:
    """The expected IoU of the roles that are left after post-processing; None if the model is not calibrated."""
    calibration = Calibration.from_dict(card.calibration)
    if calibration is None:
        return None
    found = set[int]()
    for slab in slabs(classes.shape, VOXELS_PER_SLAB):
        found |= set(np.unique(classes[slab]).tolist())
    roles = frozenset(card.label_scheme.labels[index].role.value for index in found)
    return calibration.expected(features_of(statistics, card.label_scheme), statistics.planes, roles)


def _sizes(volume: Volume, card: ModelCard, options: SegmentOptions) -> Estimate:
    """What the work takes."""
    sizes = estimate(
        volume.geometry,
        card,
        present(options.planes),
        present(options.fusion),
        roi=options.roi,
        with_votes=options.want_disagreement,
        on_grid=options.grid,
    )
    return replace(sizes, finishing_bytes=sizes.finishing_bytes + _further_bytes(sizes, card, options))


def _memory(
    sizes: Estimate, volume: Volume, network: LoadedNetwork, options: SegmentOptions, events: Events
) -> MemoryPlan:
    """How the work keeps within the memory of the computer."""
    memory = plan_memory(
        sizes,
        network.card,
        options.memory_gb,
        network_on_gpu=network.compute.device != "cpu",
        network_factor=network.memory_factor,
        resident=(resident_bytes() or FIXED_BYTES - WORKING_BYTES) + network.working_bytes + _reading_bytes(volume),
    )
    if memory.accumulator_on_disk:
        events.warning("Memory is scarce: the accumulator is kept on disk, which is slower.", kind="memory")
    return memory


def _reading_bytes(volume: Volume) -> int:
    """What a scan that is read slice by slice has in memory, with the slice as the preprocessing sees it."""
    held = getattr(volume.array, "held_bytes", None)
    return 0 if held is None else reading_bytes(volume.geometry, int(held))


def _further_bytes(sizes: Estimate, card: ModelCard, options: SegmentOptions) -> int:
    """What probabilities and disagreement take beside the label maps, float32."""
    volumes = len(card.label_scheme.labels) * options.want_probabilities + options.want_disagreement
    return 4 * volumes * math.prod(sizes.predicted_shape_zyx)


def _prepared(
    volume: Volume, card: ModelCard, options: SegmentOptions, events: Events
) -> tuple[np.ndarray, Geometry, Mapping[str, Any]]:
    """What the network sees, its grid, and what `preprocess` says about the grey values."""
    prepared = preprocess(volume, card.preprocessing, events)
    array, grid = prepared.array, prepared.geometry
    if options.roi is not None:
        box = roi_box(options.roi, grid)
        array, grid = array[box], grid.cropped([part.start for part in box], box_shape(box))
    return array, grid, prepared.provenance


def _plan(predictor: TiledPredictor, options: SegmentOptions, sizes: Estimate, memory: MemoryPlan) -> FusedPlan:
    on_cpu = predictor.compute.device == "cpu"
    pixels_per_batch = PIXELS_PER_BATCH["cpu" if on_cpu else "cuda"]
    return FusedPlan(
        present(options.planes),
        present(options.fusion),
        predictor.spec.classes,
        max(1, pixels_per_batch // math.prod(sizes.largest_slice)),
        predictor.spec.size_multiple,
        predictor.spec.context,
        SUM_BITS,
        with_votes=options.want_disagreement,
        allocate=memory.allocate,
        side_by_side=not on_cpu,
    )


def _probabilities(prediction: FusedPrediction, grid: Geometry, scheme: LabelScheme) -> Mapping[str, Volume]:
    result = {label.segment_id: np.empty(grid.shape_zyx, np.float32) for label in scheme.labels}
    for slab in slabs(grid.shape_zyx, VOXELS_PER_SLAB):
        for array, values in zip(result.values(), prediction.probabilities(slab), strict=True):
            array[slab] = values
    return MappingProxyType({name: Volume(array, grid) for name, array in result.items()})


def _provenance(card: ModelCard, options: SegmentOptions, compute: Compute) -> dict[str, Any]:
    return {
        **record(options),
        "model": card.name,
        "model_hash": card.hash,
        "model_software_version": card.software_version,
        "software_version": __version__,
        "postprocessing": POSTPROCESSING.find(present(options.postprocessing)).name,
        "spacing_um": card.preprocessing.spacing_um,
        "roi": None if options.roi is None else options.roi.name,
        "grid": options.grid,
        "backend": compute.backend,
        "device": compute.device,
        "precision": compute.precision,
    }
