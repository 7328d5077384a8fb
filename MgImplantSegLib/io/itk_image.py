"""Writing and reading with SimpleITK, for the formats whose details are its business."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from MgImplantSegLib.base.errors import InputError, OutputError, readable
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.io.image_data import frame_from_affine, require_three_axes

ITK_GZIP_LEVEL = 1
STANDARD_ERROR = 2


@dataclass(frozen=True)
class Information:
    """What SimpleITK reads of a file without its voxels.

    Parameters
    ----------
    shape_zyx : tuple of int
        Three lengths of axes; further axes of length 1 are left out.
    frame : dict
        Spacing, origin and direction as `ImageData` takes them, in what SimpleITK takes for millimetres. A negative
        spacing is a direction that runs the other way.
    keys : dict
        Everything else that it knows of the header.
    """

    path: Path
    shape_zyx: tuple[int, int, int]
    frame: dict[str, Any]
    keys: Mapping[str, str]


def read_information(path: Path, image_io: str) -> Information:
    """The header of an image file in the format of SimpleITK's `image_io`, three axes and one number per voxel.

    Raises InputError if SimpleITK cannot read it, it has fewer or more axes, or colours.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO(image_io)
    try:
        with _quiet(), utf8_path(path) as name:
            reader.SetFileName(name)
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(
            f"Expected a {image_io.removesuffix('ImageIO')} file with a complete header, got {path}: "
            f"{_last_line(error)}.",
            "Export the image again.",
        ) from error
    sizes = list(reader.GetSize())
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    require_three_axes(sizes[::-1], path)
    if reader.GetNumberOfComponents() != 1:
        raise InputError(
            f"Expected one number per voxel, got {reader.GetNumberOfComponents()} channels (colour?) in {path}.",
            "Save one channel as a 3D image; colour images contain no grey values.",
        )
    count = reader.GetDimension()
    axes = np.reshape(reader.GetDirection(), (count, count))[:3, :3] * np.array(reader.GetSpacing())[:3]
    frame = frame_from_affine(np.c_[axes, np.array(reader.GetOrigin())[:3]])
    return Information(path, tuple(sizes[::-1]), frame, _keys(reader))


def _keys(reader: sitk.ImageFileReader) -> dict[str, str]:
    keys = {}
    for key in reader.GetMetaDataKeys():
        with suppress(TypeError):  # a key of bytes that are no text cannot be asked for
            keys[key] = reader.GetMetaData(key)
    return keys


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what ITK and its libraries write straight to the terminal; what is wrong comes as an exception."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with _without_standard_error():
            yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


@contextmanager
def _without_standard_error() -> Iterator[None]:
    try:
        kept = os.dup(STANDARD_ERROR)
    except OSError:  # a program without a terminal has none
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, STANDARD_ERROR)
        yield
    finally:
        os.dup2(kept, STANDARD_ERROR)
        os.close(kept)
        os.close(nowhere)


def itk_image(array: np.ndarray, geometry: Geometry) -> sitk.Image:
    """A SimpleITK image with a copy of the array (z, y, x) and its geometry."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing_zyx_mm[::-1])
    image.SetOrigin(geometry.origin_lps_mm)
    image.SetDirection(geometry.direction_lps)
    return image


def resampled(
    image: sitk.Image,
    geometry: Geometry,
    interpolator: int,
    transform: sitk.Transform | None = None,
    outside: float = 0,
) -> np.ndarray:
    """The image's values (z, y, x) on another grid, `outside` beyond it; `transform` maps the grid's points to its."""
    grid = sitk.Resample(
        image,
        geometry.shape_zyx[::-1],
        transform or sitk.Transform(),
        interpolator,
        geometry.origin_lps_mm,
        geometry.spacing_zyx_mm[::-1],
        geometry.direction_lps,
        outside,
    )
    return sitk.GetArrayFromImage(grid)


def write_with_itk(path: Path, array: np.ndarray, geometry: Geometry, *, compress: bool) -> None:
    """Write an array (z, y, x) in the format of the suffix. Raises OutputError if SimpleITK cannot write the file."""
    with _writing(path), utf8_path(path) as name:
        sitk.WriteImage(itk_image(array, geometry), name, compress, compressionLevel=ITK_GZIP_LEVEL)


def write_colours_with_itk(path: Path, pixels: np.ndarray) -> None:
    """Write a picture (rows, columns, channels) in the format of the suffix.

    Raises OutputError if SimpleITK cannot write the file.
    """
    with _writing(path), utf8_path(path) as name:
        sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), name)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """SimpleITK's errors as an `OutputError`."""
    try:
        yield
    except RuntimeError as error:
        raise OutputError(
            f"Expected to write {path}, got: {_last_line(error)}.", "Free disk space or choose another folder."
        ) from error


def read_with_itk(path: Path) -> np.ndarray:
    """The voxels (z, y, x) of an image file that only SimpleITK can decode.

    Raises InputError if SimpleITK cannot read it either.
    """
    try:
        with utf8_path(path) as name:
            return sitk.GetArrayFromImage(sitk.ReadImage(name))
    except RuntimeError as error:
        raise InputError(f"Expected an image file, got {path}: {_last_line(error)}.", "Export it again.") from error


@contextmanager
def utf8_path(path: Path) -> Iterator[str]:
    """The path as SimpleITK and VTK take it: behind a link where its name is not UTF-8."""
    if str(path) == readable(str(path)):
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "image" + readable(path.suffix))
        link.symlink_to(path.absolute())
        yield str(link)


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].strip().rstrip(".")
