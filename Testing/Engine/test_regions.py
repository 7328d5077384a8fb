"""ROI boxes: which voxels lie inside, on turned grids and on faces, and Slicer's markups files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from measured_shapes import plain_grid, turned_grid

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.regions import OrientedBox, read_roi_markups, write_roi_markups

TURNED = ((0.8, 0.0, -0.6), (0.36, 0.8, 0.48), (0.48, -0.6, 0.64))


def test_a_box_on_voxel_faces_holds_exactly_the_voxels_between_them():
    inside = OrientedBox((4.5, 3.5, 2.5), size_mm=(4, 2, 6)).mask(plain_grid(6, 8, 10))
    expected = np.zeros((6, 8, 10), dtype=bool)
    expected[0:6, 3:5, 3:7] = True
    np.testing.assert_array_equal(inside, expected)


def test_a_box_whose_faces_pass_through_voxel_centres_holds_as_many_voxels_as_its_volume():
    inside = OrientedBox((4, 4, 4), size_mm=(4, 4, 4)).mask(plain_grid(9, 9, 9))
    assert inside.sum() == 64


def test_boxes_that_share_a_face_share_no_voxel_and_leave_none_out():
    grid = plain_grid(8, 8, 8)
    left = OrientedBox((2, 3.5, 3.5), size_mm=(4, 8, 8)).mask(grid)
    right = OrientedBox((6, 3.5, 3.5), size_mm=(4, 8, 8)).mask(grid)
    assert not (left & right).any()
    assert (left | right).sum() == 8 * 8 * 8


@pytest.mark.parametrize("axes", [np.eye(3), np.array(TURNED), -np.array(TURNED)])
def test_a_turned_box_on_a_turned_anisotropic_grid_holds_its_volume_to_a_percent(axes):
    grid = turned_grid(1.2, (0.03, 0.02, 0.01))
    middle = grid.lps_from_index_zyx((np.array(grid.shape_zyx) - 1) / 2)
    box = OrientedBox(tuple(middle), axes, (0.5, 0.4, 0.3))
    assert box.mask(grid).sum() * grid.voxel_volume_mm3 == pytest.approx(box.volume_mm3, rel=0.01)


def test_a_turned_box_holds_the_voxels_whose_coordinates_along_its_edges_are_within_half_its_size():
    grid = turned_grid(1.2, (0.06, 0.05, 0.04))
    middle = grid.lps_from_index_zyx((np.array(grid.shape_zyx) - 1) / 2)
    inside = OrientedBox(tuple(middle), TURNED, (0.51, 0.43, 0.33)).mask(grid)
    for index in ((0, 0, 0), (10, 12, 15), (12, 9, 17), (10, 10, 20), (8, 15, 15)):
        along = np.array(TURNED).T @ (grid.lps_from_index_zyx(np.array(index)) - middle)
        assert inside[index] == bool((np.abs(along) < np.array([0.51, 0.43, 0.33]) / 2).all()), index


def test_the_index_bounds_hold_the_whole_mask_and_end_at_the_grid():
    grid = turned_grid(1.0, (0.05, 0.04, 0.03))
    box = OrientedBox(tuple(grid.lps_from_index_zyx(np.array([2.0, 10, 10]))), TURNED, (0.4, 0.5, 0.6))
    bounds = box.index_bounds(grid)
    start, shape = zip(*[(part.start, part.stop - part.start) for part in bounds], strict=True)
    whole = box.mask(grid)
    assert 0 < whole.sum() == whole[bounds].sum()
    np.testing.assert_array_equal(box.mask(grid.cropped(start, shape)), whole[bounds])
    assert min(start) >= 0


def test_a_box_outside_the_grid_holds_nothing():
    grid = plain_grid(5, 5, 5)
    far = OrientedBox((50, 50, 50), size_mm=(3, 3, 3))
    assert not far.mask(grid).any()
    assert 0 in [part.stop - part.start for part in far.index_bounds(grid)]


def test_scaling_of_a_parent_transform_goes_into_the_size():
    matrix = np.diag([2.0, 3.0, 4.0, 1.0])
    matrix[:3, 3] = 1, 2, 3
    box = OrientedBox.from_matrix(matrix, (1, 1, 1), "scaled")
    assert box.size_mm == (2, 3, 4)
    assert box.centre_lps_mm == (1, 2, 3)


def test_a_shearing_transform_is_refused():
    matrix = np.eye(4)
    matrix[0, 1] = 0.5
    with pytest.raises(InputError, match="perpendicular"):
        OrientedBox.from_matrix(matrix, (1, 1, 1))


@pytest.mark.parametrize("size", [(0, 1, 1), (-1, 1, 1), (np.nan, 1, 1), (np.inf, 1, 1)])
def test_a_box_without_volume_is_refused(size):
    with pytest.raises(InputError, match="positive edge lengths"):
        OrientedBox((0, 0, 0), size_mm=size)


def markups_file(folder, **changes):
    roi = {
        "type": "ROI",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "roiType": "Box",
        "center": [1.0, 2.0, 3.0],
        "orientation": [a for row in TURNED for a in row],
        "size": [4.0, 5.0, 6.0],
        "insideOut": False,
    }
    path = folder / "head of screw.mrk.json"
    path.write_text(json.dumps({"markups": [{**roi, **changes}]}), encoding="utf-8")
    return path


def test_a_file_in_lps_is_taken_as_it_is_and_named_after_the_file(tmp_path):
    (box,) = read_roi_markups(markups_file(tmp_path))
    assert box.name == "head of screw"
    assert box.centre_lps_mm == (1, 2, 3)
    np.testing.assert_allclose(box.axes_matrix, TURNED)
    assert box.size_mm == (4, 5, 6)


def test_a_file_in_ras_has_its_first_two_coordinates_turned_around(tmp_path):
    (box,) = read_roi_markups(markups_file(tmp_path, coordinateSystem="RAS"))
    assert box.centre_lps_mm == (-1, -2, 3)
    np.testing.assert_allclose(box.axes_matrix, np.diag([-1, -1, 1]) @ np.array(TURNED))


def test_other_units_become_millimetres(tmp_path):
    (box,) = read_roi_markups(markups_file(tmp_path, coordinateUnits=["um", "um"]))
    assert box.size_mm == pytest.approx((0.004, 0.005, 0.006))
    assert box.centre_lps_mm == pytest.approx((0.001, 0.002, 0.003))


@pytest.mark.parametrize(
    "changes",
    [
        {"size": [1, 2]},
        {"size": [0, 1, 1]},
        {"center": "x"},
        {"orientation": [1] * 9},
        {"coordinateSystem": "XYZ"},
        {"coordinateUnits": "furlong"},
        {"insideOut": True},
        {"type": "Fiducial"},
        {"center": [1, 2, float("nan")]},
        {"center": [1, 2, 10**400]},
        {"center": [1, 2, 1e300]},
        {"size": [1, 2, 10**4000]},
        {"center": [1, 2, None]},
        {"center": [[1, 2], 3]},
        {"center": {"x": 1}},
        {"orientation": "none"},
        {"orientation": [1, 0, 0]},
        {"coordinateUnits": []},
        {"coordinateUnits": {"unit": "mm"}},
        {"coordinateSystem": ["LPS"]},
    ],
)
def test_an_unusable_roi_is_refused_in_one_line(tmp_path, changes):
    with pytest.raises(InputError) as refusal:
        read_roi_markups(markups_file(tmp_path, **changes))
    assert len(refusal.value.message) < 600
    assert "\n" not in refusal.value.message


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("head", "head"),
        ("two\nlines\tand \x1b[31mred", "two lines and [31mred"),
        ("x" * 1000, "x" * 80),
        ("", "head of screw"),
        (" \n", "head of screw"),
        (None, "head of screw"),
        (["a"], "head of screw"),
    ],
)
def test_the_name_of_an_roi_is_one_short_line(tmp_path, name, read):
    (box,) = read_roi_markups(markups_file(tmp_path, name=name))
    assert box.name == read


def test_a_byte_order_mark_does_not_matter(tmp_path):
    path = markups_file(tmp_path)
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert read_roi_markups(path)[0].centre_lps_mm == (1, 2, 3)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"markups": 3}', '{"markups": [1]}', "\x00\xff", "null", '{"markups": {"type": "ROI"}}'),
        '{"markups":' + "[" * 100_000,
        '{"markups": ' + '{"a":' * 100_000,
        '{"markups": [' + "9" * 100_000 + "]}",
    ],
)
def test_a_file_that_is_no_markups_file_is_refused(tmp_path, text):
    path = tmp_path / "broken.mrk.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError):
        read_roi_markups(path)


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="could not read"):
        read_roi_markups(tmp_path / "none.mrk.json")


def test_boxes_survive_writing_and_reading(tmp_path):
    boxes = (OrientedBox((1, 2, 3), TURNED, (4, 5, 6), "one"), OrientedBox((-1, 0, 1), size_mm=(1, 1, 2), name="zwei"))
    write_roi_markups(boxes, tmp_path / "both.mrk.json")
    assert read_roi_markups(tmp_path / "both.mrk.json") == boxes


def test_slicer_reads_what_was_written_and_the_other_way_round(tmp_path, required_package):
    slicer = required_package("slicer")
    box = OrientedBox((1, 2, 3), TURNED, (4, 5, 6), "turned")
    write_roi_markups([box], tmp_path / "ours.mrk.json")
    scene = slicer.vtkMRMLScene()
    node, storage = slicer.vtkMRMLMarkupsROINode(), slicer.vtkMRMLMarkupsROIJsonStorageNode()
    scene.AddNode(node)
    scene.AddNode(storage)
    storage.SetFileName(str(tmp_path / "ours.mrk.json"))
    assert storage.ReadData(node)
    matrix = node.GetObjectToWorldMatrix()
    to_ras = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
    in_slicer = OrientedBox.from_matrix(np.diag([-1, -1, 1, 1]) @ to_ras, node.GetSize())
    np.testing.assert_allclose(in_slicer.centre_lps_mm, box.centre_lps_mm, atol=1e-9)
    np.testing.assert_allclose(in_slicer.axes_matrix, box.axes_matrix, atol=1e-9)
    storage.SetFileName(str(tmp_path / "theirs.mrk.json"))
    assert storage.WriteData(node)
    (again,) = read_roi_markups(tmp_path / "theirs.mrk.json")
    np.testing.assert_allclose(again.axes_matrix, box.axes_matrix, atol=1e-9)
    assert again.size_mm == pytest.approx(box.size_mm)


@pytest.mark.parametrize(("key", "value"), [("center", [float("nan"), 0, 0]), ("size", [-1, 1, 1])])
def test_numbers_that_are_no_box_name_the_file(tmp_path, key, value):
    path = tmp_path / "left.mrk.json"
    write_roi_markups([OrientedBox((0, 0, 0), size_mm=(1, 1, 1), name="left")], path)
    data = json.loads(path.read_text("utf-8"))
    data["markups"][0][key] = value
    path.write_text(json.dumps(data), "utf-8")
    with pytest.raises(InputError, match=r"left\.mrk\.json\. (Save|Set the size of) the ROI"):
        read_roi_markups(path)
