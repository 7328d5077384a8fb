"""Measures of cracks and canals on shapes whose values are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from MgImplantSegLib.grids.labels import CANAL, CLASSES, CRACK, LabelScheme
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.quantification import QuantificationReport, QuantifyOptions, quantify

VOXEL_MM = 0.01
SCHEME = LabelScheme((*CLASSES, CRACK, CANAL))
RADIUS, CORE, LENGTH, WIDTH = 24, 12, 30, 4


def cylinder(width: int = WIDTH, buried: int = 0) -> np.ndarray:
    """Metal and layer around an axis along z, and a crack across the layer, open unless its outer voxels are `buried`.

    The crack is a slab perpendicular to y on one side, `width` voxels wide, from the metal outwards.
    """
    _z, y, x = np.indices((LENGTH + 10, 60, 60))
    radius = np.hypot(y - 29.5, x - 29.5)
    along = (np.indices((LENGTH + 10, 1, 1))[0] >= 5) & (np.indices((LENGTH + 10, 1, 1))[0] < LENGTH + 5)
    labels = np.select([(radius < CORE) & along, (radius < RADIUS) & along], [3, 2], 0).astype(np.uint8)
    crack = (
        (labels == 2) & (y >= 30 - width // 2) & (y < 30 - width // 2 + width) & (x > 30) & (radius < RADIUS - buried)
    )
    labels[crack] = CRACK.value
    return labels


def measured(labels: np.ndarray, *groups: str, scheme: LabelScheme = SCHEME, **options) -> QuantificationReport:
    label_map = LabelMap(labels, Geometry(labels.shape, (VOXEL_MM,) * 3), scheme)
    return quantify(label_map, QuantifyOptions(measures=groups, **options))


def test_a_slab_crack_has_its_volume_its_width_and_its_share_of_the_layer():
    labels = cylinder()
    crack, layer = int((labels == 4).sum()), int((labels == 2).sum())
    report = measured(labels, "cracks")
    assert report.value("Cr.V") == pytest.approx(crack * VOXEL_MM**3)
    assert report.value("Cr.V/DL.V") == pytest.approx(100 * crack / (crack + layer))
    assert report.value("Cr.Wi") == pytest.approx(WIDTH * VOXEL_MM, abs=VOXEL_MM)
    assert report.value("Cr.Wi.max") <= (WIDTH + 1) * VOXEL_MM
    assert report.value("Cr.Wi.SD") < VOXEL_MM


def test_a_crack_of_one_width_does_not_vary_by_rounding():
    labels = np.zeros((16, 30, 30), np.uint8)
    labels[2:14, 3:20, 3:27] = 2
    labels[2:14, 10:12, 15:27] = CRACK.value
    label_map = LabelMap(labels, Geometry(labels.shape, (0.02,) * 3), SCHEME)
    report = quantify(label_map, QuantifyOptions(measures=("cracks",)))
    assert report.value("Cr.Wi") == pytest.approx(0.04, abs=1e-9) and report.value("Cr.Wi.SD") < 1e-12


def test_a_wider_crack_reads_as_much_wider():
    width = [measured(cylinder(width), "cracks").value("Cr.Wi") for width in (4, 8)]
    assert width[1] - width[0] == pytest.approx(4 * VOXEL_MM, abs=VOXEL_MM)


def test_the_surface_of_a_slab_crack_by_faces_is_that_of_its_voxels():
    labels = cylinder()
    mask = np.pad(labels == 4, 1)
    faces = sum(int((mask != np.roll(mask, 1, axis)).sum()) for axis in range(3))
    report = measured(labels, "cracks", surface="voxel-faces")
    assert report.value("Cr.S") == pytest.approx(faces * VOXEL_MM**2)


def test_a_crack_as_deep_as_the_layer_has_half_of_it_as_mean_depth():
    report = measured(cylinder(), "cracks")
    assert report.value("Cr.De.max") == pytest.approx((RADIUS - CORE) * VOXEL_MM, abs=1.5 * VOXEL_MM)
    assert report.value("Cr.De") < report.value("Cr.De.max") / 2 + VOXEL_MM


def test_an_open_crack_counts_as_open_and_a_buried_one_as_closed():
    assert measured(cylinder(), "cracks").value("Cr.open") == 100
    buried = cylinder(buried=3)
    buried[[5, LENGTH + 4]] = np.where(buried[[5, LENGTH + 4]] == 4, 2, buried[[5, LENGTH + 4]])
    assert measured(buried, "cracks").value("Cr.open") == 0


def test_the_share_of_the_metal_s_faces_on_a_crack_is_counted_by_hand():
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[2:10, 2:10, 2:10] = 2
    labels[4:8, 4:8, 4:8] = 3  # 96 faces
    labels[5, 5, 8:10] = 4  # on one of them
    assert measured(labels, "cracks").value("Cr.RM") == pytest.approx(100 / 96)


def test_bic_falls_with_cracks_open_and_closing_them_gives_the_whole_implant_s():
    labels = cylinder()
    labels[:, :20][labels[:, :20] == 0] = 1
    whole = np.where(labels == 4, 2, labels)
    report, plain = measured(labels, "cracks", "contact"), measured(whole, "contact").value("BIC")
    assert report.value("BIC_closed") == pytest.approx(plain)
    assert report.value("BIC_open") == report.value("BIC") < plain


def test_cracks_are_background_for_all_other_measures():
    labels = cylinder()
    labels[:, :20][labels[:, :20] == 0] = 1
    plain = measured(np.where(labels == 4, 0, labels), "volumes", "contact", "bone-volume", scheme=LabelScheme())
    cracked = measured(labels, "volumes", "contact", "bone-volume")
    assert [entry.value for entry in cracked.measures] == [entry.value for entry in plain.measures]


def test_without_a_class_of_cracks_those_are_measured_that_closing_closes():
    labels = np.where(cylinder(buried=3) == 4, 0, cylinder(buried=3))
    labels[5:9] = np.where((labels[5:9] == 0) & (cylinder()[5:9] > 0), 2, labels[5:9])
    labels[LENGTH + 1 : LENGTH + 5] = labels[5:9]
    report = measured(labels, "cracks", scheme=LabelScheme(), close_cracks_mm=WIDTH * VOXEL_MM)
    hidden = int(((cylinder() > 0) & (labels == 0)).sum())
    assert report.value("Cr.V") == pytest.approx(hidden * VOXEL_MM**3, rel=0.02)


def test_undefined_measures_say_why():
    nothing = measured(cylinder(width=0), "cracks")
    assert nothing.value("Cr.V") == 0 and "no cracks" in nothing.find("Cr.Wi").note
    unknown = measured(cylinder(width=0), "cracks", "canals", scheme=LabelScheme())
    assert "No cracks are labelled" in unknown.find("Cr.V").note
    assert "No cracks are labelled" in unknown.find("BIC_open").note
    assert "no bone" in unknown.find("Ct.Po").note
    assert "no implant" in measured(np.zeros((5, 5, 5), np.uint8), "cracks").find("Cr.V").note


def test_porosity_and_diameter_of_a_straight_canal():
    _z, y, x = np.indices((30, 40, 40))
    canal = np.hypot(y - 20, x - 20) < 5
    report = measured(np.where(canal, 5, 1).astype(np.uint8), "canals")
    assert report.value("Ct.Po") == pytest.approx(100 * canal.mean())
    assert report.value("Ca.Dm") == pytest.approx(10 * VOXEL_MM, abs=VOXEL_MM)
