"""Rigid transforms between the spaces of two scans, as 4×4 matrices and as ITK transform files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.io.hdf5_door import require_harmless

TRANSFORM_SUFFIXES = (".tfm", ".txt", ".h5", ".hdf5")
RIGID_TOLERANCE = 1e-4
NEARLY_OPPOSITE = -0.9


def rigid_matrix(rotation: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The 4×4 matrix of a 3×3 rotation and a shift after it."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, shift
    return matrix


def require_rigid(matrix: np.ndarray, source: str = "the transform") -> np.ndarray:
    """The 4×4 matrix as float array. Raises InputError if it is not a rotation and a shift."""
    matrix = np.asarray(matrix, dtype=float)
    rotation = matrix[:3, :3] if matrix.shape == (4, 4) else np.zeros((3, 3))
    is_rotation = np.allclose(rotation.T @ rotation, np.eye(3), atol=RIGID_TOLERANCE) and np.linalg.det(rotation) > 0
    if not (is_rotation and np.isfinite(matrix).all()):
        raise InputError(
            f"Expected a rotation and a translation in {source}, got {matrix.tolist()}.",
            "Use a rigid transform: scaling and shearing would change the measures.",
        )
    return matrix


def write_rigid_transform(initial_to_explant: np.ndarray, path: str | Path) -> None:
    """Write a 4×4 LPS matrix as ITK transform (.tfm, .txt, .h5).

    As ITK and Slicer expect it, the file maps points of the explant to points of the initial screw; a transform node
    that Slicer makes of it moves the initial screw onto the explant. Raises InputError if the matrix is not rigid or
    the suffix unknown; OutputError if the file cannot be written.
    """
    _require_suffix(Path(path))
    explant_to_initial = np.linalg.inv(require_rigid(initial_to_explant))
    with atomic_output(path) as temporary:
        try:
            sitk.WriteTransform(itk_transform(explant_to_initial), str(temporary))
        except RuntimeError as error:
            raise OutputError(f"Expected to write {path}, got: {str(error).splitlines()[-1]}.") from error


def read_rigid_transform(path: str | Path) -> np.ndarray:
    """The 4×4 LPS matrix from the initial screw to the explant of an ITK transform file.

    Raises InputError if the file cannot be read or the transform is not rigid.
    """
    path = Path(path)
    _require_suffix(path)
    if not path.is_file():
        raise InputError(f"Expected a transform file, there is no {path}.", "Check the path.")
    require_harmless(Path(path))  # SimpleITK reads .h5 with the HDF5 library
    try:
        transform = sitk.ReadTransform(str(path))
    except (RuntimeError, UnicodeDecodeError) as error:  # SimpleITK's own message may hold damaged text
        raise InputError(f"Expected an ITK transform, could not read {path}.", "Save it as .tfm or .h5.") from error
    if transform.GetDimension() != 3 or not transform.IsLinear():
        raise InputError(f"Expected a rigid 3D transform, got another kind in {path}.", "Use a rigid transform.")
    shift = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    columns = [np.array(transform.TransformPoint(tuple(unit))) - shift for unit in np.eye(3)]
    return np.linalg.inv(require_rigid(rigid_matrix(np.array(columns).T, shift), str(path)))


def itk_transform(matrix: np.ndarray) -> sitk.AffineTransform:
    """The ITK transform that maps points by a 4×4 matrix."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    return transform


def rotation_between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """3×3 matrix of a rotation that turns one unit vector to another.

    By Rodrigues' formula the smallest one; nearly opposite vectors take a half turn first, which keeps it exact.
    """
    if float(start @ end) < NEARLY_OPPOSITE:
        across = np.cross(start, np.eye(3)[np.abs(start).argmin()])
        across /= np.linalg.norm(across)
        return rotation_between(-start, end) @ (2 * np.outer(across, across) - np.eye(3))
    axis, cosine = np.cross(start, end), float(start @ end)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1 + cosine)


def _require_suffix(path: Path) -> None:
    if path.suffix.lower() not in TRANSFORM_SUFFIXES:
        raise InputError(f"Expected a transform file ({', '.join(TRANSFORM_SUFFIXES)}), got {path}.")
