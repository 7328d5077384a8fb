"""HDF5 and NeXus: which dataset is taken, its spacing, and the list of candidates in every error."""

import h5py
import numpy as np
import pytest
from io_cases import SPACING_ZYX_MM, grey_values, is_mapped_from_disk

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.io import read_label_map, read_volume


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


def test_a_truncated_file_is_refused(reading, tmp_path):
    reading({"v": grey_values()})
    path = tmp_path / "scan.nxs"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="HDF5"):
        read_volume(path)
