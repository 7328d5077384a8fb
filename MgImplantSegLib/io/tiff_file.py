"""TIFF stacks: multipage, BigTIFF, ImageJ and OME, with the voxel size where the file has one.

TIFF has no place for origin and direction; only the spacing survives. Uncompressed stacks whose voxels lie in one
piece are mapped from disk. Compressions that tifffile cannot decode alone are decoded in `tiff_decoding`. Pages of one
size and type that were written one by one are a stack too.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import DependencyError, InputError
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.io.image_data import ImageData, ReadOptions, require_three_axes
from MgImplantSegLib.io.library_errors import damaged, damaged_as_input_error
from MgImplantSegLib.io.raw_data import RawData, allocate
from MgImplantSegLib.io.slices_on_disk import SlicesOnDisk
from MgImplantSegLib.io.tiff_decoding import page_voxels
from MgImplantSegLib.io.tiff_directories import require_finite_directories
from MgImplantSegLib.io.tiff_slices import tiff_slices
from MgImplantSegLib.io.tiff_spacing import tiff_spacing_zyx_mm

LARGEST_CLASSIC_TIFF_BYTES = 4 * 10**9
IMAGEJ_DTYPES = ("uint8", "uint16", "float32")
IMAGEJ_SIGNED = (0, -32768.0, 1.0)  # a straight line, its height at 0 and its slope
WHAT = "a complete TIFF file"
LARGEST_RATIO = 2000
MOST_CHANNELS = 7
CHANNEL_AXES, SAMPLE_AXIS = "C", "S"
TIFF_ERRORS = (  # what tifffile raises on damaged files
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
)


def read_tiff(path: Path, options: ReadOptions) -> ImageData:
    """The stack in a TIFF file.

    Raises InputError if it is not a TIFF file, holds one slice, colours, several stacks or time points, or is damaged.
    """
    if options.open_files is not None:
        data = _read_by_slices(options.open_files.enter_context(open_tiff(path)), path)
        if data is not None:
            return data
    with open_tiff(path) as tiff:
        stack = _stack(tiff, path)
        spacing, notes = tiff_spacing_zyx_mm(tiff)
        array = with_sign(tiff, _voxels(tiff, stack, path).reshape(_shape_of(stack, path)))
    return ImageData(array, spacing, notes=notes)


def _read_by_slices(tiff: Any, path: Path) -> ImageData | None:
    """The stack in an open file whose slices are read when they are asked for; None if its pages are not slices."""
    stack = _stack(tiff, path)
    shape = _shape_of(stack, path)
    for series in stack:
        require_enough(series, path)
    array = tiff_slices(tiff, stack, shape, path, TIFF_ERRORS)
    if array is None:
        return None
    spacing, notes = tiff_spacing_zyx_mm(tiff)
    if with_sign(tiff, np.zeros(1, array.dtype)).dtype != array.dtype:
        stored = array
        array = SlicesOnDisk(shape, np.dtype(np.int16), lambda z: with_sign(tiff, np.array(stored[z]))).as_array()
    return ImageData(array, spacing, notes=notes)


def _shape_of(stack: list[Any], path: Path) -> tuple[int, int, int]:
    return stack_shape(stack[0], path) if len(stack) == 1 else (len(stack), *stack[0].shape)


def write_tiff(path: Path, array: np.ndarray, geometry: Geometry, *, compress: bool, keys: Mapping[str, str]) -> None:
    """Write an array (z, y, x) as TIFF stack with its spacing: ImageJ's kind where ImageJ knows the voxel type.

    `keys` are not written. Larger than 4 GB it becomes a BigTIFF, which ImageJ opens with Bio-Formats.
    """
    tifffile = import_tifffile()
    spacing_z_mm, spacing_y_mm, spacing_x_mm = geometry.spacing_zyx_mm
    is_big = array.nbytes > LARGEST_CLASSIC_TIFF_BYTES
    is_imagej = array.dtype.name in IMAGEJ_DTYPES and not is_big
    per_unit = 1e3 if is_imagej else 0.1  # ImageJ's own unit is µm, that of the tag is cm
    tifffile.imwrite(
        path,
        array,
        imagej=is_imagej,
        bigtiff=is_big,
        photometric="minisblack",
        compression="zlib" if compress else None,
        compressionargs={"level": 1} if compress else None,
        resolution=(1 / (spacing_x_mm * per_unit), 1 / (spacing_y_mm * per_unit)),
        resolutionunit="NONE" if is_imagej else "CENTIMETER",
        metadata={"axes": "ZYX", "spacing": spacing_z_mm * 1e3, "unit": "um"},
    )


def import_tifffile() -> Any:
    """The tifffile package. Raises DependencyError if it is not installed."""
    try:
        import tifffile
    except ImportError as error:
        raise DependencyError("Expected the package tifffile for TIFF files.", "pip install tifffile") from error
    return tifffile


@contextmanager
def open_tiff(path: Path) -> Iterator[Any]:
    """The opened `tifffile.TiffFile`; whatever it finds damaged becomes an `InputError`."""
    tifffile = import_tifffile()
    require_finite_directories(path)
    complaints = _Complaints(logging.ERROR)
    tiff_logger = logging.getLogger("tifffile")
    propagate, tiff_logger.propagate = tiff_logger.propagate, False
    tiff_logger.addHandler(complaints)
    try:
        with damaged_as_input_error(path, WHAT, "tifffile", TIFF_ERRORS), tifffile.TiffFile(path) as tiff:
            yield tiff
    finally:
        tiff_logger.removeHandler(complaints)
        tiff_logger.propagate = propagate
    if complaints.messages:
        raise damaged(path, WHAT, complaints.messages[0])


def decoded(tiff: Any, path: Path, series: Any, out: np.ndarray | None = None) -> np.ndarray:
    """The voxels of `series`, in `out` if given.

    Raises InputError if the file is too small for them, or damaged; DependencyError if the compression is not known
    here.
    """
    require_enough(series, path)
    array = allocate(series.shape, series.dtype.newbyteorder("="), path) if out is None else out
    try:
        tiff.asarray(series=series, out=array.view())  # tifffile changes the shape of what it gets
    except (ValueError, ImportError) as error:
        if not isinstance(error, ImportError) and "imagecodecs" not in str(error):
            raise
        _decode_pages(tiff, series, array, path)
    return array


def require_enough(series: Any, path: Path) -> None:
    """Raise `InputError` if the file is too small for the voxels of `series`."""
    size_bytes, file_bytes = series.size * series.dtype.itemsize, path.stat().st_size
    if size_bytes > file_bytes * LARGEST_RATIO:
        raise damaged(path, WHAT, f"{size_bytes} bytes of voxels announced in a file of {file_bytes} bytes")
    for page in filter(None, series.pages):
        if any(start + count > file_bytes for start, count in zip(page.dataoffsets, page.databytecounts, strict=False)):
            raise damaged(path, WHAT, "it states that voxels lie beyond its end")


def _decode_pages(tiff: Any, series: Any, array: np.ndarray, path: Path) -> None:
    """Fill `array` with the pages of a series whose compression tifffile cannot decode."""

    def read(offset: int, size: int) -> bytes:
        tiff.filehandle.seek(offset)
        return tiff.filehandle.read(size)

    pages = [page for page in series.pages if page is not None]
    slices = array.reshape(-1, *array.shape[-2:])
    if len(pages) != len(slices) or series.axes[-2:] != "YX":
        raise InputError(
            f"Expected {len(slices)} pages of grey values in {path}, got {len(pages)} with the axes {series.axes}.",
            "Save the image without compression.",
        )
    for page, target in zip(pages, slices, strict=True):
        target[...] = page_voxels(page, read, path)


def with_sign(tiff: Any, array: np.ndarray) -> np.ndarray:
    """The array as int16 if ImageJ's calibration says that it is; ImageJ stores signed voxels 32768 too high."""
    metadata = (tiff.imagej_metadata or {}) if tiff.is_imagej else {}
    signed = (metadata.get("cf"), metadata.get("c0"), metadata.get("c1")) == IMAGEJ_SIGNED
    if array.dtype != np.uint16 or not signed:
        return array
    array ^= np.uint16(1 << 15)
    return array.view(np.int16)


