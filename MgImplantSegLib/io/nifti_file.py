"""NIfTI-1 and NIfTI-2 (.nii, .nii.gz, pairs of .hdr and .img) with the header as SimpleITK reads it.

Voxels are mapped from disk or decompressed once; SimpleITK writes. SimpleITK does not say the order of the bytes and
puts 1 where a voxel size is missing, so these two are read here. Geometry is stored in single precision (7 digits).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.io.image_data import ImageData, ReadOptions
from MgImplantSegLib.io.itk_image import Information, read_information, write_with_itk
from MgImplantSegLib.io.raw_data import RawData, allocate
from MgImplantSegLib.io.raw_slices import raw_slices
from MgImplantSegLib.io.slices_on_disk import SlicesOnDisk

PIXDIM_OF_HEADER_BYTES = {348: ("f4", 76), 540: ("f8", 104)}
DTYPE_OF_CODE = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
UNITS_WITHOUT_LENGTH = (4, 5, 6, 7)  # 0 is "not stated", which every program takes for mm; 1, 2, 3 are m, mm, µm
HALF_OF_PAIR = {".hdr": ".img", ".img": ".hdr"}
SAME_SPACING = 1e-2


@dataclass(frozen=True)
class _Start:
    """The order of the bytes and the voxel sizes (x, y, z) in the file's unit, as stated in the header."""

    byte_order: str
    pixdim_xyz: tuple[float, float, float]


def read_nifti(path: Path, options: ReadOptions) -> ImageData:
    """The image of a .nii or .nii.gz file, or of a pair of .hdr and .img of which `path` is one.

    Raises InputError if it is not a NIfTI file, is 2D, has several time points, channels or colours, or is damaged.
    """
    header, voxels = _header_and_voxels(path)
    start, information = _start(header), read_information(header, "NiftiImageIO")
    code = int(information.keys["datatype"])
    if code not in DTYPE_OF_CODE:
        raise InputError(
            f"Expected one real number per voxel, got the NIfTI data type {code} (colour or complex) in {path}.",
            "Save one channel as a 3D image.",
        )
    raw = _raw_data(voxels, information, np.dtype(start.byte_order + DTYPE_OF_CODE[code]))
    array = raw_slices([raw], information.shape_zyx, path) if options.by_slices else raw.load()
    scaled = _scaled_slices(array, information, path) if options.by_slices else _scaled(array, information, path)
    return ImageData(scaled, **_frame(start, information))


def nifti_frame(path: Path) -> tuple[tuple[int, int, int], dict[str, Any]]:
    """Shape (z, y, x), and spacing, origin and direction as `ImageData` takes them, without the voxels."""
    header, _voxels = _header_and_voxels(path)
    start, information = _start(header), read_information(header, "NiftiImageIO")
    return information.shape_zyx, _frame(start, information)


def write_nifti(path: Path, array: np.ndarray, geometry: Geometry, *, compress: bool, keys: Mapping[str, str]) -> None:
    """Write an array (z, y, x) as NIfTI-1, compressed if the suffix is ``.gz``; `keys` are not written."""
    write_with_itk(path, array, geometry, compress=_is_packed(path))


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _header_and_voxels(path: Path) -> tuple[Path, Path]:
    """The file with the header and the file with the voxels; one file unless it is half of a pair."""
    name = path.name.removesuffix(path.suffix) if _is_packed(path) else path.name
    half = Path(name).suffix
    if half.lower() not in HALF_OF_PAIR:
        return path, path
    stem, other_half = name[: len(name) - len(half)], HALF_OF_PAIR[half.lower()]
    choices = [f"{stem}{other}{packed}" for other in (other_half, other_half.upper()) for packed in ("", ".gz")]
    other = next((path.parent / choice for choice in choices if (path.parent / choice).is_file()), None)
    if other is None:
        raise InputError(f"Expected {stem}{other_half} beside {path}, got no such file.", "Copy both files.")
    return (path, other) if half.lower() == ".hdr" else (other, path)


