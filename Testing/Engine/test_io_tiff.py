"""TIFF stacks of ImageJ, tifffile and ITK, BigTIFF, and folders of slices with the log of the reconstruction."""

import lzma
import os
import struct
import zlib

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from io_cases import SPACING_ZYX_MM, grey_values

from MgImplantSegLib.base.errors import Cancelled, DependencyError, InputError
from MgImplantSegLib.base.events import Events
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
    assert "state the slice spacing" in caplog.text
    assert "slice spacing" in volume.provenance["spacing_note"]


def resolution(per_unit, unit):
    return {"resolution": (per_unit, per_unit), "resolutionunit": unit, "metadata": None}


@pytest.mark.parametrize("dots", [72, 72.009, 95.9866, 96, 100, 150, 200, 240, 300, 300.0001, 350, 400, 600, 1200])
def test_the_resolution_of_screens_and_printers_is_no_voxel_size(tmp_path, dots):
    assert not read_volume(written(tmp_path / "a.tif", **resolution(dots, "INCH"))).spacing_is_known
    for per_cm in (dots / 2.54, *(round(round(dots) / 2.54, places) for places in (0, 1, 2, 4))):
        path = written(tmp_path / "b.tif", **resolution(per_cm, "CENTIMETER"))
        assert not read_volume(path).spacing_is_known


@pytest.mark.parametrize(
    "size_um", [1.28, 2.4, 5, 6.5, 8.1, 10, 12.7, 16, 20, 21, 25, 35, 36, 40, 42.3, 50, 80, 85, 100]
)
def test_the_resolution_of_a_scanner_is_the_voxel_size(tmp_path, size_um):
    for per_unit, unit in ((25400 / size_um, "INCH"), (10000 / size_um, "CENTIMETER")):
        volume = read_volume(written(tmp_path / "a.tif", **resolution(per_unit, unit)))
        assert volume.geometry.spacing_zyx_mm == pytest.approx((size_um * 1e-3,) * 3, rel=1e-4)
        assert volume.spacing_is_known


def test_a_unit_that_is_named_counts_whatever_the_resolution_looks_like(tmp_path):
    size_um = 25400 / 300
    metadata = {"axes": "ZYX", "spacing": size_um, "unit": "um"}
    for kind in ({"imagej": True, "resolution": (1 / size_um,) * 2}, resolution(118.11, "CENTIMETER")):
        volume = read_volume(written(tmp_path / "a.tif", **{**kind, "metadata": metadata}))
        assert volume.geometry.spacing_zyx_mm == pytest.approx((size_um * 1e-3,) * 3, rel=1e-4)


def test_imagej_may_give_every_axis_a_unit_of_its_own(tmp_path):
    units = {"unit": "um", "yunit": "mm", "zunit": "nm"}
    metadata = {"axes": "ZYX", "spacing": 7000, **units}
    path = written(tmp_path / "a.tif", imagej=True, resolution=(1 / 5, 1 / 0.006), metadata=metadata)
    assert read_volume(path).geometry.spacing_zyx_mm == pytest.approx(SPACING_ZYX_MM, rel=1e-6)
    metadata["zunit"] = "furlong"
    path = written(tmp_path / "a.tif", imagej=True, resolution=(1 / 5, 1 / 0.006), metadata=metadata)
    assert not read_volume(path).spacing_is_known


def test_imagej_stores_signed_voxels_with_an_offset(tmp_path):
    signed = STACK.astype(np.int16) - 60
    calibration = {"axes": "ZYX", "cf": 0, "c0": -32768, "c1": 1, "vunit": "Gray Value"}
    stored = (signed.astype(int) + 32768).astype(np.uint16)
    for options in ({}, {"compression": "zlib"}):
        path = written(tmp_path / "a.tif", stored, imagej=True, metadata=calibration, **options)
        array = read_volume(path).array
        np.testing.assert_array_equal(array, signed)
        assert array.dtype == np.int16
    slices = slices_in(tmp_path / "float", array=stored, imagej=True, metadata={**calibration, "axes": "YX"})
    np.testing.assert_array_equal(read_volume(slices).array, signed)
    tifffile.imwrite(slices / "rec_10.tif", stored[2])
    with pytest.raises(InputError, match=r"rec_10\.tif"):
        read_volume(slices)


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


