"""Writing and reading with SimpleITK, for the formats whose details are its business."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from MgImplantSegLib.errors import InputError, OutputError, readable
from MgImplantSegLib.volume import Geometry

ITK_GZIP_LEVEL = 1


def itk_image(array: np.ndarray, geometry: Geometry) -> sitk.Image:
    """A SimpleITK image with a copy of the array (z, y, x) and its geometry."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing_zyx_mm[::-1])
    image.SetOrigin(geometry.origin_lps_mm)
    image.SetDirection(geometry.direction_lps)
    return image


def write_with_itk(path: Path, array: np.ndarray, geometry: Geometry, *, compress: bool) -> None:
    """Write an array (z, y, x) in the format of the suffix.

    Raises
    ------
    OutputError
        If SimpleITK cannot write the file.
    """
    try:
        sitk.WriteImage(itk_image(array, geometry), str(path), compress, compressionLevel=ITK_GZIP_LEVEL)
    except RuntimeError as error:
        raise OutputError(
            f"Expected to write {path}, got: {_last_line(error)}.", "Free disk space or choose another folder."
        ) from error


def read_with_itk(path: Path) -> np.ndarray:
    """The voxels (z, y, x) of an image file that only SimpleITK can decode.

    Raises
    ------
    InputError
        If SimpleITK cannot read it either.
    """
    try:
        with _utf8_path(path) as name:
            return sitk.GetArrayFromImage(sitk.ReadImage(name))
    except RuntimeError as error:
        raise InputError(f"Expected an image file, got {path}: {_last_line(error)}.", "Export it again.") from error


@contextmanager
def _utf8_path(path: Path) -> Iterator[str]:
    """The path as SimpleITK takes it: behind a link where its name is not UTF-8."""
    if str(path) == readable(str(path)):
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "image" + readable(path.suffix))
        link.symlink_to(path.absolute())
        yield str(link)


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].strip().rstrip(".")
