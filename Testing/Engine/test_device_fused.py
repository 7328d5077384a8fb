"""What is summed, voted and decided on a device is what is on the host; here the device is the CPU."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from threshold_model import save_threshold_model

from MgImplantSegLib.base.errors import Cancelled, InputError, ResourceError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.inference import backends, device_memory, segmenter
from MgImplantSegLib.inference import device as device_module
from MgImplantSegLib.inference.backends import load_network
from MgImplantSegLib.inference.device import Compute, Device, choose_compute, choose_computes
from MgImplantSegLib.inference.device_accumulator import DeviceAccumulator, largest_class
from MgImplantSegLib.inference.device_errors import device_errors
from MgImplantSegLib.inference.device_fused import DeviceNetwork, bytes_on_device, predict_on_devices
from MgImplantSegLib.inference.device_memory import device_bytes
from MgImplantSegLib.inference.device_planes import DevicePlane
from MgImplantSegLib.inference.fused import FusedPlan, predict_fused
from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.inference.predictor import NetworkPredictor
from MgImplantSegLib.inference.segmenter import segment_volume
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.model.file import load_model
from MgImplantSegLib.networks import build_network
from MgImplantSegLib.planes.plane_sets import PLANE_SETS
from MgImplantSegLib.preprocessing.preprocess import Preprocessing

SHAPE = (21, 18, 25)
PLANES = PLANE_SETS["9"]
CPU = Compute("cpu", "fp32")


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
    assert bytes_on_device((10, 10, 10), plan_of("3", "soft")) == 1000 * (4 + 3 * 2)
    assert bytes_on_device((10, 10, 10), plan_of("3", "majority")) == 1000 * (4 + 3 * 3)


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


def on_gpus(monkeypatch, count, free=1 << 40):
    """As if there were that many GPUs with so much free memory; all are the CPU. Gives how often each way was taken."""
    taken = []

    def load(*words):
        loaded = load_network(*words)
        on_devices = partial(backends._on_devices, weights=load_model(words[0])[1], others=[CPU] * (count - 1))
        return replace(loaded, on_devices=on_devices, device_count=count)

    def predict_there(*given):
        taken.append("devices")
        return predict_on_devices(*given)

    monkeypatch.setattr(segmenter, "load_network", load)
    monkeypatch.setattr(device_memory, "free_bytes", lambda _device: free)
    monkeypatch.setattr("MgImplantSegLib.inference.device_fused.predict_on_devices", predict_there)
    return taken


def scan_of_steps():
    grey = np.repeat(np.linspace(0, 1, 20, dtype=np.float32), 16 * 18).reshape(20, 16, 18)
    return Volume(grey, Geometry(grey.shape, (0.01,) * 3))


@pytest.mark.parametrize("count", [1, 2])
def test_segmenting_on_gpus_gives_the_labels_of_the_cpu(count, tmp_path, monkeypatch):
    model, scan = save_threshold_model(tmp_path / "m.mgmodel", 10.0), scan_of_steps()
    options = SegmentOptions(model, planes="9", device="cpu", backend="torch", precision="fp32", want_disagreement=True)
    on_cpu = segment_volume(scan, options)
    taken = on_gpus(monkeypatch, count)
    on_device = segment_volume(scan, replace(options, want_probabilities=True))
    assert taken == ["devices"]
    np.testing.assert_array_equal(on_device.label_map.array, on_cpu.label_map.array)
    np.testing.assert_allclose(on_device.disagreement.array, on_cpu.disagreement.array, atol=1e-6)
    assert set(on_device.probabilities) >= {"bone"}


def test_one_gpu_without_room_for_the_sums_leaves_them_in_the_computer_and_says_so(tmp_path, monkeypatch):
    model, said = save_threshold_model(tmp_path / "m.mgmodel", 10.0), []
    options = SegmentOptions(model, planes="3", device="cpu", backend="torch", precision="fp32")
    on_cpu = segment_volume(scan_of_steps(), options)
    needed = device_bytes(
        segmenter._sizes(scan_of_steps(), load_model(model)[0], options.with_defaults_of(load_model(model)[0]))
    )
    taken = on_gpus(monkeypatch, 1, free=needed - 1)
    result = segment_volume(scan_of_steps(), options, Events(said.append))
    assert taken == [] and any("they stay in the memory of the computer" in str(event.get("message")) for event in said)
    np.testing.assert_array_equal(result.label_map.array, on_cpu.label_map.array)
    taken = on_gpus(monkeypatch, 1, free=needed)
    segment_volume(scan_of_steps(), options)
    assert taken == ["devices"]


def test_gpus_get_the_network_and_the_cpu_does_not(tmp_path, monkeypatch):
    model = save_threshold_model(tmp_path / "m.mgmodel", 10.0)
    assert load_network(model, "cpu", "fp32", "torch").on_devices is None
    for numbers in ([0], [0, 1]):
        computes = [Compute(f"cuda:{number}", "fp32") for number in numbers]
        monkeypatch.setattr(backends, "choose_computes", lambda _device, _precision, found=computes: found)
        loaded = load_network(model, "cuda", "fp32", "torch")
        assert loaded.on_devices is not None and loaded.device_count == len(numbers)


def test_the_largest_sums_of_16_bits_are_whole(predictor):
    """One class has every voxel in every plane: 9 · 7281, more than a signed number of 16 bits holds."""

    def predict(batch):
        return torch.nn.functional.one_hot(torch.full_like(batch[:, 0], 2, dtype=torch.int64), 4).movedim(-1, 1).float()

    result = predict_on_devices(volume(), [DeviceNetwork("cpu", predict)], plan_of("9", "soft"))
    sums = result.accumulator.sums(slice(None))
    assert (sums[2] == 9 * 7281).all() and not sums[[0, 1, 3]].any()
    assert (result.labels() == 2).all()


@pytest.mark.parametrize("wrong", [float("nan"), 0.5])
def test_what_are_no_probabilities_is_refused(wrong):
    def predict(batch):
        return torch.full((len(batch), 4, *batch.shape[2:]), wrong)

    with pytest.raises(InputError, match=r"sum to 1 in every pixel, got (nan|2) on average"):
        predict_on_devices(volume(), [DeviceNetwork("cpu", predict)], plan_of("3", "soft"))


LOST = getattr(torch, "AcceleratorError", RuntimeError)


@pytest.mark.parametrize(
    "error", [LOST("CUDA error: unspecified launch failure\nCompile with"), RuntimeError("cuDNN error: X")]
)
def test_a_gpu_that_vanishes_in_the_middle_is_told(error, predictor):
    calls = []

    def predict(batch):
        calls.append(1)
        if len(calls) > 3:
            raise error
        return predictor.probabilities_on_device(batch)

    with pytest.raises(ResourceError, match=r"Expected the device cpu to compute to the end, got: (CUDA|cuDNN) error"):
        predict_on_devices(volume(), [DeviceNetwork("cpu", predict)], plan_of("1", "soft"))


def test_a_fault_of_the_program_is_not_called_one_of_the_device():
    with pytest.raises(RuntimeError, match="size mismatch"), device_errors("cpu"):
        raise RuntimeError("size mismatch")
    with pytest.raises(torch.OutOfMemoryError), device_errors("cpu"):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_no_memory_for_what_is_beside_the_network_is_told(predictor, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    for owner, name, words in (
        (DevicePlane, "settle", "a block of slices beside the sums on cpu"),
        (DeviceAccumulator, "__init__", r"0.0 GB of memory on cpu for the volume and the sums"),
    ):
        monkeypatch.setattr(owner, name, full)
        with pytest.raises(ResourceError, match=f"{words}, got: CUDA out of memory. Tried to allocate 2 GiB."):
            predict_on_devices(volume(), [DeviceNetwork.of(predictor)], plan_of("1", "soft"))
