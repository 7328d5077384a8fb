"""How fast the backends predict: time of each over the time of torch with float32, all in turns in one process.

    python Testing/Benchmarks/backends.py [--model FILE] [--edge 512] [--batch 1] [--threads 1] [--repeats 5]

Needs torch and OpenVINO, and a model with a network for OpenVINO; one without is converted into a temporary file. A
ratio is torch's float32 time over the variant's, the median over the turns; larger is faster. The labels of each
variant are compared with those of torch with float32. bf16 counts only where the processor has it. Run nothing else
beside it: two programs that want the same cores slow each other down by more than the differences measured here.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.base.resources import find_model
from MgImplantSegLib.inference.backends import load_network
from MgImplantSegLib.inference.device import keep_freed_memory
from MgImplantSegLib.inference.openvino_entries import has_openvino
from MgImplantSegLib.inference.openvino_export import add_openvino
from MgImplantSegLib.networks import network_spec

VARIANTS = (("torch", "fp32"), ("torch", "bf16"), ("openvino", "fp32"), ("openvino", "bf16"))
Predict = Callable[[np.ndarray], np.ndarray]


def predictors(model: Path) -> dict[str, Predict]:
    """What can be measured on this processor, torch with float32 first."""
    found: dict[str, Predict] = {}
    for backend, precision in VARIANTS:
        try:
            found[f"{backend} {precision}"] = load_network(model, "cpu", precision, backend).predictor(1 << 16)
        except MgImplantSegError as error:
            sys.stderr.write(f"{backend} {precision} is left out: {error}\n")
    return found


def measure(model: Path, edge: int, batch: int, repeats: int) -> dict[str, Any]:
    """Ratios and agreement of labels by variant."""
    variants = predictors(model)
    channels = network_spec(load_network(model, "cpu", "fp32", "torch").card.network).in_channels
    slices = np.random.default_rng(0).random((batch, channels, edge, edge)).astype(np.float32)
    labels = {name: predict(slices).argmax(1) for name, predict in variants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name, predict in variants.items():
            start = time.perf_counter()
            predict(slices)
            seconds[name].append(time.perf_counter() - start)
    reference = next(iter(variants))
    return {
        name: {
            "ratio": round(statistics.median(a / b for a, b in zip(seconds[reference], taken, strict=True)), 2),
            "same labels": round(float((labels[name] == labels[reference]).mean()), 5),
        }
        for name, taken in seconds.items()
    }


def main() -> None:
    """Measure and print a line for each variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="model file or name of a bundled model")
    parser.add_argument("--edge", type=int, default=512, help="edge of a slice in pixels")
    parser.add_argument("--batch", type=int, default=1, help="slices at once")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    import torch

    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(find_model(arguments.model))
        if not has_openvino(model):
            model = add_openvino(model, Path(folder) / model.name)
        results = measure(model, arguments.edge, arguments.batch, arguments.repeats)
    for name, result in results.items():
        sys.stdout.write(json.dumps({"variant": name, **result}) + "\n")
    if arguments.json:
        settings = {name: value for name, value in vars(arguments).items() if name not in ("json", "model")}
        arguments.json.write_text(json.dumps({**settings, "results": results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
