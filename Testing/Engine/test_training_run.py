"""Whole runs on small samples: from a configuration to a model file, interrupted, resumed, on two processes."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_cases import SMALL, read_history, small_config, write_sample, write_samples

from MgImplantSegLib.base import files
from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli import main
from MgImplantSegLib.model.file import load_model, read_card
from MgImplantSegLib.training.data.augmentation import Augmentation
from MgImplantSegLib.training.loop import run
from MgImplantSegLib.training.loop.checkpoint import load_checkpoint, save_checkpoint
from MgImplantSegLib.training.loop.learner import Learner
from MgImplantSegLib.training.loop.precision import choose_arithmetic
from MgImplantSegLib.training.loop.run import train
from MgImplantSegLib.training.settings.configuration import TrainingConfig

pytestmark = pytest.mark.usefixtures("no_conversion")
PATIENCE_S = 900.0  # for child processes on a busy machine


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with three samples; the cache is shared by the tests."""
    folder = tmp_path_factory.mktemp("training")
    write_samples(folder / "samples", 3)
    return folder


def weights_of(config: TrainingConfig) -> dict[str, torch.Tensor]:
    return load_checkpoint(config.run_folder / "last.pt")["learner"]["network"]


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def without_time(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "elapsed_s"} for row in rows]


class StopAfter:
    """Events that are cancelled when so many validations have been reported."""

    def __init__(self, validations: int) -> None:
        self.left = validations

    def events(self) -> Events:
        def count(record: dict) -> None:
            self.left -= record["event"] == "metric" and "validation_loss" in record

        return Events(count, is_cancelled=lambda: self.left <= 0)


def test_training_learns_and_exports_a_model_with_a_full_card(place):
    config = small_config(place, name="learns", training={"iterations": 120, "ema_decay": 0.9})
    outcome = train(config, Events())
    rows = read_history(config.run_folder)
    assert outcome.finished
    assert outcome.reason == "all iterations done"
    assert rows[-1]["validation_loss"] < 0.6 * rows[0]["validation_loss"]
    assert outcome.validation["mean_iou"] > 0.6
    card, weights = load_model(outcome.model)
    assert card.network == {"name": "unet", "depth": 1, "width": 4, "classes": 4}
    assert card.preprocessing.spacing_um == 20.0
    assert card.training_planes == ("rc", "cp", "pr")
    assert card.metrics["validation"]["mean_iou"] == pytest.approx(outcome.validation["mean_iou"])
    assert card.training["data"]["train"]["samples"] == 2
    assert set(card.training["data"]["train"]["voxels_per_class"]) == set(config.data.classes)
    assert card.training["augmentation"]["noise_probability"] == 0.5
    assert card.training["iterations"] == min(rows, key=lambda row: row["validation_loss"])["iteration"]
    assert_same(weights, load_checkpoint(config.run_folder / "best.pt")["weights"])


def test_a_run_is_the_same_when_it_is_repeated(place):
    configs = [small_config(place, name=name) for name in ("once", "again")]
    for config in configs:
        train(config, Events())
    assert_same(weights_of(configs[0]), weights_of(configs[1]))


def test_workers_that_read_ahead_do_not_change_the_run(place):
    data = {"cache_type": "float16"}
    configs = [small_config(place, name=f"workers{n}", data=data, training={"workers": n}) for n in (0, 2)]
    for config in configs:
        train(config, Events())
    assert_same(weights_of(configs[0]), weights_of(configs[1]))


def test_an_interrupted_run_goes_on_bit_by_bit(place):
    options = {"training": {"ema_decay": 0.9, "gradient_norm": 1.0, "weight_decay": 0.01}}
    whole = small_config(place, name="whole", **options)
    parts = small_config(place, name="parts", **options)
    train(whole, Events())
    stopped = train(parts, StopAfter(2).events())
    assert not stopped.finished
    assert stopped.model is None
    assert stopped.iterations == 8
    resumed = train(parts, Events(), resume=parts.run_folder)
    assert resumed.finished
    assert_same(weights_of(whole), weights_of(parts))
    states = [load_checkpoint(config.run_folder / "last.pt") for config in (whole, parts)]
    assert_same(*(state["learner"]["average"]["network"] for state in states))
    assert torch.equal(*(state["learner"]["optimizer"]["state"][0]["exp_avg_sq"] for state in states))
    assert without_time(read_history(whole.run_folder)) == without_time(read_history(parts.run_folder))


