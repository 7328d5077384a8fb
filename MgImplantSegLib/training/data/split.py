"""Which samples are learned from and which are kept for validation; groups are never parted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.training.settings.data_settings import SampleSettings


def with_validation_samples(samples: tuple[SampleSettings, ...], share: float, seed: int) -> tuple[SampleSettings, ...]:
    """The samples with some for validation: as they are if some are, else `share` of the training groups at random.

    With a single training group its samples serve for both, under other names. Raises InputError if there is not a
    training sample, or a group is in two splits.
    """
    _require_whole_groups(samples)
    if any(sample.split == "validation" for sample in samples):
        return samples
    groups = sorted({sample.group for sample in samples if sample.split == "train"})
    if len(groups) == 1:
        copies = (s for s in samples if s.split == "train")
        again = ((f"{s.name} (validation)", f"{s.group} (validation)", s) for s in copies)
        return samples + tuple(replace(s, split="validation", name=name, group=group) for name, group, s in again)
    count = min(len(groups) - 1, max(1, round(share * len(groups))))
    chosen = set(np.random.default_rng(seed).permutation(groups)[:count].tolist())
    return tuple(
        replace(sample, split="validation") if sample.split == "train" and sample.group in chosen else sample
        for sample in samples
    )


def _require_whole_groups(samples: tuple[SampleSettings, ...]) -> None:
    splits_of_group: dict[str, set[str]] = {}
    for sample in samples:
        splits_of_group.setdefault(sample.group, set()).add(sample.split)
    for group, splits in splits_of_group.items():
        if len(splits) > 1:
            raise InputError(
                f"Expected each group in one split, got {group!r} in {', '.join(sorted(splits))}.",
                "Assign samples of different implants to different groups.",
            )
    if not any(sample.split == "train" for sample in samples):
        raise InputError('Expected at least one sample with split "train", got none.')
