"""Volumes of any orientation, spacing and number type become the network's input, and bad ones one clear error."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Cancelled, Events
from MgImplantSegLib.grids.resample import interpolation_matrices, resampled_slices, triangle_matrix
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.preprocessing.percentiles import percentiles
from MgImplantSegLib.preprocessing.preprocess import Preprocessing, model_grid, preprocess, spacing_warnings

OBLIQUE = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
LEFT_HANDED = OBLIQUE * [1, -1, 1]
DIRECTIONS = {"identity": np.eye(3), "oblique": OBLIQUE, "left-handed": LEFT_HANDED}


def random_volume(shape=(12, 14, 13), spacing_um=(10.0, 10.0, 10.0), direction=OBLIQUE, dtype=np.float32, seed=0):
    array = (np.random.default_rng(seed).random(shape) * 200 + 20).astype(dtype)
    geometry = Geometry(shape, tuple(s / 1000 for s in spacing_um), (3.0, -7.0, 11.0), tuple(direction.ravel()))
    return Volume(array, geometry)


def resample(volume, geometry):
    matrices = interpolation_matrices(volume.geometry, geometry)
    return np.stack(list(resampled_slices(lambda z: volume.array[z].astype(np.float32), matrices)))


def test_clips_to_the_percentiles_and_scales_to_one_where_the_spacing_agrees():
    volume = random_volume()
    result = preprocess(volume, Preprocessing(10.0, 5.0, 90.0))
    low, high = np.percentile(volume.array, [5, 90])
    np.testing.assert_allclose(result.array, (np.clip(volume.array, low, high) - low) / (high - low), atol=1e-6)
    assert (result.array.min(), result.array.max()) == (0, 1)
    assert result.array.dtype == np.float32
    assert result.geometry == volume.geometry
    np.testing.assert_allclose(result.provenance["clipped_to"], (low, high), rtol=1e-6)


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_finer_grid_is_simpleitks_linear_interpolation(direction):
    volume = random_volume(spacing_um=(10.0, 6.0, 8.0), direction=direction)
    target = volume.geometry.resampled((0.004, 0.004, 0.004))
    image = sitk.GetImageFromArray(volume.array)
    image.SetSpacing(volume.geometry.spacing_zyx_mm[::-1])
    image.SetOrigin(volume.geometry.origin_lps_mm)
    image.SetDirection(volume.geometry.direction_lps)
    expected = sitk.GetArrayFromImage(
        sitk.Resample(
            image,
            target.shape_zyx[::-1],
            sitk.Transform(),
            sitk.sitkLinear,
            target.origin_lps_mm,
            target.spacing_zyx_mm[::-1],
            target.direction_lps,
        )
    )
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(resample(volume, target)[inner], expected[inner], rtol=1e-5)


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
@pytest.mark.parametrize("spacing_um", [(10.0, 10.0, 10.0), (2.0, 5.0, 9.0), (20.0, 4.0, 4.0)])
def test_a_ramp_in_space_stays_where_it_is(direction, spacing_um):
    volume = random_volume((20, 24, 22), spacing_um, direction)
    target = volume.geometry.resampled((0.008,) * 3)
    ramp = np.array([2.0, -3.0, 5.0])

    def values(geometry):
        return geometry.lps_from_index_zyx(np.moveaxis(np.indices(geometry.shape_zyx), 0, -1)) @ ramp

    result = resample(replace(volume, array=values(volume.geometry).astype(np.float32)), target)
    inner = tuple(slice(k, n - k) for k, n in zip([2, 2, 2], target.shape_zyx, strict=True))
    one_voxel = 0.008 * abs(volume.geometry.direction_matrix.T @ ramp).max()
    np.testing.assert_allclose(result[inner], values(target)[inner], atol=0.03 * one_voxel)


def test_downsampling_eight_times_does_not_alias():
    n = np.arange(200)
    for period in (2.3, 3.0, 5.0, 7.0):
        wave = np.sin(2 * np.pi * n / period)
        matrix = triangle_matrix(np.arange(24) * 8.333 + 4, 8.333, 200)
        assert abs(matrix @ wave)[1:-1].max() < 0.06, "plain linear interpolation would leave nearly 1"


def test_slow_waves_survive_downsampling():
    positions = np.arange(24) * 8.333 + 4
    wave = np.sin(2 * np.pi * np.arange(200) / 100)
    result = triangle_matrix(positions, 8.333, 200) @ wave
    np.testing.assert_allclose(result[1:-1], np.sin(2 * np.pi * positions / 100)[1:-1], atol=0.03)


def test_downsampling_averages_noise_of_the_whole_volume():
    volume = random_volume((48, 56, 52), (2.0, 2.0, 2.0))
    result = resample(volume, volume.geometry.resampled((0.008,) * 3))
    assert result.shape == (12, 14, 13)
    assert result.mean() == pytest.approx(volume.array.mean(), rel=2e-3)
    assert result.std() < volume.array.std() / 6


@pytest.mark.parametrize("step", [0.3, 1.0, 1.7, 8.333, 100.0])
def test_weights_of_every_new_voxel_sum_to_one_and_every_old_voxel_counts(step):
    size = 37
    count = max(1, round(size / step))
    positions = (np.arange(count) - (count - 1) / 2) * step + (size - 1) / 2
    matrix = triangle_matrix(positions, step, size).toarray()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    assert (matrix.sum(axis=0) > 0).all()


def test_refuses_grids_that_are_turned_against_each_other():
    with pytest.raises(InputError, match="parallel"):
        interpolation_matrices(Geometry((8, 8, 8)), random_volume().geometry)


def test_every_slice_is_read_once_and_in_order():
    volume = random_volume((40, 9, 9), (3.0, 10.0, 10.0))
    reads = []

    def read(z):
        reads.append(z)
        return volume.array[z]

    list(resampled_slices(read, interpolation_matrices(volume.geometry, volume.geometry.resampled((0.01,) * 3))))
    assert reads == list(range(40))


@pytest.mark.parametrize("values", ["random", "few", "negative", "one large", "zeros of both signs", "tiny"])
def test_percentiles_are_numpys(values):
    rng = np.random.default_rng(5)
    array = {
        "random": rng.normal(size=(7, 11, 13)),
        "few": rng.integers(0, 4, (7, 11, 13)),
        "negative": -rng.random((5, 5, 5)) * 1e6,
        "one large": np.r_[np.zeros(99), 1e30],
        "zeros of both signs": np.array([-0.0, 0.0, -0.0, 1.0, -1.0]),
        "tiny": rng.random(50) * 1e-40,
    }[values].astype(np.float32)
    percents = (0, 0.5, 3.3, 50, 99.9, 100)
    expected = np.percentile(array.astype(np.float64), percents)
    np.testing.assert_allclose(percentiles(array, percents), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float64, ">f4", ">u2", "<i4"])
def test_number_type_and_byte_order_of_the_input_do_not_matter(dtype):
    volume = random_volume(dtype=np.uint8)
    expected = preprocess(volume, Preprocessing(15.0)).array
    other = replace(volume, array=volume.array.astype(dtype))
    np.testing.assert_array_equal(preprocess(other, Preprocessing(15.0)).array, expected)


@pytest.mark.parametrize("change", [lambda a: a.T.copy().T, lambda a: np.asfortranarray(a), lambda a: a[::-1][::-1]])
def test_memory_order_of_the_input_does_not_matter(change):
    volume = random_volume()
    other = replace(volume, array=change(volume.array))
    np.testing.assert_array_equal(
        preprocess(other, Preprocessing(15.0)).array, preprocess(volume, Preprocessing(15.0)).array
    )


def test_input_is_left_alone():
    volume = random_volume()
    before = volume.array.copy()
    preprocess(volume, Preprocessing(10.0))
    np.testing.assert_array_equal(volume.array, before)


def test_masked_field_of_view_counts_as_it_is():
    volume = random_volume((16, 40, 40))
    y, x = np.indices((40, 40)) - 19.5
    volume.array[:, y**2 + x**2 > 19**2] = 0
    result = preprocess(volume, Preprocessing(10.0))
    assert (result.array[volume.array == 0] == 0).all()
    assert result.provenance["clipped_to"][0] == 0


def test_memory_holds_the_result_and_a_few_slices(tmp_path):
    stored = np.lib.format.open_memmap(tmp_path / "scan.npy", "w+", np.uint16, (200, 200, 200))
    stored[:] = np.random.default_rng(0).integers(0, 60000, stored.shape, np.uint16)
    volume = Volume(stored, Geometry(stored.shape, (0.005,) * 3))
    tracemalloc.start()
    result = preprocess(volume, Preprocessing(10.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    full_resolution = 4 * stored.size
    assert peak < result.array.nbytes + full_resolution / 3


def _error(volume, settings=Preprocessing(10.0)) -> str:  # noqa: B008
    with pytest.raises(InputError) as caught:
        preprocess(volume, settings)
    assert "\n" not in caught.value.message
    assert caught.value.remedy or "type" in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_counts_voxels_that_are_not_finite_and_says_where_the_first_is(bad):
    volume = random_volume()
    volume.array[3, 4, 5] = volume.array[9, 0, 1] = bad
    message = _error(volume)
    assert "got 2 voxels" in message
    assert "(3, 4, 5)" in message


def masked_volume():
    """A volume and the same with NaN outside a round field of view along z."""
    volume = random_volume(shape=(12, 20, 20), dtype=np.float32, direction=np.eye(3))
    y, x = np.indices((20, 20)) - 9.5
    outside = np.broadcast_to(np.hypot(y, x) > 9, volume.array.shape)
    return volume, Volume(np.where(outside, np.float32(np.nan), volume.array), volume.geometry), outside


def test_nan_around_the_field_of_view_counts_nowhere_and_is_told():
    volume, masked, outside = masked_volume()
    records = []
    result = preprocess(masked, Preprocessing(10.0, 5.0, 90.0), Events(records.append))
    lower, upper = np.percentile(volume.array[~outside], (5, 90))
    expected = np.clip((volume.array - lower) / (upper - lower), 0, 1)
    np.testing.assert_allclose(result.array, np.where(outside, 0, expected), atol=1e-6)
    assert result.provenance["voxels_outside"] == outside.sum()
    warnings = [entry["message"] for entry in records if entry["event"] == "warning"]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{outside.sum()} voxels ({outside.mean():.1%}) are NaN")


@pytest.mark.parametrize("spacing_um", [7.0, 13.0])
def test_values_at_the_edge_of_the_field_of_view_are_not_drawn_to_anything(spacing_um):
    _, masked, _ = masked_volume()
    masked.array[np.isfinite(masked.array)] = 5
    masked.array[6, 9:11, 9:11] = 9
    result = preprocess(masked, Preprocessing(spacing_um, 0.0, 100.0))
    assert result.provenance["clipped_to"][0] == pytest.approx(5, abs=1e-5)
    assert np.count_nonzero(result.array > 1e-3) < 100  # all at the spot of 9 in the middle, none at the edge


def test_slices_without_any_number_are_outside_and_nan_within_is_refused():
    volume = random_volume(dtype=np.float32)
    volume.array[:2] = np.nan
    result = preprocess(volume, Preprocessing(10.0))
    assert (result.array[:2] == 0).all() and result.array[2:].any()
    volume.array[5, 4, 5] = np.nan
    assert "NaN or infinity" in _error(volume)
    volume.array[:] = np.nan
    assert "NaN in all voxels" in _error(volume)


@pytest.mark.parametrize(("values", "are_few"), [(4, True), (8, True), (9, False)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_volume_of_few_whole_values_is_told_to_look_like_a_label_map(values, are_few, dtype):
    array = np.zeros((9, 10, 10), dtype)
    array[4].flat[:values] = np.arange(values)
    records = []
    preprocess(
        Volume(array, Geometry(array.shape, (0.01,) * 3)), Preprocessing(10.0, 0.0, 100.0), Events(records.append)
    )
    told = any("as a label map does" in entry.get("message", "") for entry in records)
    assert told == are_few


@pytest.mark.filterwarnings("error")
def test_values_beyond_float32_are_not_finite_either():
    volume = random_volume(dtype=np.float64)
    volume.array[1, 2, 3] = 1e300
    assert "(1, 2, 3)" in _error(volume)


@pytest.mark.parametrize("spacing_um", [10.0, 13.0])
def test_refuses_a_volume_without_contrast(spacing_um):
    volume = random_volume()
    volume.array[:] = 1000.1
    assert "1000.1 in all voxels" in _error(volume, Preprocessing(spacing_um))
    volume.array[4, 4, 4] = 5
    assert "both percentiles" in _error(volume, Preprocessing(10.0, 1, 99))


@pytest.mark.parametrize("dtype", [complex, object])
def test_refuses_values_that_are_no_real_numbers(dtype):
    volume = random_volume()
    assert "real numbers" in _error(replace(volume, array=volume.array.astype(dtype)))


def test_refuses_a_volume_that_is_too_small_and_names_both_sizes():
    message = _error(random_volume((12, 14, 7)))
    assert "12 × 14 × 7" in message
    assert "at least 8" in message
    assert "3 × 4 × 3 from 12 × 14 × 13" in _error(random_volume(), Preprocessing(40.0))


def test_refuses_voxels_far_coarser_than_the_models_before_it_needs_memory():
    volume = random_volume(spacing_um=(1000.0,) * 3)
    assert "about 5 µm" in _error(volume, Preprocessing(5.0))


def test_grid_is_the_inputs_own_where_the_spacing_agrees_within_a_thousandth():
    geometry = random_volume(spacing_um=(10.004, 9.998, 10.0)).geometry
    assert model_grid(geometry, Preprocessing(10.0)) == geometry
    assert model_grid(geometry, Preprocessing(9.0)) == geometry.resampled((0.009,) * 3)


@pytest.mark.parametrize(
    ("spacing_um", "known", "words"),
    [
        ((10.0, 10.0, 10.0), True, []),
        ((14.0, 10.0, 10.0), True, []),
        ((10.0, 10.0, 10.0), False, ["not set"]),
        ((1000.0, 1000.0, 1000.0), True, ["not set", "coarser"]),
        ((30.0, 10.0, 10.0), True, ["not cubes", "coarser"]),
        ((20_000.0, 20_000.0, 20_000.0), True, ["20000 × 20000 × 20000 µm"]),
        ((0.4, 0.4, 0.4), True, ["far finer"]),
    ],
)
def test_warns_about_doubtful_spacings(spacing_um, known, words):
    volume = replace(random_volume(spacing_um=spacing_um), spacing_is_known=known)
    warnings = spacing_warnings(volume, Preprocessing(10.0))
    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))


def test_warnings_and_progress_reach_the_events():
    records = []
    volume = replace(random_volume(), spacing_is_known=False)
    preprocess(volume, Preprocessing(10.0), Events(records.append))
    assert [record["kind"] for record in records if record["event"] == "warning"] == ["spacing"]
    assert records[-1]["done"] == records[-1]["total"] == 12


def test_stops_when_the_user_cancels():
    with pytest.raises(Cancelled):
        preprocess(random_volume(), Preprocessing(10.0), Events(is_cancelled=lambda: True))


@pytest.mark.parametrize(
    "numbers", [{"spacing_um": 0}, {"spacing_um": float("nan")}, {"spacing_um": True}, {"lower_percentile": 99.95}]
)
def test_refuses_settings_without_sense(numbers):
    with pytest.raises(InputError, match="Expected"):
        Preprocessing(**{"spacing_um": 5.0, **numbers})
