"""Reading and writing images and segmentations, one file per format family.

`FORMATS` is the registry. Axis order is (z, y, x), space is LPS in millimetres, whatever the file uses.

==================  =====  =====  =======  ===========  ======================================================
format              read   write  spacing  orientation  remarks
==================  =====  =====  =======  ===========  ======================================================
NRRD                yes    .nrrd  yes      yes          mapped from disk if uncompressed; keeps label meanings
.seg.nrrd           yes    yes    yes      yes          segmentation of 3D Slicer: names, colours, terminology
MetaImage           yes    .mha   yes      yes          mapped from disk if uncompressed; keeps label meanings
NIfTI-1, NIfTI-2    yes    yes    yes      yes          geometry in single precision; .nii, .img mapped from disk
TIFF stack          yes    yes    yes      no           origin and direction are lost, with a warning
folder of slices    yes    no     yes      no           TIFF, BMP, PNG; pixel size from reco.log or SkyScan's log
HDF5, NeXus         yes    no     yes      no           spacing from attributes or NeXus axes with a unit
==================  =====  =====  =======  ===========  ======================================================

Headers of NRRD are parsed by pynrrd, those of MetaImage and NIfTI by SimpleITK. Voxels may lie in one file beside the
header, or in a list or numbered row of files; an absolute path to another folder is refused. A voxel size in a unit
that is not known counts as not given. What may be of one place is decided in `grids`, which voxel sizes cannot be in
`voxel_size`, and what the name of a segment means in `terminology`.

`open_volume` opens scans that are larger than memory: what cannot be mapped is read slice by slice when it is used, see
`slices_on_disk`; TIFF folders and pages, chunks of HDF5, compressed voxels and those of the other byte order.

Some damaged HDF5 files end the HDF5 library and with it the process: `hdf5_door` tries every file in a process of its
own first. Of compressed volumes of more than 256 MB only the index and two chunks are tried.
"""

from MgImplantSegLib.io.formats import FORMATS, FileFormat, format_of, known_suffixes
from MgImplantSegLib.io.grids import on_grid_of
from MgImplantSegLib.io.label_maps import read_label_map, write_label_map
from MgImplantSegLib.io.slice_folder import holds_slices
from MgImplantSegLib.io.volumes import open_volume, read_volume, write_volume

__all__ = [
    "FORMATS",
    "FileFormat",
    "format_of",
    "holds_slices",
    "known_suffixes",
    "on_grid_of",
    "open_volume",
    "read_label_map",
    "read_volume",
    "write_label_map",
    "write_volume",
]
