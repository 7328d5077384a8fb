"""Units of length, as `MgImplantSegLib.units` has them."""

from MgImplantSegLib.units import MM_OF_UNIT, mm_of_unit

__all__ = ["MM_OF_UNIT", "mm_of_unit"]
