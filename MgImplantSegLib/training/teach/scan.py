"""One scan with its labelled part, in memory on the model's grid: `LabelledScan`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import on_grid_of, read_label_map, read_volume
from MgImplantSegLib.preprocessing.preprocess import Preprocessing, preprocess
from MgImplantSegLib.training.loop.losses import IGNORE
from MgImplantSegLib.training.loop.process import warnings_only
from MgImplantSegLib.training.teach.grid import labelled_on_grid
from MgImplantSegLib.training.teach.labelled import labelled_part, painted_mask
from MgImplantSegLib.training.teach.settings import Pair
from MgImplantSegLib.training.teach.slices import SliceName

POINTS_PER_CLASS = 4096
GREY_LEVELS = 255


@dataclass(frozen=True)
class LabelledScan:
    """Grey values and channel numbers of one scan.

    Attributes
    ----------
    name : str
        For messages and the card.
    image : array
        (z, y, x), uint8, 255 for 1.
    channels : array
        (z, y, x), uint8, `IGNORE` where nothing is labelled.
    classes : int
        Number of channels.
    slices : tuple of SliceName
        Slices labelled wholly, on this grid; each is the model's slice that holds a slice of the scan.
    painted_as : tuple of SliceName
        The same slices on the scan's own grid.
    """

    name: str
    image: np.ndarray
    channels: np.ndarray
    classes: int
    slices: tuple[SliceName, ...] = ()
    painted_as: tuple[SliceName, ...] = ()

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Number of voxels."""
        return self.image.shape

    def arrays(self, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and labels (z, y, x), the same for slices along every `axis`."""
        return self.image, self.channels

    @cached_property
    def digest(self) -> str:
        """The same for the same scan on the same grid, whatever its file is called."""
        return hashlib.blake2b(np.ascontiguousarray(self.image).data, digest_size=8).hexdigest()

    @cached_property
    def voxels_per_class(self) -> tuple[int, ...]:
        """Labelled voxels, in the order of the channels."""
        counts = np.zeros(IGNORE + 1, dtype=np.int64)
        for slab in self.channels:
            counts += np.bincount(slab.ravel(), minlength=IGNORE + 1)
        return tuple(counts[: self.classes].tolist())

    @cached_property
    def labelled_per_slice(self) -> tuple[np.ndarray, ...]:
        """Labelled voxels of every slice along z, y and x."""
        known = self.channels != IGNORE
        return tuple(known.sum(axis=axes, dtype=np.int64) for axes in ((1, 2), (0, 2), (0, 1)))

    @cached_property
    def points(self) -> tuple[np.ndarray, ...]:
        """For every class some of its labelled voxels, (n, 3) as z, y, x."""
        found = []
        for channel in range(self.classes):
            places = np.flatnonzero(self.channels.ravel() == channel)
            if len(places) > POINTS_PER_CLASS:
                places = places[np.random.default_rng(0).choice(len(places), POINTS_PER_CLASS, replace=False)]
            found.append(np.stack(np.unravel_index(np.sort(places), self.shape_zyx), axis=1))
        return tuple(found)

    def without(self, slices: Sequence[SliceName]) -> LabelledScan:
        """The same scan in which these slices are not labelled, not even where others cross them."""
        channels = self.channels.copy()
        for entry in slices:
            channels[entry.place] = IGNORE
        kept = [pair for pair in zip(self.slices, self.painted_as, strict=True) if pair[0] not in slices]
        return replace(self, channels=channels, slices=tuple(p[0] for p in kept), painted_as=tuple(p[1] for p in kept))


def read_scan(
    pair: Pair, preprocessing: Preprocessing, scheme: LabelScheme, model: Path, events: Events
) -> LabelledScan:
    """Read, check and preprocess one scan and its labels.

    Parameters
    ----------
    pair : Pair
        The files, and what counts as labelled.
    preprocessing, scheme : Preprocessing, LabelScheme
        Of the model that is taught.
    model : Path
        Its file, for messages.

    Raises
    ------
    InputError
        If files cannot be read, the voxels do not coincide, nothing is labelled, or the model lacks a class.
    """
    volume = read_volume(pair.image, dataset=pair.dataset, spacing_um=pair.spacing_um)
    if not volume.spacing_is_known:
        raise InputError(
            f"Expected a scan with its voxel size, got {pair.image} with 1 mm or none.",
            "Give the voxel size in µm [[spacing_um]], or spacing_um in the file of pairs.",
        )
    label_map = _labels_of(pair, volume, events)
    labelled = labelled_part(label_map, pair, events)
    channels = channels_of(label_map, labelled.mask, scheme, model)
    prepared = preprocess(volume, preprocessing, warnings_only(events, f"Scan {pair.name!r}"))
    on_grid = labelled_on_grid(channels, volume.geometry, prepared.geometry)
    slices = tuple(_on_grid(entry, volume.geometry, prepared.geometry) for entry in labelled.slices)
    grey = np.rint(prepared.array * GREY_LEVELS).astype(np.uint8)
    return LabelledScan(pair.name, grey, on_grid, len(scheme.labels), slices, labelled.slices)


def _labels_of(pair: Pair, volume: Volume, events: Events) -> LabelMap:
    """The label map on the voxels of the scan; a warning if something is painted beyond it."""
    label_map = _read_labels(pair)
    if pair.unlabelled is not None and label_map.scheme.ignore_value != pair.unlabelled:
        label_map = replace(label_map, scheme=_with_ignore_value(label_map.scheme, pair.unlabelled))
    try:
        found = on_grid_of(label_map, volume.geometry)
    except InputError as error:
        raise InputError(f"Of {pair.name!r}: {error.message}", error.template) from error
    if found is not label_map:
        beyond = np.count_nonzero(painted_mask(label_map)) - np.count_nonzero(painted_mask(found))
        if beyond:
            events.warning(
                f"{beyond} voxels of the labels of {pair.name!r} are painted outside the scan and left out: check that "
                "they were painted on this scan.",
                "labels",
            )
    return found


def _read_labels(pair: Pair) -> LabelMap:
    """The label map of the file; its own meaning of the values counts where it has one and no roles are given."""

    def read(scheme: LabelScheme | None) -> LabelMap:
        return read_label_map(pair.labels, scheme, dataset=pair.labels_dataset, spacing_um=pair.spacing_um)

    if pair.roles or pair.unlabelled is None:
        return read(pair.scheme())
    try:
        return read(None)
    except InputError:  # the value for "not labelled" is none that the file explains
        return read(_with_ignore_value(LabelScheme(), pair.unlabelled))


def _with_ignore_value(scheme: LabelScheme, value: int) -> LabelScheme:
    return LabelScheme(tuple(label for label in scheme.labels if label.value != value), value)


def channels_of(label_map: LabelMap, mask: np.ndarray, scheme: LabelScheme, model: Path) -> np.ndarray:
    """The model's channel (uint8) of every voxel within the mask; `IGNORE` elsewhere.

    Raises
    ------
    InputError
        If the model has no channel for a class within the mask.
    """
    channel_of_role = {label.role: channel for channel, label in reversed(list(enumerate(scheme.labels)))}
    channels = np.full(mask.shape, IGNORE, dtype=np.uint8)
    for label in label_map.scheme.labels:
        places = mask & (label_map.array == label.value)
        if label.role in channel_of_role:
            channels[places] = channel_of_role[label.role]
        elif places.any():
            raise InputError(
                f"Expected a model with the labelled classes, got {model.name} without {label.role.value}; "
                f"it has {', '.join(entry.role.value for entry in scheme.labels)}.",
                "Start from another model [[from]], or assign another role to the class [[roles]].",
            )
    return channels


def _on_grid(entry: SliceName, grid: Geometry, target: Geometry) -> SliceName:
    """The slice of `target` that holds the middle of a slice of `grid`, whose axes run alike."""
    index = np.zeros(3)
    index[entry.axis] = entry.index
    there = target.index_zyx_from_lps(grid.lps_from_index_zyx(index))[entry.axis]
    return SliceName(entry.axis, int(np.clip(np.floor(there + 0.5), 0, target.shape_zyx[entry.axis] - 1)))
