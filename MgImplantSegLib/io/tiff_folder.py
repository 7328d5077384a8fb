"""A folder with one TIFF file per slice, as tomography beamlines write it, with the pixel size of `reco.log`."""

from __future__ import annotations

import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.io.image_data import ImageData, ReadOptions
from MgImplantSegLib.io.raw_data import allocate
from MgImplantSegLib.io.tiff_file import decoded, open_tiff
from MgImplantSegLib.io.tiff_spacing import tiff_spacing_zyx_mm
from MgImplantSegLib.io.units import mm_of_unit

logger = logging.getLogger(__name__)
TIFF_SUFFIXES = (".tif", ".tiff")
LOG_NAME = "reco.log"
FOLDERS_WITH_LOG = 3
PIXEL_SIZE = re.compile(r"^[ \t]*eff(?:ective)?_pixel_size[ \t]*[:=][ \t]*([-+.\deE]+)[ \t]*(\S*)", re.MULTILINE)
BINNING = re.compile(r"bin(\d+)", re.IGNORECASE)
SMALLEST_PIXEL_UM = 0.01
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
OTHER_IMAGES = (".png", ".jpg", ".jpeg", ".bmp")


def read_tiff_folder(path: Path, options: ReadOptions) -> ImageData:
    """The volume whose slices are the TIFF files of a folder, in natural order (2 before 10).

    Voxels are cubes of the size in `reco.log`, which lies in the folder or up to two above it, times the binning in
    the folder's name (``float_rawBin2``); without a log the first slice's tags count.

    Raises
    ------
    InputError
        If there are no slices, the names belong to several series or have gaps, or sizes or types differ.
    """
    files = slice_files(path)
    first, spacing, notes = _read_first(files[0])
    array = allocate((len(files), *first.shape), first.dtype, path)
    array[0] = first
    with options.events.task("reading slices", len(files)) as task:
        for index, file in enumerate(files[1:], start=1):
            task.advance()
            _read_slice(file, array[index], files[0])
    pixel_um = pixel_size_um(path)
    if pixel_um is not None:
        spacing, notes = (pixel_um * 1e-3,) * 3, {"spacing_from": LOG_NAME}
    return ImageData(array, spacing, notes={**notes, "slices": len(files)})


def slice_files(folder: Path) -> list[Path]:
    """The TIFF files of a folder in natural order.

    Raises
    ------
    InputError
        If there are fewer than two, their names differ in more than numbers, or numbers are missing.
    """
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    slices = sorted((name for name in names if name.lower().endswith(TIFF_SUFFIXES)), key=natural_key)
    if len(slices) < 2:
        raise _no_slices(folder, names, slices)
    series = Counter(re.sub(r"\d+", "#", name) for name in slices)
    if len(series) > 1:
        listed = ", ".join(f"{count} × {pattern}" for pattern, count in series.most_common(5))
        raise InputError(
            f"Expected the slices of one volume in {folder}, got several series of names: {listed}.",
            "Leave only the slices of one volume in the folder.",
        )
    _require_no_gaps(slices, folder)
    return [folder / name for name in slices]


def natural_key(name: str) -> list[Any]:
    """A key that sorts names with numbers as people count: slice_2 before slice_10."""
    return [int(part) if part.isdecimal() else part.lower() for part in re.split(r"(\d+)", name)]


def pixel_size_um(folder: Path) -> float | None:
    """Size of a pixel in µm from `reco.log`, binning included; None if there is no log or no size in it."""
    folder = folder.resolve()
    for place in [folder, *folder.parents][:FOLDERS_WITH_LOG]:
        log = place / LOG_NAME
        if log.is_file():
            size_um = _logged_size_um(log)
            binning = np.prod([int(number) for number in BINNING.findall(folder.name)] or [1])
            return None if size_um is None else size_um * float(binning)
    return None


