"""The grids on which a segmentation can lie."""

from __future__ import annotations

from MgImplantSegLib.base.choices import Choice, Registry

INPUT, MODEL = "input", "model"
GRIDS: Registry[Choice] = Registry(
    "a grid",
    {
        INPUT: Choice("the scan's", "the voxels of the scan"),
        MODEL: Choice("the model's", "the model's voxels over the same field; for scans that are too large for Slicer"),
    },
)
