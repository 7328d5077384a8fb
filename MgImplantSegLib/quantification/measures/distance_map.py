"""The distance of every voxel from the implant, as an image."""

from __future__ import annotations

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import LabelMap, Volume
from MgImplantSegLib.quantification.codes import implant_in, role_codes
from MgImplantSegLib.quantification.measures.distance import distance_to_mm


def implant_distance_map(label_map: LabelMap) -> Volume:
    """Distance in mm of each voxel's centre to the nearest implant voxel's centre; float32, 0 in the implant.

    Raises
    ------
    InputError
        If there is no implant.
    """
    implant = implant_in(role_codes(label_map))
    if not implant.any():
        raise InputError("Expected an implant to measure distances from, found none.", "Check the roles of the labels.")
    return Volume(distance_to_mm(implant, label_map.geometry.spacing_zyx_mm), label_map.geometry)
