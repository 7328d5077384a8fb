"""Files that cannot be read here, and how to convert each kind: scanners' own formats, CAD models, surface meshes."""

from __future__ import annotations

from pathlib import Path

MESHES = "It is a surface mesh: give it as the screw before implantation, or give a segmentation here."
CAD = "Export the CAD model as STL in mm, and give that as the screw before implantation."
SCANCO = (
    "Convert Scanco's format: read it in Python with itk-ioscanco (itk.imread, itk.imwrite to .nrrd), or export it as "
    "DICOM or TIFF with the scanner's software."
)
AMIRA = "Export it from Amira or Avizo as NRRD, or as 3D TIFF with the voxel size given here."
RAW = (
    "It is raw data without a readable header: write an .nhdr beside it (sizes, type, spacings, data file), or "
    "export it as NRRD, MetaImage or TIFF with the scanner's software."
)
PROJECTIONS = (
    "It holds projections or a scanner's own data: reconstruct, and export slices as TIFF or a volume as NRRD."
)
DICOM = "Load the DICOM series in 3D Slicer and save it as .nrrd."
ARRAY = "Save the array with its voxel size, for example with SimpleITK (WriteImage) as .nrrd."
ANALYZE = "Convert it to NIfTI (.nii.gz) or NRRD, for example by opening the .hdr file in 3D Slicer."

CAD_SUFFIXES = (
    ".step .stp .iges .igs .3mf .amf .brep .sat .x_t .x_b .sldprt .sldasm .ipt .iam .prt .par .catpart .catproduct "
    ".f3d .fcstd .jt .dxf .dwg .3dm .scad .blend .off .wrl .dae .gltf .glb .fbx .3ds"
)
SUFFIXES_OF_REMEDY = {
    MESHES: ".stl .ply .obj .vtk .vtp",
    CAD: CAD_SUFFIXES,
    SCANCO: ".isq .aim .rsq .rad",
    AMIRA: ".am .amiramesh .hx .lda",
    RAW: ".vol .raw .bin .dat .rec .vgi .vgl .vff",
    PROJECTIONS: ".txm .txrm .xrm .pca .pcr .xtekct .edf .his",
    DICOM: ".dcm .dicom .ima",
    ARRAY: ".npy .npz .mat .zarr .pt",
    ANALYZE: ".img .hdr",
}
REMEDIES = {suffix: remedy for remedy, suffixes in SUFFIXES_OF_REMEDY.items() for suffix in suffixes.split()}
USUAL = "Convert it, for example by saving it as .nrrd in 3D Slicer."


def how_to_convert(path: Path) -> str:
    """What to do with a file that no format reads, by its suffix; Scanco's archives end with ``.isq;1``."""
    return REMEDIES.get(path.suffix.lower().split(";")[0], USUAL)
