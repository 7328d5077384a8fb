"""What is written comes back: voxels, type, spacing, origin, direction; and SimpleITK reads the same."""

import logging

import numpy as np
import pytest
import SimpleITK as sitk
from io_cases import LEFT_HANDED, RIGHT_HANDED, SPACING_ZYX_MM, grey_values, is_mapped_from_disk, label_values

from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.grids.labels import DEFAULT_SCHEME, parse_roles
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import FORMATS, read_label_map, read_volume, write_label_map, write_volume

ORIENTED = [s for entry in FORMATS.values() if entry.keeps_orientation and entry.write for s in entry.write_suffixes]
UNORIENTED = [s for entry in FORMATS.values() if not entry.keeps_orientation for s in entry.write_suffixes]


@pytest.mark.parametrize("suffix", ORIENTED)
@pytest.mark.parametrize("geometry", [LEFT_HANDED, RIGHT_HANDED], ids=["left-handed", "right-handed"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_a_volume_comes_back_with_its_geometry_and_type(tmp_path, suffix, geometry, dtype):
    path = tmp_path / f"scan{suffix}"
    write_volume(Volume(grey_values(dtype), geometry), path)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, grey_values(dtype))
    assert volume.array.dtype == dtype
    np.testing.assert_allclose(volume.geometry.spacing_zyx_mm, geometry.spacing_zyx_mm, rtol=1e-6)
    np.testing.assert_allclose(volume.geometry.origin_lps_mm, geometry.origin_lps_mm, rtol=1e-6)
    np.testing.assert_allclose(volume.geometry.direction_lps, geometry.direction_lps, atol=1e-6)
    assert volume.spacing_is_known


@pytest.mark.parametrize("suffix", ORIENTED)
def test_simpleitk_reads_the_same_voxels_and_geometry(tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    write_volume(Volume(grey_values(), LEFT_HANDED), path)
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), grey_values())
    np.testing.assert_allclose(image.GetSpacing(), SPACING_ZYX_MM[::-1], rtol=1e-6)
    np.testing.assert_allclose(image.GetOrigin(), LEFT_HANDED.origin_lps_mm, rtol=1e-6)
    np.testing.assert_allclose(image.GetDirection(), LEFT_HANDED.direction_lps, atol=1e-6)


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".nii.gz"])
@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "compressed"])
def test_files_of_simpleitk_are_read_with_their_geometry(tmp_path, suffix, compressed):
    path = tmp_path / f"scan{suffix}"
    image = sitk.GetImageFromArray(grey_values("int16"))
    image.SetSpacing(SPACING_ZYX_MM[::-1])
    image.SetOrigin(LEFT_HANDED.origin_lps_mm)
    image.SetDirection(LEFT_HANDED.direction_lps)
    sitk.WriteImage(image, str(path), compressed)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, grey_values("int16"))
    assert volume.array.dtype == np.int16
    assert volume.geometry.same_grid(LEFT_HANDED)


@pytest.mark.parametrize("suffix", UNORIENTED)
def test_formats_without_orientation_keep_the_spacing_and_say_what_is_lost(tmp_path, suffix, caplog):
    path = tmp_path / f"scan{suffix}"
    with caplog.at_level(logging.WARNING):
        write_volume(Volume(grey_values(), LEFT_HANDED), path)
    assert "origin and orientation are lost" in caplog.text
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, grey_values())
    assert volume.geometry.same_grid(Geometry(grey_values().shape, SPACING_ZYX_MM))


@pytest.mark.parametrize("suffix", [*ORIENTED, *UNORIENTED, ".seg.nrrd"])
@pytest.mark.filterwarnings("ignore")
def test_a_label_map_comes_back_as_small_whole_numbers(tmp_path, suffix):
    path = tmp_path / f"labels{suffix}"
    write_label_map(LabelMap(label_values(), LEFT_HANDED), path)
    label_map = read_label_map(path)
    np.testing.assert_array_equal(label_map.array, label_values())
    assert label_map.array.dtype == np.uint8
    assert label_map.scheme == DEFAULT_SCHEME
    assert label_map.geometry.same_grid(LEFT_HANDED) or suffix in UNORIENTED


