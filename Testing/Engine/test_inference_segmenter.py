"""The whole main job on volumes whose segmentation is known: grey values between thresholds."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation
from threshold_model import save_threshold_model

from MgImplantSegLib.base.errors import InputError, ResourceError
from MgImplantSegLib.base.events import Cancelled, Events
from MgImplantSegLib.grids.labels import parse_roles
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.inference import accumulator, postprocess, segmenter
from MgImplantSegLib.inference.estimate import FIXED_BYTES
from MgImplantSegLib.inference.fused import FusedPlan, predict_fused
from MgImplantSegLib.inference.memory import MemoryPlan
from MgImplantSegLib.inference.output_grid import classes_on_grid
from MgImplantSegLib.inference.segmenter import SegmentOptions, segment_volume
from MgImplantSegLib.planes.plane_sets import PLANE_SETS
from MgImplantSegLib.quantification.field_of_view import field_of_view_of

OBLIQUE = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix() * [1, -1, 1]
THRESHOLDS = 100 + 800 * np.array([0.25, 0.5, 0.75])


@pytest.fixture
def model(tmp_path):
    return save_threshold_model(tmp_path / "thresholds.mgmodel", spacing_um=10.0)


def explant(shape=(26, 30, 28), spacing_um=(10.0, 10.0, 10.0)) -> Volume:
    """Smooth grey values from 100 to 900 on an oblique, left-handed grid, without symmetry."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(2).random(shape), 4)
    array = (100 + 800 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)
    geometry = Geometry(shape, tuple(s / 1000 for s in spacing_um), (5.0, -3.0, 40.0), tuple(OBLIQUE.ravel()))
    return Volume(array, geometry)


def expected_labels(volume: Volume) -> np.ndarray:
    return np.digitize(volume.array, THRESHOLDS).astype(np.uint8)


def far_from_thresholds(volume: Volume, grey: float) -> np.ndarray:
    return (abs(volume.array[..., None] - THRESHOLDS) > grey).all(axis=-1)


@pytest.mark.parametrize("spacing_um", [10.0, 8.0])
def test_what_is_nan_around_the_field_of_view_is_ignored(model, spacing_um):
    volume = explant(spacing_um=(spacing_um,) * 3)
    y, x = np.indices((30, 28)) - np.array([14.5, 13.5])[:, None, None]
    outside = np.broadcast_to(np.hypot(y, x) > 13, volume.array.shape)
    masked = replace(volume, array=np.where(outside, np.float32(np.nan), volume.array))
    label_map = segment_volume(masked, SegmentOptions(model, "1", precision="fp32")).label_map
    np.testing.assert_array_equal(label_map.ignore_mask(), outside)
    seen = field_of_view_of(masked)
    np.testing.assert_array_equal(seen, ~outside)
    assert set(np.unique(label_map.array[seen])) <= {0, 1, 2, 3}


@pytest.mark.parametrize("fusion", ["soft", "majority"])
@pytest.mark.parametrize("planes", ["1", "3", "cp"])
def test_labels_follow_the_thresholds_in_every_voxel(model, planes, fusion):
    volume = explant()
    result = segment_volume(volume, SegmentOptions(model, planes, fusion, precision="fp32"))
    clear = far_from_thresholds(volume, 0.5)
    np.testing.assert_array_equal(result.label_map.array[clear], expected_labels(volume)[clear])
    assert set(np.unique(result.label_map.array)) == {0, 1, 2, 3}
    assert result.label_map.array.dtype == np.uint8
    assert result.label_map.geometry == volume.geometry


@pytest.mark.parametrize("fusion", ["soft", "majority"])
def test_nine_planes_agree_where_interpolation_does_not_blur(model, fusion):
    volume = explant()
    result = segment_volume(volume, SegmentOptions(model, "9", fusion, precision="fp32"))
    clear = far_from_thresholds(volume, 12)
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(result.label_map.array[clear], expected_labels(volume)[clear])


