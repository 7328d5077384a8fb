"""What must not change a measure: where the grid starts, how its axes run, units, crops, numbers of labels, formats."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import tifffile

from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.io import read_label_map, write_label_map
from MgImplantSegLib.quantification import QuantifyOptions, quantify
from MgImplantSegLib.quantification.measures.all_measures import MEASURES

SPACING_ZYX_MM = (0.02, 0.03, 0.025)
ORIGIN_LPS_MM = (1.0, -2.0, 3.0)
OPTIONS = QuantifyOptions(measures=tuple(MEASURES), distance_mm=0.1, axis_lps=(0.0, 0.0, 1.0))


def implant() -> np.ndarray:
    """A screw without symmetry in bone that touches it on some sides; away from the borders."""
    z, y, x = np.indices((26, 24, 28))
    array = np.zeros((26, 24, 28), np.uint8)
    array[5:21, 5:19, 16:23] = 1
    array[6:20, 5:9, 8:18] = 1
    array[(np.hypot((y - 12) * 1.2, x - 14) < 5) & (z > 6) & (z < 19)] = 2
    array[(np.hypot((y - 12) * 1.2, x - 13.5) < 3) & (z > 8) & (z < 17)] = 3
    return array


def geometry_of(array: np.ndarray) -> Geometry:
    return Geometry(array.shape, SPACING_ZYX_MM, ORIGIN_LPS_MM)


@pytest.fixture(scope="module")
def label_map() -> LabelMap:
    return LabelMap(implant(), geometry_of(implant()))


def measured(label_map: LabelMap) -> dict[tuple[str, str], float]:
    report = quantify(label_map, OPTIONS)
    return {(measure.symbol, measure.region): measure.value for measure in report.measures}


@pytest.fixture(scope="module")
def expected(label_map) -> dict[tuple[str, str], float]:
    values = measured(label_map)
    voxel_mm3 = np.prod(SPACING_ZYX_MM)
    assert values["V_r", "implant"] == pytest.approx((implant() == 3).sum() * voxel_mm3)
    assert values["V_DL", "implant"] == pytest.approx((implant() == 2).sum() * voxel_mm3)
    return values


def assert_same(found, expected, rel=1e-6):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=rel, abs=1e-12, nan_ok=True), key


def permuted(label_map: LabelMap, order: tuple[int, ...], flipped: tuple[int, ...]) -> LabelMap:
    """The same voxels in space, listed along other axes and from other ends."""
    geometry, array = label_map.geometry, label_map.array
    first = [array.shape[axis] - 1 if axis in flipped else 0 for axis in range(3)]
    columns = np.array(geometry.direction_lps).reshape(3, 3)[:, ::-1].copy()  # of z, y, x
    columns[:, list(flipped)] *= -1
    new = Geometry(
        tuple(array.shape[axis] for axis in order),
        tuple(geometry.spacing_zyx_mm[axis] for axis in order),
        tuple(geometry.lps_from_index_zyx(np.array(first, float))),
        tuple(columns[:, list(order)][:, ::-1].ravel()),
    )
    return LabelMap(np.ascontiguousarray(np.flip(array, flipped).transpose(order)), new, label_map.scheme)


@pytest.mark.parametrize("flipped", [(0,), (1,), (2,), (0, 1, 2)])
def test_the_ends_at_which_axes_start_change_nothing(label_map, expected, flipped):
    assert_same(measured(permuted(label_map, (0, 1, 2), flipped)), expected)


@pytest.mark.parametrize(
    ("order", "flipped"), [((1, 0, 2), ()), ((2, 1, 0), ()), ((1, 2, 0), (0,)), ((2, 0, 1), (1, 2))]
)
def test_the_order_of_the_axes_changes_nothing(label_map, expected, order, flipped):
    assert_same(measured(permuted(label_map, order, flipped)), expected)


@pytest.mark.parametrize("rows", [1, 3])
def test_a_crop_of_empty_rows_and_a_wider_field_change_nothing(label_map, expected, rows):
    """The shell of 0.1 mm ends five voxels before the border; farther away nothing counts.

    Gaps that reach the border are not known to their end, so that a wider field shows more of them.
    """
    array = np.pad(label_map.array, rows)
    origin = tuple(o - rows * s for o, s in zip(ORIGIN_LPS_MM, SPACING_ZYX_MM[::-1], strict=True))
    wider = LabelMap(array, Geometry(array.shape, SPACING_ZYX_MM, origin))
    found = measured(wider)
    kept = {key: value for key, value in expected.items() if key[1] != "all" and key[0] not in ("Tb.Sp", "Tb.N")}
    assert_same({key: found[key] for key in kept}, kept)


@pytest.mark.parametrize("factor", [1e-3, 1000.0])
def test_lengths_areas_and_volumes_follow_the_unit_and_ratios_do_not(label_map, expected, factor):
    geometry = replace(
        label_map.geometry,
        spacing_zyx_mm=tuple(s * factor for s in SPACING_ZYX_MM),
        origin_lps_mm=tuple(o * factor for o in ORIGIN_LPS_MM),
    )
    lengths = ("distance_mm", "contact_distance_mm", "profile_step_mm", "slice_mm")
    options = replace(OPTIONS, **{name: getattr(OPTIONS, name) * factor for name in lengths})
    powers = {"mm³": 3, "mm²": 2, "mm": 1, "%": 0, "1/mm": -1}
    found = quantify(LabelMap(label_map.array, geometry), options).measures
    for measure, value in zip(found, expected.values(), strict=True):
        if measure.unit in powers:
            power = factor ** powers[measure.unit]
            assert measure.value == pytest.approx(value * power, rel=1e-5, nan_ok=True), measure.symbol


@pytest.mark.parametrize("numbers", [(10, 20, 30), (3, 1, 2), (200, 7, 255)])
def test_other_numbers_for_the_same_labels_change_nothing(label_map, expected, numbers):
    renumbered = np.array([0, *numbers], np.uint8)[label_map.array]
    roles = dict(zip(numbers, ("bone", "degradation_layer", "residual_material"), strict=True))
    scheme = LabelScheme.from_roles({0: "background", **roles})
    assert_same(measured(LabelMap(renumbered, label_map.geometry, scheme)), expected)


@pytest.mark.parametrize(
    ("suffix", "rel"), [(".nrrd", 1e-9), (".seg.nrrd", 1e-9), (".mha", 1e-6), (".nii.gz", 1e-5), (".nii", 1e-5)]
)
def test_the_format_changes_nothing(tmp_path, label_map, expected, suffix, rel):
    write_label_map(label_map, tmp_path / f"labels{suffix}")
    assert_same(measured(read_label_map(tmp_path / f"labels{suffix}")), expected, rel)


@pytest.mark.parametrize("kind", ["tif", "pages", "slices", "chunked", "contiguous", "float"])
def test_formats_without_orientation_change_nothing_either(tmp_path, label_map, expected, kind):
    path = tmp_path / ("labels.h5" if kind in ("chunked", "contiguous", "float") else "labels.tif")
    if kind == "tif":
        write_label_map(label_map, path)
    elif kind == "pages":
        with tifffile.TiffWriter(path) as writer:
            for page in label_map.array:
                writer.write(page, compression="zlib")
    elif kind == "slices":
        path = tmp_path
        for n, page in enumerate(label_map.array):
            tifffile.imwrite(path / f"s{n}.tif", page)
    else:
        with h5py.File(path, "w") as file:
            values = label_map.array.astype(float) if kind == "float" else label_map.array
            file.create_dataset("labels", data=values, chunks=(5, 7, 9) if kind == "chunked" else None)
    spacing_um = [1000 * s for s in SPACING_ZYX_MM]
    assert_same(measured(read_label_map(path, spacing_um=spacing_um)), expected)
