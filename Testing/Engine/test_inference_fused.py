"""Fused prediction equals rotating, slicing, predicting, stacking and rotating back, without any of the volumes."""

import weakref

import numpy as np
import pytest
from scipy import ndimage

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Cancelled, Events
from MgImplantSegLib.inference.accumulator import bytes_per_voxel
from MgImplantSegLib.inference.fused import SLICES_PER_BLOCK, FusedPlan, predict_fused
from MgImplantSegLib.inference.fusion import FUSIONS
from MgImplantSegLib.planes.plane_sets import PLANE_SETS

SHAPE = (22, 27, 25)


def by_grey_value(slices):
    """Probabilities of four classes that depend on the grey value of the pixel alone."""
    logits = np.stack([np.sin(3 * slices[:, 0] + 1.7 * n) * 2 for n in range(4)], axis=1)
    odds = np.exp(logits)
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def smooth_volume(shape=SHAPE, seed=0):
    noise = np.random.default_rng(seed).random(shape)
    smooth = ndimage.gaussian_filter(noise, 1.5)
    return ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


def through_rotation(volume, axes):
    """Predictions of the volume rotated by 45° in `axes`, rotated back onto the grid of the volume, by scipy."""
    rotated = ndimage.rotate(volume, 45, axes=axes, order=1, reshape=True)
    matrix = np.eye(3)
    b, c = axes
    matrix[b, b] = matrix[c, c] = matrix[c, b] = np.sqrt(0.5)
    matrix[b, c] = -np.sqrt(0.5)
    offset = (np.array(rotated.shape) - 1) / 2 - matrix @ ((np.array(volume.shape) - 1) / 2)
    back = [
        ndimage.affine_transform(values, matrix, offset, output_shape=volume.shape, order=1)
        for values in by_grey_value(rotated[:, None]).swapaxes(0, 1)
    ]
    return np.stack(back)


def nine_predictions(volume):
    """The probabilities of the nine planes, one volume each: (9, classes, z, y, x)."""
    direct = by_grey_value(volume[:, None]).swapaxes(0, 1)
    rotated = [through_rotation(volume, axes) for axes in ((1, 2), (0, 2), (0, 1))]
    return np.stack([direct] * 3 + [prediction for prediction in rotated for _ in range(2)])


INNER = (slice(3, -3),) * 3
PLANES = {plane.name: plane for plane in PLANE_SETS["9"]}


def test_the_reference_rotates_back_where_it_came_from():
    p, r, c = np.indices(SHAPE).astype(np.float32)
    volume = 0.01 * p + 0.02 * r - 0.005 * c
    expected = by_grey_value(volume[:, None]).swapaxes(0, 1)
    for axes in ((1, 2), (0, 2), (0, 1)):
        difference = through_rotation(volume, axes) - expected
        assert abs(difference[:, *INNER]).max() < 5e-3


@pytest.mark.parametrize("shape", [SHAPE, (20, 20, 20), (21, 30, 17)])
@pytest.mark.parametrize(("axis", "axes"), {"p": (1, 2), "r": (0, 2), "c": (0, 1)}.items())
def test_each_diagonal_plane_equals_the_rotated_volume(axis, axes, shape):
    volume = smooth_volume(shape)
    expected = through_rotation(volume, axes)
    for plane in (plane for name, plane in PLANES.items() if name.endswith(f"{axis}45")):
        probabilities = predict_fused(volume, by_grey_value, FusedPlan((plane,))).probabilities()
        np.testing.assert_allclose(probabilities[:, *INNER], expected[:, *INNER], atol=1e-5, err_msg=plane.name)


def test_soft_voting_is_the_mean_of_nine_volumes():
    volume = smooth_volume()
    expected = nine_predictions(volume).mean(axis=0)
    fused = predict_fused(volume, by_grey_value, FusedPlan("9", "soft"))
    np.testing.assert_allclose(fused.probabilities()[:, *INNER], expected[:, *INNER], atol=1e-5)
    margin = np.diff(np.sort(expected, axis=0)[-2:], axis=0)[0]
    clear = (margin > 1e-5)[INNER]
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(fused.labels()[INNER][clear], expected.argmax(axis=0)[INNER][clear])


def _mode(labels, mean_probabilities):
    """Most frequent label of one voxel; ties go to the larger mean probability, then to the lower value."""
    votes = np.bincount(labels, minlength=4)
    return max(range(4), key=lambda label: (votes[label], mean_probabilities[label], -label))


def test_majority_voting_is_the_mode_of_nine_label_maps():
    volume = smooth_volume()
    predictions = nine_predictions(volume)[:, :, *INNER]
    labels = predictions.argmax(axis=1).reshape(9, -1)
    means = predictions.mean(axis=0).reshape(4, -1)
    expected = np.array([_mode(labels[:, n], means[:, n]) for n in range(labels.shape[1])])
    fused = predict_fused(volume, by_grey_value, FusedPlan("9", "majority")).labels()[INNER].ravel()
    sorted_predictions = np.sort(predictions, axis=1)
    clear = ((sorted_predictions[:, -1] - sorted_predictions[:, -2]) > 1e-5).all(axis=0).ravel()
    assert clear.mean() > 0.98
    assert (expected != means.argmax(axis=0)).any(), "the two rules differ somewhere"
    np.testing.assert_array_equal(fused[clear], expected[clear])