@pytest.mark.parametrize("spacing_um", [(4.0, 5.0, 3.0), (20.0, 20.0, 20.0), (10.0, 22.0, 4.0)])
def test_result_lies_on_the_inputs_grid_whatever_its_spacing(model, spacing_um):
    volume = explant((60, 60, 60), spacing_um)
    result = segment_volume(volume, SegmentOptions(model, precision="fp32"))
    assert result.label_map.geometry == volume.geometry
    low, high = result.provenance["clipped_to"]
    scaled = 100 + 800 * (volume.array - low) / (high - low)
    expected = expected_labels(replace(volume, array=scaled))
    labels, inner = result.label_map.array, (slice(4, -4),) * 3
    agreement = (labels == expected)[inner].mean()
    assert agreement > 0.94
    for axis in range(3):
        for step in (-1, 1):
            shifted = (np.roll(labels, step, axis) == expected)[inner].mean()
            assert shifted < agreement - 0.005, "a shift by one voxel would be seen"


def test_boundaries_are_smooth_on_a_finer_grid_than_the_models(tmp_path):
    """A ball, seen at 10 µm and returned at 2.5 µm, ends where it should to less than one fine voxel."""
    model = save_threshold_model(tmp_path / "soft.mgmodel", 10.0, sharpness=20.0)
    n, radius = 80, 24.0
    z, y, x = np.indices((n, n, n)) - (n - 1) / 2
    distance = np.sqrt(z**2 + y**2 + x**2)
    array = 100 + 400 * np.clip((radius - distance) / 16 + 0.5, 0, 1)  # a quarter of the range at the surface
    array[:8, :8, :8] = 900
    volume = Volume(array.astype(np.float32), Geometry((n, n, n), (0.0025,) * 3))
    labels = segment_volume(volume, SegmentOptions(model, "1", precision="fp32")).label_map.array
    wrong = ((labels > 0) != (distance < radius)) & (distance < 35)
    assert abs(distance[wrong] - radius).max() < 1, "voxels of the model's grid would be wrong by 2 and more"


def test_absent_classes_are_normal(model):
    volume = explant()
    array = np.where(volume.array > 300, np.float32(900), np.float32(100))
    array[array == 900] = 290
    array[0, 0, 0] = 900
    labels = segment_volume(replace(volume, array=array), SegmentOptions(model, "1", precision="fp32")).label_map
    assert set(np.unique(labels.array[1:])) == {0}
    assert labels.scheme.values == (0, 1, 2, 3)


def test_labels_have_the_numbering_of_the_models_scheme(tmp_path):
    scheme = parse_roles("0=background,7=bone,5=degradation_layer,9=residual_material")
    model = save_threshold_model(tmp_path / "m.mgmodel", 10.0, scheme)
    volume = explant()
    label_map = segment_volume(volume, SegmentOptions(model, "1", precision="fp32")).label_map
    assert label_map.scheme == scheme
    clear = far_from_thresholds(volume, 0.5)
    np.testing.assert_array_equal(label_map.array[clear], np.array([0, 7, 5, 9])[expected_labels(volume)][clear])


def test_outside_a_region_nothing_is_known(model):
    volume = explant()
    centre = volume.geometry.lps_from_index_zyx(np.array([13.0, 10.0, 16.0]))
    box = OrientedBox(tuple(centre), OBLIQUE * [1, -1, 1], (0.08, 0.12, 0.10), "fragment")
    options = SegmentOptions(model, "3", precision="fp32")
    whole = segment_volume(volume, options).label_map
    part = segment_volume(volume, replace(options, roi=box)).label_map
    inside = box.mask(volume.geometry)
    assert 0 < inside.sum() < inside.size / 4
    np.testing.assert_array_equal(part.array[inside], whole.array[inside])
    np.testing.assert_array_equal(part.ignore_mask(), ~inside)
    assert part.geometry == volume.geometry


