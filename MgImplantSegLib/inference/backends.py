"""Which program computes the network: torch, or OpenVINO on CPUs; `load_network` chooses and loads."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.choices import Choice, Registry, find_object
from MgImplantSegLib.base.errors import DependencyError, InputError
from MgImplantSegLib.inference import openvino_predictor
from MgImplantSegLib.inference.device import PRECISIONS, Compute, Device, choose_compute, choose_computes, gpu_count
from MgImplantSegLib.inference.openvino_entries import has_openvino, read_openvino
from MgImplantSegLib.inference.openvino_predictor import OpenVinoPredictor, openvino_problem, require_openvino
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.model.file import load_model, read_card
from MgImplantSegLib.networks import network_type

logger = logging.getLogger(__name__)
TORCH, OPENVINO = "torch", "openvino"
BACKENDS = Registry(
    "a backend",
    {
        "auto": Choice("automatic", "OpenVINO on a CPU if it is installed and the model supports it, otherwise torch"),
        TORCH: Choice("PyTorch", "GPUs and CPUs"),
        OPENVINO: Choice("OpenVINO", "CPUs only, about twice as fast there; needs no torch"),
    },
)


@dataclass(frozen=True)
class LoadedNetwork:
    """A network that is ready to predict.

    Parameters
    ----------
    predictor : callable
        Gives the predictor for a largest edge of tiles.
    memory_factor : float
        Memory that the network takes, as a multiple of what its specification says.
    working_bytes : int
        Additional memory that the backend takes, beyond that of torch.
    on_devices : callable or None
        Given the predictor, the network on each GPU; several share the planes, see `device_fused`. None where nothing
        but the network can be on the device: on the CPU, with OpenVINO, and for networks that see neighbouring slices.
    device_count : int
        How many GPUs there are to share the planes.
    """

    card: ModelCard
    compute: Compute
    predictor: Callable[[int], Any]
    memory_factor: float = 1.0
    working_bytes: int = 0
    on_devices: Callable[[Any], list[Any]] | None = None
    device_count: int = 1


def load_network(
    path: str | Path, device: str = "auto", precision: str = "auto", backend: str = "auto"
) -> LoadedNetwork:
    """The network of a model file, on the device and with the backend that the words mean.

    Raises InputError if the file is not a usable model, a word is unknown, or the words do not fit each other;
    DependencyError if the backend is not installed; ResourceError if the device is not there.
    """
    card = read_card(path)
    for registry, word in ((BACKENDS, backend), (PRECISIONS, precision)):
        registry.find(word)
    Device(several=True).check("the network", device)
    if backend == OPENVINO or (backend == "auto" and _openvino_is_better(path, card, device, precision)):
        return _for_openvino(path, card, device, precision)
    _require_torch(path, device, backend)
    return _for_torch(path, device, precision)


def _for_torch(path: str | Path, device: str, precision: str) -> LoadedNetwork:
    card, weights = load_model(path)
    computes = choose_computes(device, precision)
    make = find_object(network_type(card.network).predictor)
    network = LoadedNetwork(card, computes[0], lambda tile_edge: make(card, weights, computes[0], tile_edge))
    is_plain = network_type(card.network).is_plain
    if len(computes) > 1 and not is_plain:
        raise InputError(
            f"Expected one GPU for the network {card.network.get('name')!r}, which sees neighbouring slices, got "
            f"{device}.",
            "Choose one of the GPUs [[device]].",
        )
    if computes[0].device == "cpu" or not is_plain:
        return network
    return replace(
        network,
        on_devices=lambda predictor: _on_devices(predictor, weights, computes[1:]),
        device_count=len(computes),
    )


def _on_devices(predictor: Any, weights: Any, others: list[Compute]) -> list[Any]:
    from MgImplantSegLib.inference.device_fused import DeviceNetwork
    from MgImplantSegLib.inference.predictor import NetworkPredictor

    further = [NetworkPredictor(predictor.card, weights, compute) for compute in others]
    return [DeviceNetwork.of(one) for one in (predictor, *further)]


def _for_openvino(path: str | Path, card: ModelCard, device: str, precision: str) -> LoadedNetwork:
    if device not in ("auto", "cpu"):
        raise InputError(
            f"Expected the device cpu for OpenVINO, got {device}.", "Choose the backend torch for GPUs [[backend]]."
        )
    require_openvino()
    network = read_openvino(path)
    compute = Compute("cpu", _precision(precision), OPENVINO)
    predictor = OpenVinoPredictor(card, network, compute)
    return LoadedNetwork(
        card, compute, predictor.with_tiles, openvino_predictor.MEMORY_FACTOR, openvino_predictor.WORKING_BYTES
    )


def _precision(precision: str) -> str:
    chosen = choose_compute("cpu", precision).precision
    if chosen == "bf16" and not openvino_predictor.computes_with_bf16():
        if precision == "auto":
            return "fp32"
        raise InputError(
            "Expected a CPU on which OpenVINO computes with bf16, got one without.",
            "Choose the precision auto or fp32 [[precision]], or the backend torch [[backend]].",
        )
    return chosen


def _openvino_is_better(path: str | Path, card: ModelCard, device: str, precision: str) -> bool:
    """Whether OpenVINO can predict this model and no GPU is wanted; torch is asked for GPUs if it is installed."""
    if device not in ("auto", "cpu") or not has_openvino(path) or not network_type(card.network).is_plain:
        return False
    if problem := openvino_problem():
        logger.info("The network is computed by torch: expected OpenVINO, got %s.", problem)
        return False
    if precision == "bf16" and not openvino_predictor.computes_with_bf16():
        return False
    return device == "cpu" or gpu_count() == 0


def _require_torch(path: str | Path, device: str, backend: str) -> None:
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        reason = openvino_predictor.first_line(error)
        raise _nothing_computes(path, device, backend, reason) from error


def _nothing_computes(path: str | Path, device: str, backend: str, reason: str) -> DependencyError | InputError:
    """Why neither torch nor OpenVINO can be used, by what would help first."""
    problem = openvino_problem()
    if problem and backend != TORCH:
        return DependencyError(
            f"Expected torch or OpenVINO to compute the network, got no torch ({reason}) and, for OpenVINO, {problem}.",
            "pip install openvino for a computer without a GPU, or pip install torch.",
        )
    if backend == TORCH or has_openvino(path):
        return DependencyError(
            f"Expected torch for the backend {backend} on the device {device}, got none ({reason}).",
            "pip install torch, or choose the backend openvino [[backend]] on the device cpu [[device]].",
        )
    return InputError(
        f"Expected a model file with a network for OpenVINO, as torch cannot be used here ({reason}), got {path} "
        "without.",
        "Run mgimplantseg model convert on the file where torch and OpenVINO are installed, or install torch here.",
    )