def _start(path: Path) -> _Start:
    try:
        with (gzip.open if _is_packed(path) else open)(path, "rb") as file:
            start = file.read(540)
    except (OSError, EOFError, zlib.error) as error:
        raise _not_nifti(path, str(error)) from error
    for size, (kind, at) in PIXDIM_OF_HEADER_BYTES.items():
        for order in "<>":
            if len(start) >= size and int(np.frombuffer(start, order + "i4", 1)[0]) == size:
                sizes = np.frombuffer(start, order + kind, 3, at + np.dtype(kind).itemsize)
                return _Start(order, triple(float(s) for s in sizes))
    raise _not_nifti(path, f"a file that begins with {start[:16]!r}")


def _raw_data(path: Path, information: Information, dtype: np.dtype) -> RawData:
    """Where the voxels lie; in a compressed file what comes before them is skipped when it is decoded."""
    offset = float(information.keys["vox_offset"])
    if not (0 <= offset < 1 << 28 and offset == int(offset)):
        raise _not_nifti(path, f"voxels that begin at byte {offset}")
    if _is_packed(path):
        return RawData(path, 0, dtype, information.shape_zyx, "gzip", skip=int(offset))
    return RawData(path, int(offset), dtype, information.shape_zyx)


def _scaled(array: np.ndarray, information: Information, path: Path) -> np.ndarray:
    """The voxels as they are, or in float32 where the header asks for slope and intercept."""
    slope, intercept = _slope_and_intercept(information)
    if (slope, intercept) == (1.0, 0.0):
        return array
    scaled = allocate(array.shape, np.dtype(np.float32), path)
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is refused by whoever needs finite numbers
        np.multiply(array, np.float32(slope), out=scaled, casting="unsafe")
        scaled += np.float32(intercept)
    return scaled


def _scaled_slices(array: np.ndarray, information: Information, path: Path) -> np.ndarray:
    """As `_scaled`, of each slice when it is read."""
    if _slope_and_intercept(information) == (1.0, 0.0):
        return array
    read = lambda z: _scaled(array[z], information, path)  # noqa: E731
    return SlicesOnDisk(information.shape_zyx, np.dtype(np.float32), read).as_array()


def _slope_and_intercept(information: Information) -> tuple[float, float]:
    """What the header asks for; 1 and 0 where it asks for nothing that can be."""
    slope, intercept = float(information.keys["scl_slope"]), float(information.keys["scl_inter"])
    return (slope, intercept) if slope != 0 and np.isfinite([slope, intercept]).all() else (1.0, 0.0)


def _frame(start: _Start, information: Information) -> dict[str, Any]:
    """Spacing, origin and direction as `ImageData` takes them."""
    frame, pixdim_zyx = information.frame, start.pixdim_xyz[::-1]
    if not all(size > 0 and np.isfinite(size) for size in pixdim_zyx):
        return {**frame, "spacing_zyx_mm": pixdim_zyx}
    if int(information.keys["xyzt_units"]) & 7 in UNITS_WITHOUT_LENGTH:
        return {**frame, "spacing_zyx_mm": None}
    _require_one_spacing(information, pixdim_zyx)
    return frame


def _require_one_spacing(information: Information, pixdim_zyx: tuple[float, ...]) -> None:
    """SimpleITK takes the voxel size from pixdim and the directions from the sform, whatever size the latter has."""
    if int(information.keys["sform_code"]) <= 0:
        return
    rows = [[float(number) for number in information.keys[f"srow_{axis}"].split()] for axis in "xyz"]
    with np.errstate(over="ignore", invalid="ignore"):
        spacing_zyx = tuple(float(s) for s in np.linalg.norm(np.array(rows)[:, :3], axis=0)[::-1])
    if not np.allclose(spacing_zyx, pixdim_zyx, rtol=SAME_SPACING, atol=0):
        raise InputError(
            f"Expected one voxel size, got {spacing_zyx} from the sform and {pixdim_zyx} from pixdim (z, y, x) in "
            f"{information.path}.",
            "Correct the header, for example by saving the image again in 3D Slicer.",
        )


def _not_nifti(path: Path, reason: str) -> InputError:
    return InputError(f"Expected a NIfTI file (.nii or .nii.gz), got {path}: {reason}.", "Export the image again.")
