"""NRRD, MetaImage and NIfTI files as other programs write them: spaces, units, byte orders, detached voxels."""

import bz2
import gzip
import struct

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from io_cases import LEFT_HANDED, ORIGIN_LPS_MM, SPACING_ZYX_MM, grey_values

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.io import read_volume, write_volume

COLUMNS_LPS = LEFT_HANDED.index_xyz_to_lps_mm[:3, :3].T
TO_RAS, TO_LAS = np.array([-1, -1, 1]), np.array([1, -1, 1])


def write_nrrd_text(path, *lines, voxels=None):
    voxels = grey_values().tobytes() if voxels is None else voxels
    header = ["NRRD0005", "type: uint16", "dimension: 3", "sizes: 6 5 4", "endian: little", *lines]
    path.write_bytes("\n".join(header).encode() + b"\n\n" + voxels)
    return path


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("right-anterior-superior", TO_RAS),
        ("RAS", TO_RAS),
        ("left-anterior-superior", TO_LAS),
        ("LAS", TO_LAS),
        ("left-posterior-superior", 1),
        ("LPS", 1),
    ],
)
def test_every_anatomical_space_of_nrrd_becomes_lps(tmp_path, space, signs):
    header = {"space": space, "space directions": COLUMNS_LPS * signs, "space origin": np.array(ORIGIN_LPS_MM) * signs}
    nrrd.write(str(tmp_path / "a.nrrd"), grey_values(), header, index_order="C")
    volume = read_volume(tmp_path / "a.nrrd")
    assert volume.geometry.same_grid(LEFT_HANDED)
    np.testing.assert_array_equal(volume.array, grey_values())


@pytest.mark.parametrize("unit", ["um", "µm", "μm", "microns", "micrometer"])
def test_space_units_are_read_whatever_micro_sign_they_use(tmp_path, unit):
    vectors = " ".join("(" + ",".join(repr(float(v * 1000)) for v in column) + ")" for column in COLUMNS_LPS)
    origin = ",".join(str(value * 1000) for value in ORIGIN_LPS_MM)
    path = write_nrrd_text(
        tmp_path / "a.nrrd",
        "encoding: raw",
        "space: left-posterior-superior",
        f"space directions: {vectors}",
        f"space origin: ({origin})",
        f'space units: "{unit}" "{unit}" "{unit}"',
    )
    assert read_volume(path).geometry.same_grid(LEFT_HANDED)


def test_spacings_with_units_and_without_space_are_read(tmp_path):
    path = write_nrrd_text(tmp_path / "a.nrrd", "encoding: raw", "spacings: 5 6 7", 'units: "µm" "µm" "µm"')
    volume = read_volume(path)
    assert volume.geometry.spacing_zyx_mm == pytest.approx(SPACING_ZYX_MM)
    assert volume.spacing_is_known


def test_a_file_without_any_spacing_has_none(tmp_path):
    volume = read_volume(write_nrrd_text(tmp_path / "a.nrrd", "encoding: raw"))
    assert volume.geometry.spacing_zyx_mm == (1.0, 1.0, 1.0)
    assert not volume.spacing_is_known


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("gz", gzip.compress), ("bz2", bz2.compress)])
def test_compressed_voxels_are_read(tmp_path, encoding, pack):
    path = write_nrrd_text(tmp_path / "a.nrrd", f"encoding: {encoding}", voxels=pack(grey_values().tobytes()))
    np.testing.assert_array_equal(read_volume(path).array, grey_values())


def test_big_endian_voxels_come_in_native_order(tmp_path):
    path = write_nrrd_text(tmp_path / "a.nrrd", "encoding: raw", voxels=grey_values(">u2").tobytes())
    path.write_bytes(path.read_bytes().replace(b"endian: little", b"endian: big"))
    array = read_volume(path).array
    np.testing.assert_array_equal(array, grey_values())
    assert array.dtype.isnative


def test_detached_voxels_and_skipped_bytes_are_found(tmp_path):
    (tmp_path / "voxels.raw").write_bytes(b"junk" + grey_values().tobytes())
    path = write_nrrd_text(tmp_path / "a.nhdr", "encoding: raw", "data file: voxels.raw", "byte skip: 4", voxels=b"")
    np.testing.assert_array_equal(read_volume(path).array, grey_values())
    path = write_nrrd_text(tmp_path / "b.nhdr", "encoding: raw", "data file: voxels.raw", "byte skip: -1", voxels=b"")
    np.testing.assert_array_equal(read_volume(path).array, grey_values())


def test_an_axis_of_channels_of_length_one_is_dropped(tmp_path):
    vectors = "none (0.005,0,0) (0,0.006,0) (0,0,0.007)"
    lines = ["space: left-posterior-superior", f"space directions: {vectors}", "kinds: list domain domain domain"]
    path = write_nrrd_text(tmp_path / "a.nrrd", "encoding: raw", *lines)
    path.write_bytes(path.read_bytes().replace(b"dimension: 3", b"dimension: 4").replace(b"sizes: 6", b"sizes: 1 6"))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, grey_values())
    assert volume.geometry.spacing_zyx_mm == pytest.approx(SPACING_ZYX_MM)


