"""Slices of a TIFF stack that are read one by one, for stacks that do not fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.io.library_errors import damaged_as_input_error
from MgImplantSegLib.io.raw_data import RawData
from MgImplantSegLib.io.raw_slices import raw_slices
from MgImplantSegLib.io.slices_on_disk import ReadSlice, SlicesOnDisk
from MgImplantSegLib.io.tiff_decoding import page_voxels

SliceShape = tuple[int, int]


def tiff_slices(
    tiff: Any, stack: Sequence[Any], shape_zyx: tuple[int, int, int], path: Path, errors: tuple[type[Exception], ...]
) -> np.ndarray | None:
    """The voxels as the file stores them, mapped or `SlicesOnDisk`; None if its pages are not slices.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The file, which stays open.
    stack : sequence of tifffile.TiffPageSeries
        The one series of the file, or one a page.
    errors : tuple of types
        What tifffile raises on damaged files.
    """
    series = stack[0]
    if len(stack) == 1 and series.dataoffset is not None and series.dtype != bool:
        dtype = series.dtype.newbyteorder(tiff.byteorder)
        return raw_slices([RawData(path, series.dataoffset, dtype, series.shape)], shape_zyx, path)
    pages = [page for entry in stack for page in entry.pages]
    if len(pages) != shape_zyx[0] or None in pages or series.axes[-2:] != "YX":
        return None
    dtype = np.dtype(np.uint8) if series.dtype == bool else series.dtype.newbyteorder("=")
    return SlicesOnDisk(shape_zyx, dtype, _reader(tiff, pages, shape_zyx[1:], path, errors)).as_array()


def _reader(
    tiff: Any, pages: list[Any], shape: SliceShape, path: Path, errors: tuple[type[Exception], ...]
) -> ReadSlice:
    def read_bytes(offset: int, size: int) -> bytes:
        tiff.filehandle.seek(offset)
        return tiff.filehandle.read(size)

    def read(z: int) -> np.ndarray:
        with damaged_as_input_error(path, "a complete TIFF file", "tifffile", errors):
            try:
                values = pages[z].asarray()
            except (ValueError, ImportError) as error:
                if not isinstance(error, ImportError) and "imagecodecs" not in str(error):
                    raise
                values = page_voxels(pages[z], read_bytes, path)
        if values.shape != shape:
            raise InputError(
                f"Expected slices of {shape} pixels, got {values.shape} in slice {z} of {path}.",
                "Copy or export it again.",
            )
        values = np.asarray(values, values.dtype.newbyteorder("="))
        return values.view(np.uint8) if values.dtype == bool else values

    return read
