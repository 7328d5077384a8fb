"""What a run was trained on: digests of its samples' files, so that changed samples are recognised."""

from __future__ import annotations

import json
from pathlib import Path

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.file_digests import FileDigests
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.text_files import json_table
from MgImplantSegLib.io.companions import files_behind
from MgImplantSegLib.training.data.cache import DIGESTS
from MgImplantSegLib.training.settings.configuration import TrainingConfig
from MgImplantSegLib.training.settings.data_settings import SampleSettings

SAMPLES_FILE = "samples.json"
MOST_NAMED = 4


def files_of(sample: SampleSettings) -> list[Path]:
    """The image, the labels and the region of a sample."""
    return [path for path in (sample.image, sample.labels, sample.roi) if path]


def remember_samples(config: TrainingConfig) -> None:
    """Note in the run's folder what its samples are now."""
    with atomic_output(config.run_folder / SAMPLES_FILE) as temporary:
        temporary.write_text(json.dumps(_digests(config), indent=1), encoding="utf-8")


def require_same_samples(config: TrainingConfig) -> None:
    """Check that the samples are those that the run began with; runs without a note of them are not checked.

    Raises InputError if a file of a sample has changed since, naming the samples.
    """
    before = json_table(config.run_folder / SAMPLES_FILE)
    if not before:
        return
    changed = [name for name, digests in _digests(config).items() if before.get(name) != digests]
    if changed:
        more = f" and {len(changed) - MOST_NAMED} more" if len(changed) > MOST_NAMED else ""
        raise InputError(
            f"Expected the samples that the run in {config.run_folder} was trained on, but these files have changed: "
            f"{', '.join(changed[:MOST_NAMED])}{more}.",
            "Move that folder away to train with the changed samples, or restore the files.",
        )


def _digests(config: TrainingConfig) -> dict[str, list[str]]:
    known = FileDigests.read(config.data.cache / DIGESTS)
    used = [sample for sample in config.data.samples if sample.split != "test"]
    return {sample.name: [known.of_all(files_behind(path)) for path in files_of(sample)] for sample in used}
