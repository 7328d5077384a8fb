"""Teaching from a few labelled slices: what is drawn, what is held out, how a round goes, what the card says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from teach_cases import SMALL, painted_on, scan_of, write_model, write_pair
from training_cases import labelled_scan

from MgImplantSegLib.base import files
from MgImplantSegLib.base.errors import Cancelled, InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli import main
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.model.file import load_model, read_card
from MgImplantSegLib.planes.plane_sets import PLANE_SETS
from MgImplantSegLib.preprocessing.preprocess import Preprocessing
from MgImplantSegLib.training.data.patches import PatchSettings
from MgImplantSegLib.training.loop.losses import IGNORE
from MgImplantSegLib.training.loop.precision import Arithmetic
from MgImplantSegLib.training.teach.batch_statistics import renew_statistics
from MgImplantSegLib.training.teach.course import Course
from MgImplantSegLib.training.teach.held_out import HeldOut, choose_held_out, measure
from MgImplantSegLib.training.teach.patches import SparsePatches
from MgImplantSegLib.training.teach.replay import replay_scan
from MgImplantSegLib.training.teach.run import teach
from MgImplantSegLib.training.teach.scan import read_scan
from MgImplantSegLib.training.teach.settings import Pair, TeachSettings
from MgImplantSegLib.training.teach.slices import SliceName, parse_slices

pytestmark = pytest.mark.usefixtures("no_conversion")
LABELS = labelled_scan(0)[1]
SLICES = "z:4,z:13,z:20,y:12"


def sparse(slices: str, labels=LABELS):
    channels = np.full(labels.shape, IGNORE, np.uint8)
    for entry in parse_slices(slices):
        channels[entry.place] = labels[entry.place]
    return scan_of(channels, parse_slices(slices))


def patches_of(scans, replay=(), exponent=1.5, replay_share=0.0, size=8):
    settings = PatchSettings(size, 1, 0.5, SMALL.augmentation, 0)
    return SparsePatches(scans, replay, PLANE_SETS["3"], settings, replay_share, exponent)


def places(patches, balanced, count=300):
    return [patches.choose_place(np.random.default_rng(n), balanced) for n in range(count)]


@pytest.mark.parametrize("balanced", [False, True])
def test_every_drawn_slice_has_labelled_voxels(balanced):
    scan = sparse("z:4,z:20")
    for drawn, plane, index, _ in places(patches_of([scan]), balanced):
        assert (plane.view(drawn.channels)[index] != IGNORE).any()


def test_slices_are_drawn_as_often_as_their_labelled_pixels_to_the_power():
    """One slice of 8 × 8 in a cube of 8: 64 pixels in its own plane, 8 in each of the 16 slices that cross it."""
    channels = np.full((8, 8, 8), IGNORE, np.uint8)
    channels[3] = np.arange(64).reshape(8, 8) % 2
    own = 64**1.5 / (64**1.5 + 16 * 8**1.5)
    drawn = places(patches_of([scan_of(channels)]), balanced=False, count=3000)
    assert sum(plane.axes[0] == 0 for _, plane, _, _ in drawn) / 3000 == pytest.approx(own, abs=0.03)


def test_a_place_on_a_class_has_that_class_and_all_classes_are_drawn_alike():
    channels = np.full((9, 9, 9), IGNORE, np.uint8)
    channels[4] = 0
    channels[4, 0, 0], channels[4, 8, 8] = 1, 3
    found = [
        scan.channels[_zyx(plane, index, xy)]
        for scan, plane, index, xy in places(patches_of([scan_of(channels)]), True)
    ]
    assert set(found) == {0, 1, 3}
    assert min(found.count(channel) for channel in (0, 1, 3)) > 75


def _zyx(plane, index, point_xy):
    place = [0, 0, 0]
    for axis, value in zip(plane.axes, (index, point_xy[1], point_xy[0]), strict=True):
        place[axis] = int(value)
    return tuple(place)


def test_patches_of_scribbles_are_placed_on_the_scribbles():
    channels = np.full((40, 40, 40), IGNORE, np.uint8)
    channels[20, 30, 33:36] = 1
    channels[5, 6, 7] = 2
    for scan, plane, index, xy in places(patches_of([scan_of(channels)]), balanced=False):
        assert scan.channels[_zyx(plane, index, xy)] != IGNORE


def test_so_many_patches_come_from_the_replay():
    replay = scan_of(LABELS)
    drawn = places(patches_of([sparse("z:4")], [replay], replay_share=0.25), balanced=False, count=2000)
    assert sum(scan is replay for scan, *_ in drawn) / 2000 == pytest.approx(0.25, abs=0.04)


def test_fewer_than_three_slices_are_all_learned_from():
    held_out = choose_held_out([sparse("z:4,z:20")], 0)
    assert held_out.measured == ()
    assert "fewer than 3" in held_out.reason


def test_one_slice_in_four_is_held_out_and_in_turn_another_one():
    scans = [sparse(SLICES)]
    chosen = [choose_held_out(scans, rounds).measured for rounds in range(4)]
    assert [len(measured) for measured in chosen] == [1] * 4
    assert len({measured[0] for measured in chosen}) == 4
    assert len(choose_held_out([sparse("z:2,z:8,z:14,z:20,y:2,y:8,y:14,y:20")], 0).measured) == 2


def test_a_held_out_slice_is_not_learned_from_where_another_slice_crosses_it_either():
    scan = sparse(SLICES)
    (rest,) = HeldOut(((0, SliceName(0, 13)),)).removed_from([scan])
    assert (rest.channels[13] == IGNORE).all()
    assert (rest.channels[12, 12] == LABELS[12, 12]).all()
    assert rest.slices == parse_slices("z:4,z:20,y:12")


def test_neighbours_of_a_held_out_slice_are_kept_away_with_it():
    held_out = choose_held_out([sparse("z:4,z:12,z:13,z:20")], 1)
    assert held_out.measured == ((0, SliceName(0, 12)),)
    assert held_out.kept_away == ((0, SliceName(0, 13)),)


def test_a_slice_that_alone_has_a_class_is_not_held_out():
    labels = np.zeros((26, 24, 22), np.uint8)
    labels[:, 5:9] = 1
    labels[20, 12:14] = 3
    chosen = {choose_held_out([sparse("z:4,z:12,z:20", labels)], rounds).measured for rounds in range(3)}
    assert chosen == {((0, SliceName(0, 4)),), ((0, SliceName(0, 12)),)}


def test_measuring_gives_the_iou_of_the_labelled_pixels_of_the_slice():
    channels = np.full((4, 6, 6), IGNORE, np.uint8)
    channels[2] = 0
    channels[2, :2] = 1

    def half_right(images):
        logits = torch.zeros(1, 4, *images.shape[2:])
        logits[:, 1, :1] = 1
        return logits

    found = measure(half_right, [scan_of(channels)], [(0, SliceName(0, 2))], 4, torch.device("cpu"))
    assert found[:2] == pytest.approx([24 / 30, 6 / 12])
    assert np.isnan(found[2:]).all()


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_round_ends_when_its_time_is_over_what_came_before_it_included():
    clock = Clock()
    course = Course(TeachSettings(minutes=1), started=80.0, reserved_s=5.0, clock=clock)
    clock.now += 34.9
    assert not course.part_is_over(course.share())
    clock.now += 0.1
    assert course.part_is_over(course.share())


def rates_of(course, count):
    found = []
    for _ in range(count):
        share = course.share()
        if course.part_is_over(share):
            course.begin_last_part(share)
        found.append(course.rate(share))
        course.note(1.0, share)
    return found


def test_the_rate_rises_stays_and_falls():
    settings = TeachSettings(minutes=0, iterations=100, learning_rate=1.0, warmup_iterations=4, cooldown_share=0.5)
    rates = rates_of(Course(settings, 0.0, clock=Clock()), 100)
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:50] == pytest.approx([1.0] * 45)
    assert rates[75] == pytest.approx(0.51)
    assert rates[99] < 0.05


def test_with_two_parts_the_rate_falls_at_the_end_of_each():
    settings = TeachSettings(minutes=0, iterations=100, learning_rate=1.0, warmup_iterations=0, cooldown_share=0.5)
    rates = rates_of(Course(settings, 0.0, first_part=0.4, clock=Clock()), 100)
    assert rates[:20] == pytest.approx([1.0] * 20)
    assert rates[39] < 0.1
    assert rates[40:70] == pytest.approx([1.0] * 30)
    assert rates[99] < 0.1


def test_a_settled_round_cools_down_at_once_and_ends_early():
    settings = TeachSettings(minutes=0, iterations=1000, cooldown_share=0.2, settled_iterations=40)
    course = Course(settings, 0.0, clock=Clock())
    while not course.part_is_over(share := course.share()):
        course.note(max(0.5, 1 - course.iteration / 100), share)
    assert course.settled
    assert 80 <= course.iteration <= 150
    assert course.done(course.share()) == 1


def test_a_falling_loss_does_not_settle():
    course = Course(TeachSettings(minutes=0, iterations=500, settled_iterations=40), 0.0, clock=Clock())
    while not course.part_is_over(share := course.share()):
        course.note(0.99**course.iteration, share)
    assert not course.settled
    assert course.iteration == 500


def parts_of(held_out_iou, iterations=1000):
    """Steps of the first and of the last part when what is measured after every 20 steps is `held_out_iou(steps)`."""
    settings = TeachSettings(minutes=0, iterations=iterations, cooldown_share=0.3, settled_iterations=0)
    course, first = Course(settings, 0.0, first_part=0.5, clock=Clock()), 0
    while not course.part_is_over(share := course.share()) or not first:
        if course.part_is_over(share):
            first = course.iteration
            course.begin_last_part(share)
        if not first and course.iteration % 20 == 0:
            course.note_held_out(held_out_iou(course.iteration), share)
        course.note(1.0, share)
    assert course.done(course.share()) == 1
    return first, course.iteration - first, course.settled


def test_when_held_out_slices_no_longer_rise_the_round_cools_down_and_the_last_part_is_as_short_as_the_first():
    """No better than at step 100 at the next four measurements, so the rate falls from step 180 on."""
    first, last, settled = parts_of(lambda steps: min(steps, 100) / 125)
    assert settled
    assert first == pytest.approx(180 / 0.7, abs=1)
    assert last == pytest.approx(first, abs=1)


RISES = {"steadily": lambda steps: steps / 1000, "after a fall": lambda steps: 0.35 + steps / 200 if steps else 0.5}


@pytest.mark.parametrize("how", RISES)
def test_a_round_whose_held_out_slices_rise_does_not_settle_though_they_may_fall_for_a_while(how):
    assert parts_of(RISES[how], 300) == (150, 150, False)


@pytest.mark.parametrize("pixels", [1, 8 * 8 * 8, 1000])
def test_renewed_statistics_are_those_of_whole_slices(pixels):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1, bias=False), torch.nn.BatchNorm2d(2))
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 8), dtype=np.uint8)
    scan = replace(scan_of(LABELS[:8, :8, :8]), image=image)
    arithmetic = Arithmetic(torch.device("cpu"), torch.float32)
    renew_statistics(network, [scan], PLANE_SETS["3"], 8, 4, pixels, arithmetic)
    expected = network[0].weight.detach().flatten() * float((image / 255).mean())
    assert network[1].running_mean.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert not network.training


def test_a_replayed_explant_has_all_classes_on_the_models_grid():
    scan = replay_scan(0, 1, Preprocessing(20.0), LabelScheme(), Events())
    assert scan.image.shape == scan.channels.shape == (96, 96, 96)
    assert min(scan.voxels_per_class) > 1000


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, a scan, and its labels on four slices."""
    folder = tmp_path_factory.mktemp("teach")
    write_model(folder / "parent.mgmodel")
    write_pair(folder, slices=SLICES)
    return folder


