"""From where a 3D picture is seen: upright along the implant's axis, from slightly above and aside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ELEVATION_DEGREES = 20.0
AZIMUTH_DEGREES = 25.0
SNAP_DEGREES = 5.0


@dataclass(frozen=True)
class Viewpoint:
    """Directions of a picture, unit vectors in RAS, and the point it is centred on in RAS millimetres.

    `up_ras` is the implant's axis, `front_ras` the direction across it out of which material is cut away, and
    `to_camera_ras` points from the centre to the viewer.
    """

    centre_ras_mm: np.ndarray
    up_ras: np.ndarray
    front_ras: np.ndarray
    to_camera_ras: np.ndarray

    @property
    def right_ras(self) -> np.ndarray:
        """The direction across the axis and `front_ras` that lies at the viewer's right."""
        return np.cross(self.up_ras, self.front_ras)

    @property
    def screen_axes(self) -> np.ndarray:
        """3×3 columns in RAS: right in the picture, up in the picture, towards the viewer."""
        right = _unit(np.cross(self.up_ras, self.to_camera_ras))
        return np.stack([right, np.cross(self.to_camera_ras, right), self.to_camera_ras], axis=1)


def viewpoint_of_points(points_ras_mm: np.ndarray) -> Viewpoint:
    """The viewpoint for an implant with surface points (n, 3): its longest axis stands upright, its head on top.

    The axis is the one of largest variance if it stands out, else the superior direction. The head, the thicker end,
    is turned up.
    """
    centre = points_ras_mm.mean(axis=0)
    up = _long_axis(points_ras_mm - centre)
    front = _unit(_across(np.array([0.25, 1.0, 0.0]), up))
    right = np.cross(up, front)
    elevation, azimuth = np.radians(ELEVATION_DEGREES), np.radians(AZIMUTH_DEGREES)
    level = np.cos(azimuth) * front + np.sin(azimuth) * right
    return Viewpoint(centre, up, front, np.cos(elevation) * level + np.sin(elevation) * up)


def _long_axis(centred_mm: np.ndarray) -> np.ndarray:
    """Unit vector along the largest variance, pointing to the thicker end; superior for a body without a long axis."""
    variances, axes = np.linalg.eigh(np.cov(centred_mm.T))
    if variances[2] < 1.5 * variances[1]:
        return np.array([0.0, 0.0, 1.0])
    axis = _snapped(axes[:, 2])
    along = centred_mm @ axis
    radius = np.linalg.norm(centred_mm - np.outer(along, axis), axis=1)
    thicker_end = np.sum(along * (radius - radius.mean()))
    return axis if thicker_end > 0 else -axis


def _snapped(axis: np.ndarray) -> np.ndarray:
    """The R, A or S direction if it is as good as parallel to the axis; a small tilt would look like a mistake."""
    nearest = int(np.abs(axis).argmax())
    if abs(axis[nearest]) < np.cos(np.radians(SNAP_DEGREES)):
        return axis
    return np.sign(axis[nearest]) * np.eye(3)[nearest]


def _across(direction: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The part of `direction` across `axis`; of another direction if the two are parallel."""
    part = direction - axis * (direction @ axis)
    if np.linalg.norm(part) > 0.1 * np.linalg.norm(direction):
        return part
    return _across(np.array([1.0, 0.0, 0.25]), axis)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
