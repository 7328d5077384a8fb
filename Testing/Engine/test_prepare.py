"""A large scan becomes a small volume: known shapes keep their places, their sizes and their grey values."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest
import tifffile
from io_cases import TURNED_LEFT_HANDED

from MgImplantSegLib.base.errors import Cancelled, InputError, ResourceError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.grey_window import KEY, GreyWindow
from MgImplantSegLib.cli import doctor, main
from MgImplantSegLib.grids.regions import OrientedBox, write_roi_markups
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.io import open_volume, read_volume, write_volume
from MgImplantSegLib.io.nrrd_stream import write_nrrd_slices
from MgImplantSegLib.preprocessing.coarse_look import coarse_look
from MgImplantSegLib.preprocessing.prepare import prepare
from MgImplantSegLib.preprocessing.prepare_options import GivenBox, PrepareOptions
from MgImplantSegLib.preprocessing.prepare_plan import memory_of_type, plan, target_grid
from MgImplantSegLib.preprocessing.preview_picture import preview_picture

MM = 0.01
TURNED = Geometry((12, 10, 8), (0.01, 0.02, 0.03), (1.0, -2.0, 3.0), TURNED_LEFT_HANDED)


def scan_of(values, geometry=None):
    return Volume(np.asarray(values), geometry or Geometry(np.shape(values), (MM,) * 3))


def prepared(scan, folder, **options):
    """The result as it is read again, grey values as they were, and the counts."""
    planned = plan(scan, PrepareOptions(**options), Events())
    counts = prepare(scan, planned, folder / "out.nrrd", Events())
    volume = read_volume(folder / "out.nrrd")
    assert volume.array.dtype == np.uint16
    return volume, GreyWindow.from_dict(volume.provenance[KEY]).grey(np.array(volume.array)), counts


def ramp(geometry, gradient=(3.0, -5.0, 7.0)):
    """A grey value that grows along L, P and S: the same at one place on every grid."""
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape_zyx), indexing="ij"), axis=-1)
    return geometry.lps_from_index_zyx(index) @ np.array(gradient)


def write_folder(folder, values, **how):
    folder.mkdir()
    for number, image in enumerate(values):
        tifffile.imwrite(folder / f"slice_{number:04d}.tif", image, **how)
    (folder / "reco.log").write_text("effective_pixel_size : 10\n")
    return folder


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_values_of_8_and_16_bits_stay_as_they_are(dtype, tmp_path):
    values = np.random.default_rng(0).integers(np.iinfo(dtype).min, np.iinfo(dtype).max, (4, 5, 6)).astype(dtype)
    volume, grey, counts = prepared(scan_of(values), tmp_path)
    np.testing.assert_array_equal(grey, values)
    assert volume.geometry == Geometry((4, 5, 6), (MM,) * 3) and counts.to_dict() == dict.fromkeys(counts.to_dict(), 0)


@pytest.mark.parametrize("target_um", [20, 25, 30, 70])
def test_a_constant_stays_constant(target_um, tmp_path):
    _, grey, _ = prepared(scan_of(np.full((20, 21, 22), 777, np.uint16)), tmp_path, target_um=target_um)
    assert (grey == 777).all()


@pytest.mark.parametrize("target_um", [20, 25, 40])
def test_a_ramp_has_the_same_value_at_the_same_place(target_um, tmp_path):
    geometry = Geometry((30, 32, 34), (0.01, 0.012, 0.02), (1.0, -2.0, 3.0), TURNED_LEFT_HANDED)
    values = ramp(geometry).astype(np.float32)
    volume, grey, _ = prepared(scan_of(values, geometry), tmp_path, target_um=target_um, percentiles=(0, 100))
    inside = (slice(4, -4),) * 3  # at the faces the filter is cut off
    step = np.ptp(values) / 65535
    np.testing.assert_allclose(grey[inside], ramp(volume.geometry)[inside], atol=2 * step)


@pytest.mark.parametrize("shape", [(12, 10, 8), (13, 11, 9)])
def test_the_first_corner_stays_and_the_last_one_to_half_a_voxel(shape):
    geometry = Geometry(shape, (0.01, 0.02, 0.03), (1.0, -2.0, 3.0), TURNED_LEFT_HANDED)
    grid = target_grid(geometry, 40)
    corners, before = grid.corners_lps_mm(), geometry.corners_lps_mm()
    np.testing.assert_allclose(corners[0], before[0], atol=1e-12)
    apart_zyx = np.abs((corners[-1] - before[-1]) @ geometry.direction_matrix)
    assert apart_zyx.max() <= 0.02 + 1e-9 and grid.spacing_zyx_mm == (0.04,) * 3
    if shape == (12, 10, 8):
        assert grid.shape_zyx == (3, 5, 6)
        np.testing.assert_allclose(corners, before, atol=1e-12)


def test_a_sine_of_the_new_voxel_size_vanishes_and_a_slow_one_stays(tmp_path):
    x = np.arange(240)
    fast, slow = (1000 * np.sin(2 * np.pi * (x + 0.3) / period) for period in (4, 80))
    for wave, kept in ((fast, 0.0), (slow, 0.99)):
        for axis in range(3):
            shape = [8, 8, 8]
            shape[axis] = 240
            values = np.broadcast_to(np.moveaxis(wave[None, None], 2, axis), shape) + 5000.0
            _, grey, _ = prepared(scan_of(values.astype(np.float32)), tmp_path, target_um=40, percentiles=(0, 100))
            inside = np.take(grey, range(2, 58), axis=axis) - 5000
            assert np.abs(inside).max() == pytest.approx(1000 * kept, abs=12)


def test_a_sine_between_nyquist_and_the_voxel_size_is_damped_as_the_triangle_says(tmp_path):
    x, period = np.arange(400), 5.0  # new voxels are 4 old ones: it would alias to a period of 20
    values = np.broadcast_to(5000 + 1000 * np.sin(2 * np.pi * x / period), (4, 4, 400)).astype(np.float32)
    _, grey, _ = prepared(scan_of(values), tmp_path, target_um=40, percentiles=(0, 100))
    assert np.abs(grey[..., 3:-3] - 5000).max() < 1000 * (np.sinc(4 / period) ** 2 + 0.02) < 90


def test_a_ball_keeps_its_volume_and_its_centre(tmp_path):
    z, y, x = np.ogrid[:48, :50, :52]
    ball = ((z - 22.3) ** 2 + (y - 24.1) ** 2 + (x - 27.7) ** 2 < 15.0**2) * np.uint16(1000)
    volume, grey, _ = prepared(scan_of(ball), tmp_path, target_um=25)
    parts = grey.astype(float) / 1000
    volume_mm3 = parts.sum() * volume.geometry.voxel_volume_mm3
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * (15 * MM) ** 3, rel=0.01)
    index = np.stack(np.meshgrid(*map(np.arange, parts.shape), indexing="ij"), axis=-1)
    centre = volume.geometry.lps_from_index_zyx((index * parts[..., None]).sum(axis=(0, 1, 2)) / parts.sum())
    np.testing.assert_allclose(centre, MM * np.array([27.7, 24.1, 22.3]), atol=0.05 * MM)


@pytest.mark.parametrize("kind", ["folder", "h5", "packed"])
def test_the_result_does_not_depend_on_how_the_file_is_read(kind, tmp_path):
    h5py = pytest.importorskip("h5py")
    values = np.random.default_rng(1).normal(1000, 300, (23, 17, 19)).astype(np.float32)
    (tmp_path / "whole").mkdir()
    whole, _, _ = prepared(scan_of(values), tmp_path / "whole", target_um=27, percentiles=(1, 99))
    path = tmp_path / "scan.h5"
    if kind == "folder":
        path = write_folder(tmp_path / "slices", values, compression="zlib")
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("entry/data/data", data=values, chunks=(7, 5, 6), compression="gzip")
    else:
        path = tmp_path / "scan.nii.gz"
        write_volume(scan_of(values), path)
    for block_bytes in (1, 3000, 1 << 20):
        with open_volume(path, spacing_um=10, block_bytes=block_bytes) as scan:
            again, _, _ = prepared(scan, tmp_path, target_um=27, percentiles=(1, 99))
        np.testing.assert_array_equal(again.array, whole.array)
        assert again.geometry.same_grid(whole.geometry)


def test_what_is_cropped_has_the_values_that_the_whole_would_have(tmp_path):
    values = np.random.default_rng(2).integers(0, 60000, (24, 30, 36)).astype(np.uint16)
    whole, _, _ = prepared(scan_of(values), tmp_path, target_um=30)
    whole_array = np.array(whole.array)
    part, _, _ = prepared(scan_of(values), tmp_path, target_um=30, box=GivenBox(((9, 27), (6, 18), (3, 15))))
    np.testing.assert_array_equal(part.array, whole_array[1:5, 2:6, 3:9])
    assert part.geometry.same_grid(whole.geometry.cropped((1, 2, 3), (4, 4, 6)), 1e-6)


def test_a_box_in_mm_is_counted_from_the_first_corner_along_x_y_z():
    box = GivenBox(((0.03, 0.12), (0.0, 0.1), (0.05, 0.1)), in_mm=True)
    assert box.of(TURNED) == (slice(5, 10), slice(0, 5), slice(1, 4))


def test_a_region_of_slicer_gives_the_voxels_around_it():
    start, shape = (2, 3, 1), (5, 4, 6)
    centre = TURNED.lps_from_index_zyx(np.array(start) + (np.array(shape) - 1) / 2)
    size = np.array(shape[::-1]) * np.array(TURNED.spacing_zyx_mm[::-1])
    roi = OrientedBox(tuple(centre), TURNED.direction_matrix, tuple(size))
    assert PrepareOptions(roi=roi).box_of_roi(TURNED) == (slice(2, 7), slice(3, 7), slice(1, 7))


@pytest.mark.parametrize("end", ["31", "0.5", "1", "-1"])
def test_a_box_that_is_none_or_lies_outside_is_refused(end, tmp_path, capsys):
    write_volume(scan_of(np.zeros((30, 30, 30), np.uint16)), tmp_path / "s.nrrd")
    code = main(["prepare", str(tmp_path / "s.nrrd"), str(tmp_path / "o.nrrd"), "--box", f"1:{end},0:9,0:9"])
    assert code == 2 and "Expected a box" in capsys.readouterr().err.replace("expected a box", "Expected a box")
    assert not (tmp_path / "o.nrrd").exists()


def test_floating_point_values_become_16_bits_by_percentiles_and_what_is_clipped_is_counted(tmp_path):
    values = np.linspace(-1, 1, 1000, dtype=np.float32).reshape(10, 10, 10)
    volume, grey, counts = prepared(scan_of(values), tmp_path, percentiles=(10, 90))
    low, high = np.percentile(values, (10, 90))
    window = volume.provenance[KEY]
    assert (counts.clipped_below, counts.clipped_above) == (100, 100)
    assert (window["clipped_below"], window["clipped_above"], window["voxels_outside"]) == (100, 100, 0)
    assert window["percentiles"] == [10, 90]
    np.testing.assert_allclose(grey, np.clip(values, low, high), atol=0.6 * (high - low) / 65535)


def test_nan_around_the_field_of_view_becomes_0_and_counts_nowhere_else(tmp_path):
    y, x = np.ogrid[-15.5:16:1, -15.5:16:1]
    values = np.random.default_rng(3).uniform(100, 200, (8, 32, 32)).astype(np.float32)
    values[:, (y**2 + x**2) > 15.5**2] = np.nan
    volume, grey, counts = prepared(scan_of(values), tmp_path, target_um=20)
    array = np.array(volume.array)
    assert (array[:, 0, 0] == 0).all() and counts.outside == np.count_nonzero(
        array[:, [0, -1]] == 0
    ) + np.count_nonzero(array[:, 1:-1] == 0)
    assert grey[:, 4:12, 4:12].min() > 100


def test_nan_inside_the_field_of_view_is_told_with_its_place(tmp_path):
    values = np.ones((6, 8, 8), np.float32) * np.arange(8, dtype=np.float32)
    values[4, 3, 5] = np.inf
    with pytest.raises(InputError, match=r"in slice 4, the first in row 3, column 5"):
        prepared(scan_of(values), tmp_path)


def explant(shape=(60, 70, 80), contrast=(50, 300, 900)):
    """Air, a box of bone, and metal inside it."""
    values = np.random.default_rng(4).normal(contrast[0], 10, shape)
    values[20:45, 25:50, 30:62] += contrast[1]
    values[30:36, 33:40, 40:50] += contrast[2]
    values[2:4, 3:5, 2:4] += contrast[1]  # dirt
    return values.clip(0).astype(np.uint16)


@pytest.mark.parametrize("contrast", [(50, 300, 900), (50, 300, 9000), (0, 300, 900)], ids=["usual", "metal", "zero"])
def test_the_sample_is_found_whole_with_its_margin_and_without_dirt(contrast, tmp_path):
    volume, _, _ = prepared(scan_of(explant(contrast=contrast)), tmp_path, crop="sample", margin_mm=0.03)
    first = np.round(np.array(volume.geometry.origin_lps_mm[::-1]) / MM).astype(int)
    end = first + volume.geometry.shape_zyx
    assert (first <= (17, 22, 27)).all() and (first >= (11, 16, 21)).all()
    assert (end >= (48, 53, 65)).all() and (end <= (54, 59, 71)).all()


def test_a_round_field_of_view_is_not_taken_for_the_sample(tmp_path):
    values = explant().astype(np.float32) + 100
    y, x = np.ogrid[-1:1:70j, -1:1:80j]
    values[np.broadcast_to(y**2 + x**2 > 1, values.shape)] = 0
    volume, _, _ = prepared(scan_of(values), tmp_path, crop="sample", margin_mm=0.0)
    assert volume.geometry.shape_zyx < (40, 40, 50) and volume.geometry.extent_zyx_mm[2] < 0.5


def test_a_scan_without_a_sample_is_kept_whole_and_told(tmp_path):
    said = []
    planned = plan(
        scan_of(np.full((9, 9, 9), 5, np.uint16)), PrepareOptions(crop="sample"), Events(lambda e: said.append(e))
    )
    assert planned.grid.shape_zyx == (9, 9, 9)
    assert any("No sample stands out" in record.get("message", "") for record in said)


def test_without_a_voxel_size_the_finest_multiple_that_slicer_can_hold_is_chosen():
    grid = target_grid(Geometry((2130, 2510, 2510), (0.0024,) * 3), None)
    assert grid.spacing_zyx_mm == pytest.approx((0.0072,) * 3) and grid.shape_zyx == (710, 837, 837)
    assert target_grid(TURNED, None) == TURNED


def test_the_paper_sized_scan_stays_within_2_gb_whatever_its_type():
    class Huge:
        shape, ndim, size, nbytes = (2130, 2510, 2510), 3, 2130 * 2510**2, 0

        def __init__(self, dtype):
            self.dtype = np.dtype(dtype)

        def __getitem__(self, z):
            return np.broadcast_to(np.linspace(0, 1, 2510).astype(self.dtype), (2510, 2510))

    for dtype, target_um in (("uint16", 5), ("float32", 5), ("float32", None), ("uint16", 2.4)):
        scan = Volume(Huge(dtype), Geometry(Huge.shape, (0.0024,) * 3))
        assert (
            plan(
                scan, PrepareOptions(target_um=target_um, percentiles=None if dtype == "uint16" else (0, 100)), Events()
            ).memory_bytes
            < 1.5e9
        )


def test_too_little_memory_is_told_with_what_is_needed():
    with pytest.raises(ResourceError, match=r"Expected at least 0\.\d\d GB of memory for this scan, got 0\.10 GB"):
        plan(scan_of(np.zeros((9, 9, 9), np.uint16)), PrepareOptions(memory_gb=0.1), Events())


def test_a_cancelled_run_and_one_on_a_full_disk_leave_nothing(tmp_path, monkeypatch, capsys):
    source = write_folder(tmp_path / "slices", np.ones((9, 8, 8), np.uint16) * np.arange(8, dtype=np.uint16))
    scan = scan_of(np.zeros((9, 8, 8), np.uint16))
    calls = []

    def cancelled():
        calls.append(1)
        return len(calls) > 4

    with pytest.raises(Cancelled):
        prepare(scan, plan(scan, PrepareOptions(), Events()), tmp_path / "half.nrrd", Events(is_cancelled=cancelled))

    def full(path, slices, *_):
        next(iter(slices))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("MgImplantSegLib.preprocessing.prepare.write_nrrd_slices", full)
    (tmp_path / "out").mkdir()
    assert main(["prepare", str(source), str(tmp_path / "out" / "o.nrrd")]) == 2
    assert "Free disk space" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("fault", ["missing", "size", "type", "truncated", "damaged"])
def test_a_faulty_slice_is_told_in_one_line_and_nothing_is_left(fault, tmp_path, capsys):
    values = np.random.default_rng(5).integers(0, 60000, (9, 30, 30)).astype(np.uint16)
    folder = write_folder(tmp_path / "slices", values, compression="zlib")
    file = folder / "slice_0005.tif"
    if fault == "missing":
        file.unlink()
    elif fault in ("size", "type"):
        tifffile.imwrite(file, values[5, :20] if fault == "size" else values[5].astype(np.float32))
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 300] = bytes(300)
        file.write_bytes(content[:-200] if fault == "truncated" else content)
    (tmp_path / "out").mkdir()
    assert main(["prepare", str(folder), str(tmp_path / "out" / "o.nrrd")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("mgimplantseg prepare: error: Expected") and "slice_0005.tif" in said[-1].replace(
        "slice_0006.tif after slice_0004.tif", "slice_0005.tif"
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_says_what_it_takes_beforehand_and_what_it_made(tmp_path, capsys):
    folder = write_folder(tmp_path / "slices", explant())
    words = [
        str(folder),
        str(tmp_path / "o.nrrd"),
        "--crop",
        "sample",
        "--target-um",
        "20",
        "--json",
        str(tmp_path / "r"),
    ]
    assert main(["prepare", *words, "--estimate", "--preview", str(tmp_path / "p.png")]) == 0
    said = json.loads((tmp_path / "r").read_text())
    assert not (tmp_path / "o.nrrd").exists() and said["written"] is False and said["seconds"] >= 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert main(["prepare", *words]) == 0
    done = json.loads((tmp_path / "r").read_text())
    assert (
        done["voxels"] == said["voxels"] and done["box"] == said["box"] and done["voxel_um"] == pytest.approx([20] * 3)
    )
    size = (tmp_path / "o.nrrd").stat().st_size
    assert 0 < size - done["output_bytes"] < 3000
    assert "80 × 70 × 60 voxels of uint16" in capsys.readouterr().err
    volume = read_volume(tmp_path / "o.nrrd")
    header = (tmp_path / "o.nrrd").read_bytes()[:2000].decode("utf-8", "replace")
    assert volume.spacing_is_known and '"scan": "slices"' in header and '"box"' in header


def test_a_roi_file_crops_and_two_ways_to_crop_are_refused(tmp_path, capsys):
    write_volume(scan_of(explant()), tmp_path / "s.nrrd")
    write_roi_markups([OrientedBox((0.3, 0.3, 0.3), size_mm=(0.2, 0.2, 0.2))], tmp_path / "r.mrk.json")
    words = ["prepare", str(tmp_path / "s.nrrd"), str(tmp_path / "o.nrrd"), "--roi", str(tmp_path / "r.mrk.json")]
    assert main(words) == 0
    assert read_volume(tmp_path / "o.nrrd").array.shape == (21, 21, 21)
    assert main([*words, "--crop", "sample"]) == 2
    assert "one way to crop" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--percentiles", "90", "10"], "two percentiles in order"),
        (["--percentiles", "0", "x"], "percentile from 0 to 100"),
        (["--target-um", "0"], "above 0"),
        (["--target-um", "5000"], "finer than the scan"),
        (["--box", "nonsense"], "a box as X0:X1"),
        (["--crop", "sampel"], "Did you mean sample"),
    ],
)
def test_options_that_cannot_be_are_told(words, said, tmp_path, capsys):
    write_volume(scan_of(explant()), tmp_path / "s.nrrd")
    assert main(["prepare", str(tmp_path / "s.nrrd"), str(tmp_path / "o.nrrd"), *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["o.mha", "o.seg.nrrd", "o"])
def test_only_nrrd_is_written(name, tmp_path, capsys):
    write_volume(scan_of(explant()), tmp_path / "s.nrrd")
    assert main(["prepare", str(tmp_path / "s.nrrd"), str(tmp_path / name)]) == 2
    assert "suffix .nrrd" in capsys.readouterr().err


def test_a_scan_without_a_voxel_size_is_refused(tmp_path, capsys):
    write_volume(scan_of(explant(), Geometry((60, 70, 80))), tmp_path / "s.nrrd")
    assert main(["prepare", str(tmp_path / "s.nrrd"), str(tmp_path / "o.nrrd")]) == 2
    assert "--spacing-um" in capsys.readouterr().err


def test_a_header_of_another_length_after_the_slices_is_a_fault(tmp_path):
    keys = iter([{"a": "1"}, {"a": "11"}])
    with pytest.raises(ValueError, match="headers"):
        write_nrrd_slices(
            tmp_path / "a.nrrd",
            [np.zeros((2, 2), np.uint16)],
            np.dtype(np.uint16),
            Geometry((1, 2, 2)),
            lambda: next(keys),
        )


def test_a_damaged_window_in_a_header_is_told_and_left_out(tmp_path, caplog):
    prepared(scan_of(explant()), tmp_path)
    content = (tmp_path / "out.nrrd").read_bytes().replace(b'"slope": 1.0', b'"slope": 0.0')
    (tmp_path / "out.nrrd").write_bytes(content)
    assert KEY not in read_volume(tmp_path / "out.nrrd").provenance
    assert "grey-value window" in caplog.text


def test_doctor_says_what_a_raw_scan_takes():
    checks = {check["name"]: check for check in doctor.run(None, Events())["checks"]}
    found = checks["large scans"]["found"]
    assert "2510 × 2510 × 2130 float32 (54 GB)" in found and "prepare to 5 µm takes 0." in found
    assert "segment --grid model takes" in found


def test_what_is_said_of_the_memory_grows_with_the_slice_and_the_type_not_with_the_number_of_slices():
    of = lambda shape, dtype: memory_of_type(Geometry(shape, (0.0024,) * 3), np.dtype(dtype), 10.0)  # noqa: E731
    assert of((500, 2000, 2000), "uint16") == of((5000, 2000, 2000), "uint16")
    assert of((500, 2000, 2000), "uint16") < of((500, 2000, 2000), "float32") < of((500, 3000, 3000), "float32")


def test_the_preview_shows_three_slices_to_one_scale_with_the_box_around_what_is_kept():
    values = np.zeros((40, 80, 80), np.float32)
    values[10:30, 20:40, 40:80] = 1
    scan = scan_of(values, Geometry((40, 80, 80), (0.02, 0.01, 0.01)))
    look = coarse_look(scan, Events())
    box = (slice(10, 30), slice(20, 40), slice(40, 80))
    picture = preview_picture(look, box, scan.geometry)
    assert picture.shape == (220, 3 * 220 + 12, 3)
    is_box = (picture == (255, 170, 0)).all(axis=-1)
    across_z = np.argwhere(is_box[:, :220])
    np.testing.assert_array_equal(across_z.min(axis=0), [55, 110])
    np.testing.assert_array_equal(across_z.max(axis=0), [110, 219])
    white = np.argwhere((picture[:, :220] == 255).all(axis=-1))
    np.testing.assert_array_equal([white.min(axis=0), white.max(axis=0)], [[56, 111], [109, 218]])
