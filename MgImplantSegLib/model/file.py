"""Model files `NAME.mgmodel`: a zip of `card.json`, readable without torch, and `weights.pt`.

A file may also hold the same network for OpenVINO, see `MgImplantSegLib.inference.openvino_entries`.

Weights of convolutions may be stored as 16-bit floats, which halves the file; the card says so (`weights_dtype`).
Vectors, such as the statistics of the batch norms, are always stored with 32 bits. `load_model` gives 32 bits.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.text_files import json_from
from MgImplantSegLib.model.card import FORMAT_VERSION, WEIGHT_DTYPES, ModelCard
from MgImplantSegLib.networks import build_network, network_spec

if TYPE_CHECKING:
    import torch

__all__ = ["FORMAT_VERSION", "WEIGHT_DTYPES", "ModelCard", "load_model", "read_card", "save_model"]

CARD_NAME, WEIGHTS_NAME = "card.json", "weights.pt"
OPENVINO_NAMES = ("openvino.bin", "openvino.json", "openvino.xml")
LARGEST_CARD_BYTES = 1 << 20
SPARE_WEIGHT_BYTES = 1 << 22
FIXED_DATE = (1980, 1, 1, 0, 0, 0)
REMEDY = "Choose a model file of this version of MgImplantSeg, or export or download the file again."
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError)
DAMAGED_WEIGHTS = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    OverflowError,
    AssertionError,
    ImportError,
    MemoryError,
    struct.error,
)


def read_card(path: str | Path) -> ModelCard:
    """The card of a model file; needs no torch.

    Raises InputError if the file is missing, damaged, or not a model file of this format version.
    """
    return _card_from_bytes(path, read_entry(path, CARD_NAME, LARGEST_CARD_BYTES))


def save_model(path: str | Path, card: ModelCard, state_dict: dict[str, torch.Tensor]) -> None:
    """Write a model file; the same card and weights give the same bytes.

    Raises InputError if the suffix is another one or the weights do not fit the card's network; OutputError if the file
    cannot be written.

    Parameters
    ----------
    path : str or Path
        Name of the file, with the suffix ``.mgmodel``.
    card : ModelCard
        What the model is.
    state_dict : dict of Tensor
        ``network.state_dict()`` of the network in the card.
    """
    import torch

    path = Path(path)
    if path.suffix != ".mgmodel":
        raise InputError(f"Expected a model file name that ends with .mgmodel, got {path.name}.")
    _require_fitting_weights(path, card, state_dict)
    stored = {name: _stored(tensor, card.weights_dtype) for name, tensor in sorted(state_dict.items())}
    _require_fitting_weights(path, card, stored)  # 16-bit floats end at 65504
    weights = io.BytesIO()
    torch.save(stored, weights)
    with atomic_output(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr(zipfile.ZipInfo(CARD_NAME, FIXED_DATE), card.to_json())
        archive.writestr(zipfile.ZipInfo(WEIGHTS_NAME, FIXED_DATE), weights.getvalue())


def load_model(path: str | Path) -> tuple[ModelCard, dict[str, torch.Tensor]]:
    """Card and weights (float32, on the CPU) of a model file, checked against each other.

    Raises InputError if the file is missing, damaged, of another format version, or its weights do not fit its card.
    """
    import torch

    card = read_card(path)
    data = read_entry(path, WEIGHTS_NAME, *_weight_bytes(card))
    _require_unpacked(path, data)
    try:
        stored = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except DAMAGED_WEIGHTS as error:
        raise _damaged_weights(path) from error
    _require_fitting_weights(path, card, stored)
    return card, {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in stored.items()}


def _weight_bytes(card: ModelCard) -> tuple[int, int]:
    """The most and the least that the weights of the card's network take in a file."""
    parameters = network_spec(card.network).parameter_count
    return 4 * parameters + SPARE_WEIGHT_BYTES, (2 if card.weights_dtype == "float16" else 4) * parameters


