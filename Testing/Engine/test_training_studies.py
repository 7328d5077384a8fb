"""Cross-validation and scaling study: folds, tables, resumption, and the numbers in them."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_cases import small_config, small_data, write_samples

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli import main
from MgImplantSegLib.inference.fused import FusedPlan, predict_fused
from MgImplantSegLib.io import read_label_map, write_label_map
from MgImplantSegLib.networks.spec import UNetSpec
from MgImplantSegLib.training.loop.losses import IGNORE
from MgImplantSegLib.training.loop.run import train
from MgImplantSegLib.training.loop.score import confusion_matrix
from MgImplantSegLib.training.settings.configuration import TrainingConfig
from MgImplantSegLib.training.studies.crossvalidation import crossvalidate, fold_configs, table_of
from MgImplantSegLib.training.studies.plane_comparison import PAPER_SCHEMES, PlaneScheme, compare_planes
from MgImplantSegLib.training.studies.scaling import flops_of, grid_configs, scale
from MgImplantSegLib.training.studies.study import finished_model
from MgImplantSegLib.training.studies.tables import Estimate, markdown

pytestmark = pytest.mark.usefixtures("no_conversion")
SAMPLES = [
    {"image": "samples/*/image.nrrd", "labels": "samples/*/labels.nrrd"},
    {"image": "tests/*/image.nrrd", "labels": "tests/*/labels.nrrd", "split": "test", "name": "test-"},
]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    write_samples(folder / "samples", 3)
    write_samples(folder / "tests", 1)
    return folder


def study(place: Path, **changes) -> TrainingConfig:
    return small_config(
        place, data={"samples": SAMPLES}, crossvalidation={"folds": 2}, training={"iterations": 8}, **changes
    )


def test_every_scheme_counts_what_a_prediction_with_its_planes_and_fusion_gives():
    random = np.random.default_rng(0)
    image = random.random((9, 8, 7)).astype(np.float32)
    truth = random.integers(0, 3, image.shape, dtype=np.uint8)
    truth[0] = IGNORE

    def predict(slices: np.ndarray) -> np.ndarray:
        """A predictor that looks differently along rows and columns, so that planes disagree."""
        down = np.roll(slices[:, 0], 1, axis=1)
        logits = np.stack((slices[:, 0], 1.5 * down, 1 - slices[:, 0] * down), axis=1) * 4
        values = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (values / values.sum(axis=1, keepdims=True)).astype(np.float32)

    confusions = compare_planes(image, truth, predict, UNetSpec(2, 1, classes=3), PAPER_SCHEMES, Events())
    assert list(confusions) == list(PAPER_SCHEMES)
    for scheme, confusion in confusions.items():
        labels = predict_fused(image, predict, FusedPlan(scheme.planes, scheme.fusion, 3, size_multiple=4)).labels()
        expected = confusion_matrix(torch.from_numpy(labels), torch.from_numpy(truth), 3)
        assert torch.equal(confusion, expected), scheme.name
    assert not torch.equal(confusions[PlaneScheme("9", "soft")], confusions[PlaneScheme("9", "majority")])


def test_the_standard_error_is_the_deviation_over_the_root_of_the_count():
    estimate = Estimate.of([0.8, 0.9, math.nan, None, 1.0])
    assert (estimate.mean, estimate.count) == (pytest.approx(0.9), 3)
    assert estimate.standard_error == pytest.approx(0.1 / math.sqrt(3))
    assert str(estimate) == "0.9000 ± 0.0577"
    assert str(Estimate.of([0.5])) == "0.5000"
    assert str(Estimate.of([])) == "–"


def test_the_table_averages_samples_first_and_then_folds():
    def fold(*values: float) -> dict:
        return {str(n): {scheme.name: {"mean": value} for scheme in PAPER_SCHEMES} for n, value in enumerate(values)}

    table = table_of([fold(0.5, 0.7), fold(0.8)], ("mean",))
    assert table["rc"]["mean"].mean == pytest.approx(0.7)
    assert table["rc"]["mean"].standard_error == pytest.approx(0.1)
    assert list(table) == [
        "rc",
        "cp",
        "pr",
        "3 planes, soft voting",
        "3 planes, majority voting",
        "9 planes, soft voting",
        "9 planes, majority voting",
    ]
    assert markdown(table, "planes").splitlines()[2] == "| rc | 0.7000 ± 0.1000 |"


def test_every_group_is_held_out_once_and_the_test_set_never_learned_from(place):
    configs = fold_configs(study(place))
    held_out = [sorted(s.name for s in c.data.samples if s.split == "validation") for c in configs]
    assert sorted(name for names in held_out for name in names) == ["s0", "s1", "s2"]
    for config in configs:
        assert [s.name for s in config.data.samples if s.split == "test"] == ["test-s0"]
    assert [c.name for c in fold_configs(study(place))] == ["small-fold1", "small-fold2"]


def test_groups_are_not_divided_and_have_to_be_enough(place):
    data = small_data(data={"samples": [{**SAMPLES[0], "group": "one rabbit"}]}, crossvalidation={"folds": 2})
    with pytest.raises(InputError, match="2 groups or more for 2 folds, got 1"):
        fold_configs(TrainingConfig.from_dict(data, place))


def test_cross_validation_writes_table_2_and_is_not_trained_twice(place):
    config = study(place, name="cv")
    first = crossvalidate(config, Events(), only_fold=2)
    assert first == {"finished": False, "folder": str(config.run_folder), "missing": ["cv-fold1"]}
    result = crossvalidate(config, Events())
    assert result["finished"]
    assert list(result["table"]) == [scheme.name for scheme in PAPER_SCHEMES]
    with open(config.run_folder / "table2.csv", newline="", encoding="utf-8") as stream:
        rows = {row["planes"]: row for row in csv.DictReader(stream)}
    folds = json.loads((config.run_folder / "folds.json").read_text(encoding="utf-8"))
    values = [fold["test-s0"]["3 planes, soft voting"]["mean"] for fold in folds]
    assert float(rows["3 planes, soft voting"]["mean"]) == pytest.approx(np.mean(values), abs=1e-6)
    error = np.std(values, ddof=1) / math.sqrt(2)
    assert float(rows["3 planes, soft voting"]["mean standard error"]) == pytest.approx(error, abs=1e-6)
    assert "| pr |" in (config.run_folder / "table2.md").read_text(encoding="utf-8")
    assert (config.run_folder / "table2.png").read_bytes().startswith(b"\x89PNG")
    trained = (config.run_folder / "cv-fold1" / "last.pt").stat().st_mtime_ns
    assert crossvalidate(config, Events())["table"] == result["table"]
    assert (config.run_folder / "cv-fold1" / "last.pt").stat().st_mtime_ns == trained
    with pytest.raises(InputError, match="got a difference in augmentation"):
        crossvalidate(replace(config, augmentation=replace(config.augmentation, gamma=0.3)), Events())


def test_a_fold_that_is_not_there_is_refused(place):
    with pytest.raises(InputError, match="a fold of 1–2, got 3"):
        crossvalidate(study(place), Events(), only_fold=3)


def test_without_test_samples_the_held_out_fold_is_tested(place):
    config = study(place, name="inner")
    config = replace(config, data=replace(config.data, samples=config.data.samples[:1]))
    result = crossvalidate(config, Events())
    tested = json.loads((config.run_folder / "folds.json").read_text(encoding="utf-8"))
    assert sorted(name for fold in tested for name in fold) == ["s0", "s1", "s2"]
    assert result["finished"]


def test_the_default_grid_is_the_48_models_of_the_paper(place):
    config = small_config(place, data={"samples": SAMPLES[:1]})
    grid = grid_configs(config)
    assert len(grid) == 48
    flops = [flops_of(model) for model in grid.values()]
    assert flops == sorted(flops)
    assert flops_of(grid["d5-c64-i640"]) == pytest.approx(4 * flops_of(grid["d5-c32-i640"]), rel=0.02)


def test_the_scaling_study_has_parameters_flops_and_iou_and_goes_on_where_it_was(place):
    config = study(place, name="scaling", scaling={"depths": [1, 2], "widths": [2], "input_sizes": [16]})
    alone = scale(config, Events(), only="d2-c2-i16")
    assert alone["missing"] == ["d1-c2-i16"]
    assert [model["name"] for model in alone["models"]] == ["d2-c2-i16"]
    result = scale(config, Events())
    assert result["finished"]
    with open(config.run_folder / "figure3.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["name"] for row in rows] == ["d1-c2-i16", "d2-c2-i16"]
    assert all(0 <= float(row["mean_iou"]) <= 1 and row["tested_on"] == "test" for row in rows)
    counts = (9 * 2 + 4) + (36 + 4) + (72 + 8) + (144 + 8) + (32 + 2) + (72 + 4) + (36 + 4) + (8 + 4)
    assert int(rows[0]["parameters"]) == counts
    assert (config.run_folder / "figure3.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="Did you mean 'd2-c2-i16'"):
        scale(config, Events(), only="d2-c2-i61")


def test_both_studies_are_commands(place, capsys):
    path = place / "study.toml"
    config = study(place, name="commands", scaling={"depths": [1], "widths": [2], "input_sizes": [16]})
    path.write_text(config.to_toml(), encoding="utf-8")
    assert main(["scale", str(path), "--list"]) == 0
    assert capsys.readouterr().out.split() == ["d1-c2-i16"]
    assert main(["scale", str(path)]) == 0
    assert "d1-c2-i16" in capsys.readouterr().out
    assert main(["crossvalidate", str(path), "--fold", "1"]) == 0
    assert "Not finished: commands-fold2. Run the same command again to continue." in capsys.readouterr().out
    assert main(["crossvalidate", str(path)]) == 0
    assert "9 planes, soft voting" in capsys.readouterr().out


@pytest.fixture
def own_place(tmp_path) -> Path:
    write_samples(tmp_path / "samples", 3)
    write_samples(tmp_path / "tests", 1)
    return tmp_path


def change_labels(path: Path) -> None:
    labels = read_label_map(path)
    write_label_map(replace(labels, array=labels.array[::-1].copy()), path)


def test_a_finished_model_is_not_taken_for_one_of_samples_that_have_changed(own_place):
    config = study(own_place)
    model = finished_model(config, Events())
    written = model.stat().st_mtime_ns
    assert finished_model(config, Events()) == model and model.stat().st_mtime_ns == written
    change_labels(own_place / "tests" / "s0" / "labels.nrrd")
    assert finished_model(config, Events()) == model, "no training has seen the sample of the test"
    change_labels(own_place / "samples" / "s1" / "labels.nrrd")
    with pytest.raises(InputError, match=r"these files have changed: .*s1") as caught:
        finished_model(config, Events())
    assert "Move that folder away" in caught.value.remedy
    with pytest.raises(InputError, match=r"these files have changed: .*s1"):
        train(config, Events(), resume=config.run_folder)
    (config.run_folder / "samples.json").unlink()  # as of a run before there was such a note
    assert finished_model(config, Events()) == model
