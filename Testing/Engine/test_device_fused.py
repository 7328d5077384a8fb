"""What is summed, voted and decided on a device is what is on the host; here the device is the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from threshold_model import save_threshold_model

from MgImplantSegLib.base.errors import Cancelled, InputError, ResourceError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.inference import backends
from MgImplantSegLib.inference import device as device_module
from MgImplantSegLib.inference.device import Compute, Device, choose_compute, choose_computes
from MgImplantSegLib.inference.device_fused import (
    DeviceNetwork,
    bytes_on_device,
    largest_class,
    predict_on_devices,
)
from MgImplantSegLib.inference.device_planes import DevicePlane
from MgImplantSegLib.inference.fused import FusedPlan, predict_fused
from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.inference.predictor import NetworkPredictor
from MgImplantSegLib.inference.segmenter import segment_volume
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.networks import build_network
from MgImplantSegLib.planes.plane_sets import PLANE_SETS
from MgImplantSegLib.preprocessing.preprocess import Preprocessing

SHAPE = (21, 18, 25)
PLANES = PLANE_SETS["9"]


def volume():
    return np.random.default_rng(0).random(SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def predictor():
    """A small network with random weights whose classes all occur."""
    torch.manual_seed(0)
    card = ModelCard("random", {"name": "unet", "depth": 1, "width": 4}, Preprocessing(20.0))
    weights = build_network(card.network).state_dict()
    for name in [name for name in weights if name.startswith("head")]:
        weights[name] = weights[name] * (0 if name.endswith("bias") else 30)
    return NetworkPredictor(card, weights, choose_compute("cpu", "fp32"))


def plan_of(planes, fusion, **more):
    return FusedPlan(planes, fusion, size_multiple=2, sum_bits=16, **more)


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
def test_slices_read_on_a_device_are_those_of_the_host(plane):
    on_device = DevicePlane(plane, SHAPE, "cpu")
    count = plane.slice_count(SHAPE)
    for start, stop in ((0, 3), (3, 9), (count - 2, count)):
        expected = plane.read_block(volume(), start, stop)
        found = on_device.read_block(torch.from_numpy(volume()), start, stop)
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)


@pytest.mark.parametrize("devices", [1, 2, 4])
@pytest.mark.parametrize("fusion", ["soft", "majority"])
@pytest.mark.parametrize("planes", ["1", "3", "9"])
def test_sums_votes_and_labels_are_those_of_the_host_however_many_devices_share_the_planes(
    planes, fusion, devices, predictor
):
    plan = plan_of(planes, fusion, batch_size=3, with_votes=True)
    host = predict_fused(volume(), predictor, plan)
    device = predict_on_devices(volume(), [DeviceNetwork.of(predictor)] * devices, plan)
    everything = slice(None)
    most = len(PLANE_SETS[planes])  # rounding may differ by one count a plane
    assert np.abs(device.accumulator.sums(everything) - host.accumulator.sums(everything)).max() <= 3 * most
    assert (device.accumulator.votes(everything) == host.accumulator.votes(everything)).mean() > 0.999
    labels = device.labels()
    assert labels.dtype == np.uint8 and (labels == host.labels()).mean() > 0.999
    assert len(np.unique(labels)) > 1
    np.testing.assert_array_equal(labels, device.labels_of(everything))  # decided on the device and on the host
    np.testing.assert_allclose(device.plane_squares, host.plane_squares, rtol=1e-4)
    np.testing.assert_allclose(device.probabilities(), host.probabilities(), atol=1e-3)
    np.testing.assert_allclose(device.disagreement().mean(), host.disagreement().mean(), atol=1e-3)


def test_the_result_does_not_depend_on_the_batches_nor_on_who_has_which_plane(predictor):
    network = DeviceNetwork.of(predictor)
    one = predict_on_devices(volume(), [network], plan_of("9", "soft", batch_size=1))
    other = predict_on_devices(volume(), [network] * 3, plan_of("9", "soft", batch_size=1))
    np.testing.assert_array_equal(one.accumulator.sums(slice(None)), other.accumulator.sums(slice(None)))


def test_of_two_classes_that_are_the_same_the_lower_wins():
    scores = torch.tensor([[1.0, 2.0, 0.0], [1.0, 2.0, 5.0], [0.5, 3.0, 5.0]])
    assert largest_class(scores).tolist() == [0, 2, 1]


def test_smaller_batches_are_tried_when_the_memory_runs_out_and_then_it_is_told(predictor):
    sizes = []

    def predict(batch):
        sizes.append(len(batch))
        if len(batch) > 1:
            raise torch.OutOfMemoryError("too large")
        return predictor.probabilities_on_device(batch)

    plan = plan_of("1", "soft", batch_size=8)
    result = predict_on_devices(volume(), [DeviceNetwork("cpu", predict)], plan)
    assert sizes[:4] == [8, 4, 2, 1] and set(sizes[4:]) == {1}
    np.testing.assert_array_equal(result.labels(), predict_fused(volume(), predictor, plan).labels())

    def never(batch):
        raise torch.OutOfMemoryError("none at all")

    with pytest.raises(ResourceError, match="one slice on cpu, got: none at all"):
        predict_on_devices(volume(), [DeviceNetwork("cpu", never)], plan)


def test_it_stops_when_the_user_asks_and_refuses_networks_that_see_neighbours(predictor):
    calls = []

    def cancelled():
        calls.append(1)
        return len(calls) > 3

    with pytest.raises(Cancelled):
        predict_on_devices(
            volume(), [DeviceNetwork.of(predictor)] * 2, plan_of("3", "soft"), Events(is_cancelled=cancelled)
        )
    with pytest.raises(InputError, match="neighbours"):
        predict_on_devices(volume(), [DeviceNetwork.of(predictor)], plan_of("3", "soft", context=1))


def test_what_lies_on_a_device_is_known_beforehand():
    assert bytes_on_device((10, 10, 10), plan_of("3", "soft")) == 1000 * (4 + 3 * 4)
    assert bytes_on_device((10, 10, 10), plan_of("3", "majority")) == 1000 * (4 + 3 * 5)


def test_several_gpus_are_named_by_their_numbers_where_they_can_share_the_work():
    several, one = Device(several=True), Device()
    assert several.is_valid("cuda:0,1") and several.is_valid("cuda:2,0,1") and several.is_valid("cuda:3")
    for wrong in ("cuda:0,0", "cuda:0,", "cuda:,1", "cuda:0;1", "cpu,cuda:0", "cuda:0, 1"):
        assert not several.is_valid(wrong)
    assert not one.is_valid("cuda:0,1") and one.is_valid("cuda:1")
    with pytest.raises(InputError, match="or GPUs as cuda:N,M for device, got 'cuda:1,1'"):
        SegmentOptions("m", device="cuda:1,1")


def test_a_gpu_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(device_module, "gpu_count", lambda: 1)
    monkeypatch.setattr(device_module, "_automatic_precision", lambda device: "bf16")
    with pytest.raises(ResourceError, match="Expected the GPU cuda:1, got a machine where torch sees 1"):
        choose_computes("cuda:0,1")


def test_segmenting_with_shared_planes_gives_the_labels_of_one_device(tmp_path, monkeypatch):
    model = save_threshold_model(tmp_path / "m.mgmodel", 10.0)
    grey = np.repeat(np.linspace(0, 1, 20, dtype=np.float32), 16 * 18).reshape(20, 16, 18)
    scan = Volume(grey, Geometry(grey.shape, (0.01,) * 3))
    one = segment_volume(scan, SegmentOptions(model, planes="9", device="cpu", backend="torch", precision="fp32"))
    monkeypatch.setattr(backends, "choose_computes", lambda device, precision: [Compute("cpu", "fp32")] * 2)
    options = SegmentOptions(model, planes="9", device="cuda:0,1", want_disagreement=True, want_probabilities=True)
    several = segment_volume(scan, options)
    np.testing.assert_array_equal(several.label_map.array, one.label_map.array)
    assert several.disagreement is not None and set(several.probabilities or {}) >= {"bone"}
