"""Cracks in the layer and canals in bone: what is found, what is left alone, and that slabs do not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cracks.connected import connected_parts, extents_mm
from MgImplantSegLib.cracks.openings import with_openings
from MgImplantSegLib.cracks.options import OpeningOptions
from MgImplantSegLib.cracks.sheets import eigenvalues, hessian_at, sheet_response, tube_response
from MgImplantSegLib.grids.labels import CANAL, CRACK, LabelScheme
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume

SIZE, VOXEL_MM = 40, 0.02
GREY = np.array([0.2, 1.0, 0.9, 1.1])  # background, bone, layer, metal
CRACKS = OpeningOptions(("cracks",))


def pin(seed: int = 0, noise: float = 0.03) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grey values and labels of a pin along z with a metal core, and the radius from its axis in voxels."""
    _z, y, x = np.indices((SIZE,) * 3) - (SIZE - 1) / 2
    radius = np.hypot(y, x)
    labels = np.select([radius < 6, radius < 15], [3, 2], 0).astype(np.uint8)
    grey = GREY[labels] + noise * np.random.default_rng(seed).normal(size=labels.shape)
    return grey.astype(np.float32), labels, radius


def scan_of(array: np.ndarray) -> Volume:
    return Volume(array, Geometry(array.shape, (VOXEL_MM,) * 3))


def labels_of(array: np.ndarray, scheme: LabelScheme | None = None) -> LabelMap:
    return LabelMap(array, Geometry(array.shape, (VOXEL_MM,) * 3), scheme or LabelScheme())


def plane_through(radius: np.ndarray, width: int) -> np.ndarray:
    """A crack across the whole layer, `width` voxels wide, on one side of the metal."""
    y, x = np.indices((SIZE, SIZE)) - SIZE // 2
    crack = (y >= 0) & (y < width) & (x > 0)
    return np.broadcast_to(crack, (SIZE,) * 3) & (radius >= 6) & (radius < 15)


@pytest.mark.parametrize("width", [2, 3, 5])
def test_a_crack_that_the_segmentation_missed_becomes_a_class_of_its_own(width):
    grey, labels, radius = pin()
    crack = plane_through(radius, width)
    grey[crack] = GREY[0]
    found = with_openings(scan_of(grey), labels_of(labels), CRACKS)
    assert (found.array[crack] == CRACK.value).mean() > 0.95
    assert (found.array[~crack] == CRACK.value).sum() < 0.05 * crack.sum()
    assert (found.array == 3).sum() == (labels == 3).sum()
    assert [label.segment_id for label in found.scheme.segments][-1] == "crack"


def test_a_crack_becomes_background_if_that_is_wanted():
    grey, labels, radius = pin()
    crack = plane_through(radius, 3)
    grey[crack] = GREY[0]
    found = with_openings(scan_of(grey), labels_of(labels), replace(CRACKS, opening_result="background"))
    assert (found.array[crack] == 0).mean() > 0.95
    assert found.scheme == LabelScheme()


def test_brightness_and_offset_of_the_grey_values_do_not_matter():
    grey, labels, radius = pin()
    grey[plane_through(radius, 3)] = GREY[0]
    plain = with_openings(scan_of(grey), labels_of(labels), CRACKS)
    stored = np.rint(20000 + 12000 * grey).astype(np.uint16)
    other = with_openings(scan_of(stored), labels_of(labels), CRACKS)
    assert (plain.array != other.array).sum() < 0.01 * (plain.array == CRACK.value).sum()


def test_an_implant_without_cracks_has_none_found():
    grey, labels, _radius = pin(noise=0.1)
    assert np.array_equal(with_openings(scan_of(grey), labels_of(labels), CRACKS).array, labels)


def test_a_round_pore_is_no_crack():
    grey, labels, _radius = pin()
    z, y, x = np.indices((SIZE,) * 3)
    pore = (z - 20) ** 2 + (y - 31) ** 2 + (x - 20) ** 2 < 2.5**2
    grey[pore] = GREY[0]
    assert np.array_equal(with_openings(scan_of(grey), labels_of(labels), CRACKS).array, labels)


def test_dark_metal_stays_metal():
    grey, labels, _radius = pin()
    grey[:, 19:22, 14:26] = GREY[0]
    found = with_openings(scan_of(grey), labels_of(labels), CRACKS)
    assert np.array_equal(found.array == 3, labels == 3)


@pytest.mark.parametrize("gap", [1, 2, 3])
def test_a_gap_between_the_implant_and_the_border_of_the_volume_is_no_crack(gap):
    labels = np.zeros((SIZE,) * 3, np.uint8)
    inside = slice(gap, SIZE - gap)
    labels[inside, inside, inside] = 2
    labels[15:25, 15:25, 15:25] = 3
    crack = np.zeros(labels.shape, bool)
    crack[5:-5, 18:21, 26:] = True
    labels[:4], labels[:, :4] = 0, 0  # background enough to tell its grey value
    grey = GREY[labels]
    grey[crack] = GREY[0]
    found = with_openings(scan_of(grey.astype(np.float32)), labels_of(labels), CRACKS)
    assert (found.array[crack & (labels == 2)] == CRACK.value).mean() > 0.95
    assert not (found.array[labels == 0] == CRACK.value).any()


