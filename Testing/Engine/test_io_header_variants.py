"""Headers as the formats allow them and few programs write them: several files, skips, text, other axes and units."""

import bz2
import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from io_cases import SHAPE_ZYX, SPACING_ZYX_MM, grey_values, is_mapped_from_disk

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.io import known_suffixes, read_volume
from MgImplantSegLib.io.formats import without_suffix

VOXELS = grey_values("uint8")  # 6 × 5 × 4 voxels x, y, z
NRRD = {
    "type": "uchar",
    "dimension": "3",
    "sizes": "6 5 4",
    "space": "left-posterior-superior",
    "space directions": "(0.005,0,0) (0,0.006,0) (0,0,0.007)",
    "space origin": "(1,2,3)",
    "encoding": "raw",
}
META = {
    "NDims": "3",
    "DimSize": "6 5 4",
    "ElementType": "MET_UCHAR",
    "ElementSpacing": "0.005 0.006 0.007",
    "Offset": "1 2 3",
}


def write_nhdr(folder, data_file, fields=(), name="a.nhdr"):
    lines = [f"{key}: {value}" for key, value in (NRRD | dict(fields)).items() if value is not None]
    (folder / name).write_text("\n".join(["NRRD0005", *lines, f"data file: {data_file}", ""]), "utf-8")
    return folder / name


def write_nrrd(folder, fields, voxels):
    lines = [f"{key}: {value}" for key, value in (NRRD | dict(fields)).items() if value is not None]
    (folder / "a.nrrd").write_bytes("\n".join(["NRRD0005", *lines]).encode() + b"\n\n" + voxels)
    return folder / "a.nrrd"


def write_mhd(folder, data_file, fields=()):
    lines = [f"{key} = {value}" for key, value in (META | dict(fields)).items() if value is not None]
    (folder / "a.mhd").write_text("\n".join([*lines, f"ElementDataFile = {data_file}", ""]), "utf-8")
    return folder / "a.mhd"


def write_slices(folder):
    for number, plane in enumerate(VOXELS):
        (folder / f"s{number:03d}.raw").write_bytes(plane.tobytes())


def assert_read(path, spacing_zyx_mm=SPACING_ZYX_MM):
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, VOXELS)
    assert volume.geometry.spacing_zyx_mm == pytest.approx(spacing_zyx_mm)
    return volume


@pytest.mark.parametrize(
    "name", ["dose_50%.raw", "listing.raw", "LIST.raw", "a b.raw", "µ %d 1.raw", "s%03d.raw 0 3 1"]
)
def test_any_name_of_a_file_that_is_there_is_a_name(tmp_path, name):
    (tmp_path / name).write_bytes(VOXELS.tobytes())
    assert is_mapped_from_disk(assert_read(write_nhdr(tmp_path, name)).array)
    assert is_mapped_from_disk(assert_read(write_mhd(tmp_path, name)).array)


