"""Whether all voxels of an HDF5 dataset are there: chunks, sources of virtual datasets, raw files beside it.

HDF5 hands out the fill value, mostly 0, for every voxel that it does not find, and says nothing.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.io.hdf5_door import has_signature, opened

logger = logging.getLogger(__name__)
MOST_NAMED = 4
LARGEST_RATIO = 2000  # deflate reaches 1032
LEAST_BYTES = 1 << 15
LEAST_BLANK_PART = 0.1
Box = tuple[tuple[int, ...], tuple[int, ...]]  # first and last index along every axis
Chain = tuple[tuple[str, str], ...]  # real path and dataset of each virtual dataset on the way


def require_whole(dataset: Any, name: str, path: Path) -> None:
    """Check that every voxel of `dataset`, called `name` in the file `path`, was written and can be found.

    Parts that were never written give a warning, as sparse files are not a fault in themselves. Raises InputError if
    nothing was written at all, if sources of a virtual dataset or raw files are missing or too small, or if a virtual
    dataset is its own source.
    """
    missing: list[str] = []
    _check(dataset, f"the dataset {name} of {path}", _whole_box(dataset), (), missing)
    if missing:
        raise InputError(
            f"Expected all parts of the dataset {name} of {path}, got {_listed(list(dict.fromkeys(missing)))}.",
            "Copy the files that it refers to into the same relative places.",
        )


def _check(dataset: Any, what: str, box: Box, chain: Chain, missing: list[str]) -> None:
    if dataset.is_virtual:
        _check_sources(dataset, what, chain, missing)
    elif dataset.external:
        missing += _missing_raw_files(dataset)
    elif dataset.size and not dataset.id.get_storage_size():
        raise InputError(f"Expected voxels in {what}, got one that was never written.", "Export it again.")
    elif dataset.size * dataset.dtype.itemsize > LARGEST_RATIO * max(dataset.id.get_storage_size(), LEAST_BYTES):
        stored = dataset.id.get_storage_size()
        raise InputError(
            f"Expected voxels in {what}, got {stored} bytes of them for the shape {dataset.shape}.",
            "Copy or export it again.",
        )
    elif dataset.chunks is not None:
        _warn_of_unwritten_chunks(dataset, what, box)


def _whole_box(dataset: Any) -> Box:
    return (0,) * dataset.ndim, tuple(length - 1 for length in dataset.shape)


def _warn_of_unwritten_chunks(dataset: Any, what: str, box: Box) -> None:
    """Say how many chunks that touch the box were never written, and which slices they concern."""
    counts = [-(-length // edge) for length, edge in zip(dataset.shape, dataset.chunks, strict=True)]
    if dataset.id.get_num_chunks() >= math.prod(counts):
        return
    written: set[tuple[int, ...]] = set()
    dataset.id.chunk_iter(lambda info: written.add(tuple(int(n) for n in info.chunk_offset)))
    ranges = [
        range(first // edge * edge, last + 1, edge)
        for first, last, edge in zip(box[0], box[1], dataset.chunks, strict=True)
    ]
    inside = [sum(start in axis for start, axis in zip(chunk, ranges, strict=True)) for chunk in written]
    wanted = math.prod(len(axis) for axis in ranges)
    lacking = wanted - sum(count == len(ranges) for count in inside)
    if not lacking:
        return
    logger.warning(
        "%s: %d of %d chunks were never written; their voxels are read as %s. If writing was interrupted, the "
        "volume is not complete.",
        what[:1].upper() + what[1:],
        lacking,
        wanted,
        dataset.fillvalue,
    )


def warn_of_blank_end(array: np.ndarray, fill: Any, name: str, path: Path) -> None:
    """Say that the last slices of a dataset without unwritten chunks hold nothing but the fill value, if the first
    does not: files whose space was taken beforehand look so when the writing was interrupted.
    """
    blank = 0
    while blank < len(array) and (array[len(array) - 1 - blank] == fill).all():
        blank += 1
    if LEAST_BLANK_PART * len(array) <= blank < len(array) and not (array[0] == fill).all():
        logger.warning(
            "The last %d of %d slices of the dataset %s of %s hold only the fill value %s. If writing was "
            "interrupted, the volume is incomplete.",
            blank,
            len(array),
            name,
            path,
            fill,
        )


def _missing_raw_files(dataset: Any) -> list[str]:
    """The raw files of an external dataset that are absent or too short."""
    left, lacking = dataset.size * dataset.dtype.itemsize, []
    folder = os.environ.get("HDF5_EXTFILE_PREFIX", "").replace("${ORIGIN}", str(_folder_of(dataset)))
    for name, offset, size in dataset.external:
        needed = min(left, size)
        left -= needed
        file = Path(folder, os.fsdecode(name))
        if not file.is_file():
            lacking.append(f"no raw file {file}")
        elif file.stat().st_size < offset + needed:
            lacking.append(f"{file.stat().st_size} of {offset + needed} bytes in the raw file {file}")
    return [*lacking, *([f"raw files for all but {left} bytes"] if left > 0 else [])]


def _check_sources(dataset: Any, what: str, chain: Chain, missing: list[str]) -> None:
    here = (os.path.realpath(os.fsdecode(dataset.file.filename)), dataset.name)
    if here in chain:
        raise InputError(
            f"Expected a virtual dataset with source voxels, got {dataset.name} of {dataset.file.filename}, which "
            "is its own source.",
            "Give the file that contains the voxels.",
        )
    covered: float = 0
    for source in dataset.virtual_sources():
        _check_source(dataset, source, (*chain, here), missing)
        covered += _points(source.vspace)
    if covered * LARGEST_RATIO < dataset.size and not missing:
        raise InputError(f"Expected sources for {what}, got almost none.", "Give the file that contains the voxels.")
    if covered < dataset.size and not missing:
        logger.warning(
            "%s: %.3g %% of the voxels have no source; they are read as %s.",
            what[:1].upper() + what[1:],
            100 * (1 - covered / dataset.size),
            dataset.fillvalue,
        )


def _check_source(dataset: Any, source: Any, chain: Chain, missing: list[str]) -> None:
    import h5py

    if "%b" in source.file_name or "%b" in source.dset_name:
        missing += _missing_of_series(dataset, source)
        return
    file_name, dataset_name = (name.replace("%%", "%") for name in (source.file_name, source.dset_name))
    found = None
    for candidate in _candidates(dataset, file_name):
        if candidate.is_file() and has_signature(candidate):
            found = candidate
            break
    if found is None:
        missing.append(f"no source file {file_name}")
        return
    with opened(found) as file:
        entry = file.get(dataset_name)
        if not isinstance(entry, h5py.Dataset):
            missing.append(f"no source dataset {dataset_name} in {found}")
            return
        box = _box_of(source, entry)
        if box is None or not all(last < length for last, length in zip(box[1], entry.shape, strict=True)):
            missing.append(f"another size of the source {dataset_name}, {entry.shape}, in {found}")
            return
        _check(entry, f"the source {dataset_name} in {found}", box, chain, missing)


def _box_of(source: Any, entry: Any) -> Box | None:
    """First and last index that the mapping takes from its source; None if it does not fit there."""
    import h5py

    space = source.src_space
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return _whole_box(entry) if _points(source.vspace) in (entry.size, math.inf) else None
    if _is_unlimited(space):
        return _whole_box(entry)
    first, last = space.get_select_bounds()
    return (tuple(first), tuple(last)) if len(first) == entry.ndim else None


def _is_unlimited(space: Any) -> bool:
    import h5py

    if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        return False
    _, _, count, block = space.get_regular_hyperslab()
    return any(int(number) >= h5py.h5s.UNLIMITED for number in (*count, *block))


def _points(space: Any) -> int | float:
    """Voxels that a mapping fills; infinite for one that grows with its sources."""
    return math.inf if _is_unlimited(space) else int(space.get_select_npoints())


def _missing_of_series(dataset: Any, source: Any) -> list[str]:
    """Sources numbered by HDF5's pattern ``%b`` of which one is missing before others that are there."""
    if "%b" not in source.file_name:
        return []
    numbers = set()
    before, after = source.file_name.replace("%%", "%").split("%b", 1)
    for folder in {candidate.parent for candidate in _candidates(dataset, before + "0" + after)}:
        start, end = Path(before + "0").name[:-1], after
        for file in folder.glob("*") if folder.is_dir() else ():
            middle = file.name[len(start) : len(file.name) - len(end)]
            if file.name.startswith(start) and file.name.endswith(end) and middle.isdecimal():
                numbers.add(int(middle))
    if not numbers:
        return [f"no source file {source.file_name}"]
    absent = sorted(set(range(max(numbers))) - numbers)
    return [f"no source file {before}{number}{after}" for number in absent]


def _candidates(dataset: Any, name: str) -> Iterator[Path]:
    """Where HDF5 looks for a source file, in its order.

    It also looks in the working folder. What lies only there is no source here: the voxels would change with the place
    from which the program is started.
    """
    own = Path(os.fsdecode(dataset.file.filename))
    if name == ".":
        yield own
        return
    path = Path(name)
    if path.is_absolute():
        yield path
        path = Path(path.name)
    for prefix in os.environ.get("HDF5_VDS_PREFIX", "").split(":"):
        if prefix:
            yield Path(prefix.replace("${ORIGIN}", str(own.parent))) / path
    yield own.parent / path
    yield own.resolve().parent / path


def _folder_of(dataset: Any) -> Path:
    return Path(os.fsdecode(dataset.file.filename)).absolute().parent


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return ", ".join(texts[:MOST_NAMED]) + more
