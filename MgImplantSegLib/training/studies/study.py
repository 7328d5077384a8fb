"""What cross-validation and the scaling study share: runs that are finished, continued or begun, and their tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events, json_ready
from MgImplantSegLib.base.file_digests import FileDigests
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.text_files import read_json
from MgImplantSegLib.inference.predictor import NetworkPredictor
from MgImplantSegLib.io.companions import files_behind
from MgImplantSegLib.training.data.cache import DIGESTS
from MgImplantSegLib.training.data.samples import read_sample
from MgImplantSegLib.training.loop.export import CONFIGURATION_FILE
from MgImplantSegLib.training.loop.process import warnings_only
from MgImplantSegLib.training.loop.run import require_same_configuration, train, with_all_samples
from MgImplantSegLib.training.loop.score import iou_per_class, mean_defined
from MgImplantSegLib.training.loop.trainer import LAST
from MgImplantSegLib.training.settings.configuration import TrainingConfig
from MgImplantSegLib.training.settings.data_settings import SampleSettings
from MgImplantSegLib.training.studies.plane_comparison import PlaneScheme, compare_planes
from MgImplantSegLib.training.trained_samples import files_of, require_same_samples

SCORES_FILE = "scores.json"
Scores = dict[str, dict[str, dict[str, float]]]  # sample → scheme → class or "mean" → IoU


def model_of(config: TrainingConfig) -> Path:
    """The model file of the finished run of `config`."""
    return config.run_folder / f"{config.name}.mgmodel"


def finished_model(config: TrainingConfig, events: Events) -> Path | None:
    """The model file of `config`: there already, or trained now; None if training was stopped on request.

    Raises InputError if the run's folder holds a run of another configuration, or of samples that have changed since.
    """
    if model_of(config).exists():
        whole = with_all_samples(config)
        require_same_configuration(whole, TrainingConfig.read(config.run_folder / CONFIGURATION_FILE))
        require_same_samples(whole)
        return model_of(config)
    interrupted = (config.run_folder / LAST).exists()
    outcome = train(config, events, resume=config.run_folder if interrupted else None)
    return model_of(config) if outcome.finished else None


def scores_of(
    config: TrainingConfig, samples: Iterable[SampleSettings], schemes: tuple[PlaneScheme, ...], events: Events
) -> Scores:
    """IoU of the finished model of `config` on samples.

    They are kept in ``scores.json`` of its run, and used again as long as the samples' files do not change.
    """
    path, samples = config.run_folder / SCORES_FILE, list(samples)
    digests = FileDigests.read(config.data.cache / DIGESTS)
    now = {sample.name: [digests.of_all(files_behind(part)) for part in files_of(sample)] for sample in samples}
    before, known = _known_scores(path)
    scores = {name: known.get(name, {}) for name in now}
    complete = all(scheme.name in of_sample for of_sample in scores.values() for scheme in schemes)
    if complete and {name: before.get(name) for name in now} == now:
        return scores
    scores = json_ready(_measured(config, samples, schemes, events))
    with atomic_output(path) as temporary:
        temporary.write_text(json.dumps({"digests": now, "scores": scores}, indent=1), encoding="utf-8")
    return scores


def _known_scores(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Digests of the samples' files and scores that were written before; nothing if the file is damaged."""
    try:
        known = read_json(path)
        return dict(known["digests"]), {name: dict(scores) for name, scores in known["scores"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}, {}


def _measured(
    config: TrainingConfig, samples: list[SampleSettings], schemes: tuple[PlaneScheme, ...], events: Events
) -> dict[str, Any]:
    predict = NetworkPredictor.from_file(model_of(config), config.training.device, config.training.precision)
    classes = config.data.classes
    scores: dict[str, Any] = {}
    with events.task(f"testing {config.name}", len(samples)) as task:
        for settings in samples:
            sample = read_sample(settings, config.data, warnings_only(events, f"Sample {settings.name!r}"))
            confusions = compare_planes(sample.image, sample.channels, predict, predict.spec, schemes, events)
            scores[settings.name] = {
                scheme.name: named_iou(classes, iou_per_class(confusion)) for scheme, confusion in confusions.items()
            }
            task.advance()
    return scores


def named_iou(classes: tuple[str, ...], iou: list[float]) -> dict[str, float]:
    """IoU by role, and their mean."""
    return {**dict(zip(classes, iou, strict=True)), "mean": mean_defined(iou)}


def samples_to_test(samples: Iterable[SampleSettings]) -> list[SampleSettings]:
    """The samples that are set apart for the test."""
    return [sample for sample in samples if sample.split == "test"]


def require_several_groups(samples: Iterable[SampleSettings], count: int) -> None:
    """Raise InputError unless there are `count` groups or more."""
    groups = {sample.group for sample in samples}
    if len(groups) < count:
        raise InputError(
            f"Expected samples of {count} groups or more for {count} folds, got {len(groups)}.",
            "Lower the number of folds, or give samples of different implants different groups.",
        )
