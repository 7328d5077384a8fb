"""How much fused prediction adds to the network itself: CPU time of the whole over CPU time of the bare forward.

    python Testing/Benchmarks/fused_overhead.py [--size 128] [--width 8] [--depth 3] [--repeats 3]

The bare forward runs the same network on the same batches, without reading slices, softmax, voting or labels. Both
run in turns in one process with one thread, and the smallest ratio of neighbouring runs is free of disturbances that
hit one of them. Wanted: 1.04 with 3 planes, 1.08 with 9.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from scipy import ndimage

from MgImplantSegLib.inference.device import choose_compute, keep_freed_memory
from MgImplantSegLib.inference.fused import FusedPlan, predict_fused
from MgImplantSegLib.inference.predictor import NetworkPredictor
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.networks import build_network
from MgImplantSegLib.preprocessing.preprocess import Preprocessing

PIXELS_PER_BATCH = 1 << 16


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def random_predictor(width: int, depth: int, precision: str) -> NetworkPredictor:
    """A network with random weights."""
    torch.manual_seed(0)
    card = ModelCard("benchmark", {"name": "unet", "depth": depth, "width": width}, Preprocessing(20.0))
    return NetworkPredictor(card, build_network(card.network).state_dict(), choose_compute("cpu", precision))


def batch_shapes(volume: np.ndarray, plan: FusedPlan) -> list[tuple[int, ...]]:
    """Shapes of the batches that the predictor gets."""
    shapes = []

    def predict(slices: np.ndarray) -> np.ndarray:
        shapes.append(slices.shape)
        return np.full((len(slices), 4, *slices.shape[2:]), 0.25, np.float32)

    predict_fused(volume, predict, plan)
    return shapes


def measure(predictor: NetworkPredictor, size: int, planes: str, fusion: str, repeats: int) -> dict[str, float]:
    """Ratio of CPU times, and memory beside the network in bytes a voxel."""
    volume = ndimage.gaussian_filter(np.random.default_rng(0).random((size,) * 3), 2).astype(np.float32)
    multiple = predictor.spec.size_multiple
    batch_size = max(1, PIXELS_PER_BATCH // size**2)
    plan = FusedPlan(planes, fusion, batch_size=batch_size, size_multiple=multiple, sum_bits=16)
    shapes = batch_shapes(volume, plan)
    inputs = {shape: torch.rand(shape).to(memory_format=torch.channels_last) for shape in shapes}

    def bare() -> None:
        with torch.inference_mode(), predictor.compute.autocast():
            for shape in shapes:
                predictor._network(inputs[shape])

    def fused() -> None:
        predict_fused(volume, predictor, plan).labels()

    bare()
    ratios = [cpu_seconds(fused) / cpu_seconds(bare) for _ in range(repeats)]
    tracemalloc.start()
    fused()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {
        "smallest ratio": round(min(ratios), 3),
        "median ratio": round(statistics.median(ratios), 3),
        "bytes per voxel": round(peak / volume.size, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="edge of the volume in voxels")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", default="fp32")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    predictor = random_predictor(arguments.width, arguments.depth, arguments.precision)
    for planes in ("3", "9"):
        for fusion in ("soft", "majority"):
            result = measure(predictor, arguments.size, planes, fusion, arguments.repeats)
            sys.stdout.write(json.dumps({"planes": planes, "fusion": fusion, **result}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
