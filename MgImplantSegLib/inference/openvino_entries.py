"""The network for OpenVINO inside a model file: three entries beside the card and the weights.

``openvino.xml`` and ``openvino.bin`` are the network as OpenVINO's intermediate representation, from slices to
probabilities; ``openvino.json`` says of which network and weights they were made, with SHA-256 digests of everything.
So a file whose weights were exchanged is not used by mistake, and damaged parts never reach OpenVINO.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.text_files import json_from
from MgImplantSegLib.model.file import (
    CARD_NAME,
    FIXED_DATE,
    LARGEST_CARD_BYTES,
    OPENVINO_NAMES,
    SPARE_WEIGHT_BYTES,
    WEIGHTS_NAME,
    entry_names,
    read_card,
    read_entry,
)
from MgImplantSegLib.networks import network_spec

BIN_NAME, FACTS_NAME, XML_NAME = OPENVINO_NAMES
LARGEST_XML_BYTES = 8 << 20
CONVERT = "Run mgimplantseg model convert on the file, where torch and OpenVINO are installed."


@dataclass(frozen=True)
class OpenVinoNetwork:
    """A network as OpenVINO reads it, and the version of OpenVINO that wrote it."""

    xml: bytes
    weights: bytes
    version: str


def has_openvino(path: str | Path) -> bool:
    """Whether a model file holds a network for OpenVINO, usable or not. Raises InputError if it is not a model file."""
    return XML_NAME in entry_names(path)


def read_openvino(path: str | Path) -> OpenVinoNetwork:
    """The network for OpenVINO of a model file; needs neither torch nor OpenVINO.

    Raises InputError if there is none, it is damaged, or it was made of another network or other weights than those in
    the file.
    """
    if not has_openvino(path):
        raise InputError(f"Expected a model file with a network for OpenVINO, got {path} without one.", CONVERT)
    card = read_card(path)
    largest = 4 * network_spec(card.network).parameter_count + SPARE_WEIGHT_BYTES
    facts = _facts(path)
    weights = read_entry(path, BIN_NAME, largest)
    xml = read_entry(path, XML_NAME, LARGEST_XML_BYTES)
    stored = read_entry(path, WEIGHTS_NAME, largest)
    expected = _facts_of(stored, card.network, xml, weights, facts.get("version"))
    if wrong := [key for key in expected if facts.get(key) != expected[key]]:
        what = (
            "a different network or different weights" if set(wrong) & {"network", "weights_sha256"} else "damaged data"
        )
        raise InputError(f"Expected a network for OpenVINO made of the weights in {path}, got {what}.", CONVERT)
    return OpenVinoNetwork(xml, weights, str(facts["version"]))


def write_openvino(path: Path, out: Path, network: OpenVinoNetwork) -> None:
    """Write the model file `path` with that network to `out`, which may be the same file.

    Raises InputError if `path` is not a model file; OutputError if `out` cannot be written.
    """
    card = read_card(path)
    stored = read_entry(path, WEIGHTS_NAME, path.stat().st_size)
    facts = _facts_of(stored, card.network, network.xml, network.weights, network.version)
    contents = {
        CARD_NAME: read_entry(path, CARD_NAME, LARGEST_CARD_BYTES),
        WEIGHTS_NAME: stored,
        FACTS_NAME: (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode(),
        XML_NAME: network.xml,
        BIN_NAME: network.weights,
    }
    with atomic_output(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, FIXED_DATE), content)


def _facts(path: str | Path) -> dict[str, Any]:
    try:
        facts = json_from(read_entry(path, FACTS_NAME, LARGEST_CARD_BYTES))
    except ValueError as error:
        raise InputError(f"Expected JSON in {FACTS_NAME} of {path}, got: {error}.", CONVERT) from error
    if not isinstance(facts, dict) or not isinstance(facts.get("version"), str):
        raise InputError(f"Expected a table with a version in {FACTS_NAME} of {path}, got something else.", CONVERT)
    return facts


def _facts_of(stored: bytes, network: dict[str, Any], xml: bytes, weights: bytes, version: Any) -> dict[str, Any]:
    return {
        "version": version,
        "network": network,
        "weights_sha256": hashlib.sha256(stored).hexdigest(),
        "xml_sha256": hashlib.sha256(xml).hexdigest(),
        "bin_sha256": hashlib.sha256(weights).hexdigest(),
    }