def pair_of(folder, **said):
    return Pair(folder / "scan.nrrd", folder / "labels.nrrd", **said)


@pytest.fixture(scope="module")
def taught(place):
    """A round on that scan, with its events."""
    records = []
    outcome = teach([pair_of(place)], place / "one.mgmodel", place / "parent.mgmodel", SMALL, Events(records.append))
    return outcome, records


def test_teaching_raises_what_the_model_reaches_on_the_slice_it_has_not_seen(taught):
    outcome, _ = taught
    before, after = outcome.held_out["before"], outcome.held_out["after"]
    assert after["mean"] > before["mean"] + 0.2
    assert outcome.held_out["slices_learned"] == 3
    assert "Measured on one scan" in outcome.held_out["words"]
    assert outcome.iterations == 60


def test_the_result_says_what_counts_as_labelled(taught):
    (scan,) = taught[0].labelled
    assert scan["slices"] == SLICES
    assert scan["slice_count"] == 4
    assert scan["orientations"] == ["z", "y"]
    painted = painted_on(LABELS, SLICES)
    assert scan["voxels_per_class"]["residual_material"] == int((painted == 3).sum())


def test_events_carry_the_curves_and_the_progress(taught):
    _, records = taught
    metrics = [record for record in records if record["event"] == "metric"]
    assert any("loss" in record and "learning_rate" in record for record in metrics)
    curve = [record["held_out_mean_iou"] for record in metrics if "held_out_mean_iou" in record]
    assert len(curve) >= 3
    progress = [record for record in records if record["event"] == "progress" and "teaching" in record["stage"]]
    assert progress[-1]["done"] == progress[-1]["total"] == 100
    assert [record["done"] for record in progress] == sorted(record["done"] for record in progress)