def lzw(content):
    """LZW of TIFF 6.0 that never uses its table: all codes have 9 bits, as the table is cleared before it grows."""
    codes = []
    for index, byte in enumerate(content):
        codes += ([256] if index % 200 == 0 else []) + [byte]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    return bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))


def packbits(content):
    """PackBits of one byte at a time."""
    return b"".join(bytes([0, byte]) for byte in content)


def differences(piece):
    """Predictor 2: each value less its left neighbour."""
    return np.diff(piece, axis=1, prepend=piece[:, :1] * 0).astype(piece.dtype)


def float_differences(piece):
    """Predictor 3: the bytes of each row, most significant ones first, less their left neighbours."""
    big = piece.astype(piece.dtype.newbyteorder(">"))
    rows = big.view(np.uint8).reshape(*piece.shape, -1).transpose(0, 2, 1).reshape(len(piece), -1)
    return np.diff(rows, axis=1, prepend=np.uint8(0))


def packed(path, array, pieces, tags, **options):
    """A file of pieces that are compressed already; tifffile writes it as deflate, then the tags' values are set."""
    tifffile.imwrite(path, iter(pieces), shape=array.shape, dtype=array.dtype, compression="zlib", **options)
    with tifffile.TiffFile(path) as tiff, open(path, "r+b") as file:
        for page in tiff.pages:
            for tag, value in tags.items():
                if tag in page.tags:
                    file.seek(page.tags[tag].valueoffset)
                    file.write(struct.pack(tiff.byteorder + "H", value))
    return path


SQUARE = np.random.default_rng(4).integers(0, 60000, (3, 40, 21))
PREDICTORS = {1: lambda piece: piece, 2: differences, 3: float_differences}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize(("compression", "pack"), [(5, lzw), (32773, packbits), (8, zlib.compress)])
@pytest.mark.parametrize(
    ("dtype", "predictor"),
    [("u1", 1), ("u1", 2), ("u2", 1), ("u2", 2), ("i2", 2), ("f4", 1), ("f4", 3), ("f8", 1), ("f8", 3), ("i4", 2)],
)
def test_every_compression_type_and_layout_gives_the_voxels(tmp_path, order, tile, compression, pack, dtype, predictor):
    array = (SQUARE - (30000 if dtype == "i2" else 0)).astype(order + dtype)
    pieces = []
    for page in array:
        padded = np.pad(page, ((0, 8), (0, 11))) if tile else page  # 3 × 1 tiles of 16 × 32, or strips of 16 rows
        pieces += [
            pack(PREDICTORS[predictor](padded[at : at + 16]).tobytes()) for at in range(0, 48 if tile else 40, 16)
        ]
    layout = {"tile": tile} if tile else {"rowsperstrip": 16}
    kind = {"predictor": min(predictor, 2), "byteorder": order, "photometric": "minisblack", "metadata": None, **layout}
    tags = {259: compression, 317: predictor, **({339: 3} if predictor == 3 else {})}
    packed(tmp_path / "a.tif", array.view(order + "i" + dtype[1]) if predictor == 3 else array, pieces, tags, **kind)
    volume = read_volume(tmp_path / "a.tif")
    np.testing.assert_array_equal(volume.array, array)
    assert volume.array.dtype == np.dtype(dtype) and volume.array.dtype.isnative


@pytest.mark.parametrize(
    "options", [{"compression": "group4"}, {"compression": "tiff_lzw"}, {"compression": "packbits"}]
)
def test_slices_of_pillow_are_read(tmp_path, options):
    image = pytest.importorskip("PIL.Image")
    masks = SQUARE > 30000
    for index, mask in enumerate(masks):
        page = image.fromarray(mask.astype(np.uint8) * 255).convert("1")
        page.save(tmp_path / f"s{index}.tif", **options)
    np.testing.assert_array_equal(read_label_map(tmp_path).array, masks)


