"""What an HDF5 file holds, its links followed, and which of its datasets is the volume."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.io.hdf5_projections import why_projections

logger = logging.getLogger(__name__)
DEFAULT_DATASET = "entry/data/data"
MOST_LISTED = 8
DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)  # what h5py raises on damaged files


@dataclass(frozen=True)
class Found:
    """A dataset, its name in the file that was opened, and the group in which it was found."""

    name: str
    dataset: Any
    group: Any

    @property
    def groups(self) -> tuple[Any, ...]:
        """The groups around it: where it was found and, behind a link, where it lies."""
        parent = self.dataset.parent
        return (self.group,) if parent == self.group else (self.group, parent)

    def __str__(self) -> str:
        return f"{self.name} {self.dataset.shape} {_type_text(self.dataset)}"


@dataclass(frozen=True)
class Contents:
    """All datasets that can be reached, and the broken links."""

    datasets: tuple[Found, ...]
    broken: dict[str, str]

    @property
    def volumes(self) -> tuple[Found, ...]:
        """The datasets of real numbers with three axes longer than 1."""
        return tuple(found for found in self.datasets if is_volume(found.dataset))

    def choice(self) -> str:
        """What the user can choose from, as one sentence."""
        if self.volumes:
            return f"Name one [[dataset]]: {_listed(self.volumes)}."
        return f"The file holds: {_listed(self.datasets) or 'no datasets'}."


def contents_of(file: Any) -> Contents:
    """Every dataset once, however many names it has, through soft and external links too."""
    import h5py

    datasets: list[Found] = []
    broken: dict[str, str] = {}
    kept, waiting = [file], [(file, "")]  # objects are kept, else their files close and open again under other numbers
    seen = {_identity(file)}
    while waiting:
        group, place = waiting.pop()
        inner = []
        for name in group:
            entry, reason = _entry(group, name)
            if entry is None:
                broken[f"{place}/{name}"] = reason
            elif _identity(entry) not in seen:
                seen.add(_identity(entry))
                kept.append(entry)
                if isinstance(entry, h5py.Dataset):
                    datasets.append(Found(f"{place}/{name}", entry, group))
                elif isinstance(entry, h5py.Group):
                    inner.append((entry, f"{place}/{name}"))
        waiting += reversed(inner)
    return Contents(tuple(datasets), broken)


def named(file: Any, name: str, path: Path) -> Found:
    """The dataset that the user names.

    Raises InputError if there is none of that name, or its values are not real numbers.
    """
    import h5py

    parent, _, last = name.rstrip("/").rpartition("/")
    group = _entry(file, parent or "/")[0]
    entry, reason = _entry(group, last) if isinstance(group, h5py.Group) and last else (None, "no such dataset")
    if not isinstance(entry, h5py.Dataset):
        kind = reason if entry is None and last else "a group"
        raise InputError(f"Expected the dataset {name!r} in {path}, got {kind}.", contents_of(file).choice())
    if not is_real(entry):
        raise InputError(
            f"Expected real numbers in the dataset {name!r} of {path}, got {_type_text(entry)}.",
            contents_of(file).choice(),
        )
    found = Found("/" + name.strip("/"), entry, group)
    if reason := why_projections(found.dataset, found.groups):
        logger.warning("%s: the dataset %s looks like raw projections (%s), not like a volume.", path, name, reason)
    return found


def default(file: Any, path: Path) -> Found:
    """`DEFAULT_DATASET` if it is a volume, else the largest volume; raw projections do not count.

    Raises InputError if there is no volume, several fit equally, or the volume lies behind a link that leads
    nowhere.
    """
    import h5py

    contents = contents_of(file)
    standard = next((name for name in contents.broken if name.strip("/") == DEFAULT_DATASET), None)
    if standard:
        raise InputError(f"Expected a volume at {standard} of {path}, got {contents.broken[standard]}.", _COPY_TARGETS)
    projections = {found.name: why_projections(found.dataset, found.groups) for found in contents.volumes}
    volumes = [found for found in contents.volumes if not projections[found.name]]
    entry = _entry(file, DEFAULT_DATASET)[0]
    for found in volumes:
        if isinstance(entry, h5py.Dataset) and _identity(found.dataset) == _identity(entry):
            return Found(f"/{DEFAULT_DATASET}", entry, file[DEFAULT_DATASET.rpartition("/")[0]])
    if not volumes:
        raise _no_volume(contents, projections, path)
    if contents.broken:
        logger.warning("%s: %s.", path, _broken_text(contents))
    return _largest(volumes, contents, path)


_COPY_TARGETS = "Copy the files that it refers to into the same relative places."


def _largest(volumes: list[Found], contents: Contents, path: Path) -> Found:
    size = max(found.dataset.size for found in volumes)
    largest = [found for found in volumes if found.dataset.size == size]
    if len(largest) > 1:
        raise InputError(
            f"Expected one largest 3D dataset in {path}, got {len(largest)} of the same size.", contents.choice()
        )
    parts = [found for found in volumes if _is_part_of_the_same(found, largest[0])]
    if len(parts) > 1:
        raise InputError(
            f"Expected one volume in {path}, got {len(parts)} numbered parts: {_listed(tuple(parts))}.",
            "Merge the parts into one dataset, or name one of them [[dataset]].",
        )
    return largest[0]


def _is_part_of_the_same(one: Found, other: Found) -> bool:
    """Whether names that differ in a number, one type and one size of slice say that a volume was cut up."""
    templates = [re.sub(r"\d+", "#", found.name) for found in (one, other)]
    shapes = [found.dataset.shape[1:] for found in (one, other)]
    return templates[0] == templates[1] and shapes[0] == shapes[1] and one.dataset.dtype == other.dataset.dtype


def _no_volume(contents: Contents, projections: dict[str, str], path: Path) -> InputError:
    if projections:
        name, reason = next(iter(projections.items()))
        return InputError(
            f"Expected a reconstructed volume in {path}, got raw projections in {name} ({reason}).",
            f"Reconstruct the scan first; if it is a reconstruction after all, name it [[dataset]]: {name}.",
        )
    if contents.broken:
        return InputError(
            f"Expected a 3D dataset of numbers in {path}, got none: {_broken_text(contents)}.", _COPY_TARGETS
        )
    return InputError(f"Expected a 3D dataset of numbers in {path}, got none.", contents.choice())


def _broken_text(contents: Contents) -> str:
    texts = [f"{name} is {reason}" for name, reason in list(contents.broken.items())[:MOST_LISTED]]
    more = len(contents.broken) - len(texts)
    return "; ".join(texts) + (f"; and {more} more links like it" if more > 0 else "")


def _entry(group: Any, name: str) -> tuple[Any, str]:
    """What stands under a name; None and the reason where nothing can be opened."""
    try:
        return group[name], ""
    except DAMAGED:
        return None, _why_not(group, name)


def _why_not(group: Any, name: str) -> str:
    import h5py

    try:
        link = group.get(name, getlink=True)
    except DAMAGED:
        return "no such dataset"
    if isinstance(link, h5py.ExternalLink):
        return f"a link to {link.path} of {link.filename}, which cannot be opened"
    if isinstance(link, h5py.SoftLink):
        return f"a link to {link.path}, which does not exist"
    return "no such dataset" if link is None else "an object that cannot be opened"


def _identity(entry: Any) -> tuple[Any, ...]:
    import h5py

    info = h5py.h5o.get_info(entry.id)
    return info.fileno, info.addr


def is_volume(entry: Any) -> bool:
    """Whether a dataset holds real numbers along three axes, others being of length 1."""
    return is_real(entry) and sum(n > 1 for n in entry.shape) == 3


def is_real(entry: Any) -> bool:
    """Whether a dataset holds real numbers that NumPy knows."""
    try:
        return entry.shape is not None and entry.dtype.kind in "iufb"
    except TypeError:
        return False


def _type_text(entry: Any) -> str:
    try:
        return str(entry.dtype)
    except TypeError:
        return "of a type without counterpart in NumPy"


def _listed(entries: tuple[Found, ...]) -> str:
    texts = [str(entry) for entry in entries[:MOST_LISTED]]
    return ", ".join(texts) + (f" and {len(entries) - MOST_LISTED} more" if len(entries) > MOST_LISTED else "")
