"""OpenVINO predicts what torch predicts, needs no torch for it, and says what is wrong where it cannot."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from MgImplantSegLib.base.errors import DependencyError, InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.resources import find_model
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.inference import backends, openvino_predictor
from MgImplantSegLib.inference.backends import load_network
from MgImplantSegLib.inference.openvino_entries import has_openvino, read_openvino, write_openvino
from MgImplantSegLib.inference.openvino_export import add_openvino
from MgImplantSegLib.inference.openvino_predictor import openvino_problem, version_numbers
from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.inference.segmenter import segment_volume
from MgImplantSegLib.io import write_volume
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.model.file import load_model, read_card, save_model
from MgImplantSegLib.networks import build_network
from MgImplantSegLib.preprocessing.preprocess import Preprocessing, preprocess
from MgImplantSegLib.simulation import SimulationSettings, simulate_explant

PLAIN = {"name": "unet", "depth": 2, "width": 4, "classes": 4}
WITH_NEIGHBOURS = {"name": "unet25d", "depth": 1, "width": 4, "in_channels": 5, "classes": 4}
BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {blocked!r}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
from MgImplantSegLib.cli import main
code = main({words!r})
print(sorted({{"torch", "openvino"}} & set(sys.modules)))
sys.exit(code)
"""
installed = pytest.mark.skipif(
    bool(openvino_problem()) and os.environ.get("CI", "false") == "false", reason="OpenVINO is not installed here"
)


def save_random_model(path: Path, network=PLAIN, **card) -> Path:
    """A model as after training, with statistics in its batch norms and an opinion everywhere."""
    torch.manual_seed(0)
    built = build_network(network)
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_()
    save_model(path, ModelCard("random", network, Preprocessing(20.0), **card), built.state_dict())
    return path


