"""What a segmentation takes is known before it starts, and it stays within its limit."""

import math
import subprocess
import sys

import numpy as np
import pytest

from MgImplantSegLib.base.errors import InputError, ResourceError
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.inference import memory
from MgImplantSegLib.inference.estimate import FIXED_BYTES, WORKING_BYTES, estimate, tile_edge_for
from MgImplantSegLib.inference.memory import plan_memory, zeros_on_disk
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.planes.plane_sets import PLANE_SETS
from MgImplantSegLib.preprocessing.preprocess import Preprocessing

PAPERS_BEST = ModelCard("d5/c64", {"name": "unet", "depth": 5, "width": 64}, Preprocessing(5.0))
SMALL = ModelCard("d2/c4", {"name": "unet", "depth": 2, "width": 4}, Preprocessing(5.0))
RESIDENT = FIXED_BYTES - WORKING_BYTES
GEOMETRY = Geometry((40, 50, 61), (0.005,) * 3)


def test_counts_slices_and_padded_pixels_of_three_planes():
    sizes = estimate(GEOMETRY, SMALL, "3")
    assert sizes.evaluations == 40 + 50 + 61
    assert sizes.pixels == 40 * (52 * 64) + 50 * (64 * 40) + 61 * (40 * 52)
    assert sizes.largest_slice == (52, 64)
    assert sizes.multiplications == pytest.approx(sizes.pixels * 14 * 4 * 4 * 9, rel=0.6)


def test_accumulator_takes_six_bytes_a_voxel_and_three_more_for_votes():
    voxels = 40 * 50 * 61
    assert estimate(GEOMETRY, SMALL, "9", "soft").accumulator_bytes == 6 * voxels
    assert estimate(GEOMETRY, SMALL, "9", "majority").accumulator_bytes == 9 * voxels
    assert estimate(GEOMETRY, SMALL, "9", "soft", with_votes=True).accumulator_bytes == 9 * voxels
    assert estimate(GEOMETRY, SMALL, "1").accumulator_bytes == estimate(GEOMETRY, SMALL, "9").accumulator_bytes


def test_the_papers_volume_costs_what_is_known_of_it():
    sizes = {key: estimate(Geometry((1000, 1200, 1200), (0.005,) * 3), PAPERS_BEST, key) for key in ("3", "9")}
    assert 2 * sizes["3"].multiplications == pytest.approx(7.9e15, rel=0.15)
    assert 2 * sizes["9"].multiplications == pytest.approx(25e15, rel=0.15)
    assert sizes["3"].accumulator_bytes == pytest.approx(8.6e9, rel=0.01)


def test_a_region_makes_it_smaller():
    centre = GEOMETRY.lps_from_index_zyx(np.array([20.0, 25.0, 30.0]))
    box = OrientedBox(tuple(centre), np.eye(3), (0.01, 0.01, 0.01))
    far = Geometry((400, 400, 400), (0.005,) * 3)
    assert estimate(far, SMALL, "1", roi=box).evaluations < 100
    assert estimate(far, SMALL, "1", roi=box).accumulator_bytes < estimate(far, SMALL, "1").accumulator_bytes / 100


def test_spacing_counts():
    fine = Geometry((80, 100, 122), (0.0025,) * 3)
    assert estimate(fine, SMALL).model_shape_zyx == (40, 50, 61)
    assert estimate(fine, SMALL).accumulator_bytes == estimate(GEOMETRY, SMALL).accumulator_bytes
    with pytest.raises(InputError, match="true voxel size"):
        estimate(Geometry((40, 50, 61), (1.0,) * 3), SMALL)


def test_needs_no_torch():
    code = "import sys, MgImplantSegLib.inference.estimate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_everything_stays_in_memory_where_it_fits():
    sizes = estimate(GEOMETRY, SMALL)
    plan = plan_memory(sizes, SMALL, sizes.memory_bytes / 1e9 + 1e-6, network_on_gpu=False)
    assert not plan.accumulator_on_disk
    assert plan.tile_edge == max(sizes.largest_slice)
    assert not isinstance(plan.allocate((2, 2, 2), np.uint16), np.memmap)


def test_large_slices_are_tiled_before_the_accumulator_goes_to_disk():
    geometry = Geometry((64, 4000, 4000), (0.005,) * 3)
    sizes = estimate(geometry, PAPERS_BEST, "1")
    limit = sizes.memory_bytes - 0.8 * sizes.network_bytes
    plan = plan_memory(sizes, PAPERS_BEST, limit / 1e9, network_on_gpu=False)
    assert not plan.accumulator_on_disk
    assert 32 <= plan.tile_edge < 4000
    assert plan.tile_edge % 32 == 0
    on_gpu = plan_memory(sizes, PAPERS_BEST, limit / 1e9, network_on_gpu=True)
    assert on_gpu.tile_edge >= 4000, "the GPU's memory is its own"


