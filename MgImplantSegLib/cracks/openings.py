"""Find cracks and canals in a segmented scan, and write them into its label map: `with_openings`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.cracks.candidates import NO, SURELY, Filter
from MgImplantSegLib.cracks.connected import connected_parts, extents_mm
from MgImplantSegLib.cracks.contrast import Contrast, contrast_of, layers_of
from MgImplantSegLib.cracks.options import OpeningOptions
from MgImplantSegLib.cracks.sheets import sheet_response, tube_response
from MgImplantSegLib.grids.boxes import Box, bounding_box, grown, shape_of
from MgImplantSegLib.grids.labels import CANAL, CRACK, IMPLANT_ROLES, Label, LabelScheme, Role
from MgImplantSegLib.grids.volume import LabelMap, Volume
from MgImplantSegLib.quantification.field_of_view import field_of_view_of
from MgImplantSegLib.quantification.measures.distance import distance_to_mm

VOXELS_PER_SLAB = 1 << 23
GAP = 2.0  # in narrowest widths: up to this width a gap that is labelled as background already can be an opening
MARGIN = 6.0  # in narrowest widths: so far around, the background gives the grey value of the dark
ROUNDING_VOXELS = 1e-3


@dataclass(frozen=True)
class Opening:
    """A kind of opening.

    Parameters
    ----------
    label : Label
        What it becomes as a segment.
    body, matter : tuple of Role
        What it runs through, and which of these roles it can be hidden in.
    response : callable
        How much eigenvalues look like one.
    long_axes : int
        Along how many of its principal axes it reaches far: a sheet along two, a tube along one.
    """

    label: Label
    body: tuple[Role, ...]
    matter: tuple[Role, ...]
    response: Callable[[np.ndarray], np.ndarray]
    long_axes: int


LEAST_LENGTH = 3.0  # in narrowest widths: so far an opening reaches at least along its long axes
KINDS = {
    "cracks": Opening(CRACK, IMPLANT_ROLES, (Role.DEGRADATION_LAYER,), sheet_response, 2),
    "canals": Opening(CANAL, (Role.BONE,), (Role.BONE,), tube_response, 1),
}


def with_openings(
    volume: Volume,
    label_map: LabelMap,
    options: OpeningOptions,
    events: Events | None = None,
    voxels_per_slab: int = VOXELS_PER_SLAB,
) -> LabelMap:
    """The label map with the cracks and canals that the scan shows; metal stays as it is.

    Cracks are looked for in the degradation layer and in gaps of the implant, canals in bone and in gaps of bone. What
    is found becomes background, or a class of its own that measures take as background. Raises InputError if scan and
    label map lie on different grids.

    Parameters
    ----------
    label_map : LabelMap
        Its segmentation, on the same grid.
    options : OpeningOptions
        What is looked for; no `openings` gives the label map as it is.
    events : Events
        Progress, cancellation, and a warning where nothing can be looked for.
    voxels_per_slab : int
        How much is worked on at once; the result does not depend on it.
    """
    events = events or Events()
    if not options.openings:
        return label_map
    if not label_map.geometry.same_grid(volume.geometry):
        raise InputError(
            f"Expected a segmentation with the voxels of the scan, got {label_map.geometry.shape_zyx} and "
            f"{volume.geometry.shape_zyx} voxels.",
            "Export the segmentation on the scan's grid.",
        )
    found = {}
    for key in (key for key in KINDS if key in options.openings):
        found[key] = find_opening(volume, label_map, KINDS[key], options, events, voxels_per_slab)
    return _marked(label_map, found, options)


def find_opening(
    volume: Volume,
    label_map: LabelMap,
    kind: Opening,
    options: OpeningOptions,
    events: Events,
    voxels_per_slab: int = VOXELS_PER_SLAB,
) -> np.ndarray:
    """Indices (n, 3) of the voxels of all openings of a kind, in the order of the array."""
    search = _Search(volume, label_map, kind, options, voxels_per_slab)
    values = search.values(kind.matter)
    box = bounding_box(label_map.array, *values) if values else None
    if box is None:
        return np.zeros((0, 3), dtype=np.int64)
    contrast = search.contrast(grown(box, search.voxels(MARGIN), label_map.array.shape))
    if contrast is None:
        events.warning(
            f"No {kind.label.name}s were looked for: no background beside the segments is darker than they are.",
            kind="openings",
        )
        return np.zeros((0, 3), dtype=np.int64)
    voxels, is_seed = search.candidates(contrast, events)
    return voxels[_hangs_together(voxels, is_seed, kind, search)]


class _Search:
    """One kind of opening in one scan."""

    def __init__(
        self, volume: Volume, label_map: LabelMap, kind: Opening, options: OpeningOptions, voxels_per_slab: int
    ) -> None:
        self.volume, self.label_map, self.kind, self.voxels_per_slab = volume, label_map, kind, voxels_per_slab
        self.spacing_zyx_mm = volume.geometry.spacing_zyx_mm
        self.width_mm = options.width_mm(self.spacing_zyx_mm)
        width_zyx = triple(self.width_mm / spacing for spacing in self.spacing_zyx_mm)
        self.filter = Filter(width_zyx, options.opening_contrast, kind.response)
        self.seen = field_of_view_of(volume)

    def voxels(self, widths: float) -> tuple[int, int, int]:
        """A length in narrowest widths as voxels along each axis, rounded up."""
        return triple(math.ceil(widths * self.width_mm / spacing) for spacing in self.spacing_zyx_mm)

    def values(self, roles: tuple[Role, ...]) -> list[int]:
        """The values of some roles."""
        return [label.value for label in self.label_map.scheme.labels if label.role in roles]

    def mask(self, box: Box, roles: tuple[Role, ...]) -> np.ndarray:
        """Where the label map has one of some roles and the scanner has seen something."""
        return np.isin(self.label_map.array[box], self.values(roles)) & self.seen[box]

    def contrast(self, region: Box) -> Contrast | None:
        """The contrast in a region; None if there is none."""
        cell = triple(max(1, round(width)) for width in self.filter.width_zyx)
        return contrast_of(
            self.volume.array,
            region,
            cell,
            lambda box: self.mask(box, self.kind.matter),
            lambda box: self.mask(box, (Role.BACKGROUND,)),
            self.voxels_per_slab,
        )

    def candidates(self, contrast: Contrast, events: Events) -> tuple[np.ndarray, np.ndarray]:
        """Indices (n, 3) of the dark voxels that may belong to an opening, and whether each surely does."""
        region, voxels, seeds = contrast.region, [], []
        parts = layers_of(region, contrast.cell_zyx[0], self.voxels_per_slab)
        halo = max(self.filter.halo, 2 * self.voxels(GAP)[0] + 3)
        first = np.array([part.start for part in region])
        with events.task(f"{self.kind.label.name}s", len(parts)) as task:
            for part in parts:
                low, high = max(0, part.start - halo), min(shape_of(region)[0], part.stop + halo)
                box = (slice(region[0].start + low, region[0].start + high), region[1], region[2])
                found = self.filter.candidates(contrast.of(slice(low, high)), self._allowed(box))
                inner = found[part.start - low : part.stop - low]
                places = np.argwhere(inner != NO)
                seeds.append(inner[tuple(places.T)] == SURELY)
                voxels.append(places + first + (part.start, 0, 0))
                task.advance()
        return np.concatenate(voxels), np.concatenate(seeds)

    def _allowed(self, box: Box) -> np.ndarray:
        """Matter, and background in gaps of the body that a closing with a ball fills."""
        body = self.mask(box, self.kind.body)
        if not body.any():
            return body
        radius_mm = GAP / 2 * self.width_mm + ROUNDING_VOXELS * min(self.spacing_zyx_mm)
        beyond = [(voxels + 2,) * 2 for voxels in self.voxels(GAP)]  # what the border cuts goes on there
        near = distance_to_mm(np.pad(body, beyond, mode="edge"), self.spacing_zyx_mm) <= radius_mm
        closed = distance_to_mm(~near, self.spacing_zyx_mm) > radius_mm
        closed = closed[tuple(slice(low, -high) for low, high in beyond)]
        return self.mask(box, self.kind.matter) | (closed & self.mask(box, (Role.BACKGROUND,)))


def _hangs_together(voxels: np.ndarray, is_seed: np.ndarray, kind: Opening, search: _Search) -> np.ndarray:
    """Which voxels belong to connected parts with a seed that reach far enough along their long axes."""
    if len(voxels) == 0:
        return np.zeros(0, dtype=bool)
    parts = connected_parts(voxels)
    has_seed = np.bincount(parts, is_seed) > 0
    lengths = extents_mm(voxels, parts, search.spacing_zyx_mm)[:, -kind.long_axes]
    return (has_seed & (lengths >= LEAST_LENGTH * search.width_mm))[parts]


def _marked(label_map: LabelMap, found: dict[str, np.ndarray], options: OpeningOptions) -> LabelMap:
    """A copy of the label map with the openings in it."""
    scheme = label_map.scheme
    array = label_map.array.astype(np.uint8 if label_map.array.dtype == bool else label_map.array.dtype)
    for key, voxels in found.items():
        scheme, value = _with_class(scheme, KINDS[key].label, options.opening_result)
        if not np.iinfo(array.dtype).min <= value <= np.iinfo(array.dtype).max:
            array = array.astype(np.int32)
        array[tuple(voxels.T)] = value
    provenance = {**label_map.provenance, **asdict(options), "openings": list(found)}
    return replace(label_map, array=array, scheme=scheme, provenance=provenance)


def _with_class(scheme: LabelScheme, label: Label, result: str) -> tuple[LabelScheme, int]:
    """A scheme that has the class, and its value."""
    wanted = label if result == "segment" else None
    for entry in scheme.labels:
        same = (
            entry.segment_id == label.segment_id if wanted else entry.role is Role.BACKGROUND and not entry.is_opening
        )
        if same:
            return scheme, entry.value
    taken = {*scheme.values, scheme.ignore_value}
    value = next(v for v in ((label.value if wanted else 0), *range(1, 1 << 16)) if v not in taken)
    new = (
        replace(label, value=value) if wanted else Label(value, "background", "background", Role.BACKGROUND, (0, 0, 0))
    )
    return replace(scheme, labels=(*scheme.labels, new)), value
