"""The screw before implantation: `InitialScrew`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.volume import LabelMap


@dataclass(frozen=True)
class InitialScrew:
    """The screw before implantation: typed numbers, or a label map that is registered to the explant.

    Raises
    ------
    InputError
        If a typed number is not positive, or nothing is given.
    """

    volume_mm3: float | None = None
    area_mm2: float | None = None
    label_map: LabelMap | None = None
    source: str = "typed in"

    def __post_init__(self) -> None:
        for what, value in (("volume in mm³", self.volume_mm3), ("area in mm²", self.area_mm2)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(
                    f"Expected a positive initial {what}, got {value}.", "Give the value of the new screw."
                )
        if self.label_map is None and self.volume_mm3 is None and self.area_mm2 is None:
            raise InputError("Expected an initial volume and area or a segmentation of the screw, got nothing.")

    @classmethod
    def from_values(cls, volume_mm3: float | None, area_mm2: float | None) -> InitialScrew:
        """A screw of which only volume and surface area are known."""
        return cls(volume_mm3, area_mm2)

    @classmethod
    def from_label_map(cls, label_map: LabelMap) -> InitialScrew:
        """A screw from its segmentation before implantation."""
        return cls(label_map=label_map, source=str(label_map.provenance.get("path", "label map")))
