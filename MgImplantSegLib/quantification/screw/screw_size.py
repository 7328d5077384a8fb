"""Whether the screw before implantation can be the one of the explant, by its size: units and voxel sizes mistaken."""

from __future__ import annotations

import math

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.quantification.screw.axis import ScrewAxis
from MgImplantSegLib.quantification.screw.screw_shape import LabelMapShape, MeshShape

LEAST_PART = 0.25
LARGEST_GROWTH = 20.0
MM_OF_UNIT = {"µm": 0.001, "mil": 0.0254, "cm": 10.0, "inch": 25.4, "m": 1000.0}
GUESS_WITHIN = 2.5


def require_plausible_size(shape: LabelMapShape | MeshShape, implant: ScrewAxis, geometry: Geometry) -> None:
    """Refuse a screw that is far smaller than what is left of it, or far larger than the volume: its unit is wrong.

    All three principal sizes have to agree: a part of a screw is smaller along its axis only, and little is left of
    one that has degraded. Raises InputError with the unit that would fit, if there is one.

    Parameters
    ----------
    shape : LabelMapShape or MeshShape
        The screw before implantation, anywhere.
    implant : ScrewAxis
        Of the explant's implant.
    """
    screw_mm, implant_mm = np.array(shape.sizes_mm), np.array(implant.sizes_mm)
    extent_mm = np.sort(geometry.extent_zyx_mm)[::-1]
    is_small, is_large = (screw_mm < LEAST_PART * implant_mm).all(), (screw_mm > LARGEST_GROWTH * extent_mm).all()
    if is_small or is_large:
        raise wrong_size(shape, implant, geometry)


def wrong_size(shape: LabelMapShape | MeshShape, implant: ScrewAxis, geometry: Geometry, but: str = "") -> InputError:
    """The error about a screw that cannot be this one, with the unit that would fit, if there is one."""
    screw_mm, implant_mm = np.array(shape.sizes_mm), np.array(implant.sizes_mm)
    extent_mm = np.sort(geometry.extent_zyx_mm)[::-1]
    ratio = float(np.exp(np.mean(np.log(implant_mm / screw_mm))))
    unit = min(MM_OF_UNIT, key=lambda name: abs(math.log(ratio / MM_OF_UNIT[name])))
    fits = abs(math.log(ratio / MM_OF_UNIT[unit])) < math.log(GUESS_WITHIN)
    guess = f" The initial screw seems to be in {unit}." if fits else ""
    return InputError(
        f"Expected an initial screw about as large as the implant of {_text(implant_mm)} mm, or as the volume of "
        f"{_text(extent_mm)} mm, got one of {_text(screw_mm)} mm{but}.",
        f"Check the unit (mm) and the voxel size of the initial screw, and the voxel size of the explant.{guess}",
    )


def _text(sizes_mm: np.ndarray) -> str:
    return " × ".join(f"{size:.3g}" for size in sizes_mm)