def test_a_region_on_another_grid_than_the_models(model):
    volume = explant((50, 54, 52), (5.0, 5.0, 5.0))
    centre = volume.geometry.lps_from_index_zyx(np.array([25.0, 20.0, 30.0]))
    box = OrientedBox(tuple(centre), np.eye(3), (0.1, 0.06, 0.08), "turned")
    options = SegmentOptions(model, "1", precision="fp32")
    whole = segment_volume(volume, options).label_map
    part = segment_volume(volume, replace(options, roi=box)).label_map
    inside = box.mask(volume.geometry)
    assert (part.array == whole.array)[inside].mean() > 0.999
    assert (part.ignore_mask() == ~inside).all()


def test_refuses_a_region_outside_the_volume(model):
    box = OrientedBox((900.0, 0.0, 0.0), np.eye(3), (1.0, 1.0, 1.0), "lost")
    with pytest.raises(InputError, match="'lost' outside"):
        segment_volume(explant(), SegmentOptions(model, roi=box))


def implant_with_specks() -> Volume:
    array = np.full((30, 32, 34), 350.0, np.float32)  # bone
    array[10:22, 10:22, 10:22] = 900  # implant, 1728 voxels
    array[2:4, 2:4, 2:4] = 900  # a speck of 8 voxels in bone
    array[25:30, 25:30, 25:30] = 900  # a fragment of 125 voxels
    array[0, 0, 0] = 100
    return Volume(array, Geometry(array.shape, (0.01,) * 3))


def test_only_large_parts_of_the_implant_stay_and_the_rest_becomes_what_is_around_it(model):
    volume = implant_with_specks()
    kept = segment_volume(volume, SegmentOptions(model, precision="fp32")).label_map.array
    assert (kept[2:4, 2:4, 2:4] == 3).all()
    options = SegmentOptions(model, precision="fp32", postprocessing="largest_implant")
    tidied = segment_volume(volume, options).label_map.array
    assert (tidied[10:22, 10:22, 10:22] == 3).all()
    assert (tidied[25:30, 25:30, 25:30] == 3).all()
    assert (tidied[2:4, 2:4, 2:4] < 2).all()


def test_a_body_into_which_no_ball_fits_is_no_implant_and_the_border_is_no_surface(model):
    array = np.full((40, 44, 48), 350.0, np.float32)  # bone
    array[0, 0, 0] = 100
    array[4:36, 4:8, 4:44] = 900  # a plate of 4 voxels
    plate = Volume(array.copy(), Geometry(array.shape, (0.01,) * 3))
    array[10:40, 20:44, 34:48] = 900  # a block of 24 voxels that the border cuts
    both = Volume(array, plate.geometry)
    options = SegmentOptions(model, precision="fp32", postprocessing="solid_implant")
    assert (segment_volume(plate, options).label_map.array < 2).all()
    tidied = segment_volume(both, options).label_map.array
    assert (tidied[10:40, 20:44, 34:48] == 3).all()
    assert (tidied[4:36, 4:8, 4:33] < 2).all()


def test_a_skin_of_bone_on_the_implant_goes_and_what_leads_away_from_it_stays(model):
    array = np.full((44, 44, 60), 100.0, np.float32)
    array[10:34, 10:34, 20:40] = 900  # the implant
    array[10:34, 10:34, 18:20] = 350  # a skin of 2 voxels
    array[10:34, 10:34, 40:52] = 350  # bone of 12 voxels
    array[34:44, 20:23, 28:31] = 350  # a trabecula of 3 voxels that stands on the implant
    volume = Volume(array, Geometry(array.shape, (0.01,) * 3))
    solid, tidied = (
        segment_volume(volume, SegmentOptions(model, precision="fp32", postprocessing=name)).label_map.array
        for name in ("solid_implant", "no_bone_skin")
    )
    assert (solid[12:32, 12:32, 18:20] == 1).all()
    assert not (tidied[12:32, 12:32, 18:20] == 1).any()
    for part in (np.s_[10:34, 10:34, 40:52], np.s_[34:44, 20:23, 28:31]):
        assert (solid[part] == 1).sum() > 0.8 * solid[part].size
        assert (tidied[part] == solid[part]).all()
    assert (tidied[solid >= 2] == solid[solid >= 2]).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_film_of_one_voxel_between_implant_and_bone_is_closed_and_a_gap_of_two_stays(model, axis):
    array = np.full((60, 44, 44), 100.0, np.float32)
    array[20:40, 8:36, 8:36] = 900  # the implant
    array[41:55, 8:36, 8:36] = 350  # bone, one voxel away
    array[5:18, 8:36, 8:36] = 350  # bone, two voxels away
    array = np.moveaxis(array, 0, axis)
    volume = Volume(np.ascontiguousarray(array), Geometry(array.shape, (0.01,) * 3))
    ways = [SegmentOptions(model, precision="fp32", postprocessing=name) for name in ("no_bone_skin", "clean_contact")]
    before, after = (np.moveaxis(segment_volume(volume, way).label_map.array, axis, 0) for way in ways)
    assert (before[40, 8:36, 8:36] == 0).all() and (after[40, 8:36, 8:36] > 0).all()
    changed = before != after
    changed[40] = False
    assert not changed.any()


