"""Configurations: what is read is what was written, and what is wrong is said with the nearest right name."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path

import pytest
from training_cases import small_config, small_data

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.training.loop.schedule import Progress, learning_rate
from MgImplantSegLib.training.settings.augmentation_settings import AugmentationSettings
from MgImplantSegLib.training.settings.configuration import TrainingConfig
from MgImplantSegLib.training.settings.loop_settings import LoopSettings, ValidationSettings

CONFIGURATIONS = Path(__file__).resolve().parents[2] / "Resources" / "Configurations"

FULL = """
name = "screws"
output = "runs"
seed = 3
base_model = "models/base.mgmodel"

[data]
spacing_um = 5
classes = ["background", "bone", "residual_material"]

[[data.samples]]
image = "a.nrrd"
labels = "a_labels.nrrd"
group = "rabbit 1"
roles = {1 = "bone", 7 = "residual_material"}
ignore_value = 255
roi = "a.mrk.json"

[[data.samples]]
image = "b.h5"
labels = "b_labels.nrrd"
dataset = "entry/data/data"
spacing_um = 2.4
split = "validation"

[network]
depth = 3
width = 32

[augmentation]
patch_area = [0.5, 1]

[training]
input_size = 384
loss = "cross_entropy_smooth"
loss_options = {weight = 0.2}
"""


def test_a_file_is_read_with_paths_relative_to_its_folder(tmp_path):
    (tmp_path / "config.toml").write_text(FULL, encoding="utf-8")
    config = TrainingConfig.read(tmp_path / "config.toml")
    first, second = config.data.samples
    assert config.run_folder == tmp_path / "runs" / "screws"
    assert config.base_model == tmp_path / "models" / "base.mgmodel"
    assert config.data.cache == tmp_path / "cache"
    assert first.image == tmp_path / "a.nrrd"
    assert first.roles == {"1": "bone", "7": "residual_material"}
    assert second.dataset == "entry/data/data"
    assert config.data.spacing_um == 5.0
    assert config.augmentation.patch_area == (0.5, 1.0)
    assert config.training.loss_options == {"weight": 0.2}


def test_folders_above_that_of_the_file_are_named_without_detours(tmp_path):
    (tmp_path / "inputs").mkdir()
    text = FULL.replace('output = "', 'output = "../results/')
    assert text != FULL
    (tmp_path / "inputs" / "config.toml").write_text(text, encoding="utf-8")
    config = TrainingConfig.read(tmp_path / "inputs" / "config.toml")
    assert config.run_folder.is_relative_to(tmp_path / "results")
    assert ".." not in config.run_folder.parts


def test_a_configuration_survives_being_saved_with_the_run(tmp_path):
    (tmp_path / "config.toml").write_text(FULL, encoding="utf-8")
    config = TrainingConfig.read(tmp_path / "config.toml")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "saved.toml").write_text(config.to_toml(), encoding="utf-8")
    assert TrainingConfig.read(tmp_path / "elsewhere" / "saved.toml") == config


@pytest.mark.parametrize("path", sorted(CONFIGURATIONS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_configurations_that_come_with_the_engine_are_valid(path):
    TrainingConfig.read(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nmae": "x"}, "got 'nmae'. Did you mean 'name'"),
        ({"training": {"lerning_rate": 1e-3}}, "got 'training.lerning_rate'. Did you mean 'learning_rate'"),
        ({"augmentation": {"zzz": 1}}, "got 'augmentation.zzz'. Known are: patch_scale, patch_area"),
        ({"training": {"schedule": "cosin"}}, "got 'cosin'. Did you mean 'cosine'"),
        ({"training": {"batch_size": "many"}}, "Expected a whole number for 'training.batch_size', got 'many'"),
        ({"training": {"batch_size": 2.5}}, "Expected a whole number for 'training.batch_size', got 2.5"),
        ({"training": {"learning_rate": True}}, "Expected a number for 'training.learning_rate', got True"),
        ({"training": {"input_size": 17}}, "multiple of 2\\^depth = 2, got 17"),
        ({"training": {"batch_size": 6, "accumulate": 4}}, "a batch_size that accumulate divides, got \\(6, 4\\)"),
        ({"training": {"learning_rate": -1.0}}, "positive learning_rate, got -1.0"),
        ({"training": 3}, "Expected a table for training, got 3"),
        ({"augmentation": {"patch_area": [1.0]}}, "Expected a list of 2 for 'augmentation.patch_area', got \\[1.0\\]"),
        ({"augmentation": {"flip_probability": 1.5}}, "'flip_probability' in 0–1, got 1.5"),
        ({"augmentation": {"patch_aspect": [2.0, 1.0]}}, "ascending order for 'patch_aspect', got \\(2.0, 1.0\\)"),
        ({"data": {"samples": []}}, "at least one sample, got \\(\\)"),
        ({"data": {"classes": ["bone", "wood"]}}, "got 'wood'"),
        ({"data": {"spacing_um": 0}}, "positive spacing_um, got 0.0"),
        ({"data": {"samples": [{"image": "a.nrrd"}]}}, "the key 'data.samples\\[0\\].labels'"),
        ({"data": {"samples": [{"image": "a", "labels": "b", "split": "trian"}]}}, "Did you mean 'train'"),
        ({"data": {"samples": [{"image": "a", "labels": "b", "roles": {"1": "bones"}}]}}, "Did you mean 'bone'"),
        ({"name": "a/b"}, "a name that can be a file's name, got 'a/b'"),
        ({"name": ""}, "a name that can be a file's name, got ''"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        small_config(tmp_path, **changes)


def test_a_file_that_is_not_toml_is_said_with_the_place(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('name = "a\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"Expected TOML in .*line 1"):
        TrainingConfig.read(path)
    with pytest.raises(InputError, match=r"Expected a configuration file, got .*missing.toml: No such file"):
        TrainingConfig.read(tmp_path / "missing.toml")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="Expected TOML"):
        TrainingConfig.read(path)


def test_a_name_is_required(tmp_path):
    data = small_data()
    del data["name"]
    with pytest.raises(InputError, match="Expected the key 'name'"):
        TrainingConfig.from_dict(data, tmp_path)


@pytest.mark.parametrize("settings", [AugmentationSettings, LoopSettings, ValidationSettings])
def test_every_setting_is_described(settings):
    words = set(typing.cast(str, settings.__doc__).replace(",", " ").replace("`", " ").split())
    assert {entry.name for entry in dataclasses.fields(settings)} <= words


def test_the_plateau_schedule_halves_the_rate_after_enough_iterations_without_a_better_loss():
    settings = LoopSettings(learning_rate=1.0, schedule="plateau", plateau_iterations=10)
    progress, rates = Progress(), []
    for iteration, loss in ((5, 1.0), (10, 0.8), (15, 0.9), (20, 0.9), (25, 0.9), (30, 0.85), (35, 0.7)):
        progress.iteration = iteration
        progress.note_validation(loss, {}, settings)
        rates.append(learning_rate(progress, settings))
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    assert (progress.best_loss, progress.best_iteration) == (0.7, 35)


def test_the_cosine_schedule_follows_iterations_or_time_whichever_is_ahead():
    settings = LoopSettings(
        learning_rate=1.0, schedule="cosine", iterations=100, time_limit_minutes=1, least_learning_rate_share=0.1
    )
    assert learning_rate(Progress(iteration=0), settings) == pytest.approx(1.0)
    assert learning_rate(Progress(iteration=50), settings) == pytest.approx(0.55)
    assert learning_rate(Progress(iteration=10, elapsed_s=30.0), settings) == pytest.approx(0.55)
    assert learning_rate(Progress(iteration=100), settings) == pytest.approx(0.1)


def test_warm_up_rises_linearly():
    settings = LoopSettings(learning_rate=1.0, schedule="constant", warmup_iterations=3)
    assert [learning_rate(Progress(iteration=n), settings) for n in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_a_run_ends_at_its_iterations_its_time_or_without_progress():
    settings = LoopSettings(iterations=100, time_limit_minutes=1, early_stopping_iterations=20)
    assert Progress(iteration=10, elapsed_s=59).end_reason(settings) == ""
    assert Progress(iteration=100, best_iteration=90).end_reason(settings) == "all iterations done"
    assert Progress(iteration=10, elapsed_s=60).end_reason(settings) == "time limit reached"
    assert Progress(iteration=50, best_iteration=30).end_reason(settings) == "no better validation loss"