def test_a_jpeg_stack_is_close_to_what_was_stored(tmp_path):
    smooth = np.add.outer(np.arange(4) * 9, np.add.outer(np.arange(32) * 2, np.arange(48) * 2)).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(smooth), str(tmp_path / "a.tif"), useCompression=True, compressor="JPEG")
    assert np.abs(read_volume(tmp_path / "a.tif").array.astype(int) - smooth).max() <= 4


@pytest.mark.parametrize("code", [50000, 34887, 50001, 34712])
def test_a_compression_that_is_not_known_is_named(tmp_path, code):
    pieces = [zlib.compress(page.tobytes()) for page in STACK]
    path = packed(tmp_path / "a.tif", STACK, pieces, {259: code}, photometric="minisblack", metadata=None)
    with pytest.raises(DependencyError, match=f"compressed with {tifffile.COMPRESSION(code).name}") as caught:
        read_volume(path)
    assert "without compression" in caught.value.remedy


def test_lzma_is_read(tmp_path):
    pieces = [lzma.compress(page.tobytes()) for page in STACK]
    path = packed(tmp_path / "a.tif", STACK, pieces, {259: 34925}, photometric="minisblack", metadata=None)
    np.testing.assert_array_equal(read_volume(path).array, STACK)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"bigtiff": True}, {"resolution": (500, 500)}])
def test_pages_that_were_written_one_by_one_are_a_stack(tmp_path, options):
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=options.pop("bigtiff", False)) as writer:
        for page in STACK:
            writer.write(page, photometric="minisblack", resolutionunit="CENTIMETER", **options)
    volume = read_volume(tmp_path / "a.tif")
    np.testing.assert_array_equal(volume.array, STACK)
    assert volume.spacing_is_known == ("resolution" in options)


@pytest.mark.parametrize("pages", [(STACK, STACK), (STACK[0], STACK[0, :3]), (STACK[0], STACK[0].astype("u1"))])
def test_images_of_other_kinds_in_one_file_are_no_stack(tmp_path, pages):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in pages:
            writer.write(page, photometric="minisblack")
    with pytest.raises(InputError, match="one stack of slices"):
        read_volume(tmp_path / "a.tif")


def directories(offsets, tags=(), *, big=False, order="<"):
    """A file of empty directories: each at 64, 128, … with these tags and the offset of the next."""
    number, count = ("Q", "Q") if big else ("I", "H")
    head = struct.pack(order + ("HHH" if big else "H"), *((43, 8, 0) if big else (42,)))
    content = (b"II" if order == "<" else b"MM") + head + struct.pack(order + number, 64)
    for index, following in enumerate(offsets):
        content = content.ljust(64 * (index + 1), b"\0") + struct.pack(order + count, len(tags))
        for tag, value in tags:
            content += struct.pack(order + "HH" + 2 * number, tag, 4, 1, value)
        content += struct.pack(order + number, following)
    return content.ljust(64 * (len(offsets) + 2), b"\0")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("offsets", "tags"),
    [((64,), ()), ((128, 64), ()), ((128, 192, 128), ()), ((0,), [(330, 64)]), ((128, 0), [(330, 64)])],
)
def test_directories_that_run_in_circles_are_refused_at_once(tmp_path, offsets, tags, big, order):
    (tmp_path / "a.tif").write_bytes(directories(offsets, tags, big=big, order=order))
    (tmp_path / "s").mkdir()
    for n in (1, 2):
        (tmp_path / "s" / f"s{n}.tif").write_bytes(directories(offsets, tags, big=big, order=order))
    for path in (tmp_path / "a.tif", tmp_path / "s"):
        with pytest.raises(InputError, match="form a loop"):
            read_volume(path)


def test_a_fault_of_the_program_is_not_told_as_a_damaged_file(tmp_path, monkeypatch):
    def faulty(*arguments):
        raise TypeError("a slip of the pen")

    monkeypatch.setattr("MgImplantSegLib.io.tiff_file.tiff_spacing_zyx_mm", faulty)
    with pytest.raises(TypeError, match="slip of the pen"):
        read_volume(written(tmp_path / "a.tif"))


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
@pytest.mark.parametrize(
    ("folder", "binning"), [("float", 1), ("float_rawBin2", 2), ("uint16_rawBin4", 4), ("Robin2", 1), ("bin2x2", 2)]
)
@pytest.mark.parametrize("place", [".", "..", "../.."])
def test_the_pixel_size_of_reco_log_is_multiplied_by_the_binning(tmp_path, line, pixel_um, folder, binning, place):
    slices = slices_in(tmp_path / "sample" / "reco" / folder)
    log = f"scan_name : x\n{line}\neffective_pixel_size_binned : 99 micron\nenergy : 3e4 eV\n"
    (slices / place / "reco.log").write_text(log)
    volume = read_volume(slices)
    assert volume.geometry.spacing_zyx_mm == pytest.approx((pixel_um * binning * 1e-3,) * 3)
    assert volume.spacing_is_known


