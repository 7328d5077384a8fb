"""Reading and writing grey-value images: `read_volume`, `write_volume`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.remarks import remarks_of_reading, with_remarks
from MgImplantSegLib.base.typed import present, triple
from MgImplantSegLib.grids.volume import IDENTITY_DIRECTION, Geometry, Volume
from MgImplantSegLib.io.formats import FileFormat, format_of, known_suffixes
from MgImplantSegLib.io.image_data import BLOCK_BYTES, ImageData, ReadOptions, require_three_axes
from MgImplantSegLib.io.voxel_size import warn_of_voxel_size

logger = logging.getLogger(__name__)


def read_volume(
    path: str | Path,
    *,
    dataset: str | None = None,
    spacing_um: float | Sequence[float] | None = None,
    events: Events | None = None,
) -> Volume:
    """Read a grey-value image; the voxels keep their type and are mapped from disk where the file allows it.

    Raises InputError if this is not a 3D image with one real number per voxel.

    Parameters
    ----------
    path : str or Path
        A file of one of `FORMATS`, or a folder with one file per slice.
    dataset : str, optional
        Path of the dataset inside an HDF5 file.
    spacing_um : float or sequence of three floats (z, y, x), optional
        Voxel size in µm that replaces that of the file. The origin, which is the centre of the first voxel, stays
        where it is, so an image and its label map that are both read so still lie on each other.
    events : Events, optional
        Where progress goes when a folder of slices is read, and whether to stop.

    Returns
    -------
    Volume
        `spacing_is_known` is False when the file has no voxel size, or 1 mm along every axis, and none was given;
        `provenance` holds what the reader warns of.
    """
    return _volume(path, ReadOptions(dataset, events or Events()), spacing_um)


@contextmanager
def open_volume(
    path: str | Path,
    *,
    dataset: str | None = None,
    spacing_um: float | Sequence[float] | None = None,
    events: Events | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[Volume]:
    """As `read_volume`, for scans that do not fit into memory: what cannot be mapped is read slice by slice when used.

    The array of the volume may be `SlicesOnDisk`, which has shape, type and indices along z and nothing else of an
    array; it can be read within the block only. Damage inside the voxels is found when they are read, that of the
    headers of slices, their sizes and numbers at once.

    Parameters
    ----------
    block_bytes : int
        About so much is read at one time of HDF5 files whose chunks hold several slices.
    """
    with ExitStack() as open_files:
        yield _volume(path, ReadOptions(dataset, events or Events(), open_files, block_bytes), spacing_um)


def _volume(path: str | Path, options: ReadOptions, spacing_um: float | Sequence[float] | None) -> Volume:
    with remarks_of_reading() as remarks:
        data, entry = read_image(path, options)
        if data.segments is not None:
            raise InputError(f"Expected a grey-value image, got the segmentation {path}.", "Give the scan itself.")
        geometry = data.geometry(spacing_um)
        is_known = spacing_um is not None or data.spacing_is_known
        if is_known:
            warn_of_voxel_size(geometry, path)
    provenance = with_remarks({"path": str(path), "format": entry.name, **data.notes}, remarks)
    return Volume(data.array, geometry, spacing_is_known=is_known, provenance=provenance)


def write_volume(volume: Volume, path: str | Path) -> None:
    """Write a grey-value image uncompressed, in the format of the suffix; see `FORMATS` for what it can store.

    Raises InputError if the suffix is unknown or the voxels are not real numbers; OutputError if the file cannot be
    written.
    """
    write_image(Path(path), writable_array(volume.array), volume.geometry, compress=False)


def read_image(path: str | Path, options: ReadOptions) -> tuple[ImageData, FileFormat]:
    """What the file or folder at `path` holds, and its format."""
    path = Path(path)
    if path.is_symlink() and not path.exists():
        raise InputError(
            f"Expected an image file or a folder of slices, got {path}, a link that points to {os.readlink(path)}, "
            "which does not exist.",
            "Connect the disk, or fetch the file that it points to.",
        )
    if not path.exists():
        raise InputError(f"Expected an image file or a folder of slices, got {path}, which does not exist.")
    entry = format_of(path)
    if options.dataset is not None and not entry.has_datasets:
        raise InputError(
            f"Expected a dataset path only for HDF5 files, got {options.dataset!r} for {path}.", "Omit it."
        )
    try:
        data = entry.read(path, options)
    except OSError as error:
        raise InputError(
            f"Expected a readable file, got {path}: {error.strerror or error}.", "Check the path and its permissions."
        ) from error
    if np.iscomplexobj(data.array):
        raise InputError(f"Expected real numbers, got complex ones in {path}.", "Save the magnitude as an image.")
    return data, entry


def read_geometry(path: str | Path) -> Geometry | None:
    """The grid of an image file without its voxels; None for a format in which the header alone is not enough.

    A file without a voxel size has 1 mm. Raises InputError if it is not an image file or its header cannot be used.
    """
    path = Path(path)
    read_frame = format_of(path).read_frame
    if read_frame is None:
        return None
    shape_zyx, frame = read_frame(path)
    require_three_axes(shape_zyx, path)
    return Geometry(triple(shape_zyx), **{**frame, "spacing_zyx_mm": frame["spacing_zyx_mm"] or (1.0, 1.0, 1.0)})


def write_image(
    path: Path, array: np.ndarray, geometry: Geometry, *, compress: bool, keys: Mapping[str, str] | None = None
) -> None:
    """Write an array (z, y, x) in the format of the suffix, whole or not at all."""
    entry = writable_format(path)
    if not entry.keeps_orientation and (
        any(geometry.origin_lps_mm) or not np.allclose(geometry.direction_lps, IDENTITY_DIRECTION)
    ):
        logger.warning("%s files store only the voxel size: origin and orientation are lost in %s.", entry.name, path)
    with atomic_output(path) as temporary:
        present(entry.write)(temporary, array, geometry, compress=compress, keys=keys or {})


def writable_format(path: Path, *, labels: bool = False) -> FileFormat:
    """The format that an image, or a segmentation with `labels`, can be written in at `path`.

    Raises InputError if no format with that suffix is written.
    """
    suffixes = known_suffixes(writable=True, labels=labels)
    entry = format_of(path) if path.name.lower().endswith(tuple(suffixes)) else None
    if entry is None or (entry.holds_segments and not labels):
        raise InputError(f"Expected an output with one of the suffixes {' '.join(suffixes)}, got {path}.")
    return entry


def writable_array(array: np.ndarray) -> np.ndarray:
    """The array in a type that image files know: bool as uint8, half floats as float32."""
    if array.dtype == bool:
        return array.view(np.uint8)
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise InputError(f"Expected whole or floating-point numbers as voxels, got {array.dtype}.")
    return array