def test_a_round_is_the_same_when_it_is_repeated(place, taught):
    again = teach([pair_of(place)], place / "again.mgmodel", place / "parent.mgmodel", SMALL)
    first, second = load_model(taught[0].model)[1], load_model(again.model)[1]
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_second_round_starts_from_the_first_and_keeps_its_lineage(place, taught):
    settings = replace(SMALL, iterations=4)
    second = teach([pair_of(place)], place / "two.mgmodel", taught[0].model, settings)
    rounds = read_card(second.model).training["lineage"]
    assert [entry["parent"] for entry in rounds] == ["small", "one"]
    assert rounds[1]["parent_hash"] == read_card(taught[0].model).hash
    assert rounds[0]["scans"][0]["slices"] == SLICES
    assert rounds[1]["held_out"]["slices"] == []
    assert "earlier round" in rounds[1]["held_out"]["words"]


def test_in_a_second_round_a_slice_is_held_out_that_the_first_has_not_learned_from(place, tmp_path, taught):
    write_pair(tmp_path, slices=SLICES + ",x:11,x:16")
    pair = Pair(tmp_path / "scan.nrrd", tmp_path / "labels.nrrd", name="the same scan under another name")
    second = teach([pair], tmp_path / "two.mgmodel", taught[0].model, replace(SMALL, iterations=4))
    assert second.held_out["slices"] in ([f"{pair.name} x:11"], [f"{pair.name} x:16"])


