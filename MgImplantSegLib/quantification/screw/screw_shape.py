"""The shape of a screw before implantation, as a label map or as a mesh: volume, surface, and its mask on a grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.boxes import bounding_box, shape_of, start_of
from MgImplantSegLib.grids.regions import OrientedBox, rows
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.io.grids import placement
from MgImplantSegLib.io.itk_image import itk_image, resampled
from MgImplantSegLib.quantification.codes import implant_in, role_codes
from MgImplantSegLib.quantification.screw.axis import moments_lps, principal_sizes_mm
from MgImplantSegLib.quantification.surfaces.mesh_measures import (
    mesh_area_mm2,
    mesh_area_within_mm2,
    mesh_covariance_mm2,
    mesh_mask,
    mesh_volume_mm3,
)
from MgImplantSegLib.quantification.surfaces.surface import SURFACE_METHODS, surface_area_mm2

FULL = 255


@dataclass(frozen=True, eq=False)
class LabelMapShape:
    """A screw from its segmentation.

    Parameters
    ----------
    array : bool array (z, y, x)
        The screw, cropped to a box around it.
    field : OrientedBox
        The whole scan that it was cropped from.
    note : str
        What was assumed.
    """

    array: np.ndarray
    geometry: Geometry
    field: OrientedBox
    note: str = ""
    volume_method = "voxel count"

    @classmethod
    def from_label_map(cls, label_map: LabelMap) -> LabelMapShape:
        """The implant classes of a label map, or everything that is not background where it has none.

        Raises InputError if the label map is empty.
        """
        codes = role_codes(label_map)
        mask, note = implant_in(codes), ""
        if not mask.any():
            mask = (codes > 0) & ~label_map.ignore_mask()
            note = "The initial segmentation has no implant class: all of its classes were treated as the screw."
        box = bounding_box(mask)
        if box is None:
            raise InputError("Expected the screw in the initial segmentation, got an empty one.", "Segment the screw.")
        whole = label_map.geometry
        centre = whole.lps_from_index_zyx((np.array(whole.shape_zyx) - 1) / 2)
        field = OrientedBox(tuple(centre), rows(whole.direction_matrix), whole.extent_zyx_mm[::-1], "initial scan")
        return cls(mask[box].copy(), whole.cropped(start_of(box), shape_of(box)), field, note)

    @property
    def volume_mm3(self) -> float:
        """Voxels times the voxel volume."""
        return int(np.count_nonzero(self.array)) * self.geometry.voxel_volume_mm3

    @property
    def spacing_mm(self) -> float:
        """The smallest voxel spacing in mm."""
        return min(self.geometry.spacing_zyx_mm)

    @property
    def sizes_mm(self) -> tuple[float, float, float]:
        """Edges, largest first, of the box that has the screw's principal moments."""
        return principal_sizes_mm(moments_lps(self.array, self.geometry)[1])

    @property
    def corners_lps_mm(self) -> np.ndarray:
        """Eight corners of the box around the screw, shape (8, 3)."""
        return self.geometry.corners_lps_mm()

    def area_mm2(self, method: str) -> tuple[float, str]:
        """Surface in mm² by a key of `SURFACE_METHODS`, and the method's name; the scan's border is not a surface."""
        mask = np.pad(self.array, 1)
        geometry = self.geometry.cropped((-1, -1, -1), mask.shape)
        return self.area_within_mm2(mask, self.known_on(geometry), geometry, method)

    def area_within_mm2(
        self, mask: np.ndarray, counted: np.ndarray, geometry: Geometry, method: str
    ) -> tuple[float, str]:
        """Surface in mm² of the part in counted voxels of a grid, where the screw's mask is `mask`, and the method."""
        area_mm2 = surface_area_mm2(mask, geometry.spacing_zyx_mm, method, counted=counted)
        return area_mm2, SURFACE_METHODS.find(method).name

    def mask_on(self, geometry: Geometry) -> np.ndarray:
        """Boolean array (z, y, x): the screw on another grid, linearly interpolated where the grids differ."""
        place = placement(self.geometry, geometry)
        if place is not None:
            mask, boxes = np.zeros(geometry.shape_zyx, dtype=bool), place.common(geometry.shape_zyx)
            if boxes is not None:
                mask[boxes[0]] = place.along(self.array)[boxes[1]]
            return mask
        full = itk_image(self.array.astype(np.uint8) * np.uint8(FULL), self.geometry)
        return resampled(full, geometry, sitk.sitkLinear) > FULL // 2

    def known_on(self, geometry: Geometry) -> np.ndarray:
        """Boolean array (z, y, x), True where the scan of the screw has seen something."""
        return self.field.mask(geometry)

    def moved(self, matrix: np.ndarray) -> LabelMapShape:
        """The shape after a rigid 4×4 LPS transform."""
        matrix = np.asarray(matrix, dtype=float)
        rotation, shift = matrix[:3, :3], matrix[:3, 3]
        geometry = replace(
            self.geometry,
            origin_lps_mm=tuple(rotation @ self.geometry.origin_lps_mm + shift),
            direction_lps=tuple((rotation @ self.geometry.direction_matrix).ravel()),
        )
        field = replace(
            self.field,
            centre_lps_mm=tuple(rotation @ self.field.centre_lps_mm + shift),
            axes_lps=rotation @ self.field.axes_matrix,
        )
        return replace(self, geometry=geometry, field=field)


