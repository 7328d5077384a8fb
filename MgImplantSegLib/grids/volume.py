"""Array and geometry that never part: `Geometry`, `Volume`, `LabelMap`.

Arrays have axis order (z, y, x); physical space is LPS in millimetres. `direction_lps` has the layout of
SimpleITK: a row-major 3×3 matrix whose columns are the directions of the array axes x, y and z.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.labels import DEFAULT_SCHEME, IMPLANT_ROLES, LabelScheme, Role

SAME_PLACE_VOXELS = 0.05  # so far apart two voxels may lie that count as the same place
IDENTITY_DIRECTION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of an array (z, y, x) lie in LPS space.

    Raises InputError if a size or spacing is not positive and finite, or the axes are not perpendicular unit vectors.

    Parameters
    ----------
    spacing_zyx_mm : tuple of float
        Distance between voxel centres along z, y, x in millimetres.
    origin_lps_mm : tuple of float
        Centre (L, P, S) of the voxel with index (0, 0, 0).
    direction_lps : tuple of float
        Row-major 3×3; columns are the unit vectors of the array axes x, y, z in LPS.
    """

    shape_zyx: tuple[int, int, int]
    spacing_zyx_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin_lps_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction_lps: tuple[float, ...] = IDENTITY_DIRECTION

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape_zyx", tuple(int(n) for n in self.shape_zyx))
        object.__setattr__(self, "spacing_zyx_mm", tuple(float(s) for s in self.spacing_zyx_mm))
        object.__setattr__(self, "origin_lps_mm", tuple(float(o) for o in self.origin_lps_mm))
        object.__setattr__(self, "direction_lps", tuple(float(d) for d in np.ravel(self.direction_lps)))
        self._check()

    def _check(self) -> None:
        if len(self.shape_zyx) != 3 or min(self.shape_zyx) < 1:
            raise InputError(f"Expected a 3D array with voxels along every axis, got shape {self.shape_zyx}.")
        if len(self.spacing_zyx_mm) != 3 or not all(math.isfinite(s) and s > 0 for s in self.spacing_zyx_mm):
            raise InputError(
                f"Expected three positive voxel spacings in mm, got {self.spacing_zyx_mm}.",
                "Set the voxel size in the file or give it in µm [[spacing_um]].",
            )
        if len(self.origin_lps_mm) != 3 or not all(math.isfinite(o) for o in self.origin_lps_mm):
            raise InputError(f"Expected an origin of three finite numbers in mm, got {self.origin_lps_mm}.")
        axes = np.array(self.direction_lps).reshape(-1, 3) if len(self.direction_lps) == 9 else np.zeros((3, 3))
        if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-3):
            raise InputError(
                f"Expected three perpendicular unit vectors as axes of the volume, got {self.direction_lps}.",
                "Resample the sheared volume to a rectangular grid first.",
            )

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm³."""
        return math.prod(self.spacing_zyx_mm)

    @property
    def extent_zyx_mm(self) -> tuple[float, float, float]:
        """Edge lengths of the whole grid, voxel faces included, along z, y, x in mm."""
        return triple(n * s for n, s in zip(self.shape_zyx, self.spacing_zyx_mm, strict=True))

    @property
    def direction_matrix(self) -> np.ndarray:
        """3×3 matrix with the unit vectors of the axes x, y, z as columns, in LPS."""
        return np.array(self.direction_lps).reshape(3, 3)

    @property
    def index_xyz_to_lps_mm(self) -> np.ndarray:
        """4×4 matrix from voxel index (x, y, z, 1) to LPS millimetres."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.direction_matrix * np.array(self.spacing_zyx_mm[::-1])
        matrix[:3, 3] = self.origin_lps_mm
        return matrix

    def lps_from_index_zyx(self, index_zyx: np.ndarray) -> np.ndarray:
        """Positions in LPS mm, shape (..., 3), of continuous indices (z, y, x), shape (..., 3)."""
        index_xyz = np.asarray(index_zyx, dtype=float)[..., ::-1]
        matrix = self.index_xyz_to_lps_mm
        return index_xyz @ matrix[:3, :3].T + matrix[:3, 3]

    def index_zyx_from_lps(self, position_lps_mm: np.ndarray) -> np.ndarray:
        """Continuous indices (z, y, x), shape (..., 3), of positions in LPS mm, shape (..., 3)."""
        inverse = np.linalg.inv(self.index_xyz_to_lps_mm)
        index_xyz = np.asarray(position_lps_mm, dtype=float) @ inverse[:3, :3].T + inverse[:3, 3]
        return index_xyz[..., ::-1]

    def cropped(self, start_zyx: Iterable[int], shape_zyx: Iterable[int]) -> Geometry:
        """The geometry of a box of voxels that starts at index `start_zyx`; it may reach outside."""
        origin = self.lps_from_index_zyx(np.array(tuple(start_zyx), dtype=float))
        return replace(self, shape_zyx=triple(shape_zyx), origin_lps_mm=triple(origin))

    def resampled(self, spacing_zyx_mm: tuple[float, float, float]) -> Geometry:
        """A grid with another spacing over the same field: the centres of both grids coincide.

        The number of voxels is rounded to the nearest, so the fields differ by half a voxel at most.
        """
        shape = triple(
            max(1, round(n * old / new))
            for n, old, new in zip(self.shape_zyx, self.spacing_zyx_mm, spacing_zyx_mm, strict=True)
        )
        centre_lps = self.lps_from_index_zyx((np.array(self.shape_zyx) - 1) / 2)
        half_zyx_mm = (np.array(shape) - 1) / 2 * np.array(spacing_zyx_mm)
        origin = centre_lps - self.direction_matrix @ half_zyx_mm[::-1]
        return Geometry(shape, spacing_zyx_mm, triple(origin), self.direction_lps)

    def same_grid(self, other: Geometry, tolerance_voxels: float = SAME_PLACE_VOXELS) -> bool:
        """Whether every voxel of both grids lies at the same place, within a part of a voxel."""
        if self.shape_zyx != other.shape_zyx:
            return False
        apart_mm = np.abs(self.corners_lps_mm(centres=True) - other.corners_lps_mm(centres=True)).max()
        same_spacing = np.allclose(self.spacing_zyx_mm, other.spacing_zyx_mm, rtol=1e-3)
        return bool(same_spacing and apart_mm <= tolerance_voxels * min(self.spacing_zyx_mm))

    def corners_lps_mm(self, *, centres: bool = False) -> np.ndarray:
        """Eight corners of the field, shape (8, 3), LPS mm; with `centres` the centres of the voxels in the corners."""
        half = 0.0 if centres else 0.5
        ends = np.meshgrid(*[(-half, n - 1 + half) for n in self.shape_zyx], indexing="ij")
        return self.lps_from_index_zyx(np.reshape(ends, (3, -1)).T)