def test_the_skin_does_not_depend_on_the_slabs_that_it_is_looked_for_in(monkeypatch):
    noise = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal((40, 36, 33)), 2)
    body = np.hypot.reduce(np.indices(noise.shape) - 17.0) < 9
    bone = (noise > 0) & ~body
    whole = postprocess._skin_on(body, bone)
    assert 0 < whole.sum() < bone.sum()
    monkeypatch.setattr(postprocess, "slabs", lambda shape, _voxels: slabs(shape, 3 * shape[1] * shape[2]))
    assert (postprocess._skin_on(body, bone) == whole).all()


def test_a_class_that_has_no_voxel_on_the_models_grid_has_none_on_the_inputs():
    # Class 2 is the second choice of both voxels; half-way between them it would have the largest mean.
    probabilities = np.array([[0.0, 0.55], [0.55, 0.0], [0.45, 0.45]], np.float32)  # (classes, x)
    prediction = predict_fused(
        np.zeros((1, 1, 2), np.float32), lambda batch: probabilities[None, :, None], FusedPlan("rc", classes=3)
    )
    source = Geometry((1, 1, 2), (1.0, 1.0, 1.0))
    classes = prediction.labels()
    assert classes.tolist() == [[[1, 0]]]
    finer = classes_on_grid(prediction, classes, source, Geometry((1, 1, 3), (1.0, 1.0, 0.5)), Events())
    assert 2 not in finer


def test_tidied_labels_reach_a_finer_grid(model):
    volume = implant_with_specks()
    fine = Volume(volume.array.repeat(2, 0).repeat(2, 1).repeat(2, 2), Geometry((60, 64, 68), (0.005,) * 3))
    labels = segment_volume(
        fine, SegmentOptions(model, precision="fp32", postprocessing="largest_implant")
    ).label_map.array
    assert (labels[4:8, 4:8, 4:8] < 2).all()
    assert (labels[22:42, 22:42, 22:42] == 3).all()


def test_default_postprocessing_is_the_cards(tmp_path):
    model = save_threshold_model(tmp_path / "m.mgmodel", 10.0, default_postprocessing="largest_implant")
    result = segment_volume(implant_with_specks(), SegmentOptions(model, precision="fp32"))
    assert (result.label_map.array[2:4, 2:4, 2:4] < 2).all()
    assert result.provenance["postprocessing"] == "largest implant"


def test_probabilities_and_disagreement_come_on_the_models_grid(model):
    volume = explant((52, 60, 56), (5.0, 5.0, 5.0))
    options = SegmentOptions(model, "3", precision="fp32", want_probabilities=True, want_disagreement=True)
    result = segment_volume(volume, options)
    assert list(result.probabilities) == ["background", "bone", "degradation_layer", "residual_material"]
    bone = result.probabilities["bone"]
    assert bone.array.shape == (26, 30, 28)
    assert bone.geometry == volume.geometry.resampled((0.01,) * 3)
    total = sum(volume.array for volume in result.probabilities.values())
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert (result.disagreement.array > 0).mean() < 1e-3, "the three planes see the same grey values"
    plain = segment_volume(volume, replace(options, want_probabilities=False, want_disagreement=False))
    assert plain.probabilities is None
    assert plain.disagreement is None
    np.testing.assert_array_equal(plain.label_map.array, result.label_map.array)


