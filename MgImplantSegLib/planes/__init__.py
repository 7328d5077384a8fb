"""Slicing planes: which slices there are, how one is read and how its result is added back."""

from MgImplantSegLib.planes.plane_sets import PLANE_SETS, SlicingPlane, plane_set

__all__ = ["PLANE_SETS", "SlicingPlane", "plane_set"]