@pytest.mark.parametrize(
    ("folder", "binning"),
    [
        ("cabin3", 1),
        ("Robin2", 1),
        ("ROBIN2", 1),
        ("cubin_2", 1),
        ("bin", 1),
        ("bin0", 1),
        ("bin2024", 1),
        ("bin2", 2),
        ("Bin2_float", 2),
        ("rec_BIN3", 3),
        ("float-binning4", 4),
        ("rawbin2", 2),
        ("recoBin2", 2),
        ("bin_2", 2),
        ("rawBin2_recoBin2", 4),
    ],
)
def test_binning_is_a_word_of_its_own(tmp_path, folder, binning):
    slices = slices_in(tmp_path / folder)
    (slices / "reco.log").write_text("effective_pixel_size : 1.5 um")
    assert read_volume(slices).geometry.spacing_zyx_mm == pytest.approx((0.0015 * binning,) * 3)


SKYSCAN = """[System]
Scanner=SkyScan1172
[Acquisition]
Image Pixel Size (um)= 9.99
[Reconstruction]
Program=NRecon
Pixel Size (um)=%s
[File name convention]
Filename Prefix=sample__rec
"""


@pytest.mark.parametrize("kind", ["tif", "bmp", "png"])
@pytest.mark.parametrize(("text", "size_um"), [("20.00000", 20), ("8,5", 8.5), ("20.0\r", 20)])
def test_slices_of_skyscan_have_the_size_of_their_log(tmp_path, kind, text, size_um):
    for n, page in enumerate(STACK.astype(np.uint8)):
        sitk.WriteImage(sitk.GetImageFromArray(page), str(tmp_path / f"sample__rec{n + 8:08}.{kind}"))
    sitk.WriteImage(sitk.GetImageFromArray(STACK[0, :3].astype(np.uint8)), str(tmp_path / f"sample__rec_spr.{kind}"))
    (tmp_path / "sample__rec.log").write_text(SKYSCAN % text)
    (tmp_path / "other.log").write_text(SKYSCAN % 99)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array, STACK)
    assert volume.geometry.spacing_zyx_mm == pytest.approx((size_um * 1e-3,) * 3)
    assert volume.provenance["spacing_from"] == "sample__rec.log"


@pytest.mark.parametrize(
    ("log", "size_um"),
    [
        ("[Acquisition]\nImage Pixel Size (um)=12.5\n", 12.5),
        ("[Reconstruction]\nPixel Size (mm)=0.0125\n", 12.5),
        ("[Reconstruction]\nPixel Size (\u00b5m)=12.5\n", 12.5),
        ("[Reconstruction]\nPixel Size (um)=0\n", None),
        ("[Reconstruction]\nPixel Size (parsec)=12.5\n", None),
        ("no size at all", None),
    ],
)
def test_what_the_log_of_skyscan_says_is_converted_or_not_used(tmp_path, log, size_um):
    slices = slices_in(tmp_path / "rec", [f"rec{n}.tif" for n in range(4)])
    (slices / "rec.log").write_bytes(log.encode("latin-1" if "\u00b5" in log else "utf-8"))
    volume = read_volume(slices)
    assert volume.spacing_is_known == (size_um is not None)
    if size_um is not None:
        assert volume.geometry.spacing_zyx_mm == pytest.approx((size_um * 1e-3,) * 3)


