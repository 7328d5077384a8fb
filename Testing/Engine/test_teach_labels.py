"""What of painted slices, regions and scribbles counts as labelled, and where it lies on the model's grid."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from teach_cases import painted_on
from training_cases import labelled_scan

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli.parser import flag_of
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.regions import OrientedBox, write_roi_markups
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.io.image_data import Segment
from MgImplantSegLib.io.terminology import is_ignored
from MgImplantSegLib.preprocessing.preprocess import Preprocessing
from MgImplantSegLib.training.loop.losses import IGNORE
from MgImplantSegLib.training.teach.grid import labelled_on_grid
from MgImplantSegLib.training.teach.labelled import labelled_part
from MgImplantSegLib.training.teach.scan import read_scan
from MgImplantSegLib.training.teach.settings import Pair, read_pairs
from MgImplantSegLib.training.teach.slices import SliceName, painted_slices, parse_slices

LABELS = labelled_scan(0)[1]
GRID = Geometry(LABELS.shape, (0.02,) * 3)
GRID_OF_10 = Geometry((8, 9, 10), (0.02,) * 3)


def part(labels, events=None, scheme=None, **said):
    """Labels with `IGNORE` where they do not count, and the done slices."""
    label_map = LabelMap(labels, GRID, scheme or LabelScheme())
    found = labelled_part(label_map, Pair(Path("scan.nrrd"), Path("labels.nrrd"), **said), events or Events())
    return SimpleNamespace(channels=np.where(found.mask, labels, np.uint8(IGNORE)), slices=found.slices)


def warnings_of(labels, **said):
    found = []
    part(labels, Events(lambda record: found.append(record["message"])), **said)
    return found


def test_slices_are_said_by_axis_and_index():
    assert parse_slices("z:40, Y:12,z:40") == (SliceName(0, 40), SliceName(1, 12))
    assert parse_slices("") == ()


@pytest.mark.parametrize("text", ["40", "a:1", "z:-1", "z:1.5", "z=3", "z:1 y:2"])
def test_another_notation_of_slices_is_refused(text):
    with pytest.raises(InputError, match="Expected slices like z:40"):
        parse_slices(text)


@pytest.mark.parametrize("said", ["z:5", "z:5,z:13,z:20", "z:4,y:12,x:11", "y:10,y:11", "x:11"])
def test_painted_slices_are_found_in_any_orientation(said):
    painted = painted_on(LABELS, said) > 0
    assert painted_slices(painted) == tuple(sorted(parse_slices(said)))


def test_labels_all_over_the_volume_are_no_painted_slices():
    assert painted_slices(LABELS > 0) is None


def test_a_done_slice_is_labelled_wholly_and_nothing_else_is():
    found = part(LABELS, done_slices="z:5")
    assert (found.channels[5] == LABELS[5]).all()
    assert (np.delete(found.channels, 5, axis=0) == IGNORE).all()
    assert found.slices == (SliceName(0, 5),)


def test_what_is_marked_as_not_labelled_does_not_count_in_a_done_slice_either():
    labels = LABELS.copy()
    labels[5, :10] = 9
    found = part(labels, scheme=LabelScheme(ignore_value=9), done_slices="z:5")
    assert (found.channels[5, :10] == IGNORE).all()
    assert (found.channels[5, 10:] == LABELS[5, 10:]).all()


def test_in_a_region_all_is_labelled_background_too(tmp_path):
    box = OrientedBox.from_matrix(np.diag([1, 1, 1, 1.0]), (0.1, 0.1, 0.1))
    write_roi_markups([box], tmp_path / "roi.mrk.json")
    found = part(LABELS, roi=tmp_path / "roi.mrk.json")
    assert found.channels[:3, :3, :3].tolist() == LABELS[:3, :3, :3].tolist()
    assert (found.channels != IGNORE).sum() == 27


def test_scribbles_are_labelled_alone():
    labels = np.zeros_like(LABELS)
    labels[3, 4, 5:9] = 1
    labels[8, 4, 5] = 3
    found = part(labels, labelled="painted")
    assert (found.channels != IGNORE).sum() == 5
    assert found.slices == ()


def test_painted_slices_are_done_slices_when_nothing_else_is_said():
    found = part(painted_on(LABELS, "z:4,y:12"))
    assert found.slices == (SliceName(0, 4), SliceName(1, 12))
    assert (found.channels[4] == LABELS[4]).all()
    assert (found.channels[5, 3] == IGNORE).all()


def test_with_a_value_for_not_labelled_all_other_voxels_are_labelled():
    labels = np.full_like(LABELS, 9)
    labels[:6] = LABELS[:6]
    found = part(labels, scheme=LabelScheme(ignore_value=9))
    assert (found.channels[:6] == LABELS[:6]).all()
    assert (found.channels[6:] == IGNORE).all()


def test_a_whole_volume_of_labels_without_done_slices_is_refused_unless_all_is_said_to_be_labelled():
    with pytest.raises(InputError, match="individually painted slices") as caught:
        part(LABELS)
    assert "--done-slices" in caught.value.advice(flag_of)
    assert (part(LABELS, labelled="all").channels == LABELS).all()


def test_nothing_painted_is_refused():
    with pytest.raises(InputError, match="painted voxels"):
        part(np.zeros_like(LABELS))


def test_a_done_slice_without_a_labelled_voxel_is_refused():
    labels = LABELS.copy()
    labels[5] = 9
    with pytest.raises(InputError, match="Expected labels in 'scan', got none"):
        part(labels, scheme=LabelScheme(ignore_value=9), done_slices="z:5")


def test_a_done_slice_outside_the_scan_is_refused():
    with pytest.raises(InputError, match=r"got x:22\.") as caught:
        part(LABELS, done_slices="z:5,x:22")
    assert "0 to 21" in caught.value.remedy


def test_a_slice_filled_with_one_class_is_warned_of_and_an_ordinary_one_is_not():
    overpainted = LABELS.copy()
    overpainted[9] = 1
    assert warnings_of(LABELS, done_slices="z:5,z:9") == []
    (warning,) = warnings_of(overpainted, done_slices="z:5,z:9")
    assert "z:9" in warning
    assert "one class covers it entirely" in warning


def test_a_slip_of_the_brush_is_warned_of_where_it_would_make_a_done_slice():
    labels = np.zeros((40, 60, 60), np.uint8)
    labels[20, 10:30, 10:30] = 1
    labels[30, 5, 5] = 1
    grid, found = Geometry(labels.shape, (0.02,) * 3), []
    events = Events(lambda record: found.append(record["message"]))
    labelled_part(LabelMap(labels, grid), Pair(Path("scan.nrrd"), Path("labels.nrrd")), events)
    assert [message[:14] for message in found] == ["The slice z:30"]


def test_a_done_slice_on_which_nothing_is_painted_is_warned_of():
    (warning,) = warnings_of(painted_on(LABELS, "z:5"), done_slices="z:5,z:20")
    assert "z:20" in warning
    assert "counts entirely as background" in warning


def test_a_done_slice_of_which_nothing_is_labelled_is_warned_of_and_is_no_slice_any_more():
    """Else it could be held out, and nothing could be measured on it."""
    labels, warned = LABELS.copy(), []
    labels[20] = 9
    events = Events(lambda record: warned.append(record["message"]))
    found = part(labels, events, scheme=LabelScheme(ignore_value=9), done_slices="z:5,z:20")
    assert found.slices == (SliceName(0, 5),)
    assert ["z:20" in message and "left out" in message for message in warned] == [True]


def test_labels_painted_beyond_the_scan_are_warned_of_and_those_that_only_cover_a_part_are_not(tmp_path):
    write_volume(Volume(np.random.default_rng(0).random((8, 9, 10), np.float32), GRID_OF_10), tmp_path / "scan.nrrd")

    def warned_of(part: tuple[slice, ...], first_z: int) -> list[str]:
        labels = np.zeros((8, 9, 10), np.uint8)
        labels[part] = 1
        grid = Geometry(labels.shape, (0.02,) * 3, (0.0, 0.0, 0.02 * first_z))
        write_label_map(LabelMap(labels, grid), tmp_path / "labels.nrrd")
        pair, found = Pair(tmp_path / "scan.nrrd", tmp_path / "labels.nrrd", done_slices="z:5"), []
        events = Events(lambda record: found.append(record["message"]))
        read_scan(pair, Preprocessing(20.0), LabelScheme(), tmp_path / "m.mgmodel", events)
        return found

    (warning,) = warned_of(np.s_[2:, 2:4, 3:5], first_z=3)  # slices 5 to 10 of the scan, which ends with slice 7
    assert warning.startswith("12 voxels of the labels of 'scan' are painted outside the scan")
    assert warned_of(np.s_[2:5, 2:4, 3:5], first_z=3) == []


def test_a_labelled_slice_of_fine_voxels_is_one_slice_of_coarse_ones():
    fine = Geometry((24, 16, 16), (0.005,) * 3)
    coarse = fine.resampled((0.02,) * 3)
    for index in range(24):
        channels = np.full(fine.shape_zyx, IGNORE, np.uint8)
        channels[index, :, :8] = 1
        channels[index, :, 8:] = 2
        found = labelled_on_grid(channels, fine, coarse)
        assert (found != IGNORE).any(axis=(1, 2)).nonzero()[0].tolist() == [index // 4]
        assert found[index // 4].tolist() == [[1, 1, 2, 2]] * 4


def test_of_several_labelled_fine_voxels_the_nearest_to_the_middle_counts():
    fine = Geometry((3, 3, 3), (0.01,) * 3)
    coarse = Geometry((1, 1, 1), (0.03,) * 3, fine.lps_from_index_zyx(np.ones(3)))
    channels = np.full((3, 3, 3), IGNORE, np.uint8)
    channels[0, 0, 0], channels[2, 1, 1], channels[0, 2, 2] = 1, 2, 3
    assert labelled_on_grid(channels, fine, coarse).tolist() == [[[2]]]


def test_labels_of_coarse_voxels_fill_the_fine_ones_within():
    coarse = Geometry((3, 3, 3), (0.04,) * 3)
    channels = np.full((3, 3, 3), IGNORE, np.uint8)
    channels[1] = 1
    found = labelled_on_grid(channels, coarse, coarse.resampled((0.02,) * 3))
    assert (found == 1).all(axis=(1, 2)).nonzero()[0].tolist() == [2, 3]
    assert (found != IGNORE).sum() == 2 * 36


def test_a_file_of_pairs_names_an_unknown_key_and_the_nearest_known_one(tmp_path):
    (tmp_path / "pairs.toml").write_text('[[pairs]]\nimage = "a.nrrd"\nlabels = "b.nrrd"\ndone_slice = "z:1"\n')
    with pytest.raises(InputError, match="done_slice") as caught:
        read_pairs(tmp_path / "pairs.toml")
    assert "done_slices" in caught.value.remedy


def test_paths_in_a_file_of_pairs_start_from_its_folder(tmp_path):
    (tmp_path / "pairs.toml").write_text('[[pairs]]\nimage = "a.nrrd"\nlabels = "b.nrrd"\nroi = "c.mrk.json"\n')
    (pair,) = read_pairs(tmp_path / "pairs.toml")
    assert (pair.image, pair.labels, pair.roi) == tuple(tmp_path / name for name in ("a.nrrd", "b.nrrd", "c.mrk.json"))
    assert pair.name == "a"


@pytest.mark.parametrize("name", ["Not labelled", "not_labeled", "ignore", "Unlabelled"])
def test_a_segment_of_that_name_says_that_nothing_is_labelled_there(name):
    assert is_ignored(Segment(7, "Segment_7", name, (0.5, 0.5, 0.5), None))
