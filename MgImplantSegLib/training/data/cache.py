"""Preprocessed samples on disk, memory-mapped, keyed by the content of their files and by the settings.

An entry is a folder: ``image.npy`` and ``labels.npy`` (z, y, x), for large volumes the same with x first (slices along
x would otherwise touch the whole file), ``places.npz`` and ``sample.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.file_digests import FileDigests
from MgImplantSegLib.base.files import atomic_folder, output_errors, require_writable_folder
from MgImplantSegLib.base.text_files import json_table
from MgImplantSegLib.base.typed import present
from MgImplantSegLib.io.companions import files_behind
from MgImplantSegLib.training.data.samples import Sample, read_sample
from MgImplantSegLib.training.loop.losses import IGNORE
from MgImplantSegLib.training.loop.process import warnings_only
from MgImplantSegLib.training.settings.data_settings import DataSettings, SampleSettings

CACHE_VERSION = 2
VOXELS_WORTH_A_SECOND_COPY = 1 << 26
POINTS_PER_CLASS = 4096
DIGESTS, FACTS = "digests.json", "sample.json"
ARRAYS = ("image.npy", "labels.npy", "places.npz")


@dataclass(frozen=True)
class CachedSample:
    """A sample in the cache; its arrays are memory-mapped when they are first asked for.

    Attributes
    ----------
    settings : SampleSettings
        Its settings in the configuration.
    folder : Path
        Its entry in the cache.
    shape_zyx : tuple of int
        Number of voxels after resampling.
    voxels_per_class : tuple of int
        In the order of the network's channels; ignored voxels are not counted.
    """

    settings: SampleSettings
    folder: Path
    shape_zyx: tuple[int, int, int]
    voxels_per_class: tuple[int, ...]

    @property
    def name(self) -> str:
        """The sample's name."""
        return self.settings.name

    @cached_property
    def places(self) -> dict[str, np.ndarray]:
        """``known_0…2``: slices along z, y, x with a known voxel; ``class_N``: some of its voxels (n, 3) as z, y, x."""
        with np.load(self.folder / "places.npz") as arrays:
            return dict(arrays)

    def arrays(self, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and labels (z, y, x), memory-mapped so that slices along `axis` (0, 1, 2 = z, y, x) are quick."""
        return self._arrays_x_first if axis == 2 else self._arrays

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return tuple(np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in ("image", "labels"))

    @cached_property
    def _arrays_x_first(self) -> tuple[np.ndarray, np.ndarray]:
        paths = [self.folder / f"{name}_x_first.npy" for name in ("image", "labels")]
        if not all(path.exists() for path in paths):
            return self._arrays
        return tuple(np.load(path, mmap_mode="r").transpose(1, 2, 0) for path in paths)

    def __getstate__(self) -> dict:
        """Without the memory maps, so that worker processes open them themselves."""
        return {name: self.__dict__[name] for name in ("settings", "folder", "shape_zyx", "voxels_per_class")}


def cache_samples(samples: Iterable[SampleSettings], data: DataSettings, events: Events) -> list[CachedSample]:
    """All samples as entries of the cache; those that are not there yet are read and preprocessed.

    Raises InputError if a sample cannot be used; OutputError if the cache cannot be written.
    """
    samples = list(samples)
    with output_errors(data.cache):
        data.cache.mkdir(parents=True, exist_ok=True)
    require_writable_folder(data.cache)
    digests = FileDigests.read(data.cache / DIGESTS)
    cached = []
    with events.task("reading samples", len(samples)) as task:
        for settings in samples:
            cached.append(_cached(settings, data, digests, events))
            task.advance()
    digests.write(data.cache / DIGESTS)
    return cached


def _cached(settings: SampleSettings, data: DataSettings, digests: FileDigests, events: Events) -> CachedSample:
    folder = data.cache / _key(settings, data, digests)
    facts = _facts_of(folder)
    if facts is None:
        sample = read_sample(settings, data, warnings_only(events, f"Sample {settings.name!r}"))
        _write_entry(folder, sample, len(data.classes), data.cache_type)
        facts = present(_facts_of(folder))
    counts = tuple(facts["voxels_per_class"])
    _check_classes(settings, counts, data, events)
    return CachedSample(settings, folder, tuple(facts["shape_zyx"]), counts)


def _facts_of(folder: Path) -> dict[str, Any] | None:
    """What is known of a complete entry; None if there is none."""
    facts = json_table(folder / FACTS)
    is_complete = {"shape_zyx", "voxels_per_class"} <= facts.keys()
    return facts if is_complete and all((folder / name).is_file() for name in ARRAYS) else None


def _check_classes(settings: SampleSettings, counts: tuple[int, ...], data: DataSettings, events: Events) -> None:
    present = [data.classes[channel] for channel, count in enumerate(counts) if count]
    if not present:
        raise InputError(
            f"Expected labels in the sample {settings.name!r}, got the ignore value everywhere.",
            "Check its ignore value and its ROI.",
        )
    if len(present) == 1:
        events.warning(f"The sample {settings.name!r} holds one class only: {present[0]}.", "one_class")


def _write_entry(folder: Path, sample: Sample, classes: int, cache_type: str) -> None:
    with atomic_folder(folder, replace=True) as temporary:
        image = _compact(sample.image, cache_type)
        for name, array in (("image", image), ("labels", sample.channels)):
            np.save(temporary / f"{name}.npy", array)
            if array.size >= VOXELS_WORTH_A_SECOND_COPY:
                np.save(temporary / f"{name}_x_first.npy", np.ascontiguousarray(array.transpose(2, 0, 1)))
        counts = _voxels_per_class(sample.channels, classes)
        places: dict[str, Any] = dict(_places(sample.channels, counts))
        np.savez(temporary / "places.npz", **places)
        facts = {"shape_zyx": list(image.shape), "voxels_per_class": counts.sum(axis=0).tolist()}
        (temporary / FACTS).write_text(json.dumps(facts), encoding="utf-8")


def _compact(image: np.ndarray, cache_type: str) -> np.ndarray:
    """Grey values in [0, 1] as float16, or as uint8 with 255 for 1; slab by slab."""
    if cache_type == "float16":
        return image.astype(np.float16)
    compact = np.empty(image.shape, dtype=np.uint8)
    for index, slab in enumerate(image):
        compact[index] = np.rint(np.clip(slab, 0, 1) * 255)
    return compact


def _voxels_per_class(channels: np.ndarray, classes: int) -> np.ndarray:
    """Number of voxels, (slices along z, classes)."""
    return np.array([np.bincount(slab.ravel(), minlength=IGNORE + 1)[:classes] for slab in channels])


def _places(channels: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Slices with known voxels along each axis, and random voxels of every class; slab by slab, to spare memory."""
    along = [np.zeros(size, dtype=bool) for size in channels.shape]
    points: list[list[np.ndarray]] = [[] for _ in range(counts.shape[1])]
    before = np.cumsum(counts, axis=0) - counts
    chosen = [_random_ranks(int(total)) for total in counts.sum(axis=0)]
    for z, slab in enumerate(channels):
        known = slab != IGNORE
        along[0][z] = known.any()
        along[1] |= known.any(axis=1)
        along[2] |= known.any(axis=0)
        for channel, ranks in enumerate(chosen):
            first, last = np.searchsorted(ranks, (before[z, channel], before[z, channel] + counts[z, channel]))
            if first < last:
                places = np.flatnonzero(slab.ravel() == channel)[ranks[first:last] - before[z, channel]]
                y, x = np.unravel_index(places, slab.shape)
                points[channel].append(np.stack((np.full_like(y, z), y, x), axis=1))
    result = {f"known_{axis}": np.flatnonzero(known) for axis, known in enumerate(along)}
    for channel, found in enumerate(points):
        result[f"class_{channel}"] = np.concatenate(found) if found else np.empty((0, 3), dtype=np.int64)
    return result


def _random_ranks(count: int) -> np.ndarray:
    """At most `POINTS_PER_CLASS` different numbers below `count`, in ascending order."""
    if count <= POINTS_PER_CLASS:
        return np.arange(count)
    return np.unique(np.random.default_rng(0).integers(count, size=POINTS_PER_CLASS))


def _key(settings: SampleSettings, data: DataSettings, digests: FileDigests) -> str:
    """A name for the entry that changes with anything its arrays depend on."""
    facts = {
        "version": CACHE_VERSION,
        "files": [
            digests.of_all(files_behind(path)) for path in (settings.image, settings.labels, settings.roi) if path
        ],
        "sample": [
            settings.roles,
            settings.ignore_value,
            settings.dataset,
            settings.labels_dataset,
            settings.spacing_um,
        ],
        "data": [data.spacing_um, data.lower_percentile, data.upper_percentile, data.classes, data.cache_type],
    }
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=12).hexdigest()