def test_files_in_a_folder_below_or_above_are_found(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    assert_read(write_nhdr(tmp_path / "below", "../v.raw"))
    assert_read(write_mhd(tmp_path / "below", "../v.raw"))
    assert_read(write_nhdr(tmp_path, "./below/../v.raw"))


@pytest.mark.parametrize(
    "data_file",
    [
        "s%03d.raw 0 3 1",
        "LIST\ns000.raw\ns001.raw\ns002.raw\ns003.raw",
        "LIST 2\ns000.raw\ns001.raw\ns002.raw\n\ns003.raw",
    ],
)
def test_slices_in_files_of_their_own_are_put_together(tmp_path, data_file):
    write_slices(tmp_path)
    assert_read(write_nhdr(tmp_path, data_file))
    assert_read(write_mhd(tmp_path, data_file))


def test_rows_of_files_may_run_backwards_and_hold_more_or_less_than_a_slice(tmp_path):
    for number, plane in enumerate(VOXELS[::-1]):
        (tmp_path / f"r{number}.raw").write_bytes(plane.tobytes())
    assert_read(write_nhdr(tmp_path, "r%d.raw 3 0 -1"))
    for number in range(2):
        (tmp_path / f"half{number}.raw").write_bytes(VOXELS[2 * number : 2 * number + 2].tobytes())
    assert_read(write_nhdr(tmp_path, "half%d.raw 0 1 1 3"))
    for number, row in enumerate(VOXELS.reshape(20, 6)):
        (tmp_path / f"row{number:02d}.raw").write_bytes(row.tobytes())
    assert_read(write_nhdr(tmp_path, "row%02d.raw 0 19 1 1"))


@pytest.mark.parametrize("data_file", ["s%03d.raw 0 2 1", "s%03d.raw 0 3 0", "LIST\ns000.raw", "LIST"])
def test_rows_with_another_number_of_files_are_refused(tmp_path, data_file):
    write_slices(tmp_path)
    for path in (write_nhdr(tmp_path, data_file), write_mhd(tmp_path, data_file)):
        with pytest.raises(InputError):
            read_volume(path)


def test_a_missing_or_short_slice_of_a_list_is_named(tmp_path):
    write_slices(tmp_path)
    (tmp_path / "s002.raw").write_bytes(b"short")
    with pytest.raises(InputError, match=r"s002\.raw"):
        read_volume(write_nhdr(tmp_path, "s%03d.raw 0 3 1"))
    (tmp_path / "s002.raw").unlink()
    with pytest.raises(InputError, match=r"s002\.raw.*no such file"):
        read_volume(write_mhd(tmp_path, "s%03d.raw 0 3 1"))


def test_absolute_paths_to_other_places_are_refused_and_to_the_own_folder_are_read(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "secret.raw").write_bytes(VOXELS.tobytes())
    (tmp_path / "here" / "own.raw").write_bytes(VOXELS.tobytes())
    for write in (write_nhdr, write_mhd):
        with pytest.raises(InputError, match="absolute path"):
            read_volume(write(tmp_path / "here", tmp_path / "secret.raw"))
        with pytest.raises(InputError, match="absolute path"):
            read_volume(write(tmp_path / "here", "C:\\data\\scan.raw"))
        assert_read(write(tmp_path / "here", tmp_path / "here" / "own.raw"))


@pytest.mark.parametrize(
    ("skips", "before", "pack"),
    [
        ({"line skip": "2"}, b"one\ntwo\n", bytes),
        ({"line skip": "1", "byte skip": "3"}, b"one\nabc", bytes),
        ({"byte skip": "-1"}, b"any number of bytes", bytes),
        ({"line skip": "1", "encoding": "gzip"}, b"one\n", gzip.compress),
        ({"byte skip": "3", "encoding": "gzip"}, b"", lambda voxels: gzip.compress(b"abc" + voxels)),
        ({"byte skip": "3", "encoding": "bz2"}, b"", lambda voxels: bz2.compress(b"abc" + voxels)),
    ],
)
def test_lines_are_skipped_in_the_file_and_bytes_in_what_it_holds(tmp_path, skips, before, pack):
    (tmp_path / "v.raw").write_bytes(before + pack(VOXELS.tobytes()))
    assert_read(write_nhdr(tmp_path, "v.raw", skips))


@pytest.mark.parametrize("skips", [{"line skip": "9"}, {"line skip": "-1"}, {"byte skip": "-2"}, {"byte skip": "9999"}])
def test_skips_beyond_the_file_are_refused(tmp_path, skips):
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    with pytest.raises(InputError):
        read_volume(write_nhdr(tmp_path, "v.raw", skips))


@pytest.mark.parametrize("encoding", ["ascii", "text", "txt"])
def test_voxels_as_text_are_read(tmp_path, encoding):
    text = " ".join(str(value) for value in VOXELS.ravel()).encode()
    assert_read(write_nrrd(tmp_path, {"encoding": encoding}, text + b"\n"))
    (tmp_path / "v.txt").write_bytes(text)
    assert_read(write_mhd(tmp_path, "v.txt", {"BinaryData": "False"}))
    for damaged in (text[:-4], text + b" x", text.replace(b" 7 ", b" 700 "), text.replace(b" 7 ", b" 7.5 ")):
        path = write_nrrd(tmp_path, {"encoding": encoding}, damaged[: len(text)])
        if damaged[: len(text)] != text:
            with pytest.raises(InputError):
                read_volume(path)


def test_hexadecimal_voxels_in_any_byte_order_are_read(tmp_path):
    assert_read(write_nrrd(tmp_path, {"encoding": "hex"}, VOXELS.tobytes().hex(" ").encode()))
    text = grey_values(">u2").tobytes().hex().encode()
    path = write_nrrd(tmp_path, {"encoding": "hex", "type": "ushort", "endian": "big"}, text)
    np.testing.assert_array_equal(read_volume(path).array, VOXELS)


@pytest.mark.parametrize(
    "fields",
    [
        {"space directions": "(0.005, 0, 0) ( 0,0.006 ,0) (0,0, 0.007 )", "space origin": "( 1, 2, 3 )"},
        {"space": None, "space directions": None, "space origin": None, "spacings": "0.005 0.006 0.007"},
        {"space units": '"um" "um" "um"', "space directions": "(5,0,0) (0,6,0) (0,0,7)"},
        {"space units": "mm mm mm"},
        {"space units": '"" "" ""'},
        {"dimension": "4", "sizes": "6 5 4 1", "space directions": NRRD["space directions"] + " none"},
        {"dimension": "4", "sizes": "1 6 5 4", "space directions": "none " + NRRD["space directions"]},
        {
            "dimension": "4",
            "sizes": "6 5 4 1",
            "kinds": "domain domain domain time",
            "space directions": NRRD["space directions"] + " none",
        },
        {
            "dimension": "4",
            "sizes": "6 5 4 1",
            "space": None,
            "space directions": None,
            "space origin": None,
            "spacings": "0.005 0.006 0.007 1",
        },
        {
            "dimension": "4",
            "sizes": "6 5 4 1",
            "space": "left-posterior-superior-time",
            "space directions": "(0.005,0,0,0) (0,0.006,0,0) (0,0,0.007,0) (0,0,0,1)",
            "space origin": "(1,2,3,0)",
        },
    ],
)
def test_the_many_ways_to_say_the_same_grid(tmp_path, fields):
    assert assert_read(write_nrrd(tmp_path, fields, VOXELS.tobytes())).spacing_is_known


def test_names_of_fields_may_be_written_in_capitals(tmp_path):
    path = write_nrrd(tmp_path, {}, VOXELS.tobytes())
    path.write_bytes(path.read_bytes().replace(b"sizes:", b"Sizes:").replace(b"encoding:", b"ENCODING:"))
    assert_read(path)


@pytest.mark.parametrize("unit", ["micro", "pixel", "???", "voxel", "parsec"])
def test_a_voxel_size_in_an_unknown_unit_is_unknown(tmp_path, unit):
    units = {"space units": f'"{unit}" "{unit}" "{unit}"'}
    assert not read_volume(write_nrrd(tmp_path, units, VOXELS.tobytes())).spacing_is_known
    axes = {"space": None, "space directions": None, "space origin": None, "spacings": "5 6 7"}
    units = {"units": f'"{unit}" "{unit}" "{unit}"'}
    assert not read_volume(write_nrrd(tmp_path, axes | units, VOXELS.tobytes())).spacing_is_known
    assert read_volume(write_nrrd(tmp_path, axes | units, VOXELS.tobytes()), spacing_um=5).spacing_is_known


def test_one_unit_for_three_axes_is_refused(tmp_path):
    axes = {"space": None, "space directions": None, "space origin": None, "spacings": "20 20 20", "units": '"um"'}
    with pytest.raises(InputError, match="1 units for 3 axes"):
        read_volume(write_nrrd(tmp_path, axes, VOXELS.tobytes()))


@pytest.mark.parametrize(
    ("write", "fields"),
    [
        (write_nhdr, {"space": None, "space directions": None, "space origin": None, "spacings": "0.005 0.006 -0.007"}),
        (write_nhdr, {"space directions": "(0.005,0,0) (0,0.006,0) (0,0,-0.007)"}),
        (write_mhd, {"ElementSpacing": "0.005 0.006 -0.007"}),
    ],
)
def test_a_negative_spacing_runs_the_other_way(tmp_path, write, fields):
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    geometry = assert_read(write(tmp_path, "v.raw", fields)).geometry
    assert geometry.direction_matrix.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, -1]]


