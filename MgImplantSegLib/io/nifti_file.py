"""NIfTI-1 and NIfTI-2 in one file (.nii, .nii.gz): read mapped or decompressed once, written by SimpleITK.

NIfTI describes space as RAS; the affine is turned to LPS. The sform is used where it is set and its axes are
perpendicular, else the qform, else the voxel size alone. Geometry is stored in single precision (7 digits).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.io.image_data import LPS_FROM_RAS, ImageData, ReadOptions, frame_from_affine, require_three_axes
from MgImplantSegLib.io.itk_image import write_with_itk
from MgImplantSegLib.io.raw_data import RawData, allocate
from MgImplantSegLib.volume import Geometry

HEADER_FIELDS = {
    348: {
        "dim": ("8i2", 40),
        "datatype": ("i2", 70),
        "pixdim": ("8f4", 76),
        "vox_offset": ("f4", 108),
        "scl_slope": ("f4", 112),
        "scl_inter": ("f4", 116),
        "xyzt_units": ("u1", 123),
        "qform_code": ("i2", 252),
        "sform_code": ("i2", 254),
        "quatern": ("3f4", 256),
        "qoffset": ("3f4", 268),
        "srow": ("(3,4)f4", 280),
        "magic": ("S4", 344),
    },
    540: {
        "magic": ("S8", 4),
        "datatype": ("i2", 12),
        "dim": ("8i8", 16),
        "pixdim": ("8f8", 104),
        "vox_offset": ("i8", 168),
        "scl_slope": ("f8", 176),
        "scl_inter": ("f8", 184),
        "qform_code": ("i4", 344),
        "sform_code": ("i4", 348),
        "quatern": ("3f8", 352),
        "qoffset": ("3f8", 376),
        "srow": ("(3,4)f8", 400),
        "xyzt_units": ("i4", 500),
    },
}
MAGICS = {348: b"n+1", 540: b"n+2\0\r\n\x1a\n"}
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
MM_OF_UNITS_CODE = {1: 1000.0, 2: 1.0, 3: 1e-3}
PERPENDICULAR = 1e-3
SAME_SPACING = 1e-2


def read_nifti(path: Path, options: ReadOptions) -> ImageData:
    """The image of a .nii or .nii.gz file.

    Raises
    ------
    InputError
        If it is no NIfTI file, is 2D, has several time points, channels or colours, or is damaged.
    """
    header, order = _header(path)
    shape_xyz = _shape_xyz(header, path)
    code = int(header["datatype"])
    if code not in DTYPE_OF_CODE:
        raise InputError(
            f"Expected one real number per voxel, got the NIfTI data type {code} (colour or complex) in {path}.",
            "Save one channel as a 3D image.",
        )
    encoding = "gzip" if path.name.lower().endswith(".gz") else "raw"
    raw = _raw_data(path, header, np.dtype(order + DTYPE_OF_CODE[code]), shape_xyz[::-1], encoding)
    return ImageData(_scaled(raw.load(), header, path), **_frame(header, path))


def write_nifti(path: Path, array: np.ndarray, geometry: Geometry, *, compress: bool, keys: Mapping[str, str]) -> None:
    """Write an array (z, y, x) as NIfTI-1, compressed if the suffix is ``.gz``; `keys` are not written."""
    write_with_itk(path, array, geometry, compress=path.name.lower().endswith(".gz"))


def _header(path: Path) -> tuple[np.void, str]:
    """The fields of the header and its byte order."""
    try:
        with (gzip.open if path.name.lower().endswith(".gz") else open)(path, "rb") as file:
            start = file.read(540)
    except (OSError, EOFError, zlib.error) as error:
        raise _not_nifti(path, str(error)) from error
    for size, fields in HEADER_FIELDS.items():
        for order in "<>":
            if len(start) >= size and int(np.frombuffer(start, order + "i4", 1)[0]) == size:
                return _parsed(start[:size], fields, order, size, path), order
    raise _not_nifti(path, f"a file that begins with {start[:16]!r}")


def _parsed(start: bytes, fields: dict[str, tuple[str, int]], order: str, size: int, path: Path) -> np.void:
    formats = [np.dtype(kind).newbyteorder(order) for kind, _ in fields.values()]
    layout = {"names": list(fields), "formats": formats, "offsets": [at for _, at in fields.values()]}
    header = np.frombuffer(start, np.dtype({**layout, "itemsize": size}), 1)[0]
    if not start[fields["magic"][1] :].startswith(MAGICS[size]):
        raise _not_nifti(path, f"the magic {bytes(header['magic'])!r} (header and voxels in two files?)")
    return header


def _raw_data(path: Path, header: np.void, dtype: np.dtype, shape: tuple[int, ...], encoding: str) -> RawData:
    """Where the voxels lie; in a compressed file the header is skipped when it is decoded."""
    offset = float(header["vox_offset"])
    if not (header.itemsize <= offset < 1 << 28 and offset == int(offset)):
        raise _not_nifti(path, f"voxels that begin at byte {offset}")
    if encoding == "gzip":
        return RawData(path, 0, dtype, shape, encoding, skip=int(offset))
    return RawData(path, int(offset), dtype, shape)


def _shape_xyz(header: np.void, path: Path) -> tuple[int, ...]:
    count = int(header["dim"][0])
    if not 1 <= count <= 7:
        raise _not_nifti(path, f"{count} axes")
    sizes = [int(n) for n in header["dim"][1 : count + 1]]
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    require_three_axes(sizes, path)
    return tuple(sizes)


def _scaled(array: np.ndarray, header: np.void, path: Path) -> np.ndarray:
    """The voxels as they are, or in float32 where the header asks for slope and intercept."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite([slope, intercept]).all() or (slope, intercept) == (1.0, 0.0):
        return array
    scaled = allocate(array.shape, np.dtype(np.float32), path)
    np.multiply(array, np.float32(slope), out=scaled, casting="unsafe")
    scaled += np.float32(intercept)
    return scaled