def exchange(path: Path, **entries: bytes) -> Path:
    """The model file with other contents for the entries whose names begin so."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            key = name.replace(".", "_")
            archive.writestr(name, entries.get(key, content))
    return path


def scan(edge=24) -> Volume:
    grey = np.random.default_rng(0).random((edge, edge + 5, edge + 9)).astype(np.float32)
    return Volume(grey, Geometry(grey.shape, (0.02,) * 3))


def run_without(package: str, *words: str) -> subprocess.CompletedProcess[str]:
    """One command in a process in which that package cannot be imported."""
    code = BLOCKED.format(blocked=package, words=list(words))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@installed
@pytest.mark.parametrize("network", [PLAIN, WITH_NEIGHBOURS], ids=lambda network: network["name"])
@pytest.mark.parametrize("stored", ["float32", "float16"])
def test_probabilities_are_those_of_torch_whole_and_in_tiles(tmp_path, network, stored):
    path = add_openvino(save_random_model(tmp_path / "m.mgmodel", network, weights_dtype=stored))
    slices = np.random.default_rng(1).random((2, network.get("in_channels", 1), 76, 60)).astype(np.float32)
    expected = load_network(path, "cpu", "fp32", "torch").predictor(1 << 16)(slices)
    loaded = load_network(path, "cpu", "fp32", "openvino")
    np.testing.assert_allclose(loaded.predictor(1 << 16)(slices), expected, atol=2e-5)
    np.testing.assert_allclose(loaded.predictor(20)(slices), expected, atol=2e-5)


@installed
def test_the_bundled_model_gives_the_labels_of_torch_on_a_simulated_explant(tmp_path):
    path = add_openvino(find_model(), tmp_path / "bundled.mgmodel")
    assert path.stat().st_size < 20e6
    explant = simulate_explant(SimulationSettings(size=60, spacing_um=20.0, seed=3))
    labels = {
        backend: segment_volume(explant.image, SegmentOptions(path, "1", precision="fp32", backend=backend))
        for backend in ("torch", "openvino")
    }
    same = labels["torch"].label_map.array == labels["openvino"].label_map.array
    assert same.mean() >= 0.999
    assert len(np.unique(labels["openvino"].label_map.array)) > 2
    assert labels["openvino"].provenance["backend"] == "openvino"


def test_16_bits_give_the_labels_of_32_bits_on_slices_of_a_simulated_explant():
    image = simulate_explant(SimulationSettings(size=60, spacing_um=20.0, seed=3)).image
    backend = "openvino" if not openvino_problem() and openvino_predictor.computes_with_bf16() else "torch"
    loaded = [load_network(find_model(), "cpu", precision, backend) for precision in ("fp32", "bf16")]
    assert [network.compute.precision for network in loaded] == ["fp32", "bf16"]
    slices = np.zeros((2, 1, 64, 64), np.float32)
    slices[:, 0, :60, :60] = preprocess(image, loaded[0].card.preprocessing).array[[24, 30]]
    labels = [network.predictor(1 << 16)(slices).argmax(axis=1) for network in loaded]
    assert (labels[0] == labels[1]).mean() >= 0.998
    assert set(np.unique(labels[1])) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("flags", "listed", "precision"),
    [
        ({"amx_bf16"}, True, "bf16"),
        ({"avx512f"}, True, "fp32"),
        ({"avx512_bf16"}, False, "fp32"),
        (set(), True, "fp32"),
    ],
)
def test_16_bits_are_taken_by_themselves_only_where_the_processor_computes_with_them(
    flags, listed, precision, monkeypatch
):
    monkeypatch.setattr("MgImplantSegLib.inference.device._cpu_flags", lambda: flags)
    monkeypatch.setattr(openvino_predictor, "computes_with_bf16", lambda: listed)
    assert backends._precision("auto") == precision


@installed
def test_16_bits_are_the_precision_where_the_processor_has_them_else_refused(tmp_path):
    path = add_openvino(save_random_model(tmp_path / "m.mgmodel"))
    slices = np.random.default_rng(1).random((1, 1, 32, 32)).astype(np.float32)
    if openvino_predictor.computes_with_bf16():
        loaded = load_network(path, "cpu", "bf16", "openvino")
        assert loaded.compute.precision == "bf16"
        np.testing.assert_allclose(loaded.predictor(64)(slices).sum(axis=1), 1, atol=1e-3)
        return
    with pytest.raises(InputError, match="computes with bf16"):
        load_network(path, "cpu", "bf16", "openvino")
    assert load_network(path, "cpu", "bf16", "auto").compute.backend == "torch"
    assert load_network(path, "cpu", "auto", "openvino").compute.precision == "fp32"


@installed
def test_segment_works_where_torch_cannot_be_imported(tmp_path):
    path = str(add_openvino(save_random_model(tmp_path / "m.mgmodel")))
    write_volume(scan(16), tmp_path / "scan.nrrd")
    words = ["segment", str(tmp_path / "scan.nrrd"), str(tmp_path / "out.seg.nrrd"), "--model", path, "--planes", "3"]
    done = run_without("torch", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['openvino']"
    asked_for = run_without("torch", *words, "--backend", "torch")
    assert asked_for.returncode == 2 and "Expected torch for the backend torch" in asked_for.stderr


@installed
def test_converting_keeps_card_and_weights_and_gives_the_same_bytes_again(tmp_path):
    path = save_random_model(tmp_path / "m.mgmodel", weights_dtype="float16")
    card, weights = load_model(path)
    first = add_openvino(path, tmp_path / "first.mgmodel").read_bytes()
    assert not has_openvino(path)
    assert add_openvino(path).read_bytes() == first == add_openvino(path).read_bytes()
    again, kept = load_model(path)
    assert again == card and again.hash == card.hash
    assert all(torch.equal(weights[name], kept[name]) for name in weights)


@installed
def test_auto_takes_openvino_on_a_processor_where_the_model_has_it(tmp_path):
    path = save_random_model(tmp_path / "m.mgmodel")
    assert load_network(path, "cpu").compute.backend == "torch"
    assert load_network(add_openvino(path), "cpu").compute.backend == "openvino"
    assert load_network(path, "cpu", backend="torch").compute.backend == "torch"


@installed
def test_weights_that_were_exchanged_are_not_predicted_with_the_old_network(tmp_path):
    path = add_openvino(save_random_model(tmp_path / "m.mgmodel"))
    card, weights = load_model(path)
    save_model(tmp_path / "other.mgmodel", card, {name: 2 * value for name, value in weights.items()})
    with zipfile.ZipFile(tmp_path / "other.mgmodel") as archive:
        exchange(path, weights_pt=archive.read("weights.pt"))
    for backend in ("auto", "openvino"):
        with pytest.raises(InputError, match="a different network or different weights") as caught:
            load_network(path, "cpu", backend=backend)
        assert "model convert" in caught.value.remedy
    assert load_network(path, "cpu", backend="torch").compute.backend == "torch"
    assert load_network(add_openvino(path), "cpu").compute.backend == "openvino"


@installed
def test_a_network_of_another_kind_is_told_before_it_predicts(tmp_path):
    path = add_openvino(save_random_model(tmp_path / "m.mgmodel"))
    other = add_openvino(save_random_model(tmp_path / "other.mgmodel", WITH_NEIGHBOURS))
    write_openvino(path, path, read_openvino(other))
    with pytest.raises(InputError, match="from 1 channels to 4 classes"):
        load_network(path, "cpu", backend="openvino")


@installed
def test_a_network_that_openvino_cannot_read_names_both_versions(tmp_path):
    path = add_openvino(save_random_model(tmp_path / "m.mgmodel"))
    network = read_openvino(path)
    unknown = network.xml.replace(b'type="MaxPool" version="', b'type="MaxPool" version="opset99')
    assert unknown != network.xml
    write_openvino(path, path, replace(network, xml=unknown, version="2099.1.0"))
    with pytest.raises(InputError, match=r"got one written by 2099\.1\.0"):
        load_network(path, "cpu", backend="openvino")


def save_with_entries(path: Path) -> Path:
    """A model file with entries for OpenVINO that hold no network: enough for all that happens before it is read."""
    save_random_model(path)
    from MgImplantSegLib.inference.openvino_entries import OpenVinoNetwork

    write_openvino(path, path, OpenVinoNetwork(b"<net/>", b"1234", "2026.4.0"))
    return path


def test_entries_are_read_without_openvino_and_the_card_is_the_same(tmp_path):
    path = save_with_entries(tmp_path / "m.mgmodel")
    assert read_openvino(path).xml == b"<net/>"
    assert read_card(path).name == "random"
    assert load_model(path)[0].name == "random"


@pytest.mark.parametrize(
    ("entry", "content", "words"),
    [
        ("openvino_xml", b"<other/>", "damaged data"),
        ("openvino_bin", b"5678", "damaged data"),
        ("openvino_json", b"[]", "something else"),
        ("openvino_json", b"{", "JSON"),
        ("openvino_json", b'{"version": "2026.4.0"}', "a different network or different weights"),
        ("openvino_xml", bytes(9 << 20), "at most"),
        ("openvino_bin", bytes(9 << 20), "at most"),
    ],
)
def test_damaged_entries_are_refused_with_what_to_do(tmp_path, entry, content, words):
    path = exchange(save_with_entries(tmp_path / "m.mgmodel"), **{entry: content})
    with pytest.raises(InputError, match=words) as caught:
        read_openvino(path)
    assert caught.value.remedy


def test_a_file_with_some_of_the_entries_is_no_model_file(tmp_path):
    path = save_with_entries(tmp_path / "m.mgmodel")
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if name != "openvino.bin"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match=r"card\.json and weights\.pt"):
        read_card(path)


def test_the_model_without_a_network_for_openvino_says_how_to_get_one(tmp_path):
    with pytest.raises(InputError, match=r"got .* without") as caught:
        read_openvino(save_random_model(tmp_path / "m.mgmodel"))
    assert "model convert" in caught.value.remedy


def test_an_old_openvino_is_refused_where_it_is_asked_for_and_left_out_where_it_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(openvino_predictor.importlib.metadata, "version", lambda package: "2023.3.0")
    path = save_with_entries(tmp_path / "m.mgmodel")
    with pytest.raises(DependencyError, match=r"OpenVINO 2025\.0 or newer, got version 2023\.3\.0") as caught:
        load_network(path, "cpu", backend="openvino")
    assert "pip install" in caught.value.remedy
    assert load_network(path, "cpu").compute.backend == "torch"


def test_without_openvino_the_backend_is_torch_and_asking_for_it_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(backends, "openvino_problem", lambda: "a Python without it")
    monkeypatch.setattr(openvino_predictor, "openvino_problem", lambda: "a Python without it")
    path = save_with_entries(tmp_path / "m.mgmodel")
    assert load_network(path, "cpu").compute.backend == "torch"
    with pytest.raises(DependencyError, match="a Python without it"):
        load_network(path, "cpu", backend="openvino")


def test_without_torch_and_without_a_network_for_openvino_the_way_out_is_told(tmp_path):
    path = save_random_model(tmp_path / "m.mgmodel")
    write_volume(scan(8), tmp_path / "scan.nrrd")
    done = run_without("torch", "segment", str(tmp_path / "scan.nrrd"), str(tmp_path / "o.nrrd"), "--model", str(path))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "openvino" in done.stderr.lower() and "torch" in done.stderr


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_openvino_is_refused_on_a_gpu(tmp_path, device):
    with pytest.raises(InputError, match="device cpu for OpenVINO"):
        load_network(save_with_entries(tmp_path / "m.mgmodel"), device, backend="openvino")


@pytest.mark.parametrize(("words", "expected"), [("backend", "tensorflow"), ("precision", "int8"), ("device", "tpu")])
def test_unknown_words_are_refused(tmp_path, words, expected):
    with pytest.raises(InputError, match=expected):
        load_network(save_with_entries(tmp_path / "m.mgmodel"), **{words: expected})


@pytest.mark.parametrize(
    ("text", "numbers"), [("2026.4.0", (2026, 4)), ("2025.0.1.dev3", (2025, 0)), ("custom", (0, 0)), ("", (0, 0))]
)
def test_versions_are_compared_by_year_and_release(text, numbers):
    assert version_numbers(text) == numbers


@installed
def test_the_command_converts_a_file_in_its_place_and_shows_for_what_it_is(tmp_path, capsys):
    from MgImplantSegLib.cli import main

    path = save_random_model(tmp_path / "m.mgmodel")
    assert main(["model", "convert", str(path)]) == 0
    assert "for torch and openvino" in capsys.readouterr().out
    assert main(["model", "info", str(path)]) == 0
    assert "for torch and openvino" in capsys.readouterr().out
    facts = json.loads(zipfile.ZipFile(path).read("openvino.json"))
    assert facts["network"] == read_card(path).network


@installed
def test_training_and_teaching_write_models_for_openvino_too(tmp_path, monkeypatch):
    from teach_cases import write_model, write_pair
    from training_cases import small_config, write_samples

    from MgImplantSegLib.cli import main
    from MgImplantSegLib.training.loop.run import train

    monkeypatch.chdir(tmp_path)
    write_samples(tmp_path / "samples", 2)
    assert has_openvino(train(small_config(tmp_path, training={"iterations": 1}), Events()).model)
    write_model(tmp_path / "parent.mgmodel")
    write_pair(tmp_path, slices="z:4,y:12")
    words = ["teach", "scan.nrrd", "labels.nrrd", "out.mgmodel", "--from", "parent.mgmodel", "--iterations", "1"]
    assert main([*words, "--device", "cpu"]) == 0
    assert has_openvino(tmp_path / "out.mgmodel")


def test_the_bundled_model_is_for_both_backends_and_no_larger_than_20_mb():
    path = find_model()
    assert has_openvino(path) and path.stat().st_size <= 20e6
    assert read_openvino(path).version


@pytest.mark.parametrize(
    ("blocked", "line"), [("torch", r"✗ devices .*torch cannot be loaded"), ("openvino", r"✓ torch .*\d")]
)
def test_doctor_says_what_is_there_of_the_backends(blocked, line):
    done = run_without(blocked, "doctor")
    assert re.search(line, done.stdout), done.stdout
    assert "Traceback" not in done.stderr
