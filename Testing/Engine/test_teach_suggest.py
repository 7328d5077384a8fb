"""Which slices are suggested: on the implant, in several orientations, where planes disagree, not where labels are."""

from __future__ import annotations

import json

import numpy as np
import pytest
from threshold_model import save_threshold_model

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.cli import main
from MgImplantSegLib.cli.parser import flag_of
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.training.teach.slices import SliceName
from MgImplantSegLib.training.teach.suggestion import suggest_slices

SHAPE = (60, 40, 40)
GRID = Geometry(SHAPE, (0.02,) * 3)
INSIDE = (slice(10, 50), slice(10, 30), slice(10, 30))


def segmentation() -> LabelMap:
    """A block of metal, longest along z, in a field with some bone at the border."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, :4] = 1
    labels[INSIDE] = 3
    return LabelMap(labels, GRID)


def disagreement(*slices: SliceName, grid=GRID) -> Volume:
    array = np.zeros(grid.shape_zyx, np.float32)
    for entry in slices:
        array[entry.place] = 1
    return Volume(array, grid)


def names(*arguments, **options) -> list[SliceName]:
    return [entry.name for entry in suggest_slices(*arguments, **options)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_as_many_slices_as_wanted_all_on_the_implant_the_long_axis_first(count):
    found = names(segmentation(), disagreement(), count)
    assert len(set(found)) == count
    assert all(INSIDE[entry.axis].start <= entry.index < INSIDE[entry.axis].stop for entry in found)
    per_axis = [sum(entry.axis == axis for entry in found) for axis in range(3)]
    assert max(per_axis) - min(per_axis) <= 1
    assert per_axis[0] == max(per_axis)


def test_without_disagreement_slices_lie_in_the_middle_of_equal_parts():
    found = names(segmentation(), disagreement(), 3)
    assert [(entry.axis, entry.index) for entry in found] == [(0, 29), (1, 19), (2, 19)]


def test_slices_are_moved_to_where_the_planes_disagree():
    worst = (SliceName(0, 18), SliceName(0, 41), SliceName(1, 22))
    assert set(worst) <= set(names(segmentation(), disagreement(*worst), 5))


def test_disagreement_away_from_the_implant_does_not_count():
    far = disagreement()
    far.array[18, :9, :] = 1
    far.array[24, 15:20, 15:20] = 0.1
    assert SliceName(0, 24) in names(segmentation(), far, 1)


def test_a_coarser_grid_of_the_disagreement_is_understood():
    coarse = GRID.resampled((0.04,) * 3)
    (found,) = names(segmentation(), disagreement(SliceName(0, 9), grid=coarse), 1)
    assert found.axis == 0
    assert 18 <= found.index <= 19


def test_slices_that_are_done_are_not_suggested_again_nor_their_neighbours():
    first = names(segmentation(), disagreement(), 3)
    second = names(segmentation(), disagreement(), 3, done=first)
    assert all(abs(a.index - b.index) >= 3 for a in first for b in second if a.axis == b.axis)


def test_the_point_of_a_slice_lies_on_it_in_the_middle_of_the_implant():
    grid = Geometry(SHAPE, (0.02,) * 3, (5.0, -3.0, 2.0), (0.6, 0.8, 0, -0.8, 0.6, 0, 0, 0, 1))
    labels = LabelMap(segmentation().array, grid)
    found = suggest_slices(labels, disagreement(grid=grid), 1)[0]
    assert grid.index_zyx_from_lps(np.array(found.centre_lps_mm)) == pytest.approx([29, 19.5, 19.5])
    assert found.to_dict()["slice"] == "z:29"
    assert found.roles == ("background", "bone", "residual_material")


def test_where_there_is_no_implant_all_classes_count_and_without_any_the_whole_scan():
    bone = np.zeros(SHAPE, np.uint8)
    bone[40:50] = 1
    assert 40 <= names(LabelMap(bone, GRID), disagreement(), 3)[0].index < 50
    assert len(names(LabelMap(0 * bone, GRID), disagreement(), 3)) == 3


def test_more_slices_than_the_implant_has_are_refused():
    labels = np.zeros(SHAPE, np.uint8)
    labels[20:22, 20:22, 20:22] = 3
    with pytest.raises(InputError, match="got space for"):
        suggest_slices(LabelMap(labels, GRID), disagreement(), 9)


def test_a_done_slice_outside_and_other_axes_are_refused():
    with pytest.raises(InputError, match=r"within the scan of .* got z:60"):
        suggest_slices(segmentation(), disagreement(), 3, [SliceName(0, 60)])
    turned = Geometry(SHAPE, (0.02,) * 3, direction_lps=(0, 1, 0, 1, 0, 0, 0, 0, -1))
    with pytest.raises(InputError, match="other directions"):
        suggest_slices(segmentation(), disagreement(grid=turned), 3)


def values(number: float) -> Volume:
    return Volume(np.full(SHAPE, number, np.float32), GRID)


NO_DISAGREEMENTS = {
    "of another place": (disagreement(grid=Geometry(SHAPE, (0.02,) * 3, (9.0, 9.0, 9.0))), "another place"),
    "of a part without the implant": (disagreement(grid=GRID.cropped((0, 0, 0), (10, 40, 40))), "another place"),
    "undefined": (values(np.nan), "values of nan"),
    "a scan": (values(20000), "values of 20000"),
    "negative": (values(-0.5), "values of -0.5"),
}


@pytest.mark.parametrize("case", NO_DISAGREEMENTS)
def test_what_is_no_disagreement_of_this_image_is_refused(case):
    wrong, expected = NO_DISAGREEMENTS[case]
    with pytest.raises(InputError, match=expected) as caught:
        suggest_slices(segmentation(), wrong, 3)
    assert "--disagreement" in caught.value.advice(flag_of)


def test_a_disagreement_of_a_part_with_some_of_the_implant_is_enough():
    part = disagreement(grid=GRID.cropped((0, 0, 0), (30, 40, 40)))
    part.array[18] = 1
    assert names(segmentation(), part, 1) == [SliceName(0, 18)]


def test_the_command_warns_of_a_segmentation_without_any_class(tmp_path, capsys):
    write_volume(Volume(np.random.default_rng(0).random(SHAPE, np.float32), GRID), tmp_path / "scan.nrrd")
    write_label_map(LabelMap(np.zeros(SHAPE, np.uint8), GRID), tmp_path / "seg.nrrd")
    write_volume(disagreement(), tmp_path / "d.nrrd")
    words = ["suggest", str(tmp_path / "scan.nrrd"), str(tmp_path / "seg.nrrd")]
    assert main([*words, "--disagreement", str(tmp_path / "d.nrrd")]) == 0
    assert "The segmentation has no class" in capsys.readouterr().err


def test_the_command_takes_a_file_of_disagreement_or_segments_itself(tmp_path):
    labels = segmentation()
    grey = np.array([0.0, 80.0, 160.0, 255.0], np.float32)[labels.array]
    write_volume(Volume(grey, GRID), tmp_path / "scan.nrrd")
    write_label_map(labels, tmp_path / "seg.seg.nrrd")
    write_volume(disagreement(SliceName(0, 18)), tmp_path / "d.nrrd")
    model = save_threshold_model(tmp_path / "m.mgmodel", 20.0)
    words = ["suggest", str(tmp_path / "scan.nrrd"), str(tmp_path / "seg.seg.nrrd"), "--json", str(tmp_path / "r.json")]
    assert main([*words, "--count", "1", "--disagreement", str(tmp_path / "d.nrrd")]) == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["done_slices"] == "z:18"
    assert found["slices"][0]["disagreement"] == pytest.approx(1 / 2, abs=0.01)
    assert main([*words, "--count", "3", "--model", str(model), "--device", "cpu"]) == 0
    assert len(json.loads((tmp_path / "r.json").read_text())["slices"]) == 3
