"""Scans that are read slice by slice have the voxels, the frame and the errors of those that are read at once."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import tifffile
from io_cases import LEFT_HANDED, grey_values

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.io import open_volume, read_volume, write_volume
from MgImplantSegLib.io.slices_on_disk import SlicesOnDisk, in_blocks

h5py = pytest.importorskip("h5py")
SHAPE = grey_values().shape


def nrrd(path, values, *further, order="little", encoding="raw"):
    kind = {"uint16": "uint16", "float32": "float", "int16": "int16"}[values.dtype.name]
    z, y, x = values.shape
    lines = ["NRRD0004", f"type: {kind}", "dimension: 3", "space: left-posterior-superior", f"sizes: {x} {y} {z}"]
    lines += ["space directions: (0.02,0,0) (0,0.02,0) (0,0,0.02)", "kinds: domain domain domain", f"endian: {order}"]
    lines += [f"encoding: {encoding}", "space origin: (1,2,3)", *further]
    plain = values.astype(values.dtype.newbyteorder(">" if order == "big" else "<")).tobytes()
    data = gzip.compress(plain) if encoding == "gzip" else plain
    attached = not any(line.startswith("data file") for line in further)
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + (data if attached else b""))
    return data


def tiff_folder(path, values, **how):
    path.mkdir()
    for number, image in enumerate(values):
        tifffile.imwrite(path / f"slice_{number:04d}.tif", image, **how)
    return path


def nrrd_in_several_files(folder, values):
    data = nrrd(folder / "s.nhdr", values, "data file: s%03d.raw 0 3 1", order="big")
    for number in range(len(values)):
        size = len(data) // len(values)
        (folder / f"s{number:03d}.raw").write_bytes(data[number * size : (number + 1) * size])
    return folder / "s.nhdr"


def made(kind, folder):
    """A scan of that kind."""
    values, path = grey_values(), folder / "scan.nrrd"
    if kind == "nrrd":
        nrrd(path, values)
    elif kind == "nrrd of the other byte order":
        nrrd(path, values, order="big")
    elif kind == "packed nrrd":
        nrrd(path, values, encoding="gzip")
    elif kind == "nrrd in several files":
        path = nrrd_in_several_files(folder, values)
    elif kind in (".nii", ".nii.gz", ".mha"):
        path = folder / f"scan{kind}"
        write_volume(Volume(values, LEFT_HANDED), path)
    elif kind == "folder":
        path = tiff_folder(folder / "slices", values, compression="zlib")
    elif kind == "folder of ImageJ's signed slices":
        signed = {"imagej": True, "metadata": {"cf": 0, "c0": -32768.0, "c1": 1.0}}
        path = tiff_folder(folder / "slices", values + np.uint16(32768), **signed)
    elif kind == "tiff of the other byte order":
        path = folder / "scan.tif"
        tifffile.imwrite(path, values, byteorder=">", photometric="minisblack")
    elif kind == "packed tiff":
        path = folder / "scan.tif"
        tifffile.imwrite(path, values, compression="zlib", photometric="minisblack")
    elif kind == "tiff of bits":
        path = folder / "scan.tif"
        tifffile.imwrite(path, values > 40, photometric="minisblack", compression="zlib")
    elif kind == "tiff written slice by slice":
        path = folder / "scan.tif"
        with tifffile.TiffWriter(path) as writer:
            for image in values:
                writer.write(image, photometric="minisblack", contiguous=False, metadata=None)
    else:
        path = folder / "scan.h5"
        shape = (1, *SHAPE, 1) if "five" in kind else SHAPE
        how = {"chunks": (1, 3, 2, 4, 1) if "five" in kind else (3, 2, 4), "compression": "gzip"}
        with h5py.File(path, "w") as file:
            file.create_dataset("entry/data/data", data=values.reshape(shape), **({} if "whole" in kind else how))
    return path


KINDS = [
    "nrrd",
    "nrrd of the other byte order",
    "packed nrrd",
    "nrrd in several files",
    ".nii",
    ".nii.gz",
    ".mha",
    "folder",
    "folder of ImageJ's signed slices",
    "tiff of the other byte order",
    "packed tiff",
    "tiff of bits",
    "tiff written slice by slice",
    "h5 in chunks",
    "h5 of five axes",
    "h5 whole",
]


@pytest.mark.parametrize("kind", KINDS)
def test_slices_read_one_by_one_are_those_of_the_whole_in_any_order(kind, tmp_path):
    path = made(kind, tmp_path)
    whole = read_volume(path)
    with open_volume(path, block_bytes=1) as volume:
        assert volume.geometry == whole.geometry and volume.spacing_is_known == whole.spacing_is_known
        assert volume.array.shape == whole.array.shape and volume.array.dtype == whole.array.dtype
        for z in (3, 1, 0, 2, 2):
            np.testing.assert_array_equal(volume.array[z], whole.array[z])
        np.testing.assert_array_equal(volume.array[1:3], whole.array[1:3])
        assert np.dtype(volume.array.dtype).isnative


@pytest.mark.parametrize("kind", ["packed nrrd", "folder", "packed tiff", "h5 in chunks"])
def test_what_cannot_be_mapped_is_not_read_at_once(kind, tmp_path):
    with open_volume(made(kind, tmp_path)) as volume:
        assert isinstance(volume.array, SlicesOnDisk)
        assert volume.array.nbytes == grey_values().nbytes and len(volume.array) == len(grey_values())
        with pytest.raises(IndexError):
            volume.array[4]


def test_slope_and_intercept_of_nifti_hold_for_each_slice(tmp_path):
    path = tmp_path / "a.nii"
    write_volume(Volume(grey_values("int16"), LEFT_HANDED), path)
    content = bytearray(path.read_bytes())
    content[112:120] = np.array([2.0, -5.0], "<f4").tobytes()
    path.write_bytes(content)
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume.array[2], 2.0 * grey_values()[2] - 5)
        assert volume.array.dtype == np.float32


def test_blocks_begin_at_multiples_of_their_depth_and_one_is_kept():
    read = []

    def slices(start, stop):
        read.append((start, stop))
        return np.arange(start, stop)[:, None, None] * np.ones((1, 2, 2))

    one = in_blocks(slices, 7, 3)
    assert [one(z)[0, 0] for z in (0, 1, 2, 3, 6, 5)] == [0, 1, 2, 3, 6, 5]
    assert read == [(0, 3), (3, 6), (6, 7), (3, 6)]
    assert one(4).base is None  # a slice that is kept does not hold its block in memory


def test_a_truncated_slice_is_told_before_any_is_read(tmp_path):
    folder = tiff_folder(tmp_path / "s", grey_values())
    file = folder / "slice_0002.tif"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"slice_0002\.tif"), open_volume(folder):
        pass


@pytest.mark.parametrize("other", [np.zeros((5, 7), np.uint16), np.zeros((5, 6), np.float32)], ids=["size", "type"])
def test_a_slice_of_another_size_or_type_is_told_before_any_is_read(other, tmp_path):
    folder = tiff_folder(tmp_path / "s", grey_values())
    tifffile.imwrite(folder / "slice_0002.tif", other)
    with (
        pytest.raises(InputError, match=r"slices of one size and type.* in slice_0002\.tif"),
        open_volume(folder),
    ):
        pass


def test_a_missing_slice_is_told_with_its_neighbours(tmp_path):
    folder = tiff_folder(tmp_path / "s", np.zeros((9, 4, 4), np.uint16))
    (folder / "slice_0004.tif").unlink()
    with pytest.raises(InputError, match=r"slice_0005\.tif after slice_0003\.tif"), open_volume(folder):
        pass


def damaged(kind, folder):
    """A scan whose damage lies inside the packed voxels of its end."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 60000, (6, 30, 40)).astype(np.uint16)
    if kind == "folder":
        path = tiff_folder(folder / "s", values, compression="zlib")
        file = path / "slice_0004.tif"
    else:
        file = path = folder / f"scan{kind}"
    if kind == ".nrrd":
        nrrd(path, values, encoding="gzip")
    elif kind == ".tif":
        tifffile.imwrite(path, values, compression="zlib", photometric="minisblack")
    elif kind == ".h5":
        with h5py.File(path, "w") as target:
            target.create_dataset("entry/data/data", data=values, chunks=(1, 30, 40), compression="gzip")
    content = bytearray(file.read_bytes())
    start = len(content) - 900 if kind != "folder" else len(content) // 2
    content[start : start + 200] = bytes(200)
    file.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", [".nrrd", ".tif", ".h5", "folder"])
def test_damage_inside_is_told_when_its_slice_is_read_if_not_before(kind, tmp_path):
    path = damaged(kind, tmp_path)
    with pytest.raises(InputError, match="Expected"), open_volume(path) as volume:
        for image in volume.array:
            np.array(image)
