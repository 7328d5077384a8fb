"""Reading and writing images and segmentations, one file per format family.

`FORMATS` is the registry. Axis order is (z, y, x), space is LPS in millimetres, whatever the file uses.
"""

from MgImplantSegLib.io.formats import FORMATS, FileFormat, format_of, known_suffixes
from MgImplantSegLib.io.grids import on_grid_of
from MgImplantSegLib.io.label_maps import read_label_map, write_label_map
from MgImplantSegLib.io.volumes import read_volume, write_volume

__all__ = [
    "FORMATS",
    "FileFormat",
    "format_of",
    "known_suffixes",
    "on_grid_of",
    "read_label_map",
    "read_volume",
    "write_label_map",
    "write_volume",
]
