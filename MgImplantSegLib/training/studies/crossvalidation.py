"""Cross-validation by groups of samples with the test set apart, and the paper's Table 2."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.training.data.sample_files import expanded_samples
from MgImplantSegLib.training.loop.export import command_line
from MgImplantSegLib.training.settings.configuration import TrainingConfig
from MgImplantSegLib.training.settings.data_settings import SampleSettings
from MgImplantSegLib.training.studies.figures import draw_plane_table
from MgImplantSegLib.training.studies.plane_comparison import PAPER_SCHEMES
from MgImplantSegLib.training.studies.study import (
    Scores,
    finished_model,
    model_of,
    require_several_groups,
    samples_to_test,
    scores_of,
)
from MgImplantSegLib.training.studies.tables import Estimate, Table, markdown, write_csv

TABLE = "table2"


def crossvalidate(config: TrainingConfig | str | Path, events: Events, only_fold: int | None = None) -> dict[str, Any]:
    """Train one model for each fold, test it on the test samples, and write the table of mean ± standard error.

    Folds that are finished are used as they are, an interrupted one is continued. Without test samples each model
    is tested on the fold that it was not trained on. Writes ``table2.csv``, ``.md`` and ``.png`` to the study's folder.
    Raises InputError if there are fewer groups than folds, or as `train`.

    Parameters
    ----------
    config : TrainingConfig or path
        The configuration; `config.crossvalidation` says how many folds.
    only_fold : int, optional
        Train this fold alone, counted from 1: one job for each. The table is written once all folds are there.
    """
    config = config if isinstance(config, TrainingConfig) else TrainingConfig.read(config)
    folds = fold_configs(config)
    if only_fold is not None and not 1 <= only_fold <= len(folds):
        raise InputError(f"Expected a fold of 1–{len(folds)}, got {only_fold}.")
    for fold in folds if only_fold is None else [folds[only_fold - 1]]:
        if finished_model(fold, events) is None:
            return {"finished": False, "folder": str(config.run_folder), "stopped_in": fold.name}
    missing = [fold.name for fold in folds if not model_of(fold).exists()]
    if missing:
        return {"finished": False, "folder": str(config.run_folder), "missing": missing}
    scores = [scores_of(fold, tested_samples(fold), PAPER_SCHEMES, events) for fold in folds]
    table = table_of(scores, (*config.data.classes, "mean"))
    return {"finished": True, "folder": str(config.run_folder), "table": _write(config, table, scores, events)}


def fold_configs(config: TrainingConfig) -> list[TrainingConfig]:
    """One configuration for each fold, with its samples' splits set; groups are divided at random by the seed."""
    samples = expanded_samples(config.data.samples)
    learned = [sample for sample in samples if sample.split != "test"]
    require_several_groups(learned, config.crossvalidation.folds)
    groups = np.random.default_rng(config.seed).permutation(sorted({sample.group for sample in learned}))
    configs = []
    for number, held_out in enumerate(np.array_split(groups, config.crossvalidation.folds), start=1):
        split = tuple(_in_fold(sample, set(held_out.tolist())) for sample in samples)
        data = replace(config.data, samples=split)
        configs.append(replace(config, name=f"{config.name}-fold{number}", output=config.run_folder, data=data))
    return configs


def tested_samples(fold: TrainingConfig) -> list[SampleSettings]:
    """The test samples, or without them those of the fold that was held out."""
    chosen = samples_to_test(fold.data.samples)
    return chosen or [sample for sample in fold.data.samples if sample.split == "validation"]


def table_of(scores_of_folds: list[Scores], columns: tuple[str, ...]) -> Table:
    """Mean over the samples of a fold, then mean ± standard error over the folds, by scheme and class."""
    table: Table = {}
    for scheme in PAPER_SCHEMES:
        folds = [[sample[scheme.name] for sample in scores.values()] for scores in scores_of_folds]
        table[scheme.name] = {
            column: Estimate.of([Estimate.of([iou[column] for iou in fold]).mean for fold in folds])
            for column in columns
        }
    return table


def _in_fold(sample: SampleSettings, held_out: set[str]) -> SampleSettings:
    if sample.split == "test":
        return sample
    return replace(sample, split="validation" if sample.group in held_out else "train")


def _write(config: TrainingConfig, table: Table, scores: list[Scores], events: Events) -> dict[str, Any]:
    folder = config.run_folder
    write_csv(table, "planes", folder / f"{TABLE}.csv")
    with atomic_output(folder / f"{TABLE}.md") as temporary:
        temporary.write_text(_report(config, table, scores), encoding="utf-8")
    with atomic_output(folder / "folds.json") as temporary:
        temporary.write_text(json.dumps(scores, indent=1), encoding="utf-8")
    draw_plane_table(table, folder / f"{TABLE}.png", events)
    return {row: {column: str(cell) for column, cell in cells.items()} for row, cells in table.items()}


def _report(config: TrainingConfig, table: Table, scores: list[Scores]) -> str:
    tested = sorted({name for fold in scores for name in fold})
    return (
        f"# IoU by slicing planes and fusion: {config.name}\n\n"
        f"Mean ± standard error over {len(scores)} folds; tested on {', '.join(tested)}. "
        f"Command: `{command_line()}`, seed {config.seed}.\n\n{markdown(table, 'planes')}"
    )
