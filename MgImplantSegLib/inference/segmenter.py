"""The main job: a volume goes in, a label map on the same grid comes out."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
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


def segment_volume(volume: Volume, options: SegmentOptions, events: Events | None = None) -> SegmentationResult:
    """Segment a volume of grey values, whose array may be `SlicesOnDisk`.

    Raises InputError if the model file is unusable, a choice is unknown, or the volume cannot be segmented;
    ResourceError if the device is not there, or memory or disk do not suffice.
    """
    return SegmentationRun(volume, options, events).result()


class SegmentationRun:
    """A volume, a model and the choices: loaded and prepared once, whether segmented as a whole or in parts.

    Raises what `segment_volume` raises.
    """

    def __init__(self, volume: Volume, options: SegmentOptions, events: Events | None = None) -> None:
        self._start, self._events, self._volume = time.monotonic(), events or Events(), volume
        keep_freed_memory()
        self._network = load_network(options.model, options.device, options.precision, options.backend)
        self._card = self._network.card
        self._options = options.with_defaults_of(self._card)
        self._sizes = _sizes(volume, self._card, self._options)
        self._sums_on_device = False

    def do_part(self, part: Part, folder: Path) -> None:
        """Do one part and keep it as a folder, see `parts`; one that is there already is kept.

        Raises InputError if there are more parts than blocks of slices.
        """
        if not has_part(folder, part, self._key):
            array, _, _ = self._prepared
            save_part(array, self._predictor, self._plan, part, self._key, folder, self._events)

    def result(self, parts: Sequence[Path] = ()) -> SegmentationResult:
        """The segmentation, of `parts` that `do_part` has left, all in their order, or else by the network now.

        Ends the run. Raises InputError if a part does not fit.
        """
        card, options, events = self._card, self._options, self._events
        self._sums_on_device = not parts and device_has_room(self._sizes, self._network, events)
        prediction = self._predict(parts)
        _, grid, prepared = self._prepared
        del self._prepared  # what the network has seen is needed no more
        needed = bool(card.calibration) or options.want_statistics
        statistics = run_statistics(prediction) if needed else None
        classes = prediction.labels()
        POSTPROCESSING.find(present(options.postprocessing)).tidy(classes, prediction, card.label_scheme)
        expected = None if statistics is None else _expected(card, statistics, classes)
        geometry = self._volume.geometry
        target = model_grid(geometry, card.preprocessing) if options.grid == MODEL else geometry
        values, scheme = labels_on_grid(prediction, classes, grid, target, card.label_scheme, options.roi, events)
        if prepared["voxels_outside"]:
            scheme = ignoring_nan(values, target, self._volume, scheme)
        provenance = _provenance(card, options, self._network.compute) | {
            "clipped_to": list(prepared["clipped_to"]),
            "evaluations": self._sizes.evaluations,
            "seconds": round(time.monotonic() - self._start, 1),
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

    def _predict(self, parts: Sequence[Path]) -> FusedPrediction:
        array, _, _ = self._prepared
        if parts:
            return merged(self._plan, array.shape, parts, self._key)
        if not self._sums_on_device:
            return predict_fused(array, self._predictor, self._plan, self._events)
        from MgImplantSegLib.inference.device_fused import predict_on_devices  # needs torch

        networks = present(self._network.on_devices)(self._predictor)
        return predict_on_devices(array, networks, self._plan, self._events)

    @cached_property
    def _key(self) -> str:
        """Changes with the voxels, the model, and all that the sums depend on."""
        options = self._options
        chosen = {**record(options), "model": self._card.hash, "roi": options.roi, "votes": options.want_disagreement}
        return key_of(self._volume.array, [__version__, chosen, vars(self._volume.geometry)])

    @cached_property
    def _memory(self) -> MemoryPlan:
        sizes = self._sizes
        if self._sums_on_device:
            sizes = replace(sizes, accumulator_bytes=0, mapped_bytes=0)
        return _memory(sizes, self._volume, self._network, self._options, self._events)

    @cached_property
    def _prepared(self) -> tuple[np.ndarray, Geometry, Mapping[str, Any]]:
        """What the network sees, its grid, and what `preprocess` says about the grey values."""
        _ = self._memory  # planned, and refused, before the scan is read
        volume, roi = self._volume, self._options.roi
        prepared = preprocess(volume, self._card.preprocessing, self._events)
        array, grid = prepared.array, prepared.geometry
        if roi is not None:
            box = roi_box(roi, grid)
            array, grid = array[box], grid.cropped([part.start for part in box], box_shape(box))
        return array, grid, prepared.provenance

    @cached_property
    def _predictor(self) -> TiledPredictor:
        return self._network.predictor(self._memory.tile_edge)

    @cached_property
    def _plan(self) -> FusedPlan:
        predictor, options = self._predictor, self._options
        on_cpu = predictor.compute.device == "cpu"
        pixels_per_batch = PIXELS_PER_BATCH["cpu" if on_cpu else "cuda"]
        return FusedPlan(
            present(options.planes),
            present(options.fusion),
            predictor.spec.classes,
            max(1, pixels_per_batch // math.prod(self._sizes.largest_slice)),
            predictor.spec.size_multiple,
            predictor.spec.context,
            SUM_BITS,
            with_votes=options.want_disagreement,
            allocate=self._memory.allocate,
            side_by_side=not on_cpu,
        )


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
    """What the work takes, with the probabilities and disagreement that are wanted."""
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
