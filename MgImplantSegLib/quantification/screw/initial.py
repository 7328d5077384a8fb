"""The screw before implantation: `InitialScrew`, from numbers, a segmentation or a mesh."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.io.voxel_size import remarks_with_doubt
from MgImplantSegLib.quantification.screw.screw_shape import LabelMapShape, MeshShape
from MgImplantSegLib.quantification.surfaces.triangle_mesh import read_mesh


@dataclass(frozen=True)
class InitialScrew:
    """What is known of the screw before implantation: typed numbers, its shape, or both.

    Parameters
    ----------
    volume_mm3, area_mm2 : float, optional
        Typed numbers; they win over those of the shape.
    shape : LabelMapShape or MeshShape, optional
        The screw in the explant's LPS space.
    source : str
        Where it comes from, for the report.
    remarks : tuple of str
        What was warned of when it was read.

    Raises
    ------
    InputError
        If a number is not positive and finite, or nothing is given.
    """

    volume_mm3: float | None = None
    area_mm2: float | None = None
    shape: LabelMapShape | MeshShape | None = None
    source: str = "typed in"
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, value in (("volume in mm³", self.volume_mm3), ("area in mm²", self.area_mm2)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(
                    f"Expected a positive initial {what}, got {value}.", "Give the value of the new screw."
                )
        if self.shape is None and self.volume_mm3 is None and self.area_mm2 is None:
            raise InputError("Expected the initial screw as numbers, segmentation or mesh, got nothing.")

    @classmethod
    def from_values(cls, volume_mm3: float | None, area_mm2: float | None) -> InitialScrew:
        """A screw of which only volume and surface area are known."""
        return cls(volume_mm3, area_mm2)

    @classmethod
    def from_label_map(cls, label_map: LabelMap, source: str | None = None) -> InitialScrew:
        """A screw from its segmentation before implantation.

        Raises
        ------
        InputError
            If the segmentation is empty.
        """
        source = source or str(label_map.provenance.get("path", "segmentation"))
        remarks = remarks_with_doubt(label_map)
        return cls(shape=LabelMapShape.from_label_map(label_map), source=source, remarks=remarks)

    @classmethod
    def from_mesh(cls, path: str | Path, unit_mm: float = 1.0) -> InitialScrew:
        """A screw from a closed mesh: STL, PLY, OBJ, VTK or VTP; `unit_mm` is the file's unit in mm.

        Raises
        ------
        InputError
            If the file cannot be read or the mesh is not closed.
        """
        solid = read_mesh(path, unit_mm)
        return cls(shape=MeshShape(solid.points_lps_mm, solid.triangles, solid.note), source=str(path))

    def moved(self, initial_to_explant: np.ndarray) -> InitialScrew:
        """The screw after a rigid 4×4 LPS transform, from its own space to the explant's.

        Raises
        ------
        InputError
            If only numbers are known.
        """
        if self.shape is None:
            raise InputError("Expected a screw with a shape to move, got only numbers.", "Omit the transform.")
        return replace(self, shape=self.shape.moved(initial_to_explant))
