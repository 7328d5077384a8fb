"""Boxes of voxels, as `MgImplantSegLib.boxes` has them."""

from MgImplantSegLib.boxes import (
    Box,
    bounding_box,
    grown,
    hull,
    intersection,
    relative_to,
    shape_of,
    start_of,
    whole,
)

__all__ = ["Box", "bounding_box", "grown", "hull", "intersection", "relative_to", "shape_of", "start_of", "whole"]