@pytest.mark.parametrize("centring", ["node", "cell"])
def test_axis_mins_are_the_origin_that_simpleitk_reads(tmp_path, centring):
    axes = {"space": None, "space directions": None, "space origin": None, "spacings": "0.005 0.006 0.007"}
    mins = {"axis mins": "1 2 3", "centerings": f"{centring} {centring} {centring}"}
    path = write_nrrd(tmp_path, axes | mins, VOXELS.tobytes())
    np.testing.assert_allclose(read_volume(path).geometry.origin_lps_mm, sitk.ReadImage(str(path)).GetOrigin())


@pytest.mark.parametrize(
    ("fields", "before"),
    [
        ({"HeaderSize": "512"}, b"H" * 512),
        ({"HeaderSize": "-1"}, b"any"),
        ({"NDims": "4", "DimSize": "6 5 4 1", "ElementSpacing": "0.005 0.006 0.007 1", "Offset": "1 2 3 0"}, b""),
        ({"ElementNumberOfChannels": "1"}, b""),
        ({"DistanceUnits": "um", "ElementSpacing": "5 6 7"}, b""),
        ({f"Seq_{number}": "OK" for number in range(1200)}, b""),
        ({"ElementSpacing": None, "ElementSize": "0.005 0.006 0.007"}, b""),
        ({"Comment": "a = b: c"}, b""),
    ],
)
def test_metaimage_headers_that_simpleitk_reads_are_read(tmp_path, fields, before):
    (tmp_path / "v.raw").write_bytes(before + VOXELS.tobytes())
    assert assert_read(write_mhd(tmp_path, "v.raw", fields)).spacing_is_known


