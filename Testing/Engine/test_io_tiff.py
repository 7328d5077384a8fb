"""TIFF stacks of ImageJ, tifffile and ITK, BigTIFF, and folders of slices with the log of the reconstruction."""

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from io_cases import SPACING_ZYX_MM, grey_values

from MgImplantSegLib.errors import Cancelled, InputError
from MgImplantSegLib.events import Events
from MgImplantSegLib.io import read_label_map, read_volume

STACK = grey_values()


def written(path, array=STACK, **options):
    tifffile.imwrite(path, array, **({"photometric": "minisblack"} | options))
    return path


@pytest.mark.parametrize(
    ("unit", "per_unit"), [("um", 1e3), ("micron", 1e3), ("\\u00B5m", 1e3), ("mm", 1), ("nm", 1e6), ("cm", 0.1)]
)
def test_imagej_stacks_have_the_spacing_of_their_unit(tmp_path, unit, per_unit):
    z, y, x = np.array(SPACING_ZYX_MM) * per_unit
    path = written(
        tmp_path / "a.tif", imagej=True, resolution=(1 / x, 1 / y), metadata={"axes": "ZYX", "spacing": z, "unit": unit}
    )
    volume = read_volume(path)
    np.testing.assert_allclose(volume.geometry.spacing_zyx_mm, SPACING_ZYX_MM, rtol=1e-6)
    assert volume.spacing_is_known
    np.testing.assert_array_equal(volume.array, STACK)


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
def test_slices_may_be_stored_as_time_points(tmp_path, axes):
    np.testing.assert_array_equal(
        read_volume(written(tmp_path / "a.tif", imagej=True, metadata={"axes": axes})).array, STACK
    )


def test_imagej_stacks_without_unit_have_no_spacing(tmp_path):
    for unit in ("pixel", ""):
        metadata = {"axes": "ZYX", "spacing": 3.0, "unit": unit}
        path = written(tmp_path / "a.tif", imagej=True, resolution=(1 / 5, 1 / 5), metadata=metadata)
        assert not read_volume(path).spacing_is_known


def test_resolution_tags_in_centimetres_give_cubes_and_a_note(tmp_path, caplog):
    volume = read_volume(written(tmp_path / "a.tif", resolution=(2000, 2000), resolutionunit="CENTIMETER"))
    assert volume.geometry.spacing_zyx_mm == pytest.approx((0.005, 0.005, 0.005))
    assert volume.spacing_is_known
    assert "how far apart the slices are" in caplog.text
    assert "how far apart" in volume.provenance["spacing_note"]


def test_resolution_in_inches_is_read_unless_it_is_that_of_a_printer(tmp_path):
    fine = read_volume(written(tmp_path / "a.tif", resolution=(5080, 5080), resolutionunit="INCH"))
    assert fine.geometry.spacing_zyx_mm == pytest.approx((0.005, 0.005, 0.005))
    for dots in (72, 96, 300):
        path = written(tmp_path / "b.tif", resolution=(dots, dots), resolutionunit="INCH")
        assert not read_volume(path).spacing_is_known


def test_ome_tiff_has_its_physical_sizes(tmp_path):
    sizes = {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", (7, 6, 5), strict=True)}
    units = {f"PhysicalSize{axis}Unit": "µm" for axis in "XYZ"}
    volume = read_volume(written(tmp_path / "a.ome.tif", metadata={"axes": "ZYX", **sizes, **units}))
    assert volume.geometry.spacing_zyx_mm == pytest.approx(SPACING_ZYX_MM)


@pytest.mark.parametrize(
    "options", [{"bigtiff": True}, {"byteorder": ">"}, {"compression": "zlib"}, {"tile": (16, 16)}]
)
def test_every_layout_of_a_stack_gives_the_same_voxels(tmp_path, options):
    array = read_volume(written(tmp_path / "a.tif", **options)).array
    np.testing.assert_array_equal(array, STACK)
    assert array.dtype == np.dtype("uint16") and array.dtype.isnative


def test_lzw_is_decoded_although_tifffile_lacks_the_codec(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(STACK), str(tmp_path / "a.tif"), useCompression=True, compressor="LZW")
    with pytest.raises(ValueError, match="imagecodecs"):
        tifffile.imread(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tif").array, STACK)


def test_one_bit_masks_are_labels(tmp_path):
    label_map = read_label_map(written(tmp_path / "a.tif", STACK > 60))
    np.testing.assert_array_equal(label_map.array, STACK > 60)


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (STACK[0], {}, "2D"),
        (np.zeros((5, 6, 3), np.uint8), {"photometric": "rgb"}, "colour"),
        (np.zeros((4, 5, 6, 3), np.uint8), {"photometric": "rgb"}, "colour"),
        (np.zeros((4, 2, 5, 6), np.uint16), {"imagej": True, "metadata": {"axes": "ZCYX"}}, "channels"),
        (np.zeros((4, 2, 5, 6), np.uint16), {"imagej": True, "metadata": {"axes": "TZYX"}}, "4 axes"),
        (STACK.astype(complex), {}, "complex"),
    ],
)
def test_what_is_no_stack_of_grey_values_is_refused(tmp_path, array, options, message):
    with pytest.raises(InputError, match=message):
        read_volume(written(tmp_path / "a.tif", array, **options))