@dataclass(frozen=True, eq=False)
class MeshShape:
    """A screw from a closed triangle mesh: points in LPS mm, shape (n, 3), and triangles, shape (m, 3)."""

    points_lps_mm: np.ndarray
    triangles: np.ndarray
    note: str = ""
    volume_method = "volume of the mesh"

    @property
    def volume_mm3(self) -> float:
        """Volume that the triangles enclose."""
        return mesh_volume_mm3(self.points_lps_mm, self.triangles)

    @property
    def spacing_mm(self) -> float:
        """A voxel size that shows the mesh well: a hundredth of its size."""
        return float(np.ptp(self.points_lps_mm, axis=0).max()) / 100

    @property
    def sizes_mm(self) -> tuple[float, float, float]:
        """Edges, largest first, of the box that has the screw's principal moments."""
        return principal_sizes_mm(mesh_covariance_mm2(self.points_lps_mm, self.triangles))

    @property
    def corners_lps_mm(self) -> np.ndarray:
        """The mesh's points, shape (n, 3)."""
        return self.points_lps_mm

    def area_mm2(self, method: str) -> tuple[float, str]:
        """Area of the triangles in mm², whatever the method for masks is, and the name of how it was measured."""
        SURFACE_METHODS.find(method)
        return mesh_area_mm2(self.points_lps_mm, self.triangles), "triangles of the mesh"

    def area_within_mm2(
        self, mask: np.ndarray, counted: np.ndarray, geometry: Geometry, method: str
    ) -> tuple[float, str]:
        """Area in mm² of the triangles in counted voxels of a grid, and how it was measured; `mask` is not needed."""
        SURFACE_METHODS.find(method)
        area_mm2 = mesh_area_within_mm2(self.points_lps_mm, self.triangles, geometry, counted)
        return area_mm2, "triangles of the mesh"

    def mask_on(self, geometry: Geometry) -> np.ndarray:
        """Boolean array (z, y, x), True where a voxel's centre lies inside the mesh."""
        return mesh_mask(self.points_lps_mm, self.triangles, geometry)

    def known_on(self, geometry: Geometry) -> np.ndarray:
        """Boolean array (z, y, x), all True: a mesh is known everywhere."""
        return np.ones(geometry.shape_zyx, dtype=bool)

    def moved(self, matrix: np.ndarray) -> MeshShape:
        """The shape after a rigid 4×4 LPS transform."""
        matrix = np.asarray(matrix, dtype=float)
        return replace(self, points_lps_mm=self.points_lps_mm @ matrix[:3, :3].T + matrix[:3, 3])
