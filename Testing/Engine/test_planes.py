"""Slices are read and added back as the paper's rotated volumes would, without a rotated volume."""

import numpy as np
import pytest
from scipy import ndimage

from MgImplantSegLib.planes.plane_sets import PLANE_SETS, AxisPlane, DiagonalPlane

PLANES = {plane.name: plane for plane in PLANE_SETS["9"]}
DIAGONALS = {name: plane for name, plane in PLANES.items() if isinstance(plane, DiagonalPlane)}
SHAPES = [(6, 7, 8), (9, 9, 9), (8, 8, 8), (5, 12, 3), (1, 7, 2), (1, 1, 1), (2, 1, 9), (17, 4, 11)]


def _settle_in_blocks(plane, shape, predict, block_size):
    """Every voxel's value and number of visits, from slices that are handed over block by block."""
    values, visits = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
    kept, count = [], plane.slice_count(shape)
    for start in range(0, count, block_size):
        indices = range(start, min(start + block_size, count))
        slices = kept + [predict(index)[None] for index in indices]
        places, settled = plane.settle(shape, start - len(kept), slices)
        for place, part in places:
            plane.view(values)[place] += settled[0, part]
            plane.view(visits)[place] += 1
        kept = slices[-plane.overlap :] if plane.overlap else []
    return values, visits


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PLANES)
def test_every_voxel_is_visited_once_and_its_weights_sum_to_one(name, shape):
    plane = PLANES[name]

    def ones(index):
        return np.ones(plane.slice_shape(shape, index), np.float32)

    for block_size in (1, 3, 100):
        values, visits = _settle_in_blocks(plane, shape, ones, block_size)
        assert (visits == 1).all()
        np.testing.assert_allclose(values, 1, atol=3e-7)


@pytest.mark.parametrize("name", DIAGONALS)
def test_weights_are_the_transpose_rule(name):
    """Each slice alone gives max(0, 1 − |u − n|) to a voxel, u being its distance along the slices' normal."""
    plane, shape = DIAGONALS[name], (5, 7, 6)
    b, c = (axis for axis in range(3) if axis != plane.rotation_axis)
    index = np.indices(shape) - (np.array(shape).reshape(3, 1, 1, 1) - 1) / 2
    u = (index[b] + plane.sign * index[c]) / np.sqrt(2)
    count = plane.slice_count(shape)
    for n in range(count):

        def one_slice(i, n=n):
            return np.full(plane.slice_shape(shape, i), float(i == n), np.float32)

        values, _ = _settle_in_blocks(plane, shape, one_slice, 4)
        np.testing.assert_allclose(values, np.maximum(0, 1 - abs(u - (n - (count - 1) / 2))), atol=1e-6)


@pytest.mark.parametrize("shape", [(10, 13, 11), (12, 12, 12), (9, 14, 20)])
@pytest.mark.parametrize("name", DIAGONALS)
def test_reads_the_slices_of_the_volume_that_scipy_rotates(name, shape):
    plane = DIAGONALS[name]
    volume = np.random.default_rng(1).random(shape).astype(np.float32)
    b, c = (axis for axis in range(3) if axis != plane.rotation_axis)
    rotated = ndimage.rotate(volume, 45, axes=(b, c), order=1, reshape=True)
    inside = ndimage.rotate(np.ones(shape, np.float32), 45, axes=(b, c), order=1, reshape=True) > 0
    along, rows = (b, c) if plane.sign < 0 else (c, b)
    order = (along, rows, plane.rotation_axis)
    rotated, inside = rotated.transpose(order), inside.transpose(order)
    extra = (plane.slice_count(shape) - len(rotated)) // 2
    for n in range(len(rotated)):
        first, last = plane.grid(shape).row_range(n + extra)
        read = np.zeros_like(rotated[n])
        begin, end = max(0, first - extra), min(last - extra + 1, len(read))
        read[begin:end] = plane.read(volume, n + extra)[begin - first + extra : end - first + extra]
        covered = inside[n].copy()
        covered[begin:end] = False
        assert not covered.any(), "the slice was cropped too far"
        np.testing.assert_allclose(read[inside[n]], rotated[n][inside[n]], atol=1e-5)


@pytest.mark.parametrize("name", DIAGONALS)
def test_slices_end_where_they_leave_the_volume(name):
    plane, shape = DIAGONALS[name], (40, 40, 40)
    pixels = sum(np.prod(plane.slice_shape(shape, n)) for n in range(plane.slice_count(shape)))
    assert pixels < 1.1 * 40**3, "the rotated volume has 2.1 times as many pixels"


def test_axis_slices_hold_the_planes_they_are_named_after():
    volume = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    rc, cp, pr = PLANE_SETS["3"]
    np.testing.assert_array_equal(rc.read(volume, 1), volume[1])
    np.testing.assert_array_equal(cp.read(volume, 2), volume[:, 2, :].T)
    np.testing.assert_array_equal(pr.read(volume, 3), volume[:, :, 3])