def test_pages_of_different_size_are_refused(tmp_path):
    written(tmp_path / "a.tif", STACK[0])
    tifffile.imwrite(tmp_path / "a.tif", STACK[1, :3], append=True)
    with pytest.raises(InputError, match="same size"):
        read_volume(tmp_path / "a.tif")


@pytest.mark.parametrize("options", [{"imagej": True, "metadata": {"axes": "ZYX"}}, {}, {"compression": "zlib"}])
@pytest.mark.parametrize("part", [0.001, 0.05, 0.5, 0.9])
def test_a_truncated_stack_is_refused_and_never_shortened(tmp_path, options, part):
    path = written(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 999, (12, 50, 60), np.uint16), **options)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(InputError):
        read_volume(path)


def test_a_truncated_stack_of_itk_is_refused_and_never_shortened(tmp_path):
    noise = np.random.default_rng(0).integers(0, 999, (12, 50, 60), np.uint16)
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(tmp_path / "whole.tif"))
    content = (tmp_path / "whole.tif").read_bytes()
    for part in (0.02, 0.3, 0.9, 0.9999):
        (tmp_path / "a.tif").write_bytes(content[: int(len(content) * part)])
        with pytest.raises(InputError):
            read_volume(tmp_path / "a.tif")


def slices_in(folder, names=None, array=STACK, **options):
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in zip(names or [f"rec_{n}.tif" for n in (8, 9, 10, 11)], array, strict=True):
        written(folder / name, page, **options)
    return folder


def test_slices_are_stacked_as_people_count(tmp_path):
    volume = read_volume(slices_in(tmp_path / "float"))
    np.testing.assert_array_equal(volume.array, STACK)
    assert volume.array.dtype == np.uint16
    assert not volume.spacing_is_known


def test_float_slices_stay_float(tmp_path):
    volume = read_volume(slices_in(tmp_path / "float", array=STACK.astype(np.float32) / 7))
    np.testing.assert_array_equal(volume.array, STACK.astype(np.float32) / 7)
    assert volume.array.dtype == np.float32


@pytest.mark.parametrize(
    ("line", "pixel_um"),
    [
        ("effective_pixel_size : 1.28 micron", 1.28),
        ("eff_pixel_size : 2.4 micron", 2.4),
        ("effective_pixel_size : 1.28", 1.28),
        ("effective_pixel_size : 0.00128 mm", 1.28),
        ("  effective_pixel_size : 1.28e+00 um  ", 1.28),
    ],
)
@pytest.mark.parametrize(("folder", "binning"), [("float", 1), ("float_rawBin2", 2), ("uint16_rawBin4", 4)])
@pytest.mark.parametrize("place", [".", "..", "../.."])
def test_the_pixel_size_of_reco_log_is_multiplied_by_the_binning(tmp_path, line, pixel_um, folder, binning, place):
    slices = slices_in(tmp_path / "sample" / "reco" / folder)
    log = f"scan_name : x\n{line}\neffective_pixel_size_binned : 99 micron\nenergy : 3e4 eV\n"
    (slices / place / "reco.log").write_text(log)
    volume = read_volume(slices)
    assert volume.geometry.spacing_zyx_mm == pytest.approx((pixel_um * binning * 1e-3,) * 3)
    assert volume.spacing_is_known