def nifti_with(tmp_path, offset, patch):
    path = tmp_path / "a.nii"
    write_volume(Volume(grey_values("int16"), LEFT_HANDED), path)
    content = bytearray(path.read_bytes())
    content[offset : offset + len(patch)] = patch
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("offset", [252, 254], ids=["sform alone", "qform alone"])
def test_nifti_with_one_of_both_transforms_is_read_as_simpleitk_reads_it(tmp_path, offset):
    path = nifti_with(tmp_path, offset, struct.pack("<h", 0))
    geometry, image = read_volume(path).geometry, sitk.ReadImage(str(path))
    assert geometry.same_grid(LEFT_HANDED)
    np.testing.assert_allclose(geometry.direction_lps, image.GetDirection(), atol=1e-6)


def test_nifti_without_transforms_is_read_as_simpleitk_reads_it(tmp_path):
    path = nifti_with(tmp_path, 252, struct.pack("<hh", 0, 0))
    geometry, image = read_volume(path).geometry, sitk.ReadImage(str(path))
    np.testing.assert_allclose(geometry.direction_lps, image.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(geometry.origin_lps_mm, image.GetOrigin(), atol=1e-6)
    np.testing.assert_allclose(geometry.spacing_zyx_mm, SPACING_ZYX_MM, rtol=1e-6)


def test_nifti_in_micrometres_is_read_in_millimetres(tmp_path):
    geometry = read_volume(nifti_with(tmp_path, 123, bytes([3]))).geometry
    np.testing.assert_allclose(geometry.spacing_zyx_mm, np.array(SPACING_ZYX_MM) / 1000, rtol=1e-6)
    np.testing.assert_allclose(geometry.origin_lps_mm, np.array(ORIGIN_LPS_MM) / 1000, rtol=1e-6)


def test_nifti_slope_and_intercept_are_applied(tmp_path):
    volume = read_volume(nifti_with(tmp_path, 112, struct.pack("<ff", 0.5, -3)))
    np.testing.assert_allclose(volume.array, grey_values() * 0.5 - 3)
    assert volume.array.dtype == np.float32


@pytest.mark.parametrize("size", [0.0, -0.006, float("nan")])
def test_nifti_with_an_impossible_voxel_size_is_refused_unless_one_is_given(tmp_path, size):
    path = nifti_with(tmp_path, 84, struct.pack("<f", size))
    with pytest.raises(InputError, match="positive voxel spacings"):
        read_volume(path)
    assert read_volume(path, spacing_um=5).geometry.spacing_zyx_mm == pytest.approx((0.005,) * 3)


def test_nifti_with_two_different_voxel_sizes_is_refused(tmp_path):
    with pytest.raises(InputError, match="one voxel size"):
        read_volume(nifti_with(tmp_path, 84, struct.pack("<f", 0.012)))


def test_metaimage_in_micrometres_is_read_in_millimetres(tmp_path):
    write_volume(Volume(grey_values(), LEFT_HANDED), tmp_path / "a.mha")
    content = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "a.mha").write_bytes(content.replace(b"NDims = 3", b"NDims = 3\nDistanceUnits = um"))
    geometry = read_volume(tmp_path / "a.mha").geometry
    np.testing.assert_allclose(geometry.spacing_zyx_mm, np.array(SPACING_ZYX_MM) / 1000)


def test_big_endian_metaimage_comes_in_native_order(tmp_path):
    write_volume(Volume(grey_values(), LEFT_HANDED), tmp_path / "a.mha")
    content = (tmp_path / "a.mha").read_bytes().replace(b"ByteOrderMSB = False", b"ByteOrderMSB = True")
    (tmp_path / "a.mha").write_bytes(content[: -2 * grey_values().size] + grey_values(">u2").tobytes())
    array = read_volume(tmp_path / "a.mha").array
    np.testing.assert_array_equal(array, grey_values())
    assert array.dtype.isnative


@pytest.mark.parametrize("sizes", ["6 5 4 1", "1 6 5 4"])
def test_one_channel_or_time_point_more_or_less_is_the_same_volume(tmp_path, sizes):
    spacings = [repr(size) for size in SPACING_ZYX_MM[::-1]]
    spacings = ["nan", *spacings] if sizes.startswith("1") else [*spacings, "nan"]
    header = f"NRRD0005\ntype: uint16\ndimension: 4\nsizes: {sizes}\nendian: little\nencoding: raw\n"
    (tmp_path / "a.nrrd").write_bytes(f"{header}spacings: {' '.join(spacings)}\n\n".encode() + grey_values().tobytes())
    volume = read_volume(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.array, grey_values())
    assert volume.geometry.spacing_zyx_mm == pytest.approx(SPACING_ZYX_MM)


@pytest.mark.parametrize(("more", "is_told"), [(0, False), (1, False), (6 * 5 * 2, True), (1000, True)])
def test_slices_that_the_header_does_not_name_are_told(tmp_path, caplog, more, is_told):
    path = write_nrrd_text(tmp_path / "a.nrrd", "encoding: raw", voxels=grey_values().tobytes() + bytes(more))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, grey_values())
    assert (f"{more} bytes more than its header states" in caplog.text) == is_told
