"""The network as a predictor: folded, tiled or in small batches it gives what the plain network gives."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch

from MgImplantSegLib.base.errors import InputError, ResourceError
from MgImplantSegLib.inference import device
from MgImplantSegLib.inference.device import (
    PRECISIONS,
    choose_compute,
    keep_freed_memory,
)
from MgImplantSegLib.inference.predictor import NetworkPredictor
from MgImplantSegLib.inference.tiles import halo, tiles
from MgImplantSegLib.model.file import ModelCard, save_model
from MgImplantSegLib.networks import build_network
from MgImplantSegLib.preprocessing.preprocess import Preprocessing

FP32 = choose_compute("cpu", "fp32")


@pytest.fixture
def network():
    """A network as after training: with statistics in its batch norms, and a clear opinion everywhere."""
    torch.manual_seed(0)
    network = build_network({"name": "unet", "depth": 2, "width": 4, "classes": 4})
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_()
    return network.eval()


@pytest.fixture
def card():
    return ModelCard("small", {"name": "unet", "depth": 2, "width": 4, "classes": 4}, Preprocessing(20.0))


def plain(network, slices):
    with torch.inference_mode():
        return network(torch.from_numpy(slices)).softmax(1).numpy()


def random_slices(*shape):
    return np.random.default_rng(0).random(shape).astype(np.float32)


def test_gives_the_softmax_of_the_network(network, card):
    slices = random_slices(3, 1, 24, 36)
    predictor = NetworkPredictor(card, network.state_dict(), FP32)
    np.testing.assert_allclose(predictor(slices), plain(network, slices), atol=2e-6)
    assert predictor(slices).dtype == np.float32


def test_leaves_the_callers_weights_alone(network, card):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    NetworkPredictor(card, network.state_dict(), FP32)(random_slices(1, 1, 8, 8))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("edge", [4, 8, 20, 36])
def test_tiles_give_what_the_whole_slice_gives(network, card, edge):
    slices = random_slices(1, 1, 76, 60)
    predictor = NetworkPredictor(card, network.state_dict(), FP32, tile_edge=edge)
    np.testing.assert_allclose(predictor(slices), plain(network, slices), atol=2e-6)


@pytest.mark.parametrize("shape", [(4, 4), (100, 76), (12, 200)])
def test_tiles_cover_every_pixel_once_and_begin_at_multiples(shape):
    visits = np.zeros(shape, int)
    for tile in tiles(shape, edge=20, halo_pixels=24):
        visits[tile.inner_slices] += 1
        starts = [span[0] for span in tile.outer + tile.inner]
        assert all(start % 4 == 0 for start in starts)
        seen = np.zeros(shape)[tile.outer_slices][tile.inner_in_outer]
        assert seen.shape == visits[tile.inner_slices].shape
    assert (visits == 1).all()


def test_halo_is_half_of_the_receptive_field_rounded_up_to_the_multiple():
    assert halo(96, 8) == 48
    assert halo(200, 16) == 112
    assert halo(44, 4) == 24


class ShortOfMemory:
    """Lets a network fail as a full GPU does, when a batch has more pixels than `room`."""

    def __init__(self, predictor, room):
        self.calls, self.room = [], room
        predictor._network.register_forward_pre_hook(self)

    def __call__(self, _, inputs):
        pixels = inputs[0].numel()
        if pixels > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.calls.append(tuple(inputs[0].shape))


@pytest.mark.slow
@pytest.mark.parametrize("room", [2 * 88 * 60, 88 * 60, 3600])
def test_smaller_batches_and_then_tiles_are_tried_when_the_memory_is_full(network, card, room):
    slices = random_slices(3, 1, 88, 60)
    predictor = NetworkPredictor(card, network.state_dict(), FP32)
    memory = ShortOfMemory(predictor, room)
    np.testing.assert_allclose(predictor(slices), plain(network, slices), atol=2e-6)
    first = len(memory.calls)
    predictor(slices)
    assert len(memory.calls) - first <= first, "what fits is known from then on"


def test_says_so_when_not_even_a_tile_fits(network, card):
    predictor = NetworkPredictor(card, network.state_dict(), FP32)
    ShortOfMemory(predictor, room=10)
    with pytest.raises(ResourceError, match="tile of 4 pixels on cpu"):
        predictor(random_slices(2, 1, 16, 16))


def test_says_so_when_the_gpu_vanishes_in_the_middle(network, card):
    predictor = NetworkPredictor(card, network.state_dict(), FP32)
    lost = getattr(torch, "AcceleratorError", RuntimeError)

    def fail(*_):
        raise lost("CUDA error: device-side assert triggered\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1")

    predictor._network.register_forward_pre_hook(fail)
    with pytest.raises(
        ResourceError, match="the device cpu to compute to the end, got: CUDA error: device-side"
    ) as got:
        predictor(random_slices(1, 1, 16, 16))
    assert "BLOCKING" not in got.value.message and "nvidia-smi" in got.value.remedy


def test_says_so_when_the_device_has_no_memory_for_the_network(network, card, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(ResourceError, match="Expected memory for the network on cpu, got: CUDA out of memory"):
        NetworkPredictor(card, network.state_dict(), FP32)


def test_half_precision_gives_nearly_the_same_labels(network, card):
    slices = random_slices(1, 1, 64, 64)
    labels = plain(network, slices).argmax(1)
    predictor = NetworkPredictor(card, network.state_dict(), choose_compute("cpu", "bf16"))
    assert (predictor(slices).argmax(1) == labels).mean() > 0.98
    np.testing.assert_allclose(predictor(slices).sum(1), 1, atol=1e-5)


def test_reads_a_model_file(network, card, tmp_path):
    save_model(tmp_path / "small.mgmodel", card, network.state_dict())
    predictor = NetworkPredictor.from_file(tmp_path / "small.mgmodel", "cpu", "fp32")
    slices = random_slices(1, 1, 8, 8)
    np.testing.assert_allclose(predictor(slices), plain(network, slices), atol=2e-6)


@pytest.mark.parametrize(
    ("device", "precision"), [("gpu", "auto"), ("cuda:x", "auto"), ("cpu:1", "auto"), ("", "auto"), ("cpu", "int8")]
)
def test_refuses_unknown_words(device, precision):
    with pytest.raises(InputError, match="Expected"):
        choose_compute(device, precision)


def test_refuses_fp16_on_a_cpu():
    with pytest.raises(InputError, match="bf16 or fp32"):
        choose_compute("cpu", "fp16")


def test_names_a_gpu_that_is_not_there():
    with pytest.raises(ResourceError, match="cuda:63"):
        choose_compute("cuda:63")


@pytest.mark.parametrize(("version", "count"), [("2.13.0+cpu", 0), ("2.13.0+cu128", 2), ("2.13.0", 2)])
def test_a_torch_that_knows_no_gpu_is_not_asked_for_any(monkeypatch, version, count):
    monkeypatch.setattr(device, "version", lambda _name: version)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.gpu_count() == count


def test_automatic_choice_is_one_of_the_known_ones():
    compute = choose_compute()
    assert compute.device == "cpu" or compute.device.startswith("cuda:")
    assert compute.precision in tuple(PRECISIONS)[1:]


@pytest.mark.parametrize(("flags", "precision"), [({"avx2"}, "fp32"), ({"avx512_bf16"}, "bf16"), (set(), "fp32")])
def test_cpus_that_compute_with_bf16_use_it(monkeypatch, flags, precision):
    monkeypatch.setattr("MgImplantSegLib.inference.device._cpu_flags", lambda: flags)
    assert choose_compute("cpu").precision == precision


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_allocator_setting_stops_the_page_faults():
    code = (
        "import ctypes, resource, sys\n"
        "ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)\n"  # PR_SET_THP_DISABLE: pages of 2 MB would hide the faults
        "from MgImplantSegLib.inference.device import keep_freed_memory\n"
        "if sys.argv[1] == 'set': assert keep_freed_memory()\n"
        "for n in range(10): bytes([n]) * (48 << 20)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)\n"
    )

    def faults(word):
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        result = subprocess.run(
            [sys.executable, "-c", code, word], capture_output=True, text=True, env=inherited, check=True
        )
        return int(result.stdout)

    default, pages = faults("default"), 10 * (48 << 20) // os.sysconf("SC_PAGESIZE")
    assert faults("set") < default - pages / 6


def test_allocator_setting_is_harmless_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert keep_freed_memory() is False