def test_provenance_tells_how_it_was_made(model):
    provenance = segment_volume(explant(), SegmentOptions(model, "9", "majority", precision="fp32")).provenance
    expected = {
        "model": "thresholds",
        "planes": "9",
        "fusion": "majority",
        "device": "cpu",
        "precision": "fp32",
        "spacing_um": 10.0,
        "postprocessing": "none",
        "roi": None,
    }
    assert {key: provenance[key] for key in expected} == expected
    assert len(provenance["model_hash"]) == 16
    np.testing.assert_allclose(provenance["clipped_to"], (100, 900), rtol=1e-5)
    assert provenance["evaluations"] > 9 * 26


def test_short_memory_moves_the_accumulator_to_disk_and_changes_nothing(model, monkeypatch):
    volume, records = explant(), []
    options = SegmentOptions(model, "3", "majority", precision="fp32")
    expected = segment_volume(volume, options).label_map.array
    with pytest.raises(ResourceError, match="GB of memory"):
        segment_volume(volume, replace(options, memory_gb=FIXED_BYTES / 1e10))
    with pytest.raises(InputError, match="above 0 in GB"):
        segment_volume(volume, replace(options, memory_gb=-1))
    # how much this process has already is not known here, so the plan is given
    monkeypatch.setattr(segmenter, "plan_memory", lambda *_sizes, **_more: MemoryPlan(1e9, True, 1 << 16))
    monkeypatch.setattr(accumulator, "MAPPED_BYTES", 4096)
    result = segment_volume(volume, options, Events(records.append))
    np.testing.assert_array_equal(result.label_map.array, expected)
    assert [record["kind"] for record in records if record["event"] == "warning"] == ["memory"]


@pytest.mark.parametrize("options", [{"planes": "7"}, {"fusion": "loud"}, {"postprocessing": "polish"}])
def test_refuses_unknown_choices_before_anything_else(tmp_path, options):
    with pytest.raises(InputError, match="Expected"):
        SegmentOptions(tmp_path / "none.mgmodel", **options)


def test_bad_volumes_give_one_clear_error(model):
    volume = explant()
    for array, words in ((volume.array * np.nan, "NaN"), (volume.array * 0, "differ")):
        with pytest.raises(InputError, match=words):
            segment_volume(replace(volume, array=array), SegmentOptions(model))
    with pytest.raises(InputError, match="at least 8"):
        segment_volume(explant((4, 30, 30)), SegmentOptions(model))


def test_unset_voxel_size_is_refused_with_the_remedy(model):
    volume = explant(spacing_um=(1000.0,) * 3)
    with pytest.raises(InputError, match="Set the true voxel size"):
        segment_volume(replace(volume, spacing_is_known=False), SegmentOptions(model))


def test_stops_when_the_user_cancels(model):
    asked = iter(range(1000))
    with pytest.raises(Cancelled):
        segment_volume(explant(), SegmentOptions(model), Events(is_cancelled=lambda: next(asked) > 27))


def test_every_plane_set_runs(model):
    for planes in PLANE_SETS:
        result = segment_volume(explant((9, 12, 10)), SegmentOptions(model, planes))
        assert result.label_map.array.shape == (9, 12, 10)


def test_stages_are_reported_in_their_order(model):
    records = []
    segment_volume(explant((52, 60, 56), (5.0, 5.0, 5.0)), SegmentOptions(model), Events(records.append))
    stages = list(dict.fromkeys(record["stage"] for record in records))
    assert stages == [
        "preprocessing",
        "slices",
        "plane 1/3 (rc)",
        "plane 2/3 (cp)",
        "plane 3/3 (pr)",
        "labels on the input's grid",
    ]