def test_after_a_round_with_labels_all_over_a_scan_no_slice_of_that_scan_is_new(place, tmp_path):
    settings = replace(SMALL, iterations=1)
    first = teach([pair_of(place, labelled="all")], tmp_path / "a.mgmodel", place / "parent.mgmodel", settings)
    second = teach([pair_of(place)], tmp_path / "b.mgmodel", first.model, settings)
    assert second.held_out["slices"] == []


def test_scans_of_different_voxel_sizes_are_taught_together(place, tmp_path):
    write_pair(tmp_path, seed=1, spacing_mm=0.01, slices="z:7,z:20,x:9")
    outcome = teach(
        [pair_of(place), pair_of(tmp_path, name="fine")],
        tmp_path / "both.mgmodel",
        place / "parent.mgmodel",
        replace(SMALL, iterations=3),
    )
    assert [scan["slice_count"] for scan in outcome.labelled] == [4, 3]
    assert "on the taught scans" in outcome.held_out["words"]


def test_a_done_slice_of_fine_voxels_is_labelled_wholly_on_the_models_grid(tmp_path):
    write_pair(tmp_path, spacing_mm=0.01, slices="z:7,z:20,x:9")
    pair = Pair(tmp_path / "scan.nrrd", tmp_path / "labels.nrrd")
    scan = read_scan(pair, Preprocessing(20.0), LabelScheme(), tmp_path / "m.mgmodel", Events())
    assert scan.shape_zyx == (13, 12, 11)
    assert scan.slices == parse_slices("z:3,z:10,x:4")
    assert all((scan.channels[entry.place] != IGNORE).all() for entry in scan.slices)


def test_a_round_with_a_time_limit_ends_by_it(place, tmp_path):
    settings = replace(SMALL, minutes=0.05, iterations=0)
    assert teach([pair_of(place)], tmp_path / "t.mgmodel", place / "parent.mgmodel", settings).reason == "time is up"


@pytest.mark.parametrize("steps", [1, 3])
def test_a_round_that_is_ended_early_keeps_what_it_has_learned(place, tmp_path, steps):
    """Also in its first part, where a slice is held out that it then never learns from."""
    asked = []

    def wants_end() -> bool:
        asked.append(True)
        return len(asked) >= steps

    settings = replace(SMALL, minutes=0, iterations=500, settled_iterations=0)
    outcome = teach([pair_of(place)], tmp_path / "t.mgmodel", place / "parent.mgmodel", settings, wants_end=wants_end)
    assert (outcome.reason, outcome.iterations) == ("stopped on request", steps)
    assert read_card(tmp_path / "t.mgmodel").training["lineage"][0]["ended"] == "stopped on request"
    assert outcome.held_out["slices"]


