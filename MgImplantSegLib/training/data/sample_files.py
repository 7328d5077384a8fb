"""The files of all samples, patterns written out. Needs no torch, so that jobs can ask what to bring along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.training.settings.data_settings import SampleSettings


def expanded_samples(samples: tuple[SampleSettings, ...]) -> tuple[SampleSettings, ...]:
    """All samples with their names, patterns with ``*`` replaced by what they match.

    Raises InputError if a pattern matches nothing, a file is missing, or two samples share a name.
    """
    found = tuple(entry for settings in samples for entry in _matches(settings))
    names = [entry.name for entry in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"Expected a different name for every sample, got {', '.join(twice)} twice.",
            "Assign a `name` to each of them.",
        )
    for entry in found:
        for path in filter(None, (entry.image, entry.labels, entry.roi)):
            if not path.exists():
                raise InputError(f"Expected the file {path} of the sample {entry.name!r}, got none there.")
    return found


def _matches(settings: SampleSettings) -> Iterator[SampleSettings]:
    pattern = settings.image.as_posix()
    if "*" not in pattern:
        name = settings.name or settings.image.name.split(".")[0]
        yield replace(settings, name=name, group=settings.group or name)
        return
    before, _, after = pattern.partition("*")
    if pattern.count("*") > 1:
        raise InputError(f"Expected one * at most in a sample's image, got {pattern!r}.")
    root = Path(before).parent if not before.endswith("/") else Path(before)
    images = sorted(root.glob(pattern[len(root.as_posix().rstrip("/")) + 1 :]))
    if not images:
        raise InputError(f"Expected files like {pattern}, got none.", "Correct the pattern of the sample.")
    for image in images:
        star = image.as_posix()[len(before) : len(image.as_posix()) - len(after)]
        name = f"{settings.name}{star}" if settings.name else star
        yield replace(
            settings,
            image=image,
            labels=Path(settings.labels.as_posix().replace("*", star)),
            roi=settings.roi and Path(settings.roi.as_posix().replace("*", star)),
            name=name,
            group=settings.group or name,
        )