def test_a_run_can_be_stopped_between_validations_by_a_file(place):
    config = small_config(place, name="stop-file", validation={"every_iterations": 1000})
    config.run_folder.mkdir(parents=True)
    (config.run_folder / "STOP").touch()
    assert train(config, Events()).iterations == 0
    (config.run_folder / "STOP").unlink()
    assert train(config, Events(), resume=config.run_folder).iterations == 12


def test_more_iterations_can_be_added_to_a_finished_run(place):
    config = small_config(place, name="longer", training={"schedule": "constant"})
    train(config, Events())
    longer = replace(config, training=replace(config.training, iterations=16))
    assert train(longer, Events(), resume=config.run_folder).iterations == 16
    assert [row["iteration"] for row in read_history(config.run_folder)] == [4, 8, 12, 16]


def test_another_configuration_cannot_be_resumed(place):
    config = small_config(place, name="fixed")
    train(config, Events())
    other = replace(config, seed=1, augmentation=replace(config.augmentation, gamma=0.5))
    with pytest.raises(InputError, match="got a difference in augmentation, seed"):
        train(other, Events(), resume=config.run_folder)
    with pytest.raises(InputError, match="Expected a new run, got the folder"):
        train(config, Events())
    with pytest.raises(InputError, match=r"Expected a checkpoint .*nowhere/last.pt, got none there"):
        train(config, Events(), resume=place / "nowhere")


def test_accumulation_gives_the_mean_of_the_gradients_of_the_parts(place, monkeypatch):
    compared, batches = [], []

    def compare(learner: Learner, _learning_rate: float) -> None:
        network = learner.network
        accumulated = {name: value.grad.clone() for name, value in network.named_parameters()}
        network.zero_grad()
        for part in batches[0].split(2):
            images, labels = learner.augment(part)
            (learner.loss(network(images), labels) / 2).backward()
        for name, value in network.named_parameters():
            assert torch.allclose(accumulated[name], value.grad, rtol=1e-3, atol=1e-6), name
            compared.append(name)

    step = Learner.step
    monkeypatch.setattr(Learner, "step", lambda self, batch, rate: batches.append(batch) or step(self, batch, rate))
    monkeypatch.setattr(Learner, "_update", compare)
    train(small_config(place, name="parts-of-a-batch", training={"accumulate": 2, "iterations": 1}), Events())
    assert compared


def test_fine_tuning_starts_from_the_weights_of_the_base_model(place):
    base = train(small_config(place, name="base", training={"iterations": 60}), Events())
    one_step = {"iterations": 1, "learning_rate": 1e-9}
    tuned = small_config(place, name="tuned", base_model=str(base.model), training=one_step)
    outcome = train(tuned, Events())
    assert outcome.validation["mean_iou"] == pytest.approx(base.validation["mean_iou"], abs=0.1)
    assert read_card(outcome.model).training["base_model"] == "base.mgmodel"
    other = small_config(place, name="other", base_model=str(base.model), network={"width": 8})
    with pytest.raises(InputError, match=r"Expected a base model with the network .*'width': 8"):
        train(other, Events())


def test_a_bundled_model_is_a_base_model_by_its_name(place, monkeypatch):
    base = train(small_config(place, name="bundled-base"), Events()).model
    monkeypatch.setattr(run, "bundled_models", lambda: {"some-model": base})
    warnings = []
    tuned = small_config(place, name="from-bundled", base_model="some-model", data={"lower_percentile": 1.0})
    assert train(tuned, Events(warnings.append)).finished
    assert any("base model was trained with" in entry.get("message", "") for entry in warnings)


