"""A network is one file and one entry: it is trained, exported, read and used like the first one."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy import ndimage
from training_cases import small_config, small_data, write_samples

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.inference.predictor import NetworkPredictor
from MgImplantSegLib.inference.segmenter import segment_volume
from MgImplantSegLib.io import read_volume, write_label_map, write_volume
from MgImplantSegLib.jobs.training_request import training_request
from MgImplantSegLib.model.file import read_card
from MgImplantSegLib.networks import NETWORKS, NetworkType
from MgImplantSegLib.training.loop.run import train
from MgImplantSegLib.training.settings.configuration import TrainingConfig

CONTEXT_NETWORK = {"name": "unet25d", "depth": 1, "width": 4, "in_channels": 3}
ADDED_FILE = '''
"""A network of one convolution, as somebody would add it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OneConvolutionSpec:
    kernel: int
    classes: int = 4

    context = 0
    in_channels = 1
    size_multiple = 1
    multiplications_per_pixel = 100.0
    activations_per_pixel = 8

    @property
    def receptive_field(self) -> int:
        return self.kernel

    @property
    def parameter_count(self) -> int:
        return (self.kernel**2 + 1) * self.classes


def build(spec: OneConvolutionSpec):
    from torch import nn

    return nn.Conv2d(1, spec.classes, spec.kernel, padding=spec.kernel // 2)
'''


def write_slices_whose_labels_are_those_of_the_next_one(folder, seed: int) -> None:
    """A voxel is bone where the next slice along z is bright, which a slice alone cannot tell."""
    random = np.random.default_rng(seed)
    blobs = ndimage.gaussian_filter(random.standard_normal((25, 24, 24)), (0, 2, 2))  # slices differ
    grey = (blobs > 0).astype(np.float32)
    geometry = Geometry((24, 24, 24), (0.02, 0.02, 0.02))
    folder.mkdir(parents=True)
    write_volume(Volume(100 * grey[:24], geometry), folder / "image.nrrd")
    write_label_map(LabelMap(grey[1:].astype(np.uint8), geometry), folder / "labels.nrrd")


def bone_agreement(model, folder) -> float:
    labels = segment_volume(read_volume(folder / "image.nrrd"), SegmentOptions(model, "rc", precision="fp32")).label_map
    truth = read_volume(folder / "labels.nrrd").array
    return float((labels.array == truth)[:-1].mean())


@pytest.mark.slow
def test_a_network_that_sees_neighbouring_slices_learns_what_a_slice_alone_cannot_tell(tmp_path):
    for seed in range(4):
        write_slices_whose_labels_are_those_of_the_next_one(tmp_path / "samples" / f"s{seed}", seed)
    changes = {
        "data": {"classes": ["background", "bone"], "planes": "rc"},
        "training": {"iterations": 60, "learning_rate": 0.02},
        "augmentation": {"elastic_probability": 0.0, "noise_probability": 0.0},
    }
    agreement = {}
    for name, network in {"context": CONTEXT_NETWORK, "alone": {"depth": 1, "width": 4}}.items():
        outcome = train(small_config(tmp_path, name=name, network=network, **changes), Events())
        agreement[name] = bone_agreement(outcome.model, tmp_path / "samples" / "s3")
    assert read_card(tmp_path / "runs" / "context" / "context.mgmodel").network["name"] == "unet25d"
    assert agreement["context"] > 0.95 and agreement["alone"] < 0.7


def test_all_nine_planes_go_through_a_network_with_neighbours_also_in_tiles(tmp_path):
    write_samples(tmp_path / "samples")
    network = {**CONTEXT_NETWORK, "in_channels": 5}
    model = train(small_config(tmp_path, network=network, training={"iterations": 4}), Events()).model
    scan = read_volume(tmp_path / "samples" / "s0" / "image.nrrd")
    segmented = segment_volume(scan, SegmentOptions(model, "9", precision="fp32")).label_map
    assert segmented.geometry == scan.geometry and len(np.unique(segmented.array)) > 1
    predictor = NetworkPredictor.from_file(model, "cpu", "fp32")
    slices = np.random.default_rng(0).random((2, 5, 40, 40), np.float32)
    whole, predictor._tile_edge = predictor(slices), 8
    np.testing.assert_allclose(predictor(slices), whole, atol=1e-6)


@pytest.fixture
def added_network(tmp_path, monkeypatch):
    """One file, and one entry."""
    (tmp_path / "added_network.py").write_text(ADDED_FILE, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    from added_network import OneConvolutionSpec

    entry = NetworkType("one convolution", "sees its kernel", OneConvolutionSpec, "added_network:build")
    monkeypatch.setitem(NETWORKS, "one_convolution", entry)
    yield
    sys.modules.pop("added_network")


def test_a_network_is_added_by_one_file_and_one_entry(added_network, tmp_path):
    write_samples(tmp_path / "samples")
    network = {"name": "one_convolution", "kernel": 3}
    config = TrainingConfig.from_dict({**small_data(training={"iterations": 8}), "network": network}, tmp_path)
    outcome = train(config, Events())
    assert read_card(outcome.model).network == {**network, "classes": 4}
    scan = read_volume(tmp_path / "samples" / "s0" / "image.nrrd")
    result = segment_volume(scan, SegmentOptions(outcome.model, "3", precision="fp32"))
    assert result.label_map.array.shape == scan.array.shape
    with pytest.raises(InputError, match=r"'network\.width'"):
        TrainingConfig.from_dict({**small_data(), "network": {**network, "width": 4}}, tmp_path)
    with pytest.raises(InputError, match=r"Expected a whole number for 'network\.kernel'"):
        TrainingConfig.from_dict({**small_data(), "network": {**network, "kernel": "three"}}, tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('[network]\nname = "unett"', "Did you mean 'unet'"),
        ("[network]\nclasses = 3", "no classes in the table of the network"),
        ('[network]\nname = "unet25d"\nin_channels = 4', "in_channels of 3, 5"),
        ('[training]\nloss = "cross_entropi"', "Did you mean 'cross_entropy'"),
        ("[training]\nloss_options = {wait = 1.0}", "options of the loss 'cross_entropy' \\(none\\), got 'wait'"),
        ('[training]\ndevice = "gpu"', "the device auto, cpu, cuda or cuda:N for device, got 'gpu'"),
        ('[data]\nplanes = "9"', "a set of axis planes of 1, 3, rc, cp, pr, got '9'"),
        ('[data]\nplanes = "4"', "a set of axis planes of 1, 3, rc, cp, pr, got '4'"),
    ],
)
def test_a_wrong_choice_is_refused_before_a_job_is_sent(tmp_path, line, message):
    (tmp_path / "a.nrrd").touch()
    data = "" if line.startswith("[data]") else "[data]\n"
    text = f'name = "x"\n{line}\n{data}samples = [{{image = "a.nrrd", labels = "a.nrrd"}}]\n'
    (tmp_path / "training.toml").write_text(text, "utf-8")
    with pytest.raises(InputError, match=message):
        training_request(tmp_path / "training.toml")
