"""A folder with one file per slice, TIFF, BMP or PNG, as scanners and beamlines write it, with the size in logs."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.io.image_data import ImageData, ReadOptions
from MgImplantSegLib.io.picture_file import PICTURE_SUFFIXES, read_picture
from MgImplantSegLib.io.raw_data import allocate
from MgImplantSegLib.io.scanner_logs import logged_pixel_size
from MgImplantSegLib.io.slice_names import in_order
from MgImplantSegLib.io.slices_on_disk import SlicesOnDisk
from MgImplantSegLib.io.tiff_file import decoded, open_tiff, require_enough, with_sign
from MgImplantSegLib.io.tiff_spacing import tiff_spacing_zyx_mm

TIFF_SUFFIXES = (".tif", ".tiff")
SLICE_SUFFIXES = (*TIFF_SUFFIXES, *PICTURE_SUFFIXES)
PREVIEW_ENDS = ("_spr",)  # the projection that SkyScan puts beside the slices
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
LOSSY_IMAGES = (".jpg", ".jpeg")
MOST_NAMED = 3
LEAST_PICTURES = 4


def read_slice_folder(path: Path, options: ReadOptions) -> ImageData:
    """The volume whose slices are the TIFF, BMP or PNG files of a folder, in the order of their numbers.

    Voxels are cubes of the size stated in a log, see `scanner_logs`; without a log the first slice's tags count. Raises
    InputError if there are no slices, some are broken links, the names belong to several series or have gaps, or sizes
    or types differ.
    """
    files = slice_files(path)
    first, spacing, notes = _read_first(files[0])
    if options.by_slices:
        array = _slices_of_files(files, first, options.events)
    else:
        array = allocate((len(files), *first.shape), first.dtype, path)
        array[0] = first
        with options.events.task("reading slices", len(files)) as task:
            for index, file in enumerate(files[1:], start=1):
                task.advance()
                _read_slice(file, array[index], files[0])
    logged = logged_pixel_size(path, [file.name for file in files])
    if logged is not None:
        spacing, notes = (logged[0] * 1e-3,) * 3, {"spacing_from": logged[1]}
    return ImageData(array, spacing, notes={**notes, "slices": len(files)})


def _slices_of_files(files: list[Path], first: np.ndarray, events: Events) -> np.ndarray:
    """Slices that are read when they are asked for; the headers of all are looked at now."""
    with events.task("checking slices", len(files)) as task:
        for file in files[1:]:
            task.advance()
            if file.suffix.lower() not in PICTURE_SUFFIXES:
                _require_header(file, first, files[0])

    def read(z: int) -> np.ndarray:
        out = np.empty_like(first)
        _read_slice(files[z], out, files[0])
        return out

    return SlicesOnDisk((len(files), *first.shape), first.dtype, read).as_array()


def slice_files(folder: Path) -> list[Path]:
    """The slices of a folder in order.

    Raises InputError if there are fewer than two, some are broken links, or their names give no order.
    """
    entries = sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=lambda e: e.name)
    _require_targets(entries, folder)
    names = [entry.name for entry in entries if entry.is_file()]
    slices = [name for name in names if is_slice(name)]
    slices = _of_one_kind(slices, folder)
    if len(slices) < 2:
        raise _no_slices(folder, names, slices)
    return [folder / name for name in in_order(slices, folder)]


def _of_one_kind(slices: list[str], folder: Path) -> list[str]:
    """The TIFF slices, beside which pictures are previews; else the BMP or PNG ones."""
    kinds = [[name for name in slices if name.lower().endswith(kind)] for kind in (TIFF_SUFFIXES, ".bmp", ".png")]
    several = [names for names in kinds if len(names) > 1]
    if len(several) > 1 and several[0] is not kinds[0]:
        listed = ", ".join(f"{len(names)} × {Path(names[0]).suffix}" for names in several)
        raise InputError(
            f"Expected the slices of one volume in {folder}, got several series of names: {listed}.",
            "Keep only the slices of one volume in the folder.",
        )
    return several[0] if several else slices[:1]


def is_slice(name: str) -> bool:
    """Whether the name is that of a slice: an image that is read, and no preview of a scanner."""
    path = Path(name)
    return path.suffix.lower() in SLICE_SUFFIXES and not path.stem.lower().endswith(PREVIEW_ENDS)


def holds_slices(folder: Path) -> bool:
    """Whether there are TIFF files in the folder, or a numbered series of pictures; single pictures are not slices."""
    names = [name for name in _names(folder) if is_slice(name) and not name.startswith(".")]
    pictures = Counter(re.sub(r"\d+", "#", name) for name in names if name.lower().endswith(PICTURE_SUFFIXES))
    return (
        any(name.lower().endswith(TIFF_SUFFIXES) for name in names)
        or max(pictures.values(), default=0) >= LEAST_PICTURES
    )


def _require_targets(entries: list[Path], folder: Path) -> None:
    lost = [entry.name for entry in entries if is_slice(entry.name) and entry.is_symlink() and not entry.exists()]
    if lost:
        more = f" and {len(lost) - MOST_NAMED} more" if len(lost) > MOST_NAMED else ""
        raise InputError(
            f"Expected all slices in {folder}, got {len(lost)} broken links: "
            f"{', '.join(lost[:MOST_NAMED])}{more}, the first one to {os.readlink(folder / lost[0])}.",
            "Connect the disk, or fetch the files that they point to.",
        )


def _read_first(file: Path) -> tuple[np.ndarray, Any, dict[str, str]]:
    if file.suffix.lower() in PICTURE_SUFFIXES:
        return read_picture(file), None, {}
    with open_tiff(file) as tiff:
        first = with_sign(tiff, decoded(tiff, file, _tiff_slice(tiff, file)))
        spacing, notes = tiff_spacing_zyx_mm(tiff)
    return first.view(np.uint8) if first.dtype == bool else first, spacing, notes


def _read_slice(file: Path, out: np.ndarray, first: Path) -> None:
    if file.suffix.lower() in PICTURE_SUFFIXES:
        values = read_picture(file)
        _require_same(values.shape, values.dtype, out, file, first)
        out[...] = values
        return
    with open_tiff(file) as tiff:
        series = _tiff_slice(tiff, file)
        stored = _require_stored(series, out, file, first)
        values = with_sign(tiff, decoded(tiff, file, series, out.view(stored)))
        _require_same(values.shape, np.dtype(np.uint8) if values.dtype == bool else values.dtype, out, file, first)


def _require_header(file: Path, out: np.ndarray, first: Path) -> None:
    """Check what the header of a TIFF slice says, and that the file is long enough for it."""
    with open_tiff(file) as tiff:
        series = _tiff_slice(tiff, file)
        _require_stored(series, out, file, first)
        require_enough(series, file)


def _require_stored(series: Any, out: np.ndarray, file: Path, first: Path) -> np.dtype:
    """The type that a slice is stored in, of the size of `out` and a type that fits."""
    stored = np.dtype(np.uint8) if series.dtype == bool else series.dtype.newbyteorder("=")
    signed = out.dtype == np.int16 and stored == np.uint16
    _require_same(series.shape, out.dtype if signed else stored, out, file, first)
    return stored


def _require_same(shape: tuple[int, ...], dtype: np.dtype, out: np.ndarray, file: Path, first: Path) -> None:
    if shape != out.shape or dtype != out.dtype:
        raise InputError(
            f"Expected slices of one size and type, got {out.shape} of {out.dtype} in {first.name} and "
            f"{shape} of {dtype} in {file.name}, folder {file.parent}.",
            "Keep only the slices of one volume in the folder.",
        )


def _tiff_slice(tiff: Any, file: Path) -> Any:
    series = tiff.series[0] if len(tiff.series) == 1 else None
    if series is None or series.axes != "YX":
        axes = "several images" if series is None else f"the axes {series.axes} of lengths {series.shape}"
        raise InputError(
            f"Expected one grey-value slice per TIFF file of a folder, got {axes} in {file}.",
            "If this file is a whole stack, give the file instead of the folder; colours hold no grey values.",
        )
    return series


def _no_slices(folder: Path, names: list[str], slices: list[str]) -> InputError:
    """The error for a folder without a volume, with the way out for what is in it instead."""
    found = Counter(Path(name).suffix.lower() or "no suffix" for name in names).most_common(4)
    listed = ", ".join(f"{count} × {suffix}" for suffix, count in found) or "no files"
    folders = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and holds_slices(entry))
    remedy = "Give the folder that contains the slices, or the image file."
    if any(name.lower().endswith(DICOM_SUFFIXES) or _is_dicom(folder / name) for name in names[:5]):
        remedy = "Convert DICOM: load it in 3D Slicer and save it as .nrrd."
    elif any(name.lower().endswith(LOSSY_IMAGES) for name in names):
        remedy = "Save the slices as TIFF, BMP or PNG: JPEG does not preserve grey values."
    elif folders:
        remedy = f"Give the folder that contains the slices, perhaps {folder / folders[0]}."
    elif slices:
        remedy = f"If {slices[0]} is a whole stack, give that file instead of its folder."
    return InputError(f"Expected a folder with one TIFF, BMP or PNG file per slice, got {listed} in {folder}.", remedy)


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


def _is_dicom(file: Path) -> bool:
    with open(file, "rb") as stream:
        return stream.read(132)[128:] == b"DICM"
