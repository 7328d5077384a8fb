"""HDF5 and NeXus: which dataset is taken, its spacing, and the list of candidates in every error."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from io_cases import SPACING_ZYX_MM, grey_values, is_mapped_from_disk

from MgImplantSegLib.base.errors import DependencyError, InputError
from MgImplantSegLib.io import hdf5_door, read_label_map, read_volume


@pytest.fixture(autouse=True)
def opened_at_once(monkeypatch) -> None:
    """Without the child in which a file is tried first, and which has tests of its own: none of these ends HDF5."""
    monkeypatch.setattr(hdf5_door, "_tried_here", True)


@pytest.fixture
def reading(tmp_path):
    """Writes datasets by path and reads the file."""

    def run(datasets, attributes=None, read=read_volume, **options):
        path = tmp_path / "scan.nxs"
        with h5py.File(path, "w") as file:
            for name, data in datasets.items():
                file[name] = data
            for name, values in (attributes or {}).items():
                file[name].attrs.update(values)
        return read(path, **options)

    return run


def test_the_standard_dataset_is_taken_though_others_are_larger(reading):
    volume = reading({"entry/data/data": grey_values(), "entry/raw": np.zeros((9, 9, 9))})
    np.testing.assert_array_equal(volume.array, grey_values())
    assert volume.array.dtype == np.uint16
    assert volume.provenance["dataset"] == "/entry/data/data"
    assert not volume.spacing_is_known


def test_without_a_standard_dataset_the_largest_volume_is_taken(reading):
    others = {"a/dark": np.zeros((2, 5, 6)), "angles": np.zeros(999), "image": np.zeros((99, 99)), "name": "x"}
    np.testing.assert_array_equal(reading({"b/volume": grey_values(), **others}).array, grey_values())


def test_a_named_dataset_is_taken(reading):
    volume = reading({"entry/data/data": np.zeros((9, 9, 9)), "other/volume": grey_values()}, dataset="other/volume")
    np.testing.assert_array_equal(volume.array, grey_values())


def test_axes_of_length_one_around_a_volume_are_dropped(reading):
    np.testing.assert_array_equal(reading({"entry/data/data": grey_values()[None]}).array, grey_values())


def test_a_label_map_is_read_from_a_dataset(reading):
    label_map = reading({"a/labels": grey_values("uint8") % 4}, read=read_label_map, dataset="a/labels")
    np.testing.assert_array_equal(label_map.array, grey_values() % 4)


@pytest.mark.parametrize("options", [{"chunks": (2, 5, 6), "compression": "gzip"}, {"dtype": ">u2"}, {}])
def test_chunked_compressed_and_big_endian_datasets_come_in_native_order(tmp_path, options):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("v", data=grey_values(), **options)
    array = read_volume(tmp_path / "scan.h5").array
    np.testing.assert_array_equal(array, grey_values())
    assert array.dtype.isnative


def test_a_contiguous_dataset_is_mapped_from_disk(reading):
    assert is_mapped_from_disk(reading({"v": grey_values()}).array)


@pytest.mark.parametrize(
    "attributes",
    [
        {"element_size_um": [7.0, 6.0, 5.0]},
        {"voxel_size": [7.0, 6.0, 5.0], "units": "um"},
        {"voxel_size": [0.007, 0.006, 0.005], "unit": b"mm"},
        {"pixel_size": [7e-6, 6e-6, 5e-6], "pixel_size_units": "m"},
    ],
)
@pytest.mark.parametrize("owner", ["entry/data/data", "entry/data"])
def test_the_spacing_is_read_from_attributes_of_the_dataset_or_its_group(reading, attributes, owner):
    volume = reading({"entry/data/data": grey_values()}, {owner: attributes})
    assert volume.geometry.spacing_zyx_mm == pytest.approx(SPACING_ZYX_MM)
    assert volume.spacing_is_known


def test_the_spacing_is_read_from_the_axes_of_nexus(reading):
    axes = {f"entry/data/{a}": np.arange(n) * s for a, n, s in zip("zyx", (4, 5, 6), (7.0, 6.0, -5.0), strict=True)}
    units = {name: {"units": "µm"} for name in axes}
    volume = reading({"entry/data/data": grey_values(), **axes}, {"entry/data": {"axes": ["z", "y", "x"]}, **units})
    assert volume.geometry.spacing_zyx_mm == pytest.approx(SPACING_ZYX_MM)


def test_a_size_without_unit_and_a_detector_pixel_are_not_used(reading):
    datasets = {"entry/data/data": grey_values(), "entry/instrument/detector/x_pixel_size": 6.5e-6}
    assert not reading(datasets, {"entry/data/data": {"pixel_size": 5.0}}).spacing_is_known


@pytest.mark.parametrize("name", ["entry/absent", "entry", "/", "entry/data/data/deeper", "words", "complex"])
def test_a_wrong_dataset_gives_an_error_that_lists_the_volumes(reading, name):
    datasets = {"entry/data/data": grey_values(), "words": "text", "complex": grey_values("complex64")}
    with pytest.raises(InputError) as caught:
        reading(datasets, dataset=name)
    assert "/entry/data/data (4, 5, 6) uint16" in caught.value.remedy


def test_a_dataset_that_is_no_volume_says_its_shape(reading):
    with pytest.raises(InputError, match="2D"):
        reading({"image": np.zeros((9, 9)), "v": grey_values()}, dataset="image")
    with pytest.raises(InputError, match="4 axes"):
        reading({"movie": np.zeros((2, 4, 5, 6)), "v": grey_values()}, dataset="movie")


def test_a_file_without_volumes_lists_what_it_holds(reading):
    with pytest.raises(InputError, match="got none") as caught:
        reading({"image": np.zeros((9, 9))})
    assert "/image (9, 9) float64" in caught.value.remedy


def test_two_volumes_of_the_same_size_are_not_guessed_between(reading):
    with pytest.raises(InputError, match="2 of the same size") as caught:
        reading({"a": grey_values(), "b": grey_values()})
    assert "/a" in caught.value.remedy and "/b" in caught.value.remedy


def test_a_dataset_name_is_refused_for_files_without_datasets(tmp_path):
    (tmp_path / "a.nrrd").write_bytes(b"")
    with pytest.raises(InputError, match="only for HDF5"):
        read_volume(tmp_path / "a.nrrd", dataset="x")


def test_a_user_block_before_the_file_does_not_shift_the_voxels(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w", userblock_size=512) as file:
        file["v"] = grey_values()
    np.testing.assert_array_equal(read_volume(tmp_path / "scan.h5").array, grey_values())


@pytest.mark.parametrize("options", [{}, {"chunks": (2, 5, 6), "compression": "gzip"}])
def test_a_dataset_that_was_never_written_is_refused(tmp_path, options):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("v", (4, 5, 6), np.uint16, **options)
    with pytest.raises(InputError, match="never written"):
        read_volume(tmp_path / "scan.h5")


def test_soft_and_virtual_datasets_are_read(tmp_path):
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["v"] = grey_values()
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        layout = h5py.VirtualLayout((4, 5, 6), np.uint16)
        layout[...] = h5py.VirtualSource(tmp_path / "raw.h5", "v", (4, 5, 6))
        file.create_virtual_dataset("processed/v", layout)
        file["entry/data/data"] = h5py.SoftLink("/processed/v")
    np.testing.assert_array_equal(read_volume(tmp_path / "scan.nxs").array, grey_values())


def written(path, name="v", data=None, **options):
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "a") as file:
        file.create_dataset(name, data=grey_values() if data is None else data, **options)
    return path


def virtual(path, *parts, fillvalue=0):
    """A virtual dataset v of 4 slices made of parts (slices of it, source file, slices of the source)."""
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout((4, 5, 6), np.uint16)
        for target, source, taken in parts:
            layout[target] = h5py.VirtualSource(source, "v", (4, 5, 6))[taken]
        file.create_virtual_dataset("v", layout, fillvalue=fillvalue)
    return path


ALL = slice(None)
FIRST, LAST = slice(0, 2), slice(2, 4)


def test_the_voxels_behind_external_links_are_those_of_the_linked_file(tmp_path):
    written(tmp_path / "sub" / "volume.h5")
    with h5py.File(tmp_path / "sub" / "middle.h5", "w") as file:
        file["padding"] = np.zeros(5000)
        file["p"] = h5py.ExternalLink("volume.h5", "v")
    for place in ("entry/data/data", "a/b/c"):
        with h5py.File(tmp_path / "master.h5", "w") as file:
            file["mask"] = np.ones((9, 9))
            file[place] = h5py.ExternalLink("sub/middle.h5", "p")
        volume = read_volume(tmp_path / "master.h5")
        np.testing.assert_array_equal(volume.array, grey_values())
        assert volume.provenance["dataset"] == f"/{place}"
        np.testing.assert_array_equal(read_volume(tmp_path / "master.h5", dataset=place).array, grey_values())


def test_links_that_run_in_circles_are_followed_once(tmp_path):
    for own, other in (("a.h5", "b.h5"), ("b.h5", "a.h5")):
        with h5py.File(tmp_path / own, "w") as file:
            file["g/other"] = h5py.ExternalLink(other, "/")
            file["g/self"] = h5py.SoftLink("/g")
    written(tmp_path / "a.h5")
    np.testing.assert_array_equal(read_volume(tmp_path / "b.h5").array, grey_values())


def test_links_that_lead_nowhere_are_named(tmp_path, caplog):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data/data"] = h5py.ExternalLink("gone.h5", "d")
        file["preview"] = grey_values()
    with pytest.raises(InputError, match=r"d of gone\.h5"):
        read_volume(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["other"] = h5py.SoftLink("/absent")
    with pytest.raises(InputError, match="/absent"):
        read_volume(tmp_path / "b.h5")
    written(tmp_path / "b.h5")
    np.testing.assert_array_equal(read_volume(tmp_path / "b.h5").array, grey_values())
    assert "/absent" in caplog.text


def test_numbered_parts_of_a_volume_are_not_taken_for_the_whole(tmp_path):
    for number, slices in enumerate((ALL, FIRST)):
        written(tmp_path / "a.h5", f"entry/data/data_{number:06}", grey_values()[slices])
    with pytest.raises(InputError, match="2 numbered parts"):
        read_volume(tmp_path / "a.h5")


def test_virtual_datasets_show_what_their_sources_hold(tmp_path, caplog):
    written(tmp_path / "s.h5")
    virtual(tmp_path / "a.h5", (FIRST, "s.h5", FIRST), (LAST, tmp_path / "s.h5", LAST))
    virtual(tmp_path / "b.h5", (ALL, "a.h5", ALL))
    for name in ("a.h5", "b.h5"):
        np.testing.assert_array_equal(read_volume(tmp_path / name).array, grey_values())
    assert not caplog.text


@pytest.mark.parametrize("through", ["a.h5", "b.h5"])
def test_sources_that_are_missing_are_named(tmp_path, monkeypatch, through):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "s1.h5"), written(tmp_path / "data" / "s1.h5")
    virtual(tmp_path / "data" / "a.h5", (FIRST, "s1.h5", FIRST), (LAST, "s2.h5", LAST))
    virtual(tmp_path / "data" / "b.h5", (ALL, "a.h5", ALL))
    with pytest.raises(InputError, match=r"no source file s2\.h5"):
        read_volume(tmp_path / "data" / through)
    written(tmp_path / "s2.h5")  # in the working folder, not beside the file that refers to it
    with pytest.raises(InputError, match=r"no source file s2\.h5"):
        read_volume(tmp_path / "data" / through)
    written(tmp_path / "data" / "s2.h5", "another")
    with pytest.raises(InputError, match="no source dataset v"):
        read_volume(tmp_path / "data" / through)
    written(tmp_path / "data" / "s2.h5", data=grey_values()[:3])
    with pytest.raises(InputError, match="another size"):
        read_volume(tmp_path / "data" / through)


def test_virtual_datasets_that_are_their_own_source_are_refused(tmp_path):
    virtual(tmp_path / "a.h5", (ALL, ".", ALL))
    virtual(tmp_path / "b.h5", (ALL, "c.h5", ALL))
    virtual(tmp_path / "c.h5", (ALL, "b.h5", ALL))
    for name in ("a.h5", "b.h5"):
        with pytest.raises(InputError, match="its own source"):
            read_volume(tmp_path / name)


def test_voxels_without_a_source_are_told(tmp_path, caplog):
    written(tmp_path / "s.h5")
    array = read_volume(virtual(tmp_path / "a.h5", (FIRST, "s.h5", FIRST), fillvalue=7)).array
    assert (array[2:] == 7).all()
    assert "50 % of the voxels have no source; they are read as 7" in caplog.text


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_chunks_that_were_never_written_are_told(tmp_path, caplog, compression):
    options = {"chunks": (1, 3, 6), "compression": compression, "fillvalue": 9}
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.create_dataset("v", (4, 5, 6), np.uint16, **options)[:3] = grey_values()[:3]
    assert (read_volume(tmp_path / "s.h5").array[3] == 9).all()
    assert "2 of 8 chunks were never written; their voxels are read as 9" in caplog.text
    caplog.clear()
    virtual(tmp_path / "b.h5", (LAST, "s.h5", FIRST), (FIRST, "s.h5", FIRST))
    read_volume(tmp_path / "b.h5")
    assert not caplog.text  # what is lacking is not asked for
    virtual(tmp_path / "c.h5", (FIRST, "s.h5", FIRST), (LAST, "s.h5", LAST))
    read_volume(tmp_path / "c.h5")
    assert "2 of 4 chunks were never written" in caplog.text


@pytest.mark.parametrize("early", [True, False])
def test_slices_at_the_end_that_hold_nothing_are_told(tmp_path, caplog, early):
    """Space taken at the start, for all chunks or for the one piece, and half of it written."""
    with h5py.File(tmp_path / "s.h5", "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        if early:
            properties.set_chunk((1, 5, 6))
            properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        space = h5py.h5s.create_simple((4, 5, 6))
        dataset = h5py.Dataset(h5py.h5d.create(file.id, b"v", h5py.h5t.STD_U16LE, space, properties))
        dataset[:2] = grey_values()[:2]
    read_volume(tmp_path / "s.h5")
    assert "last 2 of 4 slices" in caplog.text
    caplog.clear()
    read_volume(written(tmp_path / "whole.h5"))
    padded = np.pad(grey_values(), ((2, 2), (0, 0), (0, 0)))
    np.testing.assert_array_equal(read_volume(written(tmp_path / "padded.h5", data=padded)).array, padded)
    assert not caplog.text


def test_a_small_file_does_not_take_much_memory(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("v", (4000, 1000, 1000), np.uint8, chunks=(1, 100, 100))
        dataset[0, :100, :100] = 1
    with pytest.raises(InputError, match="10000 bytes of them"):
        read_volume(tmp_path / "a.h5")
    written(tmp_path / "s.h5", data=np.ones((1, 2, 3), np.uint8))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        layout = h5py.VirtualLayout((4000, 1000, 1000), np.uint8)
        layout[:1, :2, :3] = h5py.VirtualSource("s.h5", "v", (1, 2, 3))
        file.create_virtual_dataset("v", layout)
    with pytest.raises(InputError, match="almost none"):
        read_volume(tmp_path / "b.h5")


def test_raw_files_beside_the_file_are_read_whole_or_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grey_values().tofile("v.raw")
    with h5py.File("a.h5", "w") as file:
        file.create_dataset("v", (4, 5, 6), np.uint16, external=[("v.raw", 0, 240)])
    np.testing.assert_array_equal(read_volume("a.h5").array, grey_values())
    (tmp_path / "v.raw").write_bytes(bytes(100))
    with pytest.raises(InputError, match="100 of 240 bytes"):
        read_volume("a.h5")
    (tmp_path / "v.raw").unlink()
    with pytest.raises(InputError, match=r"no raw file v\.raw"):
        read_volume("a.h5")


@pytest.mark.parametrize("name", ["STD_U16LE", "STD_U16BE", "STD_I16LE", "STD_I16BE"])
@pytest.mark.parametrize("chunks", [None, (2, 5, 6)])
def test_integers_that_use_a_part_of_their_bits_keep_their_values(tmp_path, name, chunks):
    stored = getattr(h5py.h5t, name).copy()
    stored.set_precision(12), stored.set_offset(4)
    values = grey_values("int16") - (50 if "_I" in name else 0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        if chunks:
            properties.set_chunk(chunks)
        space = h5py.h5s.create_simple(values.shape)
        h5py.Dataset(h5py.h5d.create(file.id, b"v", stored, space, properties))[...] = values
    np.testing.assert_array_equal(read_volume(tmp_path / "a.h5").array, values)


@pytest.mark.parametrize("chunks", [None, (2, 5, 6)])
@pytest.mark.parametrize("dtype", [bool, h5py.enum_dtype({"bone": 1, "metal": 3}, "u1"), "f2", ">f4", "i8"])
def test_every_type_of_number_is_read_mapped_or_not(tmp_path, chunks, dtype):
    values = grey_values() % 2
    path = written(tmp_path / "a.h5", data=values, dtype=dtype, chunks=chunks)
    np.testing.assert_array_equal(read_volume(path).array, values)


@pytest.mark.parametrize(("code", "filter_name"), [(32008, "bitshuffle"), (32001, "blosc"), (32015, "zstd")])
def test_a_filter_that_is_missing_is_named(tmp_path, code, filter_name):
    if h5py.h5z.filter_avail(code):
        pytest.skip("this filter is installed here")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((4, 5, 6))
        properties.set_filter(code, h5py.h5z.FLAG_OPTIONAL)  # HDF5 lets only optional filters be set that it lacks
        dataset = h5py.h5d.create(file.id, b"v", h5py.h5t.STD_U16LE, h5py.h5s.create_simple((4, 5, 6)), properties)
        dataset.write_direct_chunk((0, 0, 0), grey_values().tobytes(), 0)
    with pytest.raises(DependencyError, match=rf"{filter_name} \({code}\)") as caught:
        read_volume(tmp_path / "a.h5")
    assert "hdf5plugin" in caught.value.remedy


def test_a_file_that_is_being_written_says_so(tmp_path):
    if os.environ.get("HDF5_USE_FILE_LOCKING", "TRUE") not in ("TRUE", "1", "BEST_EFFORT"):
        pytest.skip("locks are switched off here")
    program = (
        "import h5py, sys\nf = h5py.File(sys.argv[1], 'w')\nf['v'] = 1\nf.flush()\nprint('open', flush=True)\ninput()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.h5")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdout.readline()
        with pytest.raises(InputError, match="open for writing") as caught:
            read_volume(tmp_path / "a.h5")
        writer.communicate(b"\n")
    assert "HDF5_USE_FILE_LOCKING" in caught.value.remedy


@pytest.mark.parametrize(
    ("beside", "reason"),
    [
        ({"exchange/theta": np.arange(4.0), "exchange/data_white": np.ones((4, 5, 6))}, "theta"),
        ({"exchange/data_dark": np.ones((2, 5, 6))}, "data_dark"),
        ({"exchange/image_key": np.zeros(4, int)}, "image_key"),
        ({"definition": "NXtomo"}, "NXtomo"),
        ({"definition": np.bytes_("NXtomo")}, "NXtomo"),
    ],
)
def test_raw_projections_are_no_volume(reading, beside, reason):
    with pytest.raises(InputError, match=rf"raw projections in /exchange/data \(.*{reason}"):
        reading({"exchange/data": grey_values(), **beside})


def test_a_volume_beside_its_projections_is_taken_though_they_are_larger(reading):
    datasets = {"e/data/data": np.zeros((9, 9, 9)), "e/data/rotation_angle": np.arange(9.0), "e/definition": "NXtomo"}
    volume = reading({**datasets, "e/reconstruction/data": grey_values()})
    assert volume.provenance["dataset"] == "/e/reconstruction/data"


def test_projections_that_are_named_are_read_with_a_warning(reading, caplog):
    reading({"exchange/data": grey_values(), "exchange/theta": np.arange(4.0)}, dataset="exchange/data")
    assert "raw projections" in caplog.text


def test_the_word_of_a_processed_file_and_angles_of_another_number_do_not_hinder(reading):
    datasets = {"entry/data/data": grey_values(), "entry/data/theta": np.arange(7.0), "entry/definition": "NXtomoproc"}
    np.testing.assert_array_equal(reading(datasets).array, grey_values())


def test_a_fault_of_the_program_is_not_told_as_a_damaged_file(reading, monkeypatch):
    def faulty(*arguments):
        raise TypeError("a slip of the pen")

    monkeypatch.setattr("MgImplantSegLib.io.hdf5_spacing.hdf5_spacing_zyx_mm", faulty)
    with pytest.raises(TypeError, match="slip of the pen"):
        reading({"v": grey_values()})


def test_a_truncated_file_is_refused(reading, tmp_path):
    reading({"v": grey_values()})
    path = tmp_path / "scan.nxs"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="HDF5"):
        read_volume(path)