def test_one_labelled_explant_is_enough(tmp_path):
    write_samples(tmp_path / "samples", 1)
    config = small_config(tmp_path)
    assert not train(config, StopAfter(1).events()).finished
    saved = TrainingConfig.read(config.run_folder / "configuration.toml")
    assert [(s.name, s.split) for s in saved.data.samples] == [("s0", "train"), ("s0 (validation)", "validation")]
    assert train(saved, Events(), resume=config.run_folder).finished


def test_a_run_is_not_resumed_with_other_samples(tmp_path):
    write_samples(tmp_path / "samples", 2)
    config = small_config(tmp_path)
    train(config, StopAfter(1).events())
    write_sample(tmp_path / "samples" / "s9", 9)
    with pytest.raises(InputError, match="got a difference in data"):
        train(config, Events(), resume=config.run_folder)
    saved = TrainingConfig.read(config.run_folder / "configuration.toml")
    assert train(saved, Events(), resume=config.run_folder).finished


def test_a_time_limit_ends_the_run_with_a_model(place):
    config = small_config(
        place, name="timed", training={"iterations": 10**6, "time_limit_minutes": 1 / 60, "schedule": "cosine"}
    )
    outcome = train(config, Events())
    assert outcome.reason == "time limit reached"
    assert read_history(config.run_folder)[-1]["learning_rate"] < config.training.learning_rate
    assert outcome.model.exists()


def test_early_stopping_ends_a_run_that_no_longer_gets_better(place):
    config = small_config(
        place, name="stale", training={"iterations": 1000, "learning_rate": 1e-12, "early_stopping_iterations": 8}
    )
    outcome = train(config, Events())
    assert outcome.reason == "no better validation loss"
    assert outcome.iterations < 60


def test_a_loss_that_is_not_a_number_stops_with_the_samples_named(place):
    config = small_config(place, name="diverges", training={"learning_rate": 1e30, "iterations": 50})
    with pytest.raises(InputError, match=r"Expected a finite (validation )?loss, got (nan|inf)"):
        train(config, Events())
    assert not (config.run_folder / "diverges.mgmodel").exists()


def test_the_sample_with_values_that_are_not_numbers_is_named(place, monkeypatch):
    config = small_config(place, name="poisoned", training={"iterations": 5})
    augment = Augmentation.__call__

    def with_one_bad_patch(self, batch):
        images, labels = augment(self, batch)
        images[[name == "s1" for name in batch.samples]] = np.nan
        return images, labels

    monkeypatch.setattr(Augmentation, "__call__", with_one_bad_patch)
    with pytest.raises(InputError, match="in a batch with the sample s1"):
        train(config, Events())


def test_when_the_disk_is_full_the_old_checkpoint_stays(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"value": torch.ones(3)})

    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        save_checkpoint(path, {"value": torch.zeros(3)})
    assert torch.equal(load_checkpoint(path)["value"], torch.ones(3))
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]


def test_a_really_full_disk_leaves_the_old_checkpoint(tmp_path):
    """/dev/full takes nothing; written through it, torch reports the failure in its own way."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"value": torch.ones(3)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_temporary_name", lambda _path: "full")
        (tmp_path / "full").symlink_to("/dev/full")
        with pytest.raises(OutputError):
            save_checkpoint(path, {"value": torch.zeros(200_000)})
    assert torch.equal(load_checkpoint(path)["value"], torch.ones(3))


def test_a_damaged_checkpoint_is_said_to_be_one(tmp_path):
    path = tmp_path / "last.pt"
    path.write_bytes(b"PK not a checkpoint")
    with pytest.raises(InputError, match="Expected a readable checkpoint in"):
        load_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(InputError, match=r"Expected a checkpoint of format 2"):
        load_checkpoint(path)


def test_all_background_cannot_be_trained_on(tmp_path):
    write_samples(tmp_path / "samples", 2)
    entry = {**SMALL["data"]["samples"][0], "roles": {str(value): "bone" for value in range(4)}}
    with pytest.raises(InputError, match="two classes or more in the training samples"):
        train(small_config(tmp_path, data={"samples": [entry]}), Events())


def test_bf16_trains_too(place):
    outcome = train(small_config(place, name="bf16", training={"precision": "bf16"}), Events())
    assert np.isfinite(outcome.validation["loss"])


def test_devices_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="got 'gpu'"):
        choose_arithmetic("gpu", "auto")
    with pytest.raises(InputError, match="got fp16"):
        choose_arithmetic("cpu", "fp16")
    assert choose_arithmetic("cpu", "fp32").dtype is torch.float32


@contextmanager
def child_process(place: Path, arguments: list[str], **options) -> Iterator[subprocess.Popen]:
    """Python with these arguments in `place`; ended with the block if it has not ended by itself."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    child = subprocess.Popen([sys.executable, *arguments], cwd=place, env=environment, **options)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs POSIX signals")