def by_plane(**probabilities_of_plane):
    """A predictor for a 2×3×4 volume that knows the plane by the shape of its slices."""
    shapes = {(3, 4): "rc", (4, 2): "cp", (2, 3): "pr"}

    def predict(slices):
        values = np.array(probabilities_of_plane[shapes[slices.shape[2:]]], np.float32)
        return np.broadcast_to(values[:, None, None], (len(slices), len(values), *slices.shape[2:])).copy()

    return predict


@pytest.mark.parametrize(
    ("rc", "cp", "pr", "soft", "majority"),
    [
        ((0.0, 0.6, 0.4), (0.0, 0.6, 0.4), (0.0, 0.0, 1.0), 2, 1),  # two votes outweigh one that is sure
        ((0.1, 0.5, 0.4), (0.1, 0.4, 0.5), (0.6, 0.0, 0.4), 2, 2),  # one vote each: the larger mean
        ((0.0, 0.5, 0.5), (0.0, 0.5, 0.5), (0.0, 0.5, 0.5), 1, 1),  # all the same: the lower value
        ((0.5, 0.5, 0.0), (0.5, 0.5, 0.0), (0.5, 0.5, 0.0), 0, 0),
        ((0.4, 0.4, 0.2), (0.4, 0.4, 0.2), (0.4, 0.4, 0.2), 0, 0),
        ((0.2, 0.4, 0.4), (0.2, 0.4, 0.4), (0.2, 0.4, 0.4), 1, 1),
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), 0, 0),
        ((0.4, 0.3, 0.3), (0.4, 0.3, 0.3), (0.0, 0.9, 0.1), 1, 0),
    ],
)
@pytest.mark.parametrize("sum_bits", [16, 32])
def test_fusion_rules_on_probabilities_written_out(rc, cp, pr, soft, majority, sum_bits):
    volume = np.zeros((2, 3, 4), np.float32)
    for rule, expected in (("soft", soft), ("majority", majority)):
        fused = predict_fused(volume, by_plane(rc=rc, cp=cp, pr=pr), FusedPlan("3", rule, classes=3, sum_bits=sum_bits))
        assert (fused.labels() == expected).all(), rule
        mean = np.mean([rc, cp, pr], axis=0)
        np.testing.assert_allclose(fused.probabilities()[:, 1, 1, 1], mean, atol=1e-4)


def test_disagreement_is_the_part_of_the_planes_with_another_label():
    predict = by_plane(rc=(0, 0.9, 0.1), cp=(0, 0.6, 0.4), pr=(0, 0.4, 0.6))
    for rule in FUSIONS:
        fused = predict_fused(np.zeros((2, 3, 4)), predict, FusedPlan("3", rule, classes=3, with_votes=True))
        np.testing.assert_allclose(fused.disagreement(), 1 / 3, atol=1e-6)


def first_row_is_class_one(slices):
    result = np.zeros((len(slices), 2, *slices.shape[2:]), np.float32)
    result[:, 0] = 1
    result[:, :, 0, :] = [[0], [1]]
    return result


@pytest.mark.parametrize(("plane", "axis"), [("rc", 1), ("cp", 2), ("pr", 0)])
def test_rows_of_a_plane_come_back_along_their_own_axis(plane, axis):
    labels = predict_fused(np.zeros((3, 4, 5)), first_row_is_class_one, FusedPlan(plane, classes=2)).labels()
    expected = np.zeros((3, 4, 5))
    expected.swapaxes(0, axis)[0] = 1
    np.testing.assert_array_equal(labels, expected)


def by_padded_shape(slices):
    """A predictor whose answer changes with the padding, as a network's does near the edge."""
    part = np.float32(0.1 + 0.8 * ((slices.shape[2] * 31 + slices.shape[3] * 7) % 10) / 10)
    ones = np.ones(slices.shape[2:], np.float32)
    return np.broadcast_to(np.stack([part * ones, (1 - part) * ones]), (len(slices), 2, *ones.shape)).copy()


@pytest.mark.parametrize("batch_size", [2, 5, 1000])
def test_result_does_not_depend_on_the_batch_size(batch_size):
    volume = smooth_volume((9, 14, 11))
    one = predict_fused(volume, by_padded_shape, FusedPlan("9", classes=2, size_multiple=4)).probabilities()
    other = predict_fused(volume, by_padded_shape, FusedPlan("9", classes=2, size_multiple=4, batch_size=batch_size))
    np.testing.assert_array_equal(other.probabilities(), one)


@pytest.mark.parametrize("planes", ["3", "9"])
def test_a_thread_of_its_own_for_the_predictor_changes_nothing(planes):
    volume = smooth_volume()
    expected = predict_fused(volume, by_grey_value, FusedPlan(planes)).probabilities()
    other = predict_fused(volume, by_grey_value, FusedPlan(planes, side_by_side=True, batch_size=3))
    np.testing.assert_array_equal(other.probabilities(), expected)


