"""Prediction and training on GPUs: one prepared script that takes less than 8 minutes on a current one.

    python Testing/Benchmarks/gpu.py [--device cuda] [--shape 1000,1200,1200] [--seconds 420] [--out FILE]

STATE: this script has been run on a CPU with a tiny volume only, to see that it works. No number of a GPU exists yet,
and nothing in the documentation claims one. Its results file names the card, so that the first run can be kept.

It measures, in this order, and leaves out what no longer fits into the time, with the reason in the results:

1. equality: labels of a small volume on the device against those of the CPU in float32, for 3 and 9 planes
2. bare forward of the bundled network and of the paper's best one (width 64, depth 5), in slices a second
3. fused prediction with 3 and 9 planes: with all on the device (`inference.device_fused`), as `segment` does it where
   the memory of the device is large enough, and with sums on the host; seconds, seconds over those of the bare forward
   for the same slices, peak memory
4. training steps of the paper's network, patches of 256 × 256 a second
5. with several devices (`--device cuda:0,1`): planes shared by them

Wanted on one data-centre GPU for 1200 × 1200 × 1000 and the paper's network: 3 planes within 60 s, 9 within 180 s,
fused over bare at most 1.15.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from scipy import ndimage

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.base.resources import find_model
from MgImplantSegLib.inference.device import choose_compute, keep_freed_memory
from MgImplantSegLib.inference.device_fused import DeviceNetwork, bytes_on_device, predict_on_devices
from MgImplantSegLib.inference.fused import FusedPlan, predict_fused
from MgImplantSegLib.inference.predictor import NetworkPredictor
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.model.file import load_model
from MgImplantSegLib.networks import build_network
from MgImplantSegLib.planes.plane_sets import plane_set
from MgImplantSegLib.preprocessing.preprocess import Preprocessing

PAPERS_BEST = {"name": "unet", "depth": 5, "width": 64}
PIXELS_PER_BATCH = 1 << 21
BARE_SECONDS = 4.0
TRAINING_BATCH, TRAINING_EDGE = 16, 256


@dataclass
class Clock:
    """How much of the time is left."""

    seconds: float
    start: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.monotonic() - self.start)


def devices_of(text: str) -> list[str]:
    """``cuda:0,1`` as ``cuda:0`` and ``cuda:1``."""
    first, *others = text.split(",")
    return [first, *(f"{first.split(':')[0]}:{number}" for number in others)]


def is_gpu(device: str) -> bool:
    """Whether it is one."""
    return device.startswith("cuda")


def wait_for(device: str) -> None:
    """Until the device has done all that it was given."""
    if is_gpu(device):
        torch.cuda.synchronize(device)


def measured(device: str, work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a call gives, its seconds, and the peak of the device's memory in GB."""
    if is_gpu(device):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    wait_for(device)
    start = time.perf_counter()
    result = work()
    wait_for(device)
    numbers = {"seconds": round(time.perf_counter() - start, 3)}
    if is_gpu(device):
        numbers["peak_gb"] = round(torch.cuda.max_memory_allocated(device) / 1e9, 2)
    return result, numbers


def predictor_of(name: str, device: str, precision: str) -> NetworkPredictor:
    """The bundled model, or the paper's best network with random weights."""
    if name == "bundled":
        card, weights = load_model(find_model())
    else:
        torch.manual_seed(0)
        card = ModelCard("paper", PAPERS_BEST, Preprocessing(5.0))
        weights = build_network(card.network).state_dict()
    return NetworkPredictor(card, weights, choose_compute(device, precision))