@dataclass(frozen=True)
class Volume:
    """A grey-value image: array (z, y, x) of any real dtype and its geometry.

    `spacing_is_known` is False when the file carries no voxel size and 1 mm was assumed;
    `provenance` holds what is worth keeping of the file (path, format, dataset).
    """

    array: np.ndarray
    geometry: Geometry
    spacing_is_known: bool = True
    provenance: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        _require_matching_shape(self.array, self.geometry)
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))


@dataclass(frozen=True)
class LabelMap:
    """A segmentation: integer array (z, y, x), its geometry, and what the values mean."""

    array: np.ndarray
    geometry: Geometry
    scheme: LabelScheme = DEFAULT_SCHEME
    provenance: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        _require_matching_shape(self.array, self.geometry)
        if not (np.issubdtype(self.array.dtype, np.integer) or self.array.dtype == bool):
            raise InputError(f"Expected whole numbers as label values, got an array of {self.array.dtype}.")
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    def mask(self, *roles: Role) -> np.ndarray:
        """Boolean array (z, y, x), True where the value has one of the `roles`."""
        values = [label.value for label in self.scheme.labels if label.role in roles]
        if len(values) == 1:
            return self.array == values[0]
        return np.isin(self.array, values)

    def implant_mask(self) -> np.ndarray:
        """Boolean array (z, y, x), True in the implant: degradation layer and residual material."""
        return self.mask(*IMPLANT_ROLES)

    def voxels_of_roles(self) -> dict[str, int]:
        """Voxels of bone, layer and metal, by the names of the roles that the scheme has; counted slice by slice."""
        counts: dict[str, int] = {}
        for label in self.scheme.segments:
            count = sum(int(np.count_nonzero(slice_yx == label.value)) for slice_yx in self.array)
            counts[label.role.value] = counts.get(label.role.value, 0) + count
        return counts

    def ignore_mask(self) -> np.ndarray:
        """Boolean array (z, y, x), True where nothing is known: the scheme's ignore value."""
        if self.scheme.ignore_value is None:
            return np.zeros(self.array.shape, dtype=bool)
        return self.array == self.scheme.ignore_value


def _require_matching_shape(array: np.ndarray, geometry: Geometry) -> None:
    if array.ndim != 3 or array.shape != geometry.shape_zyx:
        raise InputError(f"Expected an array of the geometry's shape {geometry.shape_zyx}, got {array.shape}.")