def test_tiles_are_as_large_as_the_memory_allows():
    gigabyte = 1 << 30
    edge = tile_edge_for(PAPERS_BEST, gigabyte)
    outer = edge + 2 * 224  # half of the receptive field of 408, rounded up to multiples of 32
    taken = 4 * (124.4e6 + 8 * 64 * outer**2)
    assert taken <= gigabyte < taken + 4 * 8 * 64 * (2 * 33 * outer + 33**2)
    assert tile_edge_for(PAPERS_BEST, 1 << 29) <= 0, "the weights alone fill it"


def test_says_what_is_needed_when_not_even_the_disk_helps():
    sizes = estimate(GEOMETRY, SMALL)
    with pytest.raises(ResourceError, match=r"at least 0\.4[78] GB"):
        plan_memory(sizes, SMALL, FIXED_BYTES / 1e9, network_on_gpu=False)


def test_limit_is_what_the_machine_has_free(monkeypatch):
    sizes = estimate(Geometry((400, 200, 200), (0.005,) * 3), SMALL)
    free = (sizes.memory_bytes - 50e6 - RESIDENT) / memory.PART_OF_AVAILABLE
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: free)
    assert plan_memory(sizes, SMALL, None, network_on_gpu=False).accumulator_on_disk
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: None)
    assert plan_memory(sizes, SMALL, None, network_on_gpu=False).limit_bytes == math.inf


@pytest.mark.parametrize("memory_gb", [0, -3, float("nan")])
def test_refuses_a_limit_without_sense(memory_gb):
    with pytest.raises(InputError, match="positive"):
        plan_memory(estimate(GEOMETRY, SMALL), SMALL, memory_gb, network_on_gpu=False)


def test_arrays_on_disk_are_zero_can_be_written_and_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(memory.tempfile, "gettempdir", lambda: str(tmp_path))
    array = zeros_on_disk((3, 4, 5), np.uint16)
    assert isinstance(array, np.memmap)
    assert (array == 0).all()
    array[1, 2, 3] = 77
    assert array.sum() == 77
    del array
    assert list(tmp_path.iterdir()) == []


def test_names_the_folder_when_the_disk_is_too_full():
    with pytest.raises(ResourceError, match="disk space in"):
        zeros_on_disk((1 << 20, 1 << 20, 1 << 10), np.uint16)


@pytest.mark.parametrize("planes", PLANE_SETS)
def test_evaluations_are_those_that_are_made(planes):
    from MgImplantSegLib.inference.fused import FusedPlan, predict_fused

    seen = []

    def predict(slices):
        seen.append(slices.shape)
        return np.full((len(slices), 4, *slices.shape[2:]), 0.25, np.float32)

    geometry = Geometry((9, 14, 11), (0.005,) * 3)
    predict_fused(np.zeros(geometry.shape_zyx), predict, FusedPlan(planes, size_multiple=4))
    sizes = estimate(geometry, SMALL, planes)
    assert sizes.evaluations == len(seen)
    assert sizes.pixels == sum(shape[2] * shape[3] for shape in seen)


def test_a_backend_that_takes_more_memory_gets_smaller_tiles_and_asks_for_more():
    geometry = Geometry((64, 4000, 4000), (0.005,) * 3)
    sizes = estimate(geometry, PAPERS_BEST, "1")
    limit_gb = (sizes.memory_bytes - 0.8 * sizes.network_bytes) / 1e9
    edges = [
        plan_memory(sizes, PAPERS_BEST, limit_gb, network_on_gpu=False, network_factor=factor).tile_edge
        for factor in (1.0, 1.5)
    ]
    assert edges[1] < edges[0] and edges[1] % 32 == 0
    assert plan_memory(sizes, PAPERS_BEST, limit_gb, network_on_gpu=True, network_factor=1.5).tile_edge >= 4000
    needed = []
    for factor in (1.0, 1.5):
        with pytest.raises(ResourceError, match="at least") as caught:
            plan_memory(estimate(GEOMETRY, PAPERS_BEST), PAPERS_BEST, 0.5, network_on_gpu=False, network_factor=factor)
        needed.append(float(caught.value.message.split("at least ")[1].split(" GB")[0]))
    assert needed[1] > needed[0]