def stack_shape(series: Any, path: Path) -> tuple[int, int, int]:
    """The lengths (z, y, x) of a series whose axes are slices, rows and columns."""
    lengths = {
        axis: length for axis, length in zip(series.axes, series.shape, strict=True) if length > 1 or axis in "YX"
    }
    stacked = [axis for axis in lengths if axis not in "YX"]
    too_few_channels = any(axis in CHANNEL_AXES and lengths[axis] <= MOST_CHANNELS for axis in stacked)
    if SAMPLE_AXIS in lengths or (too_few_channels and len(lengths) >= 3):
        raise InputError(
            f"Expected one grey value per voxel, got the axes {series.axes} of lengths {series.shape} (colour or "
            f"several channels) in {path}.",
            "Save one channel as a stack of grey values.",
        )
    require_three_axes(tuple(lengths.values()), path)
    if series.axes[-2:] != "YX":
        raise InputError(f"Expected slices of rows and columns, got the axes {series.axes} in {path}.")
    return tuple(lengths.values())


def _stack(tiff: Any, path: Path) -> list[Any]:
    """The one series of the file, or its pages if they are of one size and type and were written one by one."""
    found = list(tiff.series)
    kinds = {(entry.shape, entry.dtype, entry.axes) for entry in found}
    if len(found) == 1 or (len(kinds) == 1 and found[0].axes == "YX"):
        return found
    shapes = ", ".join(str(series.shape) for series in found[:5]) or "none"
    raise InputError(
        f"Expected one stack of slices of the same size and type, got {len(found)} images ({shapes}) in {path}.",
        "Save the stack as a separate TIFF file.",
    )


def _voxels(tiff: Any, stack: list[Any], path: Path) -> np.ndarray:
    series = stack[0]
    if len(stack) > 1:
        array = allocate((len(stack), *series.shape), series.dtype.newbyteorder("="), path)
        for entry, page in zip(stack, array, strict=True):
            decoded(tiff, path, entry, page)
    elif series.dataoffset is not None and series.dtype != bool:
        return RawData(path, series.dataoffset, series.dtype.newbyteorder(tiff.byteorder), series.shape).load()
    else:
        array = decoded(tiff, path, series)
    return array.view(np.uint8) if array.dtype == bool else array


class _Complaints(logging.Handler):
    """Collects what tifffile logs about a damaged file instead of raising."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