def _logged_size_um(log: Path) -> float | None:
    """The effective pixel size in a log, in µm also where no unit follows the number."""
    match = PIXEL_SIZE.search(log.read_text(encoding="utf-8", errors="replace"))
    try:
        size, unit_mm = float(match.group(1)), mm_of_unit(match.group(2) or "µm")
    except (AttributeError, ValueError):
        logger.warning("%s names no effective_pixel_size.", log)
        return None
    if unit_mm is None or not size * unit_mm * 1e3 >= SMALLEST_PIXEL_UM:
        logger.warning("%s: the pixel size %r is not understood and not used.", log, match.group(0).strip())
        return None
    return size * unit_mm * 1e3


def _read_first(file: Path) -> tuple[np.ndarray, Any, dict[str, str]]:
    with open_tiff(file) as tiff:
        series = _slice_series(tiff, file)
        first = decoded(tiff, file, series)
        spacing, notes = tiff_spacing_zyx_mm(tiff)
    return first.view(np.uint8) if first.dtype == bool else first, spacing, notes


def _read_slice(file: Path, out: np.ndarray, first: Path) -> None:
    with open_tiff(file) as tiff:
        series = _slice_series(tiff, file)
        dtype = np.dtype(np.uint8) if series.dtype == bool else series.dtype.newbyteorder("=")
        if series.shape != out.shape or dtype != out.dtype:
            raise InputError(
                f"Expected slices of one size and type, got {out.shape} of {out.dtype} in {first.name} and "
                f"{series.shape} of {dtype} in {file.name}, folder {file.parent}.",
                "Leave only the slices of one volume in the folder.",
            )
        decoded(tiff, file, series, out)


def _slice_series(tiff: Any, file: Path) -> Any:
    series = tiff.series[0] if len(tiff.series) == 1 else None
    if series is None or series.axes != "YX":
        axes = "several images" if series is None else f"the axes {series.axes} of lengths {series.shape}"
        raise InputError(
            f"Expected one grey-value slice per TIFF file of a folder, got {axes} in {file}.",
            "If this file is a whole stack, give the file instead of the folder; colours hold no grey values.",
        )
    return series


def _require_no_gaps(names: list[str], folder: Path) -> None:
    """Numbers must rise in equal steps, when only one number of the names changes."""
    numbers = np.array([[int(number) for number in re.findall(r"\d+", name)] for name in names], dtype=object)
    changing = [column for column in numbers.T if len(set(column)) > 1]
    if len(changing) != 1:
        return
    steps = np.diff(changing[0])
    odd = next((index for index, step in enumerate(steps) if step != min(steps)), None)
    if odd is not None:
        raise InputError(
            f"Expected slices numbered without gaps in {folder}, got {names[odd + 1]} after {names[odd]}.",
            "Add the missing slices, or leave only the slices of one volume in the folder.",
        )
    if steps[0] > 1:
        logger.warning("%s: slice numbers rise by %d; the slices are taken as neighbours.", folder, steps[0])


def _no_slices(folder: Path, names: list[str], slices: list[str]) -> InputError:
    """The error for a folder without a volume, with the way out for what is in it instead."""
    found = Counter(Path(name).suffix.lower() or "no suffix" for name in names).most_common(4)
    listed = ", ".join(f"{count} × {suffix}" for suffix, count in found) or "no files"
    folders = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and any(entry.glob("*.[tT][iI][fF]*")))
    remedy = "Give the folder that holds the slices, or the image file."
    if any(name.lower().endswith(DICOM_SUFFIXES) or _is_dicom(folder / name) for name in names[:5]):
        remedy = "Convert DICOM: load it in 3D Slicer and save it as .nrrd."
    elif any(name.lower().endswith(OTHER_IMAGES) for name in names):
        remedy = "Save the slices as TIFF: other slice images keep neither 16 bit nor the pixel size."
    elif folders:
        remedy = f"Give the folder that holds the slices, perhaps {folder / folders[0]}."
    elif slices:
        remedy = f"If {slices[0]} is a whole stack, give that file instead of its folder."
    return InputError(f"Expected a folder with one TIFF file per slice, got {listed} in {folder}.", remedy)


def _is_dicom(file: Path) -> bool:
    with open(file, "rb") as stream:
        return stream.read(132)[128:] == b"DICM"