def test_diagonal_slices_run_along_the_diagonal_in_rows_and_the_axis_in_columns():
    p, r, c = np.indices((9, 9, 9))
    for name, plane in DIAGONALS.items():
        axes = [axis for axis in range(3) if axis != plane.rotation_axis]
        grid = (p, r, c)
        middle = plane.slice_count((9, 9, 9)) // 2
        assert plane.slice_count((9, 9, 9)) % 2 == 1, "the middle slice goes through the middle of the volume"
        along = plane.read(grid[plane.rotation_axis].astype(np.float32), middle)
        np.testing.assert_allclose(along, np.broadcast_to(np.arange(9), along.shape), atol=1e-5, err_msg=name)
        inner = slice(1, -1)  # the outermost rows lie outside the volume
        for axis, step in zip(axes, (1, -plane.sign), strict=True):
            across = plane.read(grid[axis].astype(np.float32), middle)[inner]
            np.testing.assert_allclose(np.diff(across, axis=0), step / np.sqrt(2), atol=1e-5, err_msg=name)


def test_linear_functions_come_back_exactly_through_every_plane():
    shape = (7, 10, 8)
    p, r, c = np.indices(shape).astype(np.float32)
    volume = 0.3 * p - 0.7 * r + 1.1 * c + 2
    for name, plane in PLANES.items():
        values, _ = _settle_in_blocks(plane, shape, lambda n, plane=plane: plane.read(volume, n), 3)
        inner = (slice(2, -2),) * 3
        np.testing.assert_allclose(values[inner], volume[inner], atol=2e-5, err_msg=name)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float64])
@pytest.mark.parametrize("name", PLANES)
def test_reads_volumes_of_any_number_type_as_float32(name, dtype):
    volume = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    plane = PLANES[name]
    read = plane.read(volume.astype(dtype), 2)
    assert read.dtype == np.float32
    assert read.shape == plane.slice_shape(volume.shape, 2)
    np.testing.assert_allclose(read, plane.read(volume.astype(np.float32), 2), atol=1e-5)


def test_reading_leaves_the_volume_alone():
    volume = np.ones((4, 4, 4), np.float32)
    for plane in PLANES.values():
        plane.read(volume, 0)[:] = 5
    assert (volume == 1).all()


@pytest.mark.parametrize("name", PLANES)
def test_views_share_their_memory_and_leave_leading_axes_alone(name):
    array = np.zeros((7, 4, 5, 6))[:, :, ::-1]
    view = PLANES[name].view(array)
    assert np.shares_memory(view, array)
    assert view.shape[0] == 7
    assert sorted(view.shape[1:]) == [4, 5, 6]


@pytest.mark.parametrize("name", PLANES)
def test_memory_order_of_the_volume_does_not_matter(name):
    volume = np.random.default_rng(0).random((6, 5, 7)).astype(np.float32)
    for other in (np.asfortranarray(volume), volume[:, ::-1].copy()[:, ::-1]):
        np.testing.assert_array_equal(PLANES[name].read(other, 3), PLANES[name].read(volume, 3))


def test_plane_sets_hold_what_their_names_say():
    assert {key: len(planes) for key, planes in PLANE_SETS.items()} == {
        "1": 1,
        "3": 3,
        "9": 9,
        "rc": 1,
        "cp": 1,
        "pr": 1,
    }
    assert all(isinstance(plane, AxisPlane) for plane in PLANE_SETS["3"])
    assert len({plane.name for plane in PLANE_SETS["9"]}) == 9


@pytest.mark.parametrize("name", [name for name, plane in PLANES.items() if isinstance(plane, AxisPlane)])
def test_neighbours_of_an_axis_slice_are_the_slices_beside_it_and_the_last_one_is_repeated(name):
    plane, volume = PLANES[name], np.random.default_rng(1).random((6, 7, 8))
    count = plane.slice_count(volume.shape)
    slices = [plane.read(volume, index) for index in range(count)]
    for index, block in enumerate(plane.read_block(volume, 1, 5, context=2), start=1):
        expected = [slices[min(max(index + step, 0), count - 1)] for step in (-2, -1, 0, 1, 2)]
        np.testing.assert_array_equal(block, expected)


@pytest.mark.parametrize("shape", [(9, 9, 9), (17, 4, 11), (5, 12, 3)])
@pytest.mark.parametrize("context", [1, 3])
@pytest.mark.parametrize("name", DIAGONALS)
def test_neighbours_of_a_diagonal_slice_lie_on_its_own_rows(name, context, shape):
    plane, volume = PLANES[name], np.random.default_rng(1).random(shape).astype(np.float32)
    grid, count = plane.grid(shape), plane.slice_count(shape)
    for start in range(0, count, 4):
        stop = min(start + 4, count)
        alone = plane.read_block(volume, start, stop)
        for index, block in enumerate(plane.read_block(volume, start, stop, context), start=start):
            assert block.shape == (2 * context + 1, *plane.slice_shape(shape, index))
            np.testing.assert_allclose(block[context], alone[index - start], atol=1e-6)
            for step in range(-context, context + 1):
                beside = min(max(index + step, 0), count - 1)
                (first, last), (other_first, other_last) = grid.row_range(index), grid.row_range(beside)
                rows = range(max(first, other_first), min(last, other_last) + 1)
                for row in rows:
                    there = plane.read(volume, beside)[row - other_first]
                    np.testing.assert_allclose(block[context + step, row - first], there, atol=1e-6)
