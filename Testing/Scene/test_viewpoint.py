"""The picture's viewpoint: the implant's axis upright, its head on top, seen obliquely."""

import numpy as np
import pytest

from MgImplantSegLib.scene.annotations import length_text, nice_length_mm
from MgImplantSegLib.scene.viewpoint import viewpoint_of_points


def screw_points(axis, head_at=1.0):
    """Points on a rod of length 4 and radius 0.5 with a disc of radius 1 at one end, along `axis`."""
    axis = np.array(axis) / np.linalg.norm(axis)
    side = np.cross(axis, (0.3, 0.5, 0.8))
    side /= np.linalg.norm(side)
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)[:, None]
    ring = np.cos(angle) * side + np.sin(angle) * np.cross(axis, side)
    rod = [0.5 * ring + along * axis for along in np.linspace(-2, 2, 80)]
    head = [1.0 * ring + (2 * head_at + along) * axis for along in (0, 0.1)]
    return np.concatenate(rod + head) + np.array((10, 20, 30))


@pytest.mark.parametrize("axis", [(0, 0, 1), (0, 0, -1), (1, 2, 3), (1, 0, 0), (0, -1, 0)])
def test_the_head_of_the_screw_points_up_whatever_its_axis(axis):
    viewpoint = viewpoint_of_points(screw_points(axis))
    assert viewpoint.up_ras @ axis / np.linalg.norm(axis) == pytest.approx(1, abs=1e-3)
    turned_over = viewpoint_of_points(screw_points(axis, head_at=-1.0))
    assert turned_over.up_ras @ axis / np.linalg.norm(axis) == pytest.approx(-1, abs=1e-3)


def test_directions_are_perpendicular_and_the_camera_looks_down_from_the_front():
    viewpoint = viewpoint_of_points(screw_points((1, 2, 3)))
    axes = viewpoint.screen_axes
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    assert np.linalg.det(axes) == pytest.approx(1)
    assert viewpoint.front_ras @ viewpoint.up_ras == pytest.approx(0, abs=1e-9)
    assert viewpoint.to_camera_ras @ viewpoint.up_ras == pytest.approx(np.sin(np.radians(20)))
    assert viewpoint.to_camera_ras @ viewpoint.right_ras > 0.3
    assert viewpoint.to_camera_ras @ viewpoint.front_ras > 0.8
    np.testing.assert_allclose(viewpoint.centre_ras_mm, (10, 20, 30), atol=0.2)


def test_a_slight_tilt_is_not_followed():
    assert viewpoint_of_points(screw_points((0.05, 0.0, 1.0))).up_ras.tolist() == [0, 0, 1]


def test_bodies_without_a_long_axis_stand_upright():
    points = np.random.default_rng(0).normal(size=(500, 3))
    assert viewpoint_of_points(points).up_ras.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("longest", "nice", "text"),
    [(0.99, 0.5, "500 µm"), (1.0, 1.0, "1 mm"), (0.0049, 0.002, "2 µm"), (27.0, 20.0, "20 mm"), (0.2, 0.2, "200 µm")],
)
def test_scale_bars_have_round_lengths_in_a_unit_that_reads_well(longest, nice, text):
    assert nice_length_mm(longest) == pytest.approx(nice)
    assert length_text(nice_length_mm(longest)) == text
