"""Measures of an explant: degradation, contact, bone volume, surface, with method, definition and counts."""

from MgImplantSegLib.quantification.measures.all_measures import MEASURES, quantify
from MgImplantSegLib.quantification.options import QuantifyOptions
from MgImplantSegLib.quantification.results import Measure, QuantificationReport, Series
from MgImplantSegLib.quantification.screw.initial import InitialScrew
from MgImplantSegLib.quantification.surfaces.surface import SURFACE_METHODS, surface_area_mm2

__all__ = [
    "MEASURES",
    "SURFACE_METHODS",
    "InitialScrew",
    "Measure",
    "QuantificationReport",
    "QuantifyOptions",
    "Series",
    "quantify",
    "surface_area_mm2",
]