@pytest.mark.parametrize(("number", "exit_code"), [("SIGUSR1", 0), ("SIGTERM", 130)])
def test_a_signal_writes_a_checkpoint_and_ends_the_process_cleanly(place, number, exit_code):
    config = small_config(place, name=f"signal-{number}", training={"iterations": 10**6})
    (place / f"{number}.toml").write_text(config.to_toml(), encoding="utf-8")
    with child_process(place, ["-m", "MgImplantSegLib", "train", f"{number}.toml"]) as child:
        wait_for(config.run_folder / "last.pt", child)
        child.send_signal(getattr(signal, number))
        assert child.wait(timeout=PATIENCE_S) == exit_code
    state = load_checkpoint(config.run_folder / "last.pt")
    assert state["progress"]["iteration"] >= 4
    assert not list(config.run_folder.glob(".partial*"))


def wait_for(path: Path, child: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert child.poll() is None, "the process ended before it was expected to"
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_same_global_batch(place):
    options = {"training": {"loss": "cross_entropy_dice", "ema_decay": 0.9}}
    alone, together = (small_config(place, name=f"world-{count}", **options) for count in (1, 2))
    (place / "together.toml").write_text(together.to_toml(), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--local-addr=127.0.0.1",
        f"--master-port={port}",
        "-m",
        "MgImplantSegLib",
        "train",
        "together.toml",
        "--events",
        "together.jsonl",
    ]
    with child_process(place, words, stdout=subprocess.PIPE, text=True) as child:
        train(alone, Events())
        report, _ = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 0
    assert report.count("Model file:") == 1
    assert (place / "together.jsonl").read_text(encoding="utf-8").count('"event": "result"') == 1
    first, second = read_history(alone.run_folder), read_history(together.run_folder)
    for row, other in zip(first, second, strict=True):
        assert other["training_loss"] == pytest.approx(row["training_loss"], rel=1e-4)
        assert other["validation_loss"] == pytest.approx(row["validation_loss"], rel=1e-3)
    assert (together.run_folder / f"{together.name}.mgmodel").exists()
    weights = weights_of(together)
    assert not any(name.startswith("module.") for name in weights)


def test_the_command_says_what_came_out_and_refuses_unknown_keys(place, capsys):
    config = small_config(place, name="command")
    path = place / "command.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    assert main(["train", str(path)]) == 0
    assert "Model file:" in capsys.readouterr().out
    path.write_text(config.to_toml().replace("learning_rate", "lerning_rate"), encoding="utf-8")
    assert main(["train", str(path)]) == 2
    assert "Did you mean 'learning_rate'" in capsys.readouterr().err


def test_a_run_that_is_not_finished_can_be_exported(place, capsys):
    config = small_config(place, name="unfinished")
    assert not train(config, StopAfter(1).events()).finished
    exported = place / "early.mgmodel"
    assert main(["model", "export", str(config.run_folder), str(exported)]) == 0
    assert "iterations: 4" in capsys.readouterr().out
    assert_same(load_model(exported)[1], load_checkpoint(config.run_folder / "best.pt")["weights"])
    assert main(["model", "export", str(place / "samples"), str(exported)]) == 2
    assert main(["model", "export", str(config.run_folder), str(place / "early.pt")]) == 2
    assert "ends with .mgmodel" in capsys.readouterr().err


def test_a_run_in_a_thread_leaves_signals_alone(place):
    config = small_config(place, name="thread", training={"iterations": 2})
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(train(config, Events())))
    thread.start()
    thread.join(timeout=PATIENCE_S)
    assert outcomes[0].finished