def plan_of(predictor: NetworkPredictor, planes: str, shape: tuple[int, ...], on_gpu: bool) -> FusedPlan:
    """As `segment` makes it."""
    largest = max(shape[0] * shape[1], shape[0] * shape[2], shape[1] * shape[2])
    batch = max(1, PIXELS_PER_BATCH // largest)
    multiple = predictor.spec.size_multiple
    return FusedPlan(planes, "soft", 4, batch, multiple, sum_bits=16, side_by_side=on_gpu)


def scan(shape: tuple[int, ...]) -> np.ndarray:
    """Smoothed noise, 0 to 1; a small block is repeated, so that making it takes no time."""
    block = ndimage.gaussian_filter(np.random.default_rng(0).random((64, 64, 64)), 2, mode="wrap").astype(np.float32)
    block = (block - block.min()) / np.ptp(block)
    return np.tile(block, [-(-n // 64) for n in shape])[tuple(slice(n) for n in shape)]


def equality(device: str, precision: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Part of the voxels with the label of the CPU in float32."""
    found = {}
    reference, other = predictor_of("bundled", "cpu", "fp32"), predictor_of("bundled", device, precision)
    for planes in ("3", "9"):
        plan = plan_of(reference, planes, shape, False)
        labels = predict_fused(scan(shape), reference, plan).labels()
        on_device = predict_on_devices(scan(shape), [DeviceNetwork.of(other)], plan).labels()
        as_segment = predict_fused(scan(shape), other, plan).labels()
        found[f"{planes} planes"] = {
            "all on the device": float((labels == on_device).mean()),
            "sums on the host": float((labels == as_segment).mean()),
        }
    return found


def bare(predictor: NetworkPredictor, shape: tuple[int, ...]) -> dict[str, float]:
    """Slices (across the first axis) a second through the network alone, and pixels."""
    device, multiple = predictor.compute.device, predictor.spec.size_multiple
    edges = [-(-n // multiple) * multiple for n in shape[1:]]
    batch = torch.rand((max(1, PIXELS_PER_BATCH // (edges[0] * edges[1])), 1, *edges), device=device)
    predictor.probabilities_on_device(batch)
    wait_for(device)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < BARE_SECONDS:
        predictor.probabilities_on_device(batch)
        wait_for(device)
        count += len(batch)
    seconds = time.perf_counter() - start
    return {"slices_per_second": count / seconds, "pixels_per_second": count * edges[0] * edges[1] / seconds}


def pixels_of(planes: str, shape: tuple[int, ...], multiple: int) -> float:
    """Pixels, as padded for the network, of all slices of a plane set."""
    total = 0.0
    for plane in plane_set(planes):
        for index in range(plane.slice_count(shape)):
            rows, columns = (-(-edge // multiple) * multiple for edge in plane.slice_shape(shape, index))
            total += rows * columns
    return total


def fused(
    name: str, devices: list[str], precision: str, shape: tuple[int, ...], clock: Clock
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Bare forward, and fused prediction in both ways, of one network."""
    predictors = [predictor_of(name, device, precision) for device in devices]
    alone, results = bare(predictors[0], shape), {}
    volume = scan(shape)
    for planes in ("3", "9"):
        plan = plan_of(predictors[0], planes, shape, is_gpu(devices[0]))
        network_s = pixels_of(planes, shape, predictors[0].spec.size_multiple) / alone["pixels_per_second"]
        ways = {
            "all on the device": lambda plan=plan: predict_on_devices(
                volume, [DeviceNetwork.of(predictor) for predictor in predictors], plan
            ).labels(),
            "sums on the host": lambda plan=plan: predict_fused(volume, predictors[0], plan).labels(),
        }
        for way, work in ways.items():
            key = f"{planes} planes, {way}"
            if clock.left < 1.5 * network_s / (len(devices) if way == "all on the device" else 1):
                results[key] = f"left out: {network_s:.0f} s of network alone, {clock.left:.0f} s left"
                continue
            results[key] = _one(devices[0], work, network_s, bytes_on_device(shape, plan))
    return alone, results


def _one(device: str, work: Callable[[], np.ndarray], network_s: float, needed: int) -> dict[str, Any] | str:
    try:
        labels, numbers = measured(device, work)
    except (torch.OutOfMemoryError, MgImplantSegError) as error:
        return f"failed: {str(error)[:200]}"
    return {
        **numbers,
        "over_bare_forward": round(numbers["seconds"] / network_s, 3),
        "needed_beside_network_gb": round(needed / 1e9, 2),
        "classes_found": len(np.unique(labels[:: max(1, len(labels) // 16)])),
    }


def training(device: str, precision: str) -> dict[str, Any]:
    """Patches a second of the paper's network: forward, cross-entropy, backward, AdamW."""
    compute = choose_compute(device, precision)
    network = build_network(PAPERS_BEST).to(device, memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(network.parameters())
    edge = TRAINING_EDGE if is_gpu(device) else 32
    patches = torch.rand((TRAINING_BATCH, 1, edge, edge), device=device).to(memory_format=torch.channels_last)
    truth = torch.randint(0, 4, (TRAINING_BATCH, edge, edge), device=device)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with compute.autocast():
            loss = torch.nn.functional.cross_entropy(network(patches).float(), truth)
        loss.backward()
        optimiser.step()

    step()
    _, numbers = measured(device, lambda: [step() for _ in range(10 if is_gpu(device) else 1)])
    count = TRAINING_BATCH * (10 if is_gpu(device) else 1)
    return {**numbers, "patches_per_second": round(count / numbers["seconds"], 1), "edge": edge}


def about(devices: list[str]) -> dict[str, Any]:
    """The machine: names of the cards, versions."""
    names = [torch.cuda.get_device_name(device) if is_gpu(device) else platform.processor() for device in devices]
    return {"devices": devices, "names": names, "torch": torch.__version__, "cuda": torch.version.cuda}


def numbers_of(text: str) -> tuple[int, ...]:
    """``1000,1200,1200`` as numbers."""
    return tuple(int(number) for number in text.split(","))


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, cuda:0,1 or cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--shape", default="1000,1200,1200", help="z,y,x")
    parser.add_argument("--equality-shape", default="96,80,112", help="z,y,x of what is compared with the CPU")
    parser.add_argument("--seconds", type=float, default=420.0, help="what no longer fits is left out")
    parser.add_argument("--networks", default="bundled,paper")
    parser.add_argument("--out", type=Path, help="file for the results")
    arguments = parser.parse_args()
    clock, devices = Clock(arguments.seconds), devices_of(arguments.device)
    devices = [choose_compute(device).device for device in devices]
    shape = numbers_of(arguments.shape)
    keep_freed_memory()
    results: dict[str, Any] = {**about(devices), "shape_zyx": shape, "precision": arguments.precision}
    results["equality"] = equality(devices[0], arguments.precision, numbers_of(arguments.equality_shape))
    for name in arguments.networks.split(","):
        alone, ways = fused(name, devices, arguments.precision, shape, clock)
        results[name] = {"bare": alone, **ways}
        sys.stdout.write(json.dumps({name: results[name]}, indent=1) + "\n")
        sys.stdout.flush()
    if "paper" in arguments.networks and clock.left > 0:
        results["training"] = training(devices[0], arguments.precision)
    results["seconds"] = round(arguments.seconds - clock.left, 1)
    sys.stdout.write(json.dumps(results, indent=1) + "\n")
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
