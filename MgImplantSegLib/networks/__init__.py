"""Networks and their registry. Importing this does not import torch; `build_network` does.

A new network is one file and one entry of `NETWORKS`. The fields of its specification are its options in a
configuration and in a model's card, each with checked type; `classes` is one of them. Besides, a specification has
`context` (how many neighbouring slices on either side are further input channels), `in_channels`, `size_multiple`,
`receptive_field`, `parameter_count`, `multiplications_per_pixel` and `activations_per_pixel`, as `UNetSpec` has.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.base.choices import Registry, find_object
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.settings import settings_from_dict
from MgImplantSegLib.networks.spec import UNetSpec
from MgImplantSegLib.networks.unet25d import UNet25dSpec

if TYPE_CHECKING:
    from torch import nn


PREDICTOR = "MgImplantSegLib.inference.predictor:NetworkPredictor"


@dataclass(frozen=True)
class NetworkType:
    """A kind of network.

    Parameters
    ----------
    name, definition : str
        What it is called and what it sees.
    spec_type : type
        The dataclass of its options.
    build : str
        ``module:name`` of what makes the network from its specification.
    predictor : str
        ``module:name`` of what predicts slices with it; called as `NetworkPredictor` is.
    """

    name: str
    definition: str
    spec_type: type
    build: str
    predictor: str = PREDICTOR

    @property
    def is_plain(self) -> bool:
        """Whether slices are predicted by the network and nothing else, so that another backend can do it."""
        return self.predictor == PREDICTOR


NETWORKS: Registry[NetworkType] = Registry(
    "a network with a name",
    {
        "unet": NetworkType("U-Net", "sees one slice at a time", UNetSpec, "MgImplantSegLib.networks.unet:UNet"),
        "unet25d": NetworkType(
            "2.5D U-Net",
            "sees a slice with its neighbours, in_channels slices together",
            UNet25dSpec,
            "MgImplantSegLib.networks.unet:UNet",
        ),
    },
)
PAPER = {"name": "unet", "depth": 5, "width": 64}


def network_type(spec_dict: dict[str, Any]) -> NetworkType:
    """The kind of network that plain data names. Raises InputError if the name is not registered."""
    return NETWORKS.find(spec_dict.get("name") if isinstance(spec_dict, dict) else [spec_dict])


def network_spec(spec_dict: dict[str, Any]) -> UNetSpec:
    """The specification of plain data such as ``{"name": "unet", "depth": 4, "width": 16, "classes": 4}``.

    Raises InputError if the name is not registered, or a key is unknown or missing.
    """
    spec_type = network_type(spec_dict).spec_type
    options = {key: value for key, value in spec_dict.items() if key != "name"}
    return settings_from_dict(spec_type, options, Path(), "network")


def network_options(given: dict[str, Any], classes: int) -> dict[str, Any]:
    """The options of a network as a configuration gives them, those of the paper where it gives none, without classes.

    Raises InputError if they describe no registered network.
    """
    if "classes" in given:
        raise InputError("Expected no classes in the table of the network, got some.", "They follow from the data.")
    name = given.get("name", PAPER["name"])
    known = {field.name for field in fields(network_type({"name": name}).spec_type)}
    spec = network_spec({**{key: PAPER[key] for key in known & set(PAPER)}, **given, "name": name, "classes": classes})
    chosen = {field.name: getattr(spec, field.name) for field in fields(spec) if field.name != "classes"}
    plain = {field.name for field in fields(spec) if field.default == getattr(spec, field.name)}
    return {"name": name, **{key: value for key, value in chosen.items() if key not in plain}}


def build_network(spec_dict: dict[str, Any]) -> nn.Module:
    """A new network with random weights (torch's generator) for the plain data of `network_spec`.

    Raises InputError if the data describes no registered network.
    """
    spec = network_spec(spec_dict)
    return find_object(network_type(spec_dict).build)(spec)