def test_slices_reach_the_predictor_padded_with_zeros_to_the_multiple_in_batches_of_one_shape():
    seen = []

    def predict(slices):
        seen.append(slices.copy())
        return by_padded_shape(slices)

    predict_fused(np.ones((5, 6, 7)), predict, FusedPlan("rc", classes=2, size_multiple=4, batch_size=3))
    assert [batch.shape for batch in seen] == [(3, 1, 8, 8), (2, 1, 8, 8)]
    assert (seen[0][:, 0, :6, :7] == 1).all()
    assert seen[0].sum() == 3 * 6 * 7


def test_one_class_of_two_and_a_volume_of_one_voxel():
    fused = predict_fused(np.full((1, 1, 1), 0.3), by_padded_shape, FusedPlan("9", "majority", classes=2))
    assert fused.labels().shape == (1, 1, 1)


@pytest.mark.parametrize(
    "change", [lambda v: v.T, lambda v: v[::-1], lambda v: v[:, 1:-1, ::2], lambda v: v.astype(">f4")]
)
def test_takes_volumes_in_any_memory_order(change):
    volume = change(smooth_volume())
    same = np.array(volume, np.float32, order="C")
    for planes in ("3", "9"):
        one, other = (predict_fused(v, by_grey_value, FusedPlan(planes)).labels() for v in (volume, same))
        np.testing.assert_array_equal(one, other)


def test_sixteen_bits_stay_within_their_documented_accuracy():
    volume = smooth_volume()
    exact, compact = (
        predict_fused(volume, by_grey_value, FusedPlan("9", sum_bits=bits)).probabilities() for bits in (32, 16)
    )
    assert abs(compact[1:] - exact[1:]).max() < 7e-5


def test_memory_is_bounded_by_the_accumulator():
    import tracemalloc

    volume = np.zeros((50, 50, 50), np.uint8)

    def peak(planes):
        tracemalloc.start()
        predict_fused(volume, first_row_is_class_one, FusedPlan(planes, "majority", classes=2, sum_bits=16)).labels()
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    one = max(peak((plane,)) for plane in PLANE_SETS["9"])
    assert peak("9") < 1.05 * one, "no plane needs memory of its own"
    per_pixel_of_block = (one - volume.size * bytes_per_voxel(2, 16, True)) / (16 * 70 * 50)
    assert per_pixel_of_block < 60, "the accumulator, and a block of slices at its different stages"


@pytest.mark.parametrize(
    ("predict", "words"),
    [
        (lambda slices: slices, "shape"),
        (lambda slices: None, "shape"),
        (lambda slices: np.full((len(slices), 4, *slices.shape[2:]), np.nan, np.float32), "sum to 1"),
        (lambda slices: np.ones((len(slices), 4, *slices.shape[2:]), np.float32), "sum to 1"),
    ],
)
def test_refuses_what_is_no_probability(predict, words):
    with pytest.raises(InputError, match=words):
        predict_fused(np.zeros((4, 4, 4)), predict)


@pytest.mark.parametrize("options", [{"planes": "7"}, {"planes": ()}, {"fusion": "loudest"}])
def test_refuses_unknown_choices(options):
    with pytest.raises(InputError, match="Expected"):
        predict_fused(np.zeros((4, 4, 4)), by_grey_value, FusedPlan(**options))


def test_reports_every_slice_and_the_plane_it_is_at():
    records = []
    predict_fused(smooth_volume((5, 6, 7)), by_grey_value, FusedPlan("9"), Events(records.append))
    assert records[-1]["done"] == records[-1]["total"] > 9 * 5
    stages = list(dict.fromkeys(record["stage"] for record in records))
    assert stages[1] == "plane 1/9 (rc)"
    assert stages[-1] == "plane 9/9 (cp@c45)"


@pytest.mark.parametrize("side_by_side", [False, True])
def test_stops_when_the_user_cancels(side_by_side):
    calls = []

    def predict(slices):
        calls.append(1)
        return by_grey_value(slices)

    events = Events(is_cancelled=lambda: len(calls) >= 3)
    with pytest.raises(Cancelled):
        predict_fused(smooth_volume(), predict, FusedPlan(side_by_side=side_by_side), events)
    assert len(calls) == 3


def test_an_error_in_the_predictors_thread_reaches_the_caller():
    def predict(slices):
        raise InputError("Expected this.")

    with pytest.raises(InputError, match="this"):
        predict_fused(smooth_volume(), predict, FusedPlan(side_by_side=True))


@pytest.mark.parametrize("planes", ["rc", "pr"])
def test_a_block_of_predictions_has_left_memory_before_the_next_is_predicted(planes):
    given: list[weakref.ref] = []

    def predict(batch):
        assert sum(one() is not None for one in given) < SLICES_PER_BLOCK
        values = np.full((len(batch), 4, *batch.shape[2:]), 0.25, np.float32)
        given.append(weakref.ref(values))
        return values

    predict_fused(np.zeros((40, 8, 40), np.float32), predict, FusedPlan(planes, sum_bits=16))
    assert len(given) == 40
