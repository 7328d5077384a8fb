"""NRRD files whose slices are written one by one, as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from MgImplantSegLib.base.files import output_errors
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.io.nrrd_file import header_text

Keys = Callable[[], Mapping[str, str]]


def write_nrrd_slices(
    path: Path, slices: Iterable[np.ndarray], dtype: np.dtype, geometry: Geometry, keys: Keys
) -> None:
    """Write slices (y, x) of one type as an uncompressed NRRD file.

    Raises OutputError if the file cannot be written, as when the disk is full; ValueError if there are more or fewer
    slices, or the header has another length after them.

    Parameters
    ----------
    slices : iterable of np.ndarray
        As many as the geometry has, in order.
    keys : callable
        Gives the key/value pairs of the header. Called before and after the slices; the header is then written again,
        so the texts have to have the same length both times.
    """
    before = header_text(dtype, geometry, False, keys()).encode("utf-8")
    with open_for_writing(path) as file:
        file.write(before)
        count = 0
        for image in slices:
            plain = np.ascontiguousarray(image, dtype.newbyteorder("<"))
            with output_errors(path):
                file.write(plain.data)
            count += 1
        after = header_text(dtype, geometry, False, keys()).encode("utf-8")
        if count != geometry.shape_zyx[0] or len(after) != len(before):
            raise ValueError(f"{count} slices of {geometry.shape_zyx[0]}, headers of {len(before)} and {len(after)}")
        with output_errors(path):
            file.seek(0)
            file.write(after)
            file.flush()


def open_for_writing(path: Path):
    """The file, opened; errors say what to do."""
    with output_errors(path):
        return open(path, "wb")
