"""The registry of image file formats, chosen by the suffix of the file name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.choices import Registry
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.io.foreign_formats import how_to_convert
from MgImplantSegLib.io.hdf5_file import read_hdf5
from MgImplantSegLib.io.image_data import ImageData, ReadOptions
from MgImplantSegLib.io.metaimage_file import MetaImageHeader, read_metaimage
from MgImplantSegLib.io.metaimage_writer import write_metaimage
from MgImplantSegLib.io.nifti_file import nifti_frame, read_nifti, write_nifti
from MgImplantSegLib.io.nrrd_file import read_nrrd_image, write_nrrd
from MgImplantSegLib.io.nrrd_header import NrrdHeader
from MgImplantSegLib.io.segmentation_file import read_segmentation
from MgImplantSegLib.io.segmentation_writing import write_segmentation
from MgImplantSegLib.io.slice_folder import read_slice_folder
from MgImplantSegLib.io.tiff_file import read_tiff, write_tiff

Reader = Callable[[Path, ReadOptions], ImageData]
Writer = Callable[..., None]
LabelWriter = Callable[[Path, LabelMap], None]
FrameReader = Callable[[Path], tuple[tuple[int, ...], dict[str, Any]]]


@dataclass(frozen=True)
class FileFormat:
    """One image file format.

    Parameters
    ----------
    suffixes : tuple of str
        Ends of file names, lower case, the first is the usual one; empty for a folder.
    read : callable
        ``read(path, options) -> ImageData``.
    write : callable or None
        ``write(path, array, geometry, compress=..., keys=...)``; None where grey values are not written.
    write_labels : callable or None
        ``write_labels(path, label_map)``, where the format has an own way to keep segmentations.
    keeps_keys : bool
        Whether the keys are kept, and with them the meaning of label values.
    write_suffixes : tuple of str
        The suffixes that are written.
    pair_suffixes : tuple of str
        Suffixes of one image in two files, which are read where they are named but not looked for in folders, since
        other programs give them to other files.
    keeps_orientation : bool
        Whether origin and direction can be stored; spacing always is.
    has_datasets : bool
        Whether one file can hold several volumes that are chosen by a path inside it.
    read_frame : callable or None
        ``read_frame(path)`` gives shape (z, y, x), spacing, origin and direction without the voxels; None where that
        takes as long as reading all.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Reader
    write: Writer | None = None
    write_labels: LabelWriter | None = None
    write_suffixes: tuple[str, ...] = ()
    pair_suffixes: tuple[str, ...] = ()
    keeps_orientation: bool = True
    keeps_keys: bool = False
    has_datasets: bool = False
    read_frame: FrameReader | None = None

    @property
    def definition(self) -> str:
        """The suffixes of its files."""
        return " ".join(self.suffixes) or "a folder with one file per slice"

    @property
    def all_suffixes(self) -> tuple[str, ...]:
        """Every suffix that is read."""
        return (*self.suffixes, *self.pair_suffixes)

    @property
    def holds_segments(self) -> bool:
        """Whether it keeps segmentations only, no grey values."""
        return self.write is None and self.write_labels is not None


def _read_nrrd(path: Path, options: ReadOptions) -> ImageData:
    header = NrrdHeader.read(path)
    return read_segmentation(header) if header.is_segmentation else read_nrrd_image(header, options.by_slices)


def _nrrd_frame(path: Path) -> tuple[tuple[int, ...], dict[str, Any]]:
    header = NrrdHeader.read(path)
    return header.shape_zyx, header.frame()


def _metaimage_frame(path: Path) -> tuple[tuple[int, ...], dict[str, Any]]:
    header = MetaImageHeader.read(path)
    return header.information.shape_zyx, header.frame()


FORMATS: Registry[FileFormat] = Registry(
    "a file format",
    {
        "segmentation": FileFormat(
            "3D Slicer segmentation",
            (".seg.nrrd",),
            _read_nrrd,
            write_labels=write_segmentation,
            write_suffixes=(".seg.nrrd",),
            read_frame=_nrrd_frame,
        ),
        "nrrd": FileFormat(
            "NRRD",
            (".nrrd", ".nhdr"),
            _read_nrrd,
            write_nrrd,
            write_suffixes=(".nrrd",),
            keeps_keys=True,
            read_frame=_nrrd_frame,
        ),
        "nifti": FileFormat(
            "NIfTI",
            (".nii.gz", ".nii"),
            read_nifti,
            write_nifti,
            write_suffixes=(".nii.gz", ".nii"),
            pair_suffixes=(".hdr", ".img", ".hdr.gz", ".img.gz"),
            read_frame=nifti_frame,
        ),
        "metaimage": FileFormat(
            "MetaImage",
            (".mha", ".mhd"),
            read_metaimage,
            write_metaimage,
            write_suffixes=(".mha",),
            keeps_keys=True,
            read_frame=_metaimage_frame,
        ),
        "tiff": FileFormat(
            "TIFF",
            (".tif", ".tiff", ".btf", ".tf8"),
            read_tiff,
            write_tiff,
            write_suffixes=(".tif", ".tiff"),
            keeps_orientation=False,
        ),
        "tiff_folder": FileFormat("folder of slices", (), read_slice_folder, keeps_orientation=False),
        "hdf5": FileFormat(
            "HDF5",
            (".h5", ".hdf5", ".hdf", ".he5", ".nxs", ".nx"),
            read_hdf5,
            keeps_orientation=False,
            has_datasets=True,
        ),
    },
)


def known_suffixes(*, writable: bool = False, labels: bool = True) -> list[str]:
    """All suffixes that can be read, or written, in the order of the registry; those of segmentations with `labels`."""
    entries = [entry for entry in FORMATS.values() if labels or not entry.holds_segments]
    return [s for entry in entries for s in (entry.write_suffixes if writable else entry.suffixes)]


def without_suffix(path: Path) -> str:
    """The name of a file or folder without the longest suffix of a format that it has."""
    fitting = [s for entry in FORMATS.values() for s in entry.all_suffixes if path.name.lower().endswith(s)]
    return path.name[: len(path.name) - max(map(len, fitting), default=0)]


def format_of(path: Path) -> FileFormat:
    """The format of a file by its suffix, the longest that fits (case does not matter), or of a folder.

    Raises InputError if no format has the suffix.
    """
    if path.is_dir():
        return FORMATS["tiff_folder"]
    name = path.name.lower()
    fitting = [(len(s), entry) for entry in FORMATS.values() for s in entry.all_suffixes if name.endswith(s)]
    if not fitting:
        raise InputError(
            f"Expected a file with one of the suffixes {' '.join(known_suffixes())}, got {path}.",
            how_to_convert(path),
        )
    return max(fitting, key=lambda pair: pair[0])[1]