def test_a_crack_that_is_background_already_is_recognised():
    grey, labels, radius = pin()
    crack = plane_through(radius, 3)
    grey[crack], labels[crack] = GREY[0], 0
    found = with_openings(scan_of(grey), labels_of(labels), CRACKS)
    inside = crack & (radius < 13)  # the mouth of an open crack may count as outside
    assert (found.array[inside] == CRACK.value).mean() > 0.95


def test_the_size_of_the_slabs_does_not_matter():
    grey, labels, radius = pin(noise=0.15)
    grey[plane_through(radius, 2)] = GREY[0]
    whole = with_openings(scan_of(grey), labels_of(labels), CRACKS)
    for layers in (1, 3, 7):
        parts = with_openings(scan_of(grey), labels_of(labels), CRACKS, voxels_per_slab=layers * SIZE * SIZE)
        assert np.array_equal(parts.array, whole.array)
    assert (whole.array == CRACK.value).any()


def test_a_canal_in_bone_is_found_and_a_wide_space_is_not():
    labels = np.ones((SIZE,) * 3, np.uint8)
    labels[:, :12] = 0
    _z, y, x = np.indices((SIZE,) * 3)
    canal = np.hypot(y - 28, x - 12) < 1.8
    grey = GREY[labels] + 0.03 * np.random.default_rng(1).normal(size=labels.shape)
    grey[canal] = GREY[0]
    found = with_openings(scan_of(grey.astype(np.float32)), labels_of(labels), OpeningOptions(("canals",)))
    assert (found.array[canal] == CANAL.value).mean() > 0.9
    assert (found.array[~canal] == CANAL.value).sum() < 0.1 * canal.sum()


def test_without_openings_the_label_map_comes_back():
    grey, labels, _radius = pin()
    given = labels_of(labels)
    assert with_openings(scan_of(grey), given, OpeningOptions()) is given


def test_other_values_and_an_ignore_value_are_kept():
    grey, labels, radius = pin()
    crack = plane_through(radius, 3)
    grey[crack] = GREY[0]
    theirs = np.array([9, 4, 5, 7], np.uint8)[labels]
    theirs[:3] = 255
    scheme = LabelScheme.from_roles(
        {9: "background", 4: "bone", 5: "degradation_layer", 7: "residual_material"}, ignore_value=255
    )
    found = with_openings(scan_of(grey), labels_of(theirs, scheme), CRACKS)
    value = next(label.value for label in found.scheme.labels if label.segment_id == "crack")
    assert value not in (*scheme.values, 255)
    assert (found.array[3:][crack[3:]] == value).mean() > 0.95
    assert (found.array[:3] == 255).all()


def test_without_background_or_with_a_layer_darker_than_it_there_is_a_warning():
    grey, labels, _radius = pin()
    told: list[str] = []
    events = Events(lambda event: told.append(str(event)))
    assert np.array_equal(with_openings(scan_of(-grey), labels_of(labels), CRACKS, events).array, labels)
    full = np.full_like(labels, 2)
    assert np.array_equal(with_openings(scan_of(grey), labels_of(full), CRACKS, events).array, full)
    assert sum("No cracks were looked for" in text for text in told) == 2


def test_a_segmentation_on_another_grid_is_refused():
    grey, labels, _radius = pin()
    with pytest.raises(InputError, match="voxels of the scan"):
        with_openings(scan_of(grey), labels_of(labels[1:]), CRACKS)


@pytest.mark.parametrize(
    ("field", "value"),
    [("openings", ("holes",)), ("opening_contrast", 0), ("opening_contrast", 1), ("opening_width_um", -1)],
)
def test_options_that_cannot_be_are_refused(field, value):
    with pytest.raises(InputError, match=field):
        OpeningOptions(**{field: value})


def test_eigenvalues_are_those_of_the_linear_algebra_library():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(50, 3, 3))
    a = a + a.transpose(0, 2, 1)
    a[0], a[1] = np.eye(3), 0
    components = np.stack([a[:, 0, 0], a[:, 0, 1], a[:, 0, 2], a[:, 1, 1], a[:, 1, 2], a[:, 2, 2]])
    assert np.allclose(eigenvalues(components), np.linalg.eigvalsh(a).T, atol=1e-6)


def test_responses_are_one_in_the_middle_of_a_sheet_and_a_tube_and_a_ball_is_no_sheet():
    z, y, x = np.indices((41,) * 3) - 20.0
    middle = tuple(np.array([20]) for _ in range(3))
    sigma = (4.0,) * 3

    def values(mask):
        return eigenvalues(hessian_at(-mask.astype(np.float32), sigma, middle))

    assert sheet_response(values(np.abs(z + 0.5) < 4)) == pytest.approx(1, abs=0.1)
    assert tube_response(values(np.hypot(y, x) < 4 * 2**0.5)) == pytest.approx(1, abs=0.1)
    assert abs(sheet_response(values(z**2 + y**2 + x**2 < 25))) < 0.05


def test_parts_that_touch_at_a_corner_are_one_and_lengths_are_those_of_a_box():
    mask = np.zeros((9, 9, 9), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    mask[4, 2:8, 2:8] = True
    mask[7, 3, 8] = mask[7, 4, 0] = True  # neighbours in memory only if rows ran on
    voxels = np.argwhere(mask)
    parts = connected_parts(voxels)
    assert sorted(np.bincount(parts).tolist()) == [1, 1, 2, 36]
    sheet = int(np.argmax(np.bincount(parts)))
    assert extents_mm(voxels, parts, (0.1, 0.2, 0.3))[sheet] == pytest.approx((0.1, 1.2, 1.8))
