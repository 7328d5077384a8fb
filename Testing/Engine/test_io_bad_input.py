"""Hostile and damaged files: one InputError that names the file and what to do, never a traceback or a wrong volume."""

import gzip
import os
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from io_cases import LEFT_HANDED, grey_values, label_values

from MgImplantSegLib.base.errors import InputError, ResourceError
from MgImplantSegLib.cli.parser import flag_of
from MgImplantSegLib.grids.volume import LabelMap, Volume
from MgImplantSegLib.io import known_suffixes, read_label_map, read_volume, write_label_map, write_volume

SUFFIXES = known_suffixes()
RANDOM = np.random.default_rng(3).bytes(5000)
CONTENTS = {
    "empty": b"",
    "text": b"voxels: many\nspacing = 5\n\n" * 40,
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\n" * 20,
    "random": RANDOM,
    "zeros": bytes(5000),
    "gzip of nothing": gzip.compress(b""),
    "gzip of random": gzip.compress(RANDOM),
    "magic alone": b"NRRD0004\n",
    "other magic alone": b"II*\0",
    "broken gzip": gzip.compress(RANDOM)[:200],
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("read", [read_volume, read_label_map])
def test_what_is_no_image_is_refused_in_one_line_that_names_the_file(tmp_path, suffix, content, read):
    path = tmp_path / f"scan{suffix}"
    path.write_bytes(CONTENTS[content])
    with pytest.raises(InputError) as caught:
        read(path)
    assert path.name in caught.value.message
    assert caught.value.message.startswith("Expected") and caught.value.remedy
    assert "\n" not in str(caught.value)


def written(path):
    """A file of each kind that is written: images in noise, so that compressed files do not get tiny."""
    if path.name.endswith(".seg.nrrd"):
        write_label_map(LabelMap(label_values(), LEFT_HANDED), path)
    else:
        write_volume(Volume(grey_values(), LEFT_HANDED), path)
    return path


@pytest.mark.parametrize("suffix", [*known_suffixes(writable=True), ".seg.nrrd"])
def test_a_truncated_file_is_refused_unless_all_voxels_are_there(tmp_path, suffix):
    content = written(tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"scan{suffix}"
    for end in {*range(0, len(content), max(1, len(content) // 60)), len(content) - 1, len(content) - 9}:
        path.write_bytes(content[:end])
        try:
            array = (read_label_map if suffix == ".seg.nrrd" else read_volume)(path).array
        except InputError:
            continue
        assert suffix in (".tif", ".tiff")  # what follows the voxels there repeats what the header says
        np.testing.assert_array_equal(array, grey_values())


@pytest.mark.parametrize("suffix", [*known_suffixes(writable=True), ".seg.nrrd"])
def test_changed_bytes_give_an_error_of_ours_or_a_volume(tmp_path, suffix):
    content = written(tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"scan{suffix}"
    random = np.random.default_rng(5)
    for _ in range(150):
        changed = bytearray(content)
        for at in random.integers(0, min(len(content), 400), 3):
            changed[at] = random.integers(0, 256)
        path.write_bytes(changed)
        try:
            volume = read_label_map(path) if suffix == ".seg.nrrd" else read_volume(path)
            assert volume.array.ndim == 3
        except (InputError, ResourceError) as error:
            assert error.message


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii", ".nii.gz"])
@pytest.mark.parametrize("sizes", [(6, 5, 4000), (60000, 60000, 4), (2**15 - 1,) * 3])
def test_sizes_beyond_the_file_are_refused_before_memory_is_taken(tmp_path, suffix, sizes):
    content = {
        ".nrrd": f"NRRD0004\ntype: short\ndimension: 3\nsizes: {sizes[0]} {sizes[1]} {sizes[2]}\nendian: little\n"
        "encoding: gzip\n\n".encode()
        + gzip.compress(bytes(999)),
        ".mha": f"ObjectType = Image\nNDims = 3\nDimSize = {sizes[0]} {sizes[1]} {sizes[2]}\nElementType = MET_SHORT\n"
        "CompressedData = True\nElementDataFile = LOCAL\n".encode()
        + b"x\x9c"
        + bytes(99),
    }
    path = tmp_path / f"scan{suffix}"
    if suffix in content:
        path.write_bytes(content[suffix])
    else:
        sizes = tuple(min(size, 2**15 - 1) for size in sizes)
        header = bytearray(written(tmp_path / "a.nii").read_bytes())
        header[42:48] = struct.pack("<3h", *sizes)
        path.write_bytes(gzip.compress(bytes(header)) if suffix == ".nii.gz" else bytes(header))
    with pytest.raises(InputError, match="bytes of voxels"):
        read_volume(path)


def test_a_compressed_volume_larger_than_the_memory_is_refused(tmp_path):
    """8 TB of zeros would take 8 GB when packed; the header alone, before a file of that size, is enough here."""
    path = tmp_path / "scan.nrrd"
    path.write_bytes(b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 20000 20000 20000\nencoding: gzip\n\n")
    os.truncate(path, 10 * 2**30)
    with pytest.raises(ResourceError, match="fits into memory"):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("kind", "message"),
    [("2D", "2D|2 axes"), ("RGB", "channel"), ("complex", "complex|one number|one real|channels|grey value")],
)
def test_images_that_are_no_grey_value_volumes_are_refused(tmp_path, suffix, kind, message):
    if kind == "complex" and suffix == ".mha":
        pytest.skip("SimpleITK writes no complex MetaImage")
    array = {
        "2D": grey_values()[0],
        "RGB": np.zeros((4, 5, 6, 3), np.uint8),
        "complex": grey_values().astype(np.complex64),
    }[kind]
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=kind == "RGB"), str(tmp_path / f"scan{suffix}"))
    with pytest.raises(InputError, match=message):
        read_volume(tmp_path / f"scan{suffix}")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii"])
def test_4d_images_are_refused(tmp_path, suffix):
    sitk.WriteImage(
        sitk.GetImageFromArray(np.zeros((2, 4, 5, 6), np.uint8), isVector=False), str(tmp_path / f"scan{suffix}")
    )
    with pytest.raises(InputError, match=r"4 axes|3D space"):
        read_volume(tmp_path / f"scan{suffix}")


@pytest.mark.parametrize("length", ["0", "-6", "nan", "6.5", "x", ""])
def test_axes_without_voxels_or_length_are_refused(tmp_path, length):
    for name in ("a.nrrd", "a.mha"):
        content = written(tmp_path / name).read_bytes()
        for before, after in ((b"sizes: 6 5 4", b"sizes: %s 5 4"), (b"DimSize = 6 5 4", b"DimSize = %s 5 4")):
            content = content.replace(before, after % length.encode())
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            read_volume(tmp_path / name)


@pytest.mark.parametrize("spacing", ["0", "nan", "inf"])
def test_an_impossible_spacing_is_refused_unless_one_is_given(tmp_path, spacing):
    header = f"spacings: {spacing} 0.006 0.007\n".encode()
    content = b"NRRD0004\ntype: ushort\ndimension: 3\nsizes: 6 5 4\nendian: little\nencoding: raw\n" + header + b"\n"
    (tmp_path / "a.nrrd").write_bytes(content + grey_values().tobytes())
    header = f"NDims = 3\nDimSize = 6 5 4\nElementType = MET_USHORT\nElementSpacing = {spacing} 0.006 0.007\n"
    (tmp_path / "a.mha").write_bytes(header.encode() + b"ElementDataFile = LOCAL\n" + grey_values().tobytes())
    for name in ("a.nrrd", "a.mha"):
        with pytest.raises(InputError, match="positive voxel spacings") as caught:
            read_volume(tmp_path / name)
        assert "--spacing-um" in caught.value.advice(flag_of)
        assert read_volume(tmp_path / name, spacing_um=5).geometry.spacing_zyx_mm == pytest.approx((0.005,) * 3)


@pytest.mark.parametrize(
    "directions", ["(0,0,0) (0,1,0) (0,0,1)", "(nan,0,0) (0,1,0) (0,0,1)", "(1,1,0) (0,1,0) (0,0,1)"]
)
def test_impossible_directions_are_refused(tmp_path, directions):
    content = written(tmp_path / "a.nrrd").read_bytes().split(b"\n")
    content = [b"space directions: " + directions.encode() if b"directions" in line else line for line in content]
    (tmp_path / "a.nrrd").write_bytes(b"\n".join(content))
    with pytest.raises(InputError, match=r"positive voxel spacings|perpendicular"):
        read_volume(tmp_path / "a.nrrd")


def test_missing_files_unknown_suffixes_and_missing_voxels_are_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_volume(tmp_path / "absent.nrrd")
    (tmp_path / "scan.xyz").write_bytes(RANDOM)
    with pytest.raises(InputError, match=r"\.nrrd .*\.nii\.gz .*\.tif .*scan\.xyz"):
        read_volume(tmp_path / "scan.xyz")
    (tmp_path / "a.nhdr").write_text(
        "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: gone.raw\n\n"
    )
    (tmp_path / "a.mhd").write_text("NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = gone.raw\n")
    for name in ("a.nhdr", "a.mhd"):
        with pytest.raises(InputError, match=r"gone\.raw"):
            read_volume(tmp_path / name)


def test_dicom_points_to_slicer(tmp_path):
    (tmp_path / "IM1.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path / "IM1.dcm")
    assert "3D Slicer" in caught.value.remedy


def test_a_folder_named_like_a_file_is_read_as_a_folder(tmp_path):
    (tmp_path / "scan.nrrd").mkdir()
    with pytest.raises(InputError, match="one TIFF, BMP or PNG file per slice"):
        read_volume(tmp_path / "scan.nrrd")


def test_nan_and_infinity_are_handed_on_as_they_are(tmp_path):
    array = grey_values("float32")
    array[0, 0, :3] = np.nan, np.inf, -np.inf
    for suffix in (".nrrd", ".mha", ".nii.gz", ".tif"):
        write_volume(Volume(array, LEFT_HANDED), tmp_path / f"scan{suffix}")
        np.testing.assert_array_equal(read_volume(tmp_path / f"scan{suffix}").array, array)