def test_the_log_beside_the_slices_counts_before_one_above(tmp_path):
    slices = slices_in(tmp_path / "reco" / "float")
    (slices / "reco.log").write_text("effective_pixel_size : 1.2 micron")
    (slices.parent / "reco.log").write_text("effective_pixel_size : 9.9 micron")
    assert read_volume(slices).geometry.spacing_zyx_mm == pytest.approx((0.0012,) * 3)


@pytest.mark.parametrize("line", ["effective_pixel_size : 1.2e-06", "effective_pixel_size : x", "energy : 3", ""])
def test_a_log_without_a_usable_size_leaves_the_spacing_unknown(tmp_path, line, caplog):
    slices = slices_in(tmp_path / "float")
    (slices / "reco.log").write_text(line)
    assert not read_volume(slices).spacing_is_known
    assert "reco.log" in caplog.text


def test_without_a_log_the_tags_of_the_slices_count(tmp_path):
    slices = slices_in(tmp_path / "float", resolution=(2000, 2000), resolutionunit="CENTIMETER")
    assert read_volume(slices).geometry.spacing_zyx_mm == pytest.approx((0.005,) * 3)


def test_a_folder_of_label_slices_is_a_label_map(tmp_path):
    labels = (STACK % 4).astype(np.uint8)
    np.testing.assert_array_equal(read_label_map(slices_in(tmp_path / "labels", array=labels)).array, labels)


def test_hidden_and_other_files_beside_the_slices_are_no_slices(tmp_path):
    slices = slices_in(tmp_path / "float")
    for name in ("._rec_8.tif", "Thumbs.db", "notes.txt"):
        (slices / name).write_bytes(b"x")
    assert read_volume(slices).array.shape == STACK.shape


def test_slices_of_different_size_type_or_colour_are_refused(tmp_path):
    for page in (STACK[2, :3], STACK[2].astype(np.uint8), np.zeros((5, 6, 3), np.uint8)):
        slices = slices_in(tmp_path / "float")
        tifffile.imwrite(slices / "rec_10.tif", page)
        with pytest.raises(InputError, match=r"rec_10\.tif"):
            read_volume(slices)


def test_a_damaged_slice_is_named(tmp_path):
    slices = slices_in(tmp_path / "float")
    (slices / "rec_10.tif").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"rec_10\.tif"):
        read_volume(slices)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["rec_1.tif", "rec_2.tif", "flat_1.tif", "flat_2.tif"], "several series"),
        (["rec_1.tif", "rec_2.tif", "rec_4.tif", "rec_5.tif"], r"rec_4\.tif after rec_2\.tif"),
        (["1.tif", "1_copy.tif", "2.tif", "3.tif"], "several series"),
    ],
)
def test_names_of_several_volumes_or_with_gaps_are_refused(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        read_volume(slices_in(tmp_path / "float", names))


@pytest.mark.parametrize(
    ("files", "remedy"),
    [
        ({}, "folder that holds the slices"),
        ({"IM0.dcm": b"x"}, "3D Slicer"),
        ({"IM0": b"\0" * 128 + b"DICM"}, "3D Slicer"),
        ({"a.png": b"x", "b.png": b"x"}, "as TIFF"),
    ],
)
def test_a_folder_without_slices_says_what_to_do_with_what_is_there(tmp_path, files, remedy):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="one TIFF file per slice") as caught:
        read_volume(tmp_path)
    assert remedy in caught.value.remedy


def test_a_folder_above_the_slices_points_to_them(tmp_path):
    slices_in(tmp_path / "reco" / "float_rawBin2")
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path / "reco")
    assert "float_rawBin2" in caught.value.remedy


def test_reading_slices_reports_progress_and_can_be_cancelled(tmp_path):
    slices, records = slices_in(tmp_path / "float"), []
    read_volume(slices, events=Events(records.append))
    assert records[-1]["event"] == "progress" and records[-1]["done"] == records[-1]["total"] == 4
    with pytest.raises(Cancelled):
        read_volume(slices, events=Events(is_cancelled=lambda: True))


def test_a_folder_with_one_stack_points_to_the_file(tmp_path):
    written(tmp_path / "stack.tif")
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path)
    assert "stack.tif" in caught.value.remedy