@pytest.mark.parametrize("kind", ["8 bit", "inverted palette", "equal colours", "1 bit", "top down"])
def test_grey_values_of_every_kind_of_bmp_are_read(tmp_path, kind):
    image = pytest.importorskip("PIL.Image")
    pages = STACK.astype(np.uint8)
    for n, page in enumerate(pages):
        picture = image.fromarray(page)
        if kind == "inverted palette":
            picture = image.fromarray(255 - page).convert("P")
            picture.putpalette([255 - value // 3 for value in range(768)])
        if kind == "equal colours":
            picture = picture.convert("RGB")
        if kind == "1 bit":
            picture = image.fromarray((page % 2) * 255).convert("1")
        picture.save(tmp_path / f"s{n}.bmp")
        if kind == "top down":
            content = bytearray((tmp_path / f"s{n}.bmp").read_bytes())
            start, height = struct.unpack_from("<I", content, 10)[0], struct.unpack_from("<i", content, 22)[0]
            rows = [content[at : at + 8] for at in range(start, len(content), 8)]
            content[22:26], content[start:] = struct.pack("<i", -height), b"".join(reversed(rows))
            (tmp_path / f"s{n}.bmp").write_bytes(content)
    np.testing.assert_array_equal(read_volume(tmp_path).array, pages % 2 * 255 if kind == "1 bit" else pages)


def test_png_keeps_16_bit_and_colours_are_refused(tmp_path):
    for n, page in enumerate(STACK * 500):
        sitk.WriteImage(sitk.GetImageFromArray(page), str(tmp_path / f"s{n}.png"))
    np.testing.assert_array_equal(read_volume(tmp_path).array, STACK * 500)
    colours = np.stack([STACK[2]] * 2 + [STACK[1]], axis=-1).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(colours, isVector=True), str(tmp_path / "s2.png"))
    with pytest.raises(InputError, match=r"in colours .*s2\.png"):
        read_volume(tmp_path)


@pytest.mark.parametrize("kind", ["png", "bmp"])
def test_pictures_with_sizes_beyond_their_file_are_refused_before_memory_is_taken(tmp_path, kind):
    for n, page in enumerate(STACK.astype(np.uint8)):
        sitk.WriteImage(sitk.GetImageFromArray(page), str(tmp_path / f"s{n}.{kind}"))
    content = bytearray((tmp_path / f"s0.{kind}").read_bytes())
    at, size = (16, struct.pack(">II", 60000, 60000)) if kind == "png" else (18, struct.pack("<ii", 60000, 60000))
    content[at : at + 8] = size
    (tmp_path / f"s0.{kind}").write_bytes(content)
    with pytest.raises(InputError, match="60000 × 60000 pixels"):
        read_volume(tmp_path)


def test_two_kinds_of_pictures_are_not_chosen_between_but_tiff_is(tmp_path):
    for n, page in enumerate(STACK.astype(np.uint8)):
        for kind in ("bmp", "png"):
            sitk.WriteImage(sitk.GetImageFromArray(page // 2), str(tmp_path / f"s{n}.{kind}"))
    with pytest.raises(InputError, match="several series"):
        read_volume(tmp_path)
    np.testing.assert_array_equal(read_volume(slices_in(tmp_path)).array, STACK)


def test_links_of_slices_that_lead_nowhere_are_named(tmp_path):
    slices = slices_in(tmp_path / "float")
    (slices / "rec_9.tif").rename(tmp_path / "away.tif")
    os.symlink("../away.tif", slices / "rec_9.tif")
    np.testing.assert_array_equal(read_volume(slices).array, STACK)
    for name in ("rec_11.tif", "rec_8.tif"):
        (slices / name).unlink()
        os.symlink("/not/mounted/" + name, slices / name)
    with pytest.raises(InputError, match=r"2 broken links: rec_11\.tif, rec_8\.tif.*/not/mounted"):
        read_volume(slices)


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
        ({}, "folder that contains the slices"),
        ({"IM0.dcm": b"x"}, "3D Slicer"),
        ({"IM0": b"\0" * 128 + b"DICM"}, "3D Slicer"),
        ({"a.jpg": b"x", "b.jpg": b"x"}, "as TIFF"),
    ],
)
def test_a_folder_without_slices_says_what_to_do_with_what_is_there(tmp_path, files, remedy):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="one TIFF, BMP or PNG file per slice") as caught:
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
