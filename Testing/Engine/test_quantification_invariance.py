"""No measure depends on which end of the screw is first, on the order of axes, on a crop around it, or on the unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from measured_shapes import BONE, LAYER, METAL, plain_grid

from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.quantification import InitialScrew, QuantificationReport, QuantifyOptions, quantify
from MgImplantSegLib.quantification.measures.all_measures import MEASURES

SPACING_MM = (0.03, 0.02, 0.025)
SHAPE = (58, 52, 48)
NOT_OF_THIS = ("cracks", "canals")  # it has none; see test_quantification_openings.py
LENGTHS = ("distance_mm", "contact_distance_mm", "close_cracks_mm", "profile_step_mm", "slice_mm")
OPTIONS = QuantifyOptions(
    time_days=84,
    distance_mm=0.12,
    measures=tuple(name for name in MEASURES if name not in NOT_OF_THIS),
    profile_step_mm=0.05,
    slice_mm=0.05,
    surface="crofton",
)
POWER_OF_UNIT = {"mm³": 3, "mm²": 2, "mm": 1, "mm/year": 1, "1/mm": -1, "%": 0, "1": 0}


def bodies() -> tuple[np.ndarray, np.ndarray]:
    """A screw with a head at one end, along no axis, in plates of bone; and the screw before."""
    z, y, x = (np.arange(n) * s for n, s in zip(SHAPE, SPACING_MM, strict=True))
    position = np.stack(np.meshgrid(z, y, x, indexing="ij"), axis=-1) - np.array((0.84, 0.51, 0.58))
    axis = np.array((0.93, 0.31, 0.2)) / np.linalg.norm((0.93, 0.31, 0.2))
    along = position @ axis
    across = np.linalg.norm(position - along[..., None] * axis, axis=-1)
    before = (np.abs(along) < 0.4) & (across < 0.13) | (np.abs(along - 0.4) < 0.09) & (across < 0.2)
    layer = before & ((across > 0.09) | (along < -0.33))
    waist = before & (np.abs(along + 0.1) < 0.05) & (across > 0.06)
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, np.arange(SHAPE[1]) % 9 < 4] = BONE
    labels[before], labels[before & ~layer & ~waist] = LAYER, METAL
    return labels, np.where(before, METAL, 0).astype(np.uint8)


def roi(geometry: Geometry, scale: float = 1.0) -> OrientedBox:
    """A box about the middle of a grid."""
    middle = geometry.lps_from_index_zyx((np.array(geometry.shape_zyx) - 1) / 2)
    return OrientedBox(tuple(middle), size_mm=(0.404 * scale,) * 3, name="ROI")


def report(labels, before, spacing=SPACING_MM, at: Geometry | None = None, **options) -> QuantificationReport:
    grid = Geometry(labels.shape, spacing)
    screw = InitialScrew.from_label_map(LabelMap(before, Geometry(before.shape, spacing)))
    options = {"rois": (roi(at or grid),), "initial": screw, **options}
    return quantify(LabelMap(labels, at or grid), replace(OPTIONS, **options))


@pytest.fixture(scope="module")
def plain() -> QuantificationReport:
    return report(*bodies())


def require_same(found: QuantificationReport, expected: QuantificationReport, scale: float = 1.0) -> None:
    assert [(m.symbol, m.region) for m in found.measures] == [(m.symbol, m.region) for m in expected.measures]
    for one, other in zip(found.measures, expected.measures, strict=True):
        wanted = other.value * scale ** POWER_OF_UNIT[other.unit]
        assert one.value == pytest.approx(wanted, rel=2e-5, abs=1e-9, nan_ok=True), (one.symbol, one.region)


def test_every_measure_of_this_explant_is_defined(plain):
    undefined = [(m.symbol, m.note) for m in plain.measures if not np.isfinite(m.value)]
    assert undefined == []


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_an_explant_turned_or_mirrored_has_the_same_measures(plain, axes):
    require_same(report(*(np.flip(array, axes).copy() for array in bodies())), plain)


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0)])
def test_an_explant_along_other_axes_has_the_same_measures(plain, order):
    arrays = (np.ascontiguousarray(array.transpose(order)) for array in bodies())
    require_same(report(*arrays, spacing=tuple(SPACING_MM[axis] for axis in order)), plain)


@pytest.mark.parametrize("edges", [(1, 0), (1, 2)])
def test_voxels_around_that_are_cropped_change_nothing_in_and_beside_the_screw(plain, edges):
    labels, before = bodies()
    inner = tuple(slice(edges[0], n - edges[1]) for n in SHAPE)
    at = plain_grid(*SHAPE, spacing_zyx_mm=SPACING_MM).cropped((edges[0],) * 3, labels[inner].shape)
    where = (roi(plain_grid(*SHAPE, spacing_zyx_mm=SPACING_MM)),)
    cropped = report(labels[inner].copy(), before, at=at, rois=where)
    for one, other in zip(cropped.measures, plain.measures, strict=True):
        if not one.symbol.startswith("Tb."):  # spheres that the border cuts
            assert one.value == pytest.approx(other.value, rel=1e-6), one.symbol


def test_lengths_in_another_unit_give_the_same_measures_in_that_unit(plain):
    scale, (labels, before) = 7.0, bodies()
    spacing = tuple(scale * s for s in SPACING_MM)
    lengths = {name: scale * getattr(OPTIONS, name) for name in LENGTHS}
    box = (roi(Geometry(labels.shape, spacing), scale),)
    larger = report(labels, before, spacing=spacing, rois=box, **lengths)
    names = {"shell 0–0.84 mm": "shell 0–0.12 mm", "ROI ∩ shell 0–0.84 mm": "ROI ∩ shell 0–0.12 mm"}
    renamed = tuple(replace(m, region=names.get(m.region, m.region)) for m in larger.measures)
    require_same(replace(larger, measures=renamed), plain, scale)


def test_a_voxel_that_is_cut_from_an_end_of_the_screw_hardly_changes_the_slices(plain):
    labels, before = bodies()
    first = int(np.flatnonzero((labels >= LAYER).any(axis=(1, 2)))[0])
    shorter = labels.copy()
    shorter[first][shorter[first] >= LAYER] = 0
    found = report(shorter, before)
    assert found.value("BIC_slices") == pytest.approx(plain.value("BIC_slices"), rel=0.05)
    assert found.value("A_RM_min") == pytest.approx(plain.value("A_RM_min"), rel=0.02)
    position_mm = found.find("A_RM_min_position").counts["from_farther_end_mm"]
    assert position_mm == pytest.approx(plain.find("A_RM_min_position").counts["from_farther_end_mm"], abs=0.03)
