"""NRRD images: read mapped or decompressed once, written slice by slice."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.files import output_errors
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.io.header_keys import said_in_keys
from MgImplantSegLib.io.image_data import ImageData, require_three_axes
from MgImplantSegLib.io.label_scheme_key import scheme_of_keys
from MgImplantSegLib.io.nrrd_header import NrrdHeader
from MgImplantSegLib.io.raw_slices import raw_slices

GZIP_LEVEL = 3  # packs label maps as fast as 1 does, into two thirds of the bytes
GZIP_WBITS = 31
CHUNK_BYTES = 1 << 24
NAME_OF_DTYPE = {
    "int8": "signed char",
    "uint8": "unsigned char",
    "int16": "short",
    "uint16": "unsigned short",
    "int32": "int",
    "uint32": "unsigned int",
    "int64": "long long int",
    "uint64": "unsigned long long int",
    "float32": "float",
    "float64": "double",
}


def read_nrrd_image(header: NrrdHeader, by_slices: bool = False) -> ImageData:
    """The image of a header: three spatial axes, others only if they have length 1; see `ReadOptions.by_slices`.

    Raises InputError if it is 2D, has channels or time points, or is damaged.
    """
    sizes, axes, spatial_shape = header.fields["sizes"], header.spatial_axes, header.shape_zyx
    if len(axes) < 3 <= len(sizes) or np.prod(sizes) != np.prod(spatial_shape):
        raise InputError(
            f"Expected a 3D volume with one grey value per voxel, got the sizes {sizes} of kinds "
            f"{header.fields.get('kinds')} in {header.path}.",
            "Save one channel and one time point as a 3D image; colour images contain no grey values.",
        )
    require_three_axes(spatial_shape, header.path)
    fields, path = header.fields, header.path
    if by_slices:
        array = raw_slices(header.voxels(), triple(spatial_shape), path)
    else:
        array = header.load().reshape(spatial_shape)
    scheme = scheme_of_keys(fields, path)
    return ImageData(array, **header.frame(), scheme=scheme, **said_in_keys(fields, path))


def write_nrrd(path: Path, array: np.ndarray, geometry: Geometry, *, compress: bool, keys: Mapping[str, str]) -> None:
    """Write an array (z, y, x) of whole or floating-point numbers as NRRD in LPS.

    Parameters
    ----------
    array : np.ndarray
        Voxels, axis order (z, y, x).
    compress : bool
        Whether the voxels are gzipped; uncompressed files can be mapped from disk.
    keys : dict
        Key/value pairs for the header.
    """
    little = array.dtype.newbyteorder("<")
    header = header_text(array.dtype, geometry, compress, keys)
    with output_errors(path), open(path, "wb") as file:
        file.write(header.encode("utf-8"))
        _write_voxels(file, array, little, compress)


def header_text(dtype: np.dtype, geometry: Geometry, compress: bool, keys: Mapping[str, str]) -> str:
    """The header of an array of that type and geometry, with the empty line behind it."""
    columns = geometry.index_xyz_to_lps_mm[:3, :3].T
    lines = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        f"type: {NAME_OF_DTYPE[dtype.name]}",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: " + " ".join(str(n) for n in geometry.shape_zyx[::-1]),
        "space directions: " + " ".join(_vector_text(column) for column in columns),
        "kinds: domain domain domain",
        "endian: little",
        f"encoding: {'gzip' if compress else 'raw'}",
        'space units: "mm" "mm" "mm"',
        f"space origin: {_vector_text(geometry.origin_lps_mm)}",
        *(f"{key}:={_escaped(value)}" for key, value in keys.items()),
    ]
    return "\n".join(lines) + "\n\n"


def _vector_text(vector: Iterable[float]) -> str:
    return "(" + ",".join(repr(float(value)) for value in vector) + ")"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _write_voxels(file: BinaryIO, array: np.ndarray, little: np.dtype, compress: bool) -> None:
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WBITS) if compress else None
    for slab in slabs(array.shape, CHUNK_BYTES // array.itemsize):
        plain = np.ascontiguousarray(array[slab], dtype=little)
        file.write(packer.compress(plain.data) if packer else plain.data)
    if packer:
        file.write(packer.flush())
