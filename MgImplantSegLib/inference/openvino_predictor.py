"""A network as the predictor of fused prediction, computed by OpenVINO on a CPU: no torch is needed."""

from __future__ import annotations

import importlib.metadata
import re
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import DependencyError, InputError, ResourceError
from MgImplantSegLib.base.machine import thread_count
from MgImplantSegLib.inference.device import Compute
from MgImplantSegLib.inference.openvino_entries import CONVERT, OpenVinoNetwork
from MgImplantSegLib.inference.tiled import TiledPredictor
from MgImplantSegLib.model.card import ModelCard

LEAST_VERSION = (2025, 0)
DEVICE = "CPU"
PRECISION_OF_OPENVINO = {"fp32": "f32", "bf16": "bf16"}
MEMORY_FACTOR = 1.5  # memory of the network against torch's: slices of many shapes share less; measured, rounded up
WORKING_BYTES = 50_000_000  # what OpenVINO makes for itself for slices of many shapes; measured
INSTALL = "pip install --upgrade openvino"


class OpenVinoPredictor(TiledPredictor):
    """Computes probabilities with OpenVINO on the CPU.

    Raises InputError if OpenVINO cannot read the network, or it has other channels or classes than the card says;
    DependencyError if OpenVINO is not installed or too old.

    Parameters
    ----------
    network : OpenVinoNetwork
        The network for OpenVINO from the model file.
    compute : Compute
        Precision; the device is the CPU.
    tile_edge : int
        Largest edge of a tile in pixels; slices up to it are predicted whole.
    """

    def __init__(self, card: ModelCard, network: OpenVinoNetwork, compute: Compute, tile_edge: int = 1 << 16) -> None:
        super().__init__(card, compute, tile_edge)
        require_openvino()
        self._request = _compiled(network, self.spec, compute.precision).create_infer_request()
        edge = self.spec.size_multiple
        self._probabilities(np.zeros((1, self.spec.in_channels, edge, edge), np.float32))  # packs the weights

    def with_tiles(self, tile_edge: int) -> OpenVinoPredictor:
        """The same predictor with other tiles."""
        self._tile_edge = self._rounded(tile_edge)
        return self

    def _probabilities(self, slices: np.ndarray) -> np.ndarray:
        try:
            results = self._request.infer({0: np.ascontiguousarray(slices, np.float32)}, share_inputs=True)
        except RuntimeError as error:
            raise ResourceError(
                f"Expected OpenVINO to predict slices of {slices.shape[2]}×{slices.shape[3]} pixels, got: "
                f"{first_line(error)}.",
                "Set a memory limit [[memory_gb]] for smaller tiles, or choose the backend torch [[backend]].",
            ) from error
        return results[0]


def openvino_problem() -> str:
    """Why OpenVINO cannot be used here, in words that follow "got"; empty if it can."""
    try:
        version = importlib.metadata.version("openvino")
    except importlib.metadata.PackageNotFoundError:
        return "a Python without it"
    if version_numbers(version) < LEAST_VERSION:
        return f"version {version}"
    try:
        import openvino  # noqa: F401
    except (ImportError, OSError) as error:
        return f"version {version}, which cannot be loaded ({first_line(error)})"
    return ""


def require_openvino() -> None:
    """Raise DependencyError if OpenVINO cannot be used here."""
    if problem := openvino_problem():
        least = ".".join(map(str, LEAST_VERSION))
        raise DependencyError(f"Expected OpenVINO {least} or newer, got {problem}.", INSTALL)


def version_numbers(version: str) -> tuple[int, int]:
    """Year and release of ``2026.4.0``; zeros where the text is not a version."""
    match = re.match(r"(\d{1,6})\.(\d{1,6})", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def computes_with_bf16() -> bool:
    """Whether OpenVINO computes with bf16 on this CPU; on others it takes fp32 without a word."""
    import openvino

    return "BF16" in openvino.Core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")


def first_line(error: Exception) -> str:
    """What an error of OpenVINO says, without the places in its source."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not re.match(r"Exception from |Check .* failed at ", line)]
    return (told or [type(error).__name__])[0].rstrip(".")[:200]


def _compiled(network: OpenVinoNetwork, spec: Any, precision: str) -> Any:
    import openvino

    core = openvino.Core()
    try:
        model = core.read_model(network.xml, network.weights)
        _require_fitting(model, spec)
        return core.compile_model(model, DEVICE, _settings(precision))
    except RuntimeError as error:
        raise InputError(
            f"Expected a network that OpenVINO {importlib.metadata.version('openvino')} can read, got one written by "
            f"{network.version}: {first_line(error)}.",
            f"{INSTALL}, or choose the backend torch [[backend]]. {CONVERT}",
        ) from error


def _require_fitting(model: Any, spec: Any) -> None:
    inputs, outputs = ([port.partial_shape for port in ports] for ports in (model.inputs, model.outputs))
    if len(inputs) == len(outputs) == 1 and all(shape.rank.is_static and len(shape) == 4 for shape in inputs + outputs):
        got = [str(inputs[0][1]), str(outputs[0][1])]
        if got == [str(spec.in_channels), str(spec.classes)]:
            return
    raise InputError(
        f"Expected a network for OpenVINO from {spec.in_channels} channels to {spec.classes} classes, got one of "
        f"{[str(shape) for shape in inputs]} to {[str(shape) for shape in outputs]}.",
        CONVERT,
    )


def _settings(precision: str) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": PRECISION_OF_OPENVINO[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": thread_count(),
        "ENABLE_CPU_PINNING": False,
    }
