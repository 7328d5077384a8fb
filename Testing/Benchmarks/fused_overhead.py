"""How much fused prediction adds to the network itself: CPU time of the whole over CPU time of the bare forward.

    python Testing/Benchmarks/fused_overhead.py [--size 128] [--width 8] [--depth 3] [--repeats 3]
    python Testing/Benchmarks/fused_overhead.py --against COMMIT [--rounds 3] ...
    python Testing/Benchmarks/fused_overhead.py --alone [--size 128] [--repeats 3]

With --against, this script as it was at that commit, on the engine of that commit, and as it is now run in turns; for
each case the table has the smallest ratio of both over all rounds, and by how much the present one is larger.

With --alone no network runs: CPU time of all else, in nanoseconds for a voxel and plane, smallest of the repeats. It
shows what a change of the streaming code does in seconds instead of minutes.

The bare forward runs the same network on the same batches, without reading slices, softmax, voting or labels. Both
run in turns in one process with one thread, and the smallest ratio of neighbouring runs is free of disturbances that
hit one of them. Wanted: 1.04 with 3 planes, 1.08 with 9.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

CHECKOUT = Path(__file__).resolve().parents[2]
THIS = Path(__file__).resolve().relative_to(CHECKOUT)
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


def alone(size: int, planes: str, fusion: str, repeats: int) -> dict[str, float]:
    """CPU nanoseconds for a voxel and plane of fused prediction whose predictor gives what it has, bytes a voxel."""
    noise, known = np.random.default_rng(0), dict[tuple[int, ...], np.ndarray]()
    volume = noise.random((size,) * 3).astype(np.float32)

    def predict(slices: np.ndarray) -> np.ndarray:
        if slices.shape not in known:
            values = noise.random((len(slices), 4, *slices.shape[2:])).astype(np.float32) ** 3
            known[slices.shape] = values / values.sum(axis=1, keepdims=True)
        return known[slices.shape]

    plan = FusedPlan(planes, fusion, batch_size=max(1, PIXELS_PER_BATCH // size**2), size_multiple=8, sum_bits=16)

    def work() -> None:
        predict_fused(volume, predict, plan).labels()

    work()
    least = min(cpu_seconds(work) for _ in range(repeats))
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {
        "ns per voxel and plane": round(1e9 * least / (int(planes) * volume.size), 1),
        "bytes per voxel": round(peak / volume.size, 1),
    }


@contextmanager
def checkout_of(commit: str) -> Iterator[Path]:
    """A work tree of a commit, which is removed again."""
    git = ["git", "-C", str(CHECKOUT), "worktree"]
    with tempfile.TemporaryDirectory(prefix="fused-overhead-") as folder:
        tree = Path(folder, "tree")
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def smallest_ratios(tree: Path, words: list[str]) -> dict[tuple[str, str], float]:
    """What the script of a checkout measures there: smallest ratio by planes and fusion."""
    command = [sys.executable, str(tree / THIS), *words]
    variables = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=tree, env=variables, stdout=subprocess.PIPE, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {(row["planes"], row["fusion"]): row["smallest ratio"] for row in rows}


def compare(commit: str, rounds: int, words: list[str]) -> None:
    """Run both in turns, the one that begins changing, and write a line a case."""
    found: dict[str, dict[tuple[str, str], float]] = {"before": {}, "now": {}}
    with checkout_of(commit) as tree:
        for number in range(rounds):
            turns = (("before", tree), ("now", CHECKOUT))
            for name, place in turns if number % 2 == 0 else turns[::-1]:
                for case, ratio in smallest_ratios(place, words).items():
                    found[name][case] = min(ratio, found[name].get(case, ratio))
    for case in sorted(found["now"].keys() & found["before"].keys()):
        before, now = found["before"][case], found["now"][case]
        row = {"planes": case[0], "fusion": case[1], "before": before, "now": now, "more": round(now - before, 3)}
        sys.stdout.write(json.dumps(row) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="edge of the volume in voxels")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--against", metavar="COMMIT", help="compare with the engine of this commit")
    parser.add_argument("--rounds", type=int, default=3, help="with --against: how often both run")
    parser.add_argument("--alone", action="store_true", help="without a network")
    arguments = parser.parse_args()
    if arguments.against:
        names = ("size", "width", "depth", "repeats", "precision")
        compare(arguments.against, arguments.rounds, [f"--{name}={getattr(arguments, name)}" for name in names])
        return
    torch.set_num_threads(1)
    keep_freed_memory()
    predictor = None if arguments.alone else random_predictor(arguments.width, arguments.depth, arguments.precision)
    for planes in ("3", "9"):
        for fusion in ("soft", "majority"):
            if predictor is None:
                result = alone(arguments.size, planes, fusion, arguments.repeats)
            else:
                result = measure(predictor, arguments.size, planes, fusion, arguments.repeats)
            sys.stdout.write(json.dumps({"planes": planes, "fusion": fusion, **result}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
