"""Makes the network for OpenVINO of a model file: from torch's network, checked to give the same probabilities.

Weights that the file stores with 16 bits keep them and are widened when the network is loaded, so the numbers are
exactly those of torch. Nothing but torch and openvino is needed.
"""

from __future__ import annotations

import importlib.metadata
import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from MgImplantSegLib.base.errors import DependencyError, InputError
from MgImplantSegLib.inference.device import Compute
from MgImplantSegLib.inference.openvino_entries import OpenVinoNetwork, write_openvino
from MgImplantSegLib.inference.openvino_predictor import (
    OpenVinoPredictor,
    first_line,
    openvino_problem,
    require_openvino,
)
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.model.file import load_model
from MgImplantSegLib.networks import build_network, network_spec, network_type

if TYPE_CHECKING:
    import torch
    from torch import nn

logger = logging.getLogger(__name__)
MEAN_DIFFERENCE = 1e-4
LEAST_AGREEMENT = 0.999
CHECKED_SLICES = 4
SEED = 20


def add_openvino(path: Path, out: Path | None = None) -> Path:
    """Write a model file that also holds its network for OpenVINO, to `out` or in its own place.

    Raises InputError if the file is not a usable model, or its network cannot be computed by OpenVINO with the same
    result; DependencyError if OpenVINO or torch is not installed; OutputError if the file cannot be written.
    """
    require_openvino()
    _require_torch()
    card, weights = load_model(path)
    if not network_type(card.network).is_plain:
        raise InputError(
            f"Expected a network that is predicted slice by slice in {path}, got {card.network['name']}, which has a "
            "predictor of its own.",
            "Use this model with torch.",
        )
    plain = _plain_network(card, weights)
    network = _converted(path, card, weights)
    _require_same(path, card, plain, network)
    write_openvino(path, out or path, network)
    return out or path


def add_openvino_where_possible(path: Path) -> bool:
    """As `add_openvino` for a model file that was just written; without OpenVINO here the file stays as it is."""
    if problem := openvino_problem():
        logger.info("The model file is without a network for OpenVINO: expected OpenVINO, got %s.", problem)
        return False
    try:
        add_openvino(path)
    except InputError as error:  # a network of somebody's own, which torch computes all the same
        logger.warning("%s The model file is without a network for OpenVINO.", error.message)
        return False
    return True


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        raise DependencyError(
            f"Expected torch, got: {first_line(error)}.",
            "Run pip install torch, or convert the model elsewhere.",
        ) from error


def _plain_network(card: ModelCard, weights: dict[str, torch.Tensor]) -> nn.Module:
    network = build_network(card.network)
    network.load_state_dict(weights)
    return network.eval()


def _converted(path: Path, card: ModelCard, weights: dict[str, torch.Tensor]) -> OpenVinoNetwork:
    import openvino
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    spec = network_spec(card.network)
    network = _plain_network(card, weights)
    if card.weights_dtype == "float16":
        _store_16_bits(network)
    edge = 2 * spec.size_multiple
    example = torch.zeros(1, spec.in_channels, edge, edge)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # of tracing: that the check of the slice's edges is left out
            front_end = FrontEndManager().load_by_framework("pytorch")
            decoder = TorchScriptPythonDecoder(torch.nn.Sequential(network, torch.nn.Softmax(1)), example_input=example)
            model = front_end.convert(front_end.load(decoder))
            model.reshape([-1, spec.in_channels, -1, -1])
        model.set_friendly_name("network")  # names count on with every conversion
        for number, operation in enumerate(model.get_ordered_ops()):
            operation.set_friendly_name(f"{operation.get_type_name()}_{number}")
        with tempfile.TemporaryDirectory(prefix="mgimplantseg_openvino_") as folder:
            place = Path(folder, "network.xml")
            openvino.save_model(model, place, compress_to_fp16=False)
            xml, binary = place.read_bytes(), place.with_suffix(".bin").read_bytes()
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise InputError(
            f"Expected a network that OpenVINO can compute in {path}, got {card.network}: {first_line(error)}.",
            "Use this model with torch.",
        ) from error
    return OpenVinoNetwork(xml, binary, importlib.metadata.version("openvino"))


def _store_16_bits(network: nn.Module) -> None:
    """Let the convolutions hold their weights with 16 bits and widen them at every use; OpenVINO does that once."""
    import torch
    from torch import nn

    class Widened(nn.Module):
        def __init__(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> None:
            super().__init__()
            self.weight = nn.Parameter(convolution.weight.detach().to(torch.float16), requires_grad=False)
            self.bias = convolution.bias
            self.compute = _function_of(convolution)

        def forward(self, slices: torch.Tensor) -> torch.Tensor:
            return self.compute(slices, self.weight.float(), self.bias)

    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) in (nn.Conv2d, nn.ConvTranspose2d) and getattr(child, "padding_mode", "") == "zeros":
                setattr(parent, name, Widened(child))


def _function_of(convolution: Any) -> Callable[..., torch.Tensor]:
    """The convolution as a function of slices, weights and bias."""
    from torch import nn
    from torch.nn import functional

    common = {
        "stride": convolution.stride,
        "padding": convolution.padding,
        "dilation": convolution.dilation,
        "groups": convolution.groups,
    }
    if isinstance(convolution, nn.ConvTranspose2d):
        transposed = {**common, "output_padding": convolution.output_padding}
        return lambda slices, weight, bias: functional.conv_transpose2d(slices, weight, bias, **transposed)
    return lambda slices, weight, bias: functional.conv2d(slices, weight, bias, **common)


def _require_same(path: Path, card: ModelCard, plain: nn.Module, network: OpenVinoNetwork) -> None:
    """Raise InputError unless OpenVINO gives torch's probabilities for slices of grey values and noise."""
    import torch

    spec = network_spec(card.network)
    random = np.random.default_rng(SEED)
    shape = (CHECKED_SLICES, spec.in_channels, 2 * spec.size_multiple, 3 * spec.size_multiple)
    slices = random.random(shape).astype(np.float32)
    slices[::2] = slices[::2].round()
    with torch.inference_mode():
        expected = plain(torch.from_numpy(slices)).softmax(1).numpy()
    got = OpenVinoPredictor(card, network, Compute("cpu", "fp32", "openvino"))(slices)
    difference = float(np.abs(got - expected).mean())
    agreement = float((got.argmax(1) == expected.argmax(1)).mean())
    if not (difference <= MEAN_DIFFERENCE and agreement >= LEAST_AGREEMENT):
        raise InputError(
            f"Expected the same probabilities from OpenVINO as from torch for {path}, got a mean difference of "
            f"{difference:.2g} and {100 * agreement:.2f} % equal labels.",
            "Use this model with torch, and report the problem.",
        )
