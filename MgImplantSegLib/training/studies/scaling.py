"""The scaling study: a grid over depth, width and input size, and the paper's Figure 3."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.plain_text import write_csv
from MgImplantSegLib.base.settings import nearest_name
from MgImplantSegLib.training.data.sample_files import expanded_samples
from MgImplantSegLib.training.loop.checkpoint import load_checkpoint
from MgImplantSegLib.training.loop.export import command_line
from MgImplantSegLib.training.loop.trainer import BEST
from MgImplantSegLib.training.settings.configuration import TrainingConfig
from MgImplantSegLib.training.studies.figures import draw_scaling
from MgImplantSegLib.training.studies.plane_comparison import PlaneScheme
from MgImplantSegLib.training.studies.study import finished_model, model_of, samples_to_test, scores_of
from MgImplantSegLib.training.studies.tables import Estimate, ScaledModel

TABLE = "figure3"
TEST_SCHEME = PlaneScheme("3", "soft")


def scale(config: TrainingConfig | str | Path, events: Events, only: str | None = None) -> dict[str, Any]:
    """Train the models of the grid that are not finished yet, and write ``figure3.csv``, ``.md`` and ``.png``.

    Raises InputError if the name is not in the grid, or as `train`.

    Parameters
    ----------
    config : TrainingConfig or path
        The configuration; `config.scaling` is the grid.
    only : str, optional
        Train the model of that name alone: one job for each. The table has the models that are finished.
    """
    config = config if isinstance(config, TrainingConfig) else TrainingConfig.read(config)
    grid = grid_configs(config)
    if only is not None and only not in grid:
        raise InputError(f"Expected a model of the grid, got {only!r}.", nearest_name(only, grid))
    for name in grid if only is None else [only]:
        if finished_model(grid[name], events) is None:
            return {"finished": False, "folder": str(config.run_folder), "stopped_in": name}
    models = [_scaled_model(model, events) for model in grid.values() if model_of(model).exists()]
    _write(config, models, events)
    return {
        "finished": len(models) == len(grid),
        "folder": str(config.run_folder),
        "models": [asdict(model) for model in models],
        "missing": [name for name, model in grid.items() if not model_of(model).exists()],
    }


def grid_configs(config: TrainingConfig) -> dict[str, TrainingConfig]:
    """The configurations of all models by name, the small ones first."""
    samples, grid = expanded_samples(config.data.samples), config.scaling
    configs = {}
    for depth, width, size in product(grid.depths, grid.widths, grid.input_sizes):
        name = f"d{depth}-c{width}-i{size}"
        configs[name] = replace(
            config,
            name=name,
            output=config.run_folder,
            data=replace(config.data, samples=samples),
            network={**config.network, "depth": depth, "width": width},
            training=replace(config.training, input_size=size),
        )
    return dict(sorted(configs.items(), key=lambda item: flops_of(item[1])))


def flops_of(config: TrainingConfig) -> float:
    """Floating-point operations of one forward pass of one patch."""
    return 2 * config.network_spec.multiplications_per_pixel * config.training.input_size**2


def _scaled_model(config: TrainingConfig, events: Events) -> ScaledModel:
    tests = samples_to_test(config.data.samples)
    if tests:
        scores = scores_of(config, tests, (TEST_SCHEME,), events)
        mean_iou = Estimate.of([sample[TEST_SCHEME.name]["mean"] for sample in scores.values()]).mean
    else:
        mean_iou = load_checkpoint(config.run_folder / BEST)["progress"]["best_scores"]["mean_iou"]
    return ScaledModel(
        config.name,
        config.network["depth"],
        config.network["width"],
        config.training.input_size,
        config.network_spec.parameter_count,
        flops_of(config),
        mean_iou,
        "test" if tests else "validation",
    )


def _write(config: TrainingConfig, models: Sequence[ScaledModel], events: Events) -> None:
    folder = config.run_folder
    write_csv(folder / f"{TABLE}.csv", asdict(models[0]), (asdict(model).values() for model in models))
    with atomic_output(folder / f"{TABLE}.md") as temporary:
        temporary.write_text(_report(config, models), encoding="utf-8")
    draw_scaling(models, folder / f"{TABLE}.png", events)


def _report(config: TrainingConfig, models: Sequence[ScaledModel]) -> str:
    lines = [
        f"# Mean IoU against FLOPs: {config.name}",
        "",
        f"Command: `{command_line()}`, seed {config.seed}. IoU on the {models[0].tested_on} samples.",
        "",
        "| model | parameters (million) | FLOPs (10⁹) | mean IoU |",
        "| --- | --- | --- | --- |",
    ]
    for model in models:
        iou = "–" if math.isnan(model.mean_iou) else f"{model.mean_iou:.4f}"
        lines.append(f"| {model.name} | {model.parameters / 1e6:.2f} | {model.flops / 1e9:.3g} | {iou} |")
    return "\n".join(lines) + "\n"