def test_blank_lines_and_colons_in_metaimage_headers_are_read(tmp_path):
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    path = write_mhd(tmp_path, "v.raw")
    path.write_text(path.read_text().replace("NDims = 3\n", "NDims = 3\n\n").replace("Spacing = ", "Spacing: "))
    assert_read(path)


def test_compressed_metaimage_voxels_are_read_with_and_without_their_size(tmp_path):
    packed = zlib.compress(VOXELS.tobytes())
    (tmp_path / "v.zraw").write_bytes(packed)
    assert_read(write_mhd(tmp_path, "v.zraw", {"CompressedData": "True"}))
    assert_read(write_mhd(tmp_path, "v.zraw", {"CompressedData": "True", "CompressedDataSize": str(len(packed))}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ElementNumberOfChannels": "3"}, "3 channels"),
        ({"NDims": "4294967296"}, "NDims"),
        ({"NDims": "1e300"}, "NDims"),
        ({"DimSize": "6 5 4.5"}, "DimSize"),
        ({"Comment": "x" * 100_000}, "Comment"),
        ({"NDims": "2", "DimSize": "6 20", "ElementSpacing": "1 1", "Offset": "0 0"}, "3D"),
        ({"NDims": "4", "DimSize": "6 5 2 2", "ElementSpacing": "1 1 1 1", "Offset": "0 0 0 0"}, "4 axes"),
    ],
)
def test_metaimages_that_are_no_volume_of_numbers_are_refused(tmp_path, fields, message):
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes() * 3)
    with pytest.raises(InputError, match=message):
        read_volume(write_mhd(tmp_path, "v.raw", fields))


@pytest.mark.parametrize("unit", ["furlong", "pixels"])
def test_a_metaimage_in_an_unknown_unit_has_no_voxel_size(tmp_path, unit):
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    assert not read_volume(write_mhd(tmp_path, "v.raw", {"DistanceUnits": unit})).spacing_is_known


def nifti_image():
    image = sitk.GetImageFromArray(grey_values("int16"))
    image.SetSpacing(SPACING_ZYX_MM[::-1])
    return image


@pytest.mark.parametrize("suffix", [".hdr", ".img", ".img.gz"])
def test_pairs_of_nifti_files_are_read_by_either_name(tmp_path, suffix):
    sitk.WriteImage(nifti_image(), str(tmp_path / f"a{suffix}"))
    assert len(list(tmp_path.iterdir())) == 2
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(read_volume(path).array, grey_values())
        assert read_volume(path).geometry.spacing_zyx_mm == pytest.approx(SPACING_ZYX_MM)
    next(path for path in tmp_path.iterdir() if ".img" in path.name).unlink()
    with pytest.raises(InputError, match="no such file"):
        read_volume(next(tmp_path.iterdir()))


def test_pairs_are_not_looked_for_in_folders_where_other_files_have_their_suffixes():
    assert not {".hdr", ".img"} & set(known_suffixes())
    assert without_suffix(Path("a/scan.hdr")) == "scan"