def test_a_cancelled_round_leaves_no_file(place, tmp_path):
    steps = []
    events = Events(lambda record: steps.append(record["event"]), is_cancelled=lambda: steps.count("metric") > 2)
    with pytest.raises(Cancelled):
        teach([pair_of(place)], tmp_path / "t.mgmodel", place / "parent.mgmodel", SMALL, events)
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_the_painted_class_is_refused(place, tmp_path):
    write_model(tmp_path / "three.mgmodel", classes=3)
    with pytest.raises(InputError, match="without residual_material"):
        teach([pair_of(place)], tmp_path / "t.mgmodel", tmp_path / "three.mgmodel", SMALL)


def test_a_class_that_the_model_lacks_does_not_matter_where_nothing_counts_as_labelled(place, tmp_path):
    _, labels = labelled_scan(0)
    labels[5][labels[5] == 3] = 2
    write_pair(tmp_path)
    _write_labels(tmp_path, labels)
    write_model(tmp_path / "three.mgmodel", classes=3)
    outcome = teach(
        [pair_of(tmp_path, done_slices="z:5")],
        tmp_path / "t.mgmodel",
        tmp_path / "three.mgmodel",
        replace(SMALL, iterations=1),
    )
    assert outcome.labelled[0]["voxels_per_class"]["degradation_layer"] == int((labels[5] == 2).sum())


def test_the_model_that_teaching_starts_from_is_not_written_over(place):
    before = (place / "parent.mgmodel").read_bytes()
    with pytest.raises(InputError, match="from which teaching starts"):
        teach([pair_of(place)], place / "parent.mgmodel", place / "parent.mgmodel", SMALL)
    assert (place / "parent.mgmodel").read_bytes() == before


def test_a_class_that_is_not_labelled_is_warned_of(place, tmp_path):
    grid_labels = np.where(painted_on(LABELS, "z:4") == 2, 0, painted_on(LABELS, "z:4"))
    write_pair(tmp_path)
    _write_labels(tmp_path, grid_labels)
    found = []
    events = Events(lambda record: found.append(record.get("message", "")))
    teach([pair_of(tmp_path)], tmp_path / "t.mgmodel", place / "parent.mgmodel", replace(SMALL, iterations=1), events)
    assert any("No degradation_layer is labelled" in message for message in found)


def _write_labels(folder, labels, spacing_mm=0.02, origin=(0.0, 0.0, 0.0)):
    write_label_map(
        LabelMap(labels.astype(np.uint8), Geometry(labels.shape, (spacing_mm,) * 3, origin)), folder / "labels.nrrd"
    )


def test_the_value_for_not_labelled_leaves_the_files_own_meaning_of_the_others(tmp_path):
    """Segments of other values than 0–3, painted where they are known; 0 says not labelled."""
    scheme = LabelScheme.from_roles({5: "bone", 8: "residual_material", 9: "background", 0: "degradation_layer"})
    grey, labels = labelled_scan(0)
    values = np.array([9, 5, 0, 8], np.uint8)[labels]
    grid = Geometry(labels.shape, (0.02,) * 3)
    write_volume(Volume(grey.astype(np.float32), grid), tmp_path / "scan.nrrd")
    write_label_map(LabelMap(values, grid, scheme), tmp_path / "labels.nrrd")
    pair = Pair(tmp_path / "scan.nrrd", tmp_path / "labels.nrrd", unlabelled=0)
    scan = read_scan(pair, Preprocessing(20.0), LabelScheme(), tmp_path / "m.mgmodel", Events())
    assert (scan.channels == np.array([0, 1, IGNORE, 3], np.uint8)[labels]).all()


def test_a_plain_label_map_with_a_value_for_not_labelled_is_read(tmp_path):
    _, labels = labelled_scan(0)
    write_pair(tmp_path)
    labels[:20] = 255
    write_label_map(LabelMap(labels, Geometry(labels.shape, (0.02,) * 3)), tmp_path / "labels.nii.gz")
    pair = Pair(tmp_path / "scan.nrrd", tmp_path / "labels.nii.gz", unlabelled=255)
    scan = read_scan(pair, Preprocessing(20.0), LabelScheme(), tmp_path / "m.mgmodel", Events())
    assert (scan.channels == labels).all()