def _frame(header: np.void, path: Path) -> dict[str, Any]:
    """Spacing, origin and direction as `ImageData` takes them."""
    factor = MM_OF_UNITS_CODE.get(int(header["xyzt_units"]) & 7, 1.0)
    affine = np.eye(4)
    affine[:3] = _affine_ras(header) * factor
    frame = frame_from_affine(LPS_FROM_RAS @ affine)
    pixdim_zyx_mm = tuple(float(size) * factor for size in header["pixdim"][3:0:-1])
    if not all(size > 0 for size in pixdim_zyx_mm):
        return {**frame, "spacing_zyx_mm": pixdim_zyx_mm}
    if not np.allclose(frame["spacing_zyx_mm"], pixdim_zyx_mm, rtol=SAME_SPACING, atol=0):
        raise InputError(
            f"Expected one voxel size, got {frame['spacing_zyx_mm']} mm from the sform and {pixdim_zyx_mm} mm from "
            f"pixdim (z, y, x) in {path}.",
            "Correct the header, for example by saving the image again in 3D Slicer.",
        )
    return frame


def _affine_ras(header: np.void) -> np.ndarray:
    """3×4 matrix from index (x, y, z, 1) to RAS in the file's unit of length."""
    sform = header["srow"].astype(float)
    if int(header["sform_code"]) > 0 and (_is_perpendicular(sform) or int(header["qform_code"]) <= 0):
        return sform
    spacing_xyz = header["pixdim"][1:4].astype(float)
    if int(header["qform_code"]) <= 0:
        return np.c_[np.diag(spacing_xyz) * [-1.0, -1.0, 1.0], np.zeros(3)]  # as ITK: the axes of LPS
    handedness = -1.0 if header["pixdim"][0] < 0 else 1.0
    axes = _rotation(*header["quatern"].astype(float)) * spacing_xyz * [1.0, 1.0, handedness]
    return np.c_[axes, header["qoffset"].astype(float)]


def _is_perpendicular(affine: np.ndarray) -> bool:
    axes = affine[:, :3] / np.maximum(np.linalg.norm(affine[:, :3], axis=0), 1e-30)
    return bool(np.allclose(axes.T @ axes, np.eye(3), atol=PERPENDICULAR))


def _rotation(b: float, c: float, d: float) -> np.ndarray:
    """Rotation matrix of the unit quaternion (a, b, c, d) with a ≥ 0, as the NIfTI-1 standard defines it."""
    a = np.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )


def _not_nifti(path: Path, reason: str) -> InputError:
    return InputError(f"Expected a NIfTI file (.nii or .nii.gz), got {path}: {reason}.", "Export the image again.")