def test_a_fourth_axis_of_one_in_nifti_is_left_out(tmp_path):
    sitk.WriteImage(sitk.JoinSeries([nifti_image()]), str(tmp_path / "a.nii"))
    assert read_volume(tmp_path / "a.nii").array.shape == SHAPE_ZYX


@pytest.mark.parametrize(("code", "is_known"), [(0, True), (2, True), (2 | 8, True), (4, False), (7, False)])
def test_nifti_without_a_stated_unit_is_in_millimetres_and_in_an_undefined_one_unknown(tmp_path, code, is_known):
    sitk.WriteImage(nifti_image(), str(tmp_path / "a.nii"))
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[123] = code
    (tmp_path / "a.nii").write_bytes(content)
    assert read_volume(tmp_path / "a.nii").spacing_is_known == is_known


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int8"])
def test_the_less_usual_types_of_nifti_are_read(tmp_path, dtype):
    sitk.WriteImage(sitk.GetImageFromArray(grey_values(dtype)), str(tmp_path / "a.nii"))
    assert read_volume(tmp_path / "a.nii").array.dtype == dtype


def test_colours_in_nifti_are_refused(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True), str(tmp_path / "a.nii"))
    with pytest.raises(InputError, match="number per voxel"):
        read_volume(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("bz2", bz2.compress(bytes(1000))),
        ("gzip", gzip.compress(bytes(1000), mtime=0)),
        ("ascii", b"1 2 3"),
        ("hex", b"0102"),
    ],
    ids=["bz2", "gzip", "ascii", "hex"],
)
def test_a_few_bytes_that_promise_much_are_refused_before_memory_is_taken(tmp_path, encoding, content, monkeypatch):
    monkeypatch.setattr("MgImplantSegLib.io.raw_data.allocate", None)  # must not be reached
    with pytest.raises(InputError, match="bytes of voxels"):
        read_volume(write_nrrd(tmp_path, {"encoding": encoding, "sizes": "1000 1000 1000"}, content))


def test_what_the_libraries_write_to_the_terminal_is_not_shown(tmp_path, capfd):
    (tmp_path / "a.mhd").write_text("ObjectType = Image\nNDims = 3\nDimSize = 6 5\nElementDataFile = LOCAL\n")
    with pytest.raises(InputError):
        read_volume(tmp_path / "a.mhd")
    assert capfd.readouterr().err == ""


def pack_for(encoding: str):
    """How the voxels of an NRRD file are packed."""
    text = lambda voxels: " ".join(str(value) for value in np.frombuffer(voxels, np.uint8)).encode()  # noqa: E731
    packers = {"gzip": gzip.compress, "bzip2": bz2.compress, "text": text, "hex": lambda voxels: voxels.hex().encode()}
    return packers[encoding]


@pytest.mark.parametrize("encoding", ["gzip", "bzip2", "text", "hex"])
@pytest.mark.parametrize(("slices", "is_told"), [("4", False), ("3", True), ("2", True)])
def test_packed_voxels_beyond_those_of_the_header_are_told(tmp_path, caplog, encoding, slices, is_told):
    fields = {"encoding": encoding, "sizes": f"6 5 {slices}"}
    volume = read_volume(write_nrrd(tmp_path, fields, pack_for(encoding)(VOXELS.tobytes())))
    np.testing.assert_array_equal(volume.array, VOXELS[: int(slices)])
    assert ("more than its header states" in caplog.text) == is_told


@pytest.mark.parametrize(("slices", "is_told"), [("4", False), ("3", True)])
def test_packed_voxels_of_a_metaimage_beyond_its_header_are_told(tmp_path, caplog, slices, is_told):
    (tmp_path / "a.zraw").write_bytes(zlib.compress(VOXELS.tobytes()))
    fields = {"DimSize": f"6 5 {slices}", "CompressedData": "True"}
    read_volume(write_mhd(tmp_path, "a.zraw", fields))
    assert ("more than its header states" in caplog.text) == is_told


def test_a_few_bytes_behind_packed_voxels_are_no_slice(tmp_path, caplog):
    packed = gzip.compress(VOXELS.tobytes() + b"end of file")
    np.testing.assert_array_equal(read_volume(write_nrrd(tmp_path, {"encoding": "gzip"}, packed)).array, VOXELS)
    assert "more than" not in caplog.text