BAD = {
    "nothing painted": (lambda folder: _write_labels(folder, 0 * LABELS), [], "painted voxels"),
    "one class": (
        lambda folder: _write_labels(folder, painted_on(LABELS, "z:4") == 1),
        ["--labelled", "painted"],
        "two classes",
    ),
    "another grid": (lambda folder: _write_labels(folder, LABELS, 0.03), [], "voxels coincide"),
    "outside": (lambda folder: _write_labels(folder, LABELS, origin=(9.0, 9.0, 9.0)), [], "within the image"),
    "whole volume": (lambda folder: _write_labels(folder, LABELS), [], "individually painted slices"),
    "done slice outside": (lambda folder: None, ["--done-slices", "z:26"], "z:26"),
    "bad notation": (lambda folder: None, ["--done-slices", "26"], "z:40,y:12"),
    "two pairs of one name": (
        lambda folder: (folder / "p.toml").write_text('[[pairs]]\nimage = "scan.nrrd"\nlabels = "labels.nrrd"\n'),
        ["--pairs", "p.toml"],
        "unique names",
    ),
    "no such model": (lambda folder: None, ["--from", "nothing"], "bundled models"),
    "no such pairs": (lambda folder: None, ["--pairs", "nothing.toml"], "nothing.toml"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(case, tmp_path, monkeypatch, capsys):
    spoil, words, expected = BAD[case]
    write_pair(tmp_path, slices=SLICES)
    write_model(tmp_path / "parent.mgmodel")
    spoil(tmp_path)
    monkeypatch.chdir(tmp_path)
    start = [] if "--from" in words else ["--from", "parent.mgmodel"]
    code = main(["teach", "scan.nrrd", "labels.nrrd", "out.mgmodel", "--iterations", "1", *start, *words])
    said = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert code == 2
    assert len(said) == 1
    assert expected in said[0]
    assert not (tmp_path / "out.mgmodel").exists()


def test_another_suffix_and_a_missing_folder_are_refused_before_the_work(place, capsys):
    (place / "folder.mgmodel").mkdir()
    for out, expected in (
        ("out.zip", ".mgmodel"),
        ("absent/out.mgmodel", "absent"),
        ("folder.mgmodel", "rather than a folder"),
    ):
        words = ["teach", str(place / "scan.nrrd"), str(place / "labels.nrrd"), str(place / out)]
        assert main([*words, "--from", str(place / "parent.mgmodel"), "--iterations", "1"]) == 2
        assert expected in capsys.readouterr().err


def test_a_file_that_appears_ends_the_commands_learning(place, tmp_path, capsys):
    (tmp_path / "end").touch()
    words = ["teach", str(place / "scan.nrrd"), str(place / "labels.nrrd"), str(tmp_path / "out.mgmodel")]
    options = ["--from", str(place / "parent.mgmodel"), "--iterations", "500", "--device", "cpu"]
    assert main([*words, *options, "--done-slices", "z:4,y:12", "--finish-file", str(tmp_path / "end")]) == 0
    assert "1 steps" in capsys.readouterr().out and (tmp_path / "out.mgmodel").is_file()


def test_the_command_teaches_and_its_json_names_the_model(place, tmp_path, capsys):
    words = ["teach", str(place / "scan.nrrd"), str(place / "labels.nrrd"), str(tmp_path / "out.mgmodel")]
    options = [
        "--from",
        str(place / "parent.mgmodel"),
        "--iterations",
        "2",
        "--device",
        "cpu",
        "--done-slices",
        "z:4,y:12",
    ]
    assert main([*words, *options]) == 0
    text = capsys.readouterr().out
    assert "out.mgmodel" in text
    assert "fewer than 3 labelled slices" in text
    assert read_card(tmp_path / "out.mgmodel").training["lineage"][0]["scans"][0]["slices"] == "z:4,y:12"


def test_a_disk_that_is_full_at_the_end_is_told_in_one_line_and_an_older_model_stays(
    place, tmp_path, monkeypatch, capsys
):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    old = write_model(tmp_path / "out.mgmodel", seed=1).read_bytes()
    monkeypatch.setattr(files, "_temporary_name", lambda _path: "full.mgmodel")
    (tmp_path / "full.mgmodel").symlink_to("/dev/full")
    words = ["teach", str(place / "scan.nrrd"), str(place / "labels.nrrd"), str(tmp_path / "out.mgmodel")]
    assert main([*words, "--from", str(place / "parent.mgmodel"), "--iterations", "1", "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert said.count("error:") == 1
    assert "No space left on device" in said
    assert (tmp_path / "out.mgmodel").read_bytes() == old
