"""A segmentation in parts is the one of a single process, whatever the parts are."""

from __future__ import annotations

import json
from itertools import groupby

import numpy as np
import pytest
from test_inference_fused import SHAPE, by_grey_value, smooth_volume
from threshold_model import save_threshold_model

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.inference.fused import FusedPlan, all_stretches, predict_fused
from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.inference.parts import Part, merged, save_part
from MgImplantSegLib.inference.segmenter import SegmentationRun
from MgImplantSegLib.planes.plane_sets import plane_set


@pytest.mark.parametrize("fusion", ["soft", "majority"])
@pytest.mark.parametrize(("planes", "count"), [("1", 2), ("3", 3), ("3", 5), ("9", 4), ("9", 19)])
def test_all_parts_together_hold_what_one_process_sums(tmp_path, planes, count, fusion):
    volume = smooth_volume()
    plan = FusedPlan(planes, fusion, batch_size=3, with_votes=True)
    for number in reversed(range(count)):
        save_part(volume, by_grey_value, plan, Part(number, count), "key", tmp_path / str(number), Events())
    found = merged(plan, volume.shape, [tmp_path / str(number) for number in range(count)], "key")
    expected = predict_fused(volume, by_grey_value, plan)
    for name, values in expected.accumulator.held.items():
        assert (found.accumulator.held[name] == values).all(), name
    assert (found.labels() == expected.labels()).all() and len(np.unique(found.labels())) > 1
    assert (found.plane_squares == expected.plane_squares).all()


@pytest.mark.parametrize("planes", ["1", "3", "9"])
def test_every_block_of_slices_is_in_one_part_and_the_parts_have_about_equal_work(planes):
    plan, shape = FusedPlan(planes), (200, 120, 160)
    whole = {(one.plane, block) for one in all_stretches(plan, shape) for block in one.blocks}
    parts = [Part(number, 4).stretches(plan, shape) for number in range(4)]
    blocks = [[(one.plane, block) for one in stretches for block in one.blocks] for stretches in parts]
    assert sorted(entry for own in blocks for entry in own) == sorted(whole)
    work = [sum(pixels(plan, shape, *entry) for entry in own) for own in blocks]
    assert max(work) <= 1.25 * min(work)


def pixels(plan: FusedPlan, shape, number: int, block: int) -> int:
    plane = plane_set(plan.planes)[number]
    slices = range(16 * block, min(16 * block + 16, plane.slice_count(shape)))
    return sum(int(np.prod(plane.slice_shape(shape, index))) for index in slices)


def test_a_part_of_a_plane_along_an_axis_keeps_its_slab_alone(tmp_path):
    save_part(smooth_volume(), by_grey_value, FusedPlan("1"), Part(1, 2), "key", tmp_path / "1", Events())
    assert np.load(tmp_path / "1" / "sums.npy").shape == (3, SHAPE[0] - 16, *SHAPE[1:])


def test_more_parts_than_blocks_of_slices_are_refused():
    with pytest.raises(InputError, match=r"at most 2 tasks.*got 3"):
        Part(0, 3).stretches(FusedPlan("1"), SHAPE)


@pytest.mark.parametrize("fault", ["missing", "other work", "other number", "no sums", "cut sums", "no record"])
def test_a_part_that_does_not_fit_is_refused(tmp_path, fault):
    volume, plan = smooth_volume(), FusedPlan("1")
    for number in range(2):
        save_part(volume, by_grey_value, plan, Part(number, 2), "key", tmp_path / str(number), Events())
    second = tmp_path / "1"
    if fault == "missing":
        second = tmp_path / "2"
    elif fault == "no sums":
        (second / "sums.npy").unlink()
    elif fault == "cut sums":
        (second / "sums.npy").write_bytes((second / "sums.npy").read_bytes()[:500])
    elif fault == "no record":
        (second / "part.json").write_text("[]")
    elif fault == "other number":
        second = tmp_path / "0"
    with pytest.raises(InputError, match=r"Expected (part . of 2|the sums)"):
        merged(plan, volume.shape, [tmp_path / "0", second], "other" if fault == "other work" else "key")


@pytest.fixture
def scan() -> Volume:
    array = np.full((20, 18, 34), 20.0, np.float32)
    array[5:15, 5:15, 5:25], array[8:12, 8:12, 8:20] = 170, 250
    array += np.random.default_rng(0).normal(0, 20, array.shape).astype(np.float32)
    return Volume(array, Geometry(array.shape, (0.02,) * 3))


@pytest.mark.parametrize(("planes", "fusion"), [("3", "soft"), ("9", "majority")])
def test_a_scan_in_parts_has_the_labels_and_the_expectations_of_a_scan_in_one(tmp_path, scan, planes, fusion):
    model = save_threshold_model(tmp_path / "thresholds.mgmodel", 20.0, sharpness=4.0)
    options = SegmentOptions(model, planes, fusion, device="cpu", want_disagreement=True, want_statistics=True)
    folders = [tmp_path / str(number) for number in range(3)]
    stages: list[str] = []
    run = SegmentationRun(scan, options, Events(lambda record: stages.append(record.get("stage", ""))))
    for number, folder in enumerate(folders):
        run.do_part(Part(number, 3), folder)
    before = (folders[0] / "part.json").stat().st_mtime_ns
    run.do_part(Part(0, 3), folders[0])
    assert (folders[0] / "part.json").stat().st_mtime_ns == before, "what is done is not done again"
    found = run.result(folders)
    steps = [stage for stage, _ in groupby(stages)]
    assert steps[0] == "preprocessing" and steps.count("preprocessing") == 1, "the scan is prepared once for all parts"
    expected = SegmentationRun(scan, options).result()
    assert (found.label_map.array == expected.label_map.array).all() and len(np.unique(found.label_map.array)) > 2
    assert (found.disagreement.array == expected.disagreement.array).all()
    assert (found.statistics.plane_squares == expected.statistics.plane_squares).all()
    other = Volume(scan.array + 1, scan.geometry)
    with pytest.raises(InputError, match="Expected part 1 of 3"):
        SegmentationRun(other, options).result(folders)
    record = json.loads((folders[0] / "part.json").read_text("ascii"))
    assert (record["number"], record["count"]) == (0, 3)