@pytest.mark.parametrize("suffix", [".nrrd", ".seg.nrrd", ".mha"])
def test_nrrd_and_metaimage_keep_what_other_numberings_mean(tmp_path, suffix):
    scheme = parse_roles("1=residual_material,2=background,7=bone,9=ignore")
    array = np.array([0, 1, 2, 7, 9], np.int16)[grey_values() % 5]
    path = tmp_path / f"labels{suffix}"
    before = LabelMap(array, LEFT_HANDED, scheme)
    write_label_map(before, path)
    after = read_label_map(path)
    for role in {label.role for label in scheme.labels}:
        np.testing.assert_array_equal(after.mask(role), before.mask(role))
    np.testing.assert_array_equal(after.ignore_mask(), before.ignore_mask())


@pytest.mark.parametrize("suffix", [".nii.gz", ".tif"])
def test_other_formats_warn_that_the_meaning_of_values_is_not_kept(tmp_path, suffix, caplog):
    label_map = LabelMap(label_values(), Geometry(label_values().shape), parse_roles("1=bone,2=bone,3=bone"))
    with caplog.at_level(logging.WARNING):
        write_label_map(label_map, tmp_path / f"labels{suffix}")
    assert "not what they mean" in caplog.text


def test_boolean_and_half_precision_volumes_are_written_as_what_files_know(tmp_path):
    write_volume(Volume(grey_values() > 60, LEFT_HANDED), tmp_path / "mask.nrrd")
    assert read_volume(tmp_path / "mask.nrrd").array.sum() == 59
    write_volume(Volume(grey_values("float16"), LEFT_HANDED), tmp_path / "half.mha")
    assert read_volume(tmp_path / "half.mha").array.dtype == np.float32


@pytest.mark.parametrize("name", ["scan.png", "scan", "scan.h5", "scan.mhd", "scan.seg.nrrd"])
def test_a_suffix_that_is_not_written_is_refused_with_the_list_of_those_that_are(tmp_path, name):
    with pytest.raises(InputError, match=r"\.nrrd \.nii\.gz"):
        write_volume(Volume(grey_values(), LEFT_HANDED), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [*ORIENTED, *UNORIENTED])
def test_a_missing_output_folder_is_an_output_error(tmp_path, suffix):
    with pytest.raises(OutputError, match="no folder"):
        write_volume(Volume(grey_values(), LEFT_HANDED), tmp_path / "absent" / f"scan{suffix}")


def test_uncompressed_files_are_mapped_and_never_changed_by_edits(tmp_path):
    for suffix in (".nrrd", ".mha", ".nii", ".tif"):
        path = tmp_path / f"scan{suffix}"
        write_volume(Volume(grey_values(), Geometry(grey_values().shape, SPACING_ZYX_MM)), path)
        volume = read_volume(path)
        assert is_mapped_from_disk(volume.array), suffix
        volume.array[...] = 7
        np.testing.assert_array_equal(read_volume(path).array, grey_values())


def test_the_given_spacing_replaces_that_of_the_file_and_keeps_the_origin(tmp_path):
    write_volume(Volume(grey_values(), LEFT_HANDED), tmp_path / "scan.nrrd")
    geometry = read_volume(tmp_path / "scan.nrrd", spacing_um=2.5).geometry
    assert geometry.spacing_zyx_mm == pytest.approx((0.0025, 0.0025, 0.0025))
    assert geometry.origin_lps_mm == pytest.approx(LEFT_HANDED.origin_lps_mm)
    assert geometry.direction_lps == pytest.approx(LEFT_HANDED.direction_lps)
    anisotropic = read_volume(tmp_path / "scan.nrrd", spacing_um=(3, 2, 1)).geometry
    assert anisotropic.spacing_zyx_mm == pytest.approx((0.003, 0.002, 0.001))


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii.gz", ".tif"])
def test_a_spacing_of_one_millimetre_along_every_axis_counts_as_unset(tmp_path, suffix):
    write_volume(Volume(grey_values(), Geometry(grey_values().shape)), tmp_path / f"scan{suffix}")
    assert not read_volume(tmp_path / f"scan{suffix}").spacing_is_known
    assert read_volume(tmp_path / f"scan{suffix}", spacing_um=1000).spacing_is_known


@pytest.mark.parametrize("spacing_um", [0, -5, float("nan"), float("inf"), (5, 5), "five"])
def test_a_given_spacing_that_is_no_size_is_refused(tmp_path, spacing_um):
    write_volume(Volume(grey_values(), LEFT_HANDED), tmp_path / "scan.nrrd")
    with pytest.raises(InputError, match="voxel size in µm"):
        read_volume(tmp_path / "scan.nrrd", spacing_um=spacing_um)
