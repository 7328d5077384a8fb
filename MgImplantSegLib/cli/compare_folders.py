"""Segmentations of several samples in folders, one folder a rater: files with the same name are the same sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events

REMEDY = "Give one folder per rater; files of the same sample need the same name in all of them."


@dataclass(frozen=True)
class RatedSample:
    """One sample: its reference, and the other segmentations by the name of the folder."""

    name: str
    reference: Path
    others: Mapping[str, Path]


def are_folders(reference: Path, others: Sequence[Path]) -> bool:
    """Whether folders of segmentations are compared, and not single ones (which stacks of slices are too).

    Raises InputError if some are and some are not.
    """
    from MgImplantSegLib.io import holds_slices

    found = {path.is_dir() and not holds_slices(path) for path in (reference, *others)}
    if len(found) > 1:
        raise InputError(
            f"Expected folders of segmentations or segmentations, got both: {reference}, "
            f"{', '.join(map(str, others))}.",
            REMEDY,
        )
    return found.pop()


def rated_samples(reference: Path, folders: Mapping[str, Path], events: Events) -> list[RatedSample]:
    """The samples of the reference's folder that others have too; what only one has is warned of.

    Raises InputError if there is none, or a name is there twice.
    """
    truth, found = _segmentations(reference), {name: _segmentations(folder) for name, folder in folders.items()}
    samples = []
    for name, path in truth.items():
        others = {rater: files[name] for rater, files in found.items() if name in files}
        missing = [str(folders[rater]) for rater in found if rater not in others]
        if missing:
            events.warning(f"{name}: no file of that name in {', '.join(missing)}.")
        if others:
            samples.append(RatedSample(name, path, others))
    for rater, files in found.items():
        unknown = [name for name in files if name not in truth]
        if unknown:
            events.warning(f"{', '.join(unknown)} of {folders[rater]}: no file of that name in {reference}.")
    if not samples:
        raise InputError(f"Expected files with the same names in {reference} and the others, got none.", REMEDY)
    return samples


def _segmentations(folder: Path) -> dict[str, Path]:
    """The label images of a folder by their names without suffix."""
    from MgImplantSegLib.io.formats import without_suffix

    found: dict[str, Path] = {}
    for path in _files(folder):
        name = without_suffix(path)
        if name in found:
            raise InputError(
                f"Expected one file per sample, got {found[name].name} and {path.name} in {folder}.", REMEDY
            )
        found[name] = path
    return found


def _files(folder: Path) -> Iterator[Path]:
    from MgImplantSegLib.io import known_suffixes

    suffixes = (*known_suffixes(), ".hdr")
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(".") and path.name.lower().endswith(suffixes):
            yield path