def _require_unpacked(path: str | Path, data: bytes) -> None:
    """Raise InputError unless the weights are an archive of torch that takes in memory what it takes in the file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except DAMAGED_ZIP as error:
        raise _damaged_weights(path) from error
    plain = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not plain or sum(entry.file_size for entry in entries) > len(data):
        raise InputError(f"Expected uncompressed weights in {path}, got an archive that unpacks to more.", REMEDY)


def _damaged_weights(path: str | Path) -> InputError:
    return InputError(f"Expected the weights of a network in {path}, got damaged data.", REMEDY)


def entry_names(path: str | Path) -> tuple[str, ...]:
    """Names of what a model file holds, sorted.

    Raises InputError if it is missing or damaged, or holds other things than a model file does.
    """
    with _opened(path) as archive:
        return tuple(sorted(archive.namelist()))


def read_entry(path: str | Path, name: str, largest_bytes: int, least_bytes: int = 0) -> bytes:
    """One of the things that a model file holds, of at most so many bytes.

    Raises InputError if the file is missing, damaged or of another kind, or the entry is larger or smaller than it can
    be.
    """
    with _opened(path) as archive:
        entry = archive.getinfo(name)
        if entry.file_size > largest_bytes or entry.compress_type != zipfile.ZIP_STORED:
            got = f"{entry.file_size} bytes (compression {entry.compress_type})"
            raise InputError(
                f"Expected at most {largest_bytes} uncompressed bytes for {name} in {path}, got {got}.", REMEDY
            )
        if entry.file_size < least_bytes:
            raise InputError(
                f"Expected at least {least_bytes} bytes for {name} of the network in {path}, got "
                f"{entry.file_size} bytes.",
                REMEDY,
            )
        return archive.read(name)


@contextmanager
def _opened(path: str | Path) -> Iterator[zipfile.ZipFile]:
    """The file as an archive with the entries of a model file."""
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(archive.namelist())
            if names not in ([CARD_NAME, WEIGHTS_NAME], sorted([CARD_NAME, WEIGHTS_NAME, *OPENVINO_NAMES])):
                raise InputError(f"Expected {CARD_NAME} and {WEIGHTS_NAME} in {path}, got {names[:5]}.", REMEDY)
            yield archive
    except FileNotFoundError as error:
        raise InputError(f"Expected a model file at {path}, but there is none.", "Correct the path.") from error
    except DAMAGED_ZIP as error:
        got = f"a file that is damaged or of another kind ({error})"
        raise InputError(f"Expected a model file (.mgmodel) at {path}, got {got}.", REMEDY) from error


def _card_from_bytes(path: str | Path, data: bytes) -> ModelCard:
    try:
        return ModelCard.from_dict(json_from(data))
    except ValueError as error:
        raise InputError(f"Expected JSON in {CARD_NAME} of {path}, got: {error}.", REMEDY) from error
    except InputError as error:
        raise InputError(f"In {CARD_NAME} of {path}: {error.message}", error.remedy or REMEDY) from error


def _stored(tensor: torch.Tensor, weights_dtype: str) -> torch.Tensor:
    """A copy of its own, on the CPU, in the type that belongs into the file."""
    import torch

    shrinks = weights_dtype == "float16" and tensor.is_floating_point() and tensor.ndim > 1
    dtype = torch.float16 if shrinks else torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", dtype, copy=True).contiguous()


def _is_plain(name: object, value: object) -> bool:
    """Whether this is a name with a tensor whose numbers are all there: not sparse, nested, quantised or complex."""
    import torch

    return (
        isinstance(name, str)
        and isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and not (value.is_quantized or value.is_nested or value.is_complex() or value.is_meta)
    )


def _require_fitting_weights(path: str | Path, card: ModelCard, weights: dict[str, torch.Tensor]) -> None:
    import torch

    if not isinstance(weights, dict) or not all(_is_plain(name, value) for name, value in weights.items()):
        raise InputError(f"Expected a table of weights in {path}, got something else.", REMEDY)
    with torch.device("meta"):
        expected = build_network(card.network).state_dict()
    if different := sorted(set(expected) ^ set(weights)):
        raise InputError(f"Expected the weights of {card.network} in {path}, got others: {different[:4]}.", REMEDY)
    for name, tensor in expected.items():
        if weights[name].shape != tensor.shape:
            shapes = f"{name} of shape {tuple(tensor.shape)} in {path}, got {tuple(weights[name].shape)}"
            raise InputError(f"Expected {shapes}.", REMEDY)
        if weights[name].is_floating_point() != tensor.is_floating_point():
            raise InputError(f"Expected {name} as {tensor.dtype} in {path}, got {weights[name].dtype}.", REMEDY)
        if not torch.isfinite(weights[name]).all():
            raise InputError(f"Expected finite weights in {path}, got NaN or infinity in {name}.", REMEDY)
