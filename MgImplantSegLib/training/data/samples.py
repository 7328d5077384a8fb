"""One sample from its files: preprocessed image and channel numbers on one grid, everything checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.regions import read_roi_markups
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.io import read_label_map, read_volume
from MgImplantSegLib.io.grids import along_axes_of, require_placement
from MgImplantSegLib.io.label_maps import RolesError
from MgImplantSegLib.preprocessing.preprocess import Preprocessing, preprocess
from MgImplantSegLib.training.loop.losses import IGNORE
from MgImplantSegLib.training.settings.data_settings import DataSettings, SampleSettings

ROLES_REMEDY = "Specify its role in the sample's `roles`, or make it the `ignore_value`."


@dataclass(frozen=True)
class Sample:
    """Grey values in [0, 1] and channel numbers (`IGNORE` where nothing is known), both (z, y, x)."""

    image: np.ndarray
    channels: np.ndarray
    geometry: Geometry


def read_sample(settings: SampleSettings, data: DataSettings, events: Events) -> Sample:
    """Read, check and preprocess one sample.

    Raises InputError if files cannot be read, the grids do not belong together, or label values are out of range.
    """
    volume = read_volume(settings.image, dataset=settings.dataset, spacing_um=settings.spacing_um)
    label_map = _read_labels(settings)
    label_map = _on_axes_of(label_map, volume.geometry, settings)
    channels = channels_of(label_map, data.scheme, settings)
    if settings.roi is not None:
        channels = np.where(_inside_boxes(settings.roi, label_map.geometry), channels, np.uint8(IGNORE))
    preprocessing = Preprocessing(data.spacing_um, data.lower_percentile, data.upper_percentile)
    image = preprocess(volume, preprocessing, events)
    return Sample(image.array, nearest_on_grid(channels, label_map.geometry, image.geometry), image.geometry)


def _read_labels(settings: SampleSettings) -> LabelMap:
    try:
        return read_label_map(
            settings.labels, settings.scheme(), dataset=settings.labels_dataset, spacing_um=settings.spacing_um
        )
    except InputError as error:
        remedy = ROLES_REMEDY if isinstance(error, RolesError) else error.remedy
        raise InputError(f"In the sample {settings.name!r}: {error.message}", remedy) from error


def _on_axes_of(label_map: LabelMap, whole: Geometry, settings: SampleSettings) -> LabelMap:
    """The label map along the axes of the image; raises InputError unless its voxels are voxels of the image."""
    what = f"label map of the sample {settings.name!r}"
    place = require_placement(label_map.geometry, whole, what)
    if not place.is_inside(whole.shape_zyx):
        last = tuple(start + count - 1 for start, count in zip(place.start_zyx, place.shape_zyx, strict=True))
        raise InputError(
            f"Expected a {what} on voxels of its image, got an image of {whole.shape_zyx} voxels and labels from voxel "
            f"{place.start_zyx} to {last} (z, y, x).",
            "Crop or resample the label map, or correct its origin.",
        )
    return along_axes_of(label_map, whole, what)


def channels_of(label_map: LabelMap, network_scheme: LabelScheme, settings: SampleSettings) -> np.ndarray:
    """The channel number (uint8) of every voxel; `IGNORE` where the label map says "nothing known".

    Raises InputError if a value has no role or its role is not among the network's classes.
    """
    channel_of_role = {label.role: channel for channel, label in enumerate(network_scheme.labels)}
    scheme = label_map.scheme
    channel_of_value = {
        label.value: channel_of_role[label.role] for label in scheme.labels if label.role in channel_of_role
    }
    channels = np.full(label_map.array.shape, IGNORE, dtype=np.uint8)  # filled slab by slab, to spare memory
    for slab, target in zip(label_map.array, channels, strict=True):
        for value in np.unique(slab).tolist():
            if value == scheme.ignore_value:
                continue
            if value not in channel_of_value:
                raise InputError(
                    f"Expected the label values {sorted(channel_of_value)} in the sample {settings.name!r}, "
                    f"got {value} in {int((label_map.array == value).sum())} voxels.",
                    ROLES_REMEDY,
                )
            target[slab == value] = channel_of_value[value]
    return channels


def nearest_on_grid(channels: np.ndarray, grid: Geometry, target: Geometry) -> np.ndarray:
    """`channels` on a grid with the same directions of axes, by nearest neighbour; `IGNORE` outside."""
    first = grid.index_zyx_from_lps(target.lps_from_index_zyx(np.zeros(3)))
    step = np.array(target.spacing_zyx_mm) / np.array(grid.spacing_zyx_mm)
    result = np.full(target.shape_zyx, IGNORE, dtype=np.uint8)
    source, place = [], []
    for axis in range(3):
        index = np.floor(first[axis] + step[axis] * np.arange(target.shape_zyx[axis]) + 0.5 + 1e-6).astype(int)
        valid = (index >= 0) & (index < grid.shape_zyx[axis])
        source.append(index[valid])
        place.append(np.flatnonzero(valid))
    result[np.ix_(*place)] = channels[np.ix_(*source)]
    return result


def _inside_boxes(path: Path, geometry: Geometry) -> np.ndarray:
    inside = np.zeros(geometry.shape_zyx, dtype=bool)
    for box in read_roi_markups(path):
        inside |= box.mask(geometry)
    return inside
