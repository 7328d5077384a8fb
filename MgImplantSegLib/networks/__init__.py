"""Networks and their registry. Importing this does not import torch; `build_network` does.

A new network is one file and one entry of `NETWORKS`. Its specification has `classes`, `in_channels`,
`size_multiple`, `receptive_field`, `parameter_count`, `multiplications_per_pixel` and `activations_per_pixel`, as
`UNetSpec` has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.networks.spec import UNetSpec

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class NetworkType:
    """A kind of network: the class of its specification and the function that builds it."""

    spec_type: type
    build: Callable[[Any], nn.Module]


def _build_unet(spec: UNetSpec) -> nn.Module:
    from MgImplantSegLib.networks.unet import UNet

    return UNet(spec)


NETWORKS: dict[str, NetworkType] = {"unet": NetworkType(UNetSpec, _build_unet)}


def network_spec(spec_dict: dict[str, Any]) -> UNetSpec:
    """The specification of plain data such as ``{"name": "unet", "depth": 4, "width": 16, "classes": 4}``.

    Raises
    ------
    InputError
        If the name is not registered, or a key is unknown or missing.
    """
    if not isinstance(spec_dict, dict) or spec_dict.get("name") not in NETWORKS:
        raise InputError(f"Expected a network with a name of {', '.join(NETWORKS)}, got {spec_dict!r}.")
    spec_type = NETWORKS[spec_dict["name"]].spec_type
    options = {key: value for key, value in spec_dict.items() if key != "name"}
    known = {field.name for field in fields(spec_type)}
    if unknown := sorted(set(options) - known):
        raise InputError(f"Expected the keys {sorted(known)} for network {spec_dict['name']!r}, got {unknown} besides.")
    try:
        return spec_type(**options)
    except TypeError as error:
        raise InputError(f"Expected all numbers of network {spec_dict['name']!r}, got {options} ({error}).") from error


def spec_to_dict(spec: UNetSpec) -> dict[str, Any]:
    """The plain data of a specification, with the network's name; the inverse of `network_spec`."""
    name = next(name for name, network in NETWORKS.items() if type(spec) is network.spec_type)
    return {"name": name, **asdict(spec)}


def build_network(spec_dict: dict[str, Any]) -> nn.Module:
    """A new network with random weights (torch's generator) for the plain data of `network_spec`.

    Raises
    ------
    InputError
        If the data describes no registered network.
    """
    spec = network_spec(spec_dict)
    return NETWORKS[spec_dict["name"]].build(spec)
