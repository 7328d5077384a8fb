"""The implant before implantation and after corrosion, as level sets in voxels (negative inside)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.simulation.fields import signed_distance, slope_normalised, smooth_field
from MgImplantSegLib.simulation.settings import CorrosionParameters, ImplantParameters

HAIRLINE_VOXELS = (
    2.0  # narrower ones are below the sampling limit: shades of the layer, not gaps that anyone could label
)


@dataclass(frozen=True)
class Frame:
    """Where the centres of voxels lie in a grid around the middle of the volume."""

    shape_zyx: tuple[int, int, int]
    voxel_mm: float

    def coordinates_mm(self) -> list[np.ndarray]:
        """Sparse arrays z, y, x in mm from the centre of the volume."""
        axes = [(np.arange(n, dtype=np.float32) - (n - 1) / 2) * self.voxel_mm for n in self.shape_zyx]
        return list(np.meshgrid(*axes, indexing="ij", sparse=True))


def implant_axes(implant: ImplantParameters) -> np.ndarray:
    """Rows: the unit vectors (z, y, x) of the implant's own axis and of its two cross directions."""
    tilt, azimuth = np.deg2rad([implant.tilt_deg, implant.azimuth_deg])
    axis = np.array([np.cos(tilt), np.sin(tilt) * np.sin(azimuth), np.sin(tilt) * np.cos(azimuth)])
    helper = np.array([0.0, 1.0, 0.0]) if abs(axis[1]) < 0.9 else np.array([0.0, 0.0, 1.0])
    across = np.cross(axis, helper)
    across /= np.linalg.norm(across)
    return np.stack([axis, across, np.cross(axis, across)])


def initial_level_set(implant: ImplantParameters, frame: Frame) -> np.ndarray:
    """Level set of the implant before implantation.

    The surface is r = R(u, θ) in the implant's own cylinder coordinates: core and helical thread, shank, head with
    socket, tapered tip, or a pin or wire with round or square cross-section, straight or bent.
    """
    along, angle, radius = _own_coordinates(implant, frame)
    surface_mm = _outer_radius(implant, along, angle)
    body = slope_normalised((radius - surface_mm) / frame.voxel_mm)
    half = implant.length_mm / 2
    body = np.maximum(body, (np.abs(along) - half) / frame.voxel_mm)
    if implant.socket_radius_mm > 0:
        depth = 0.6 * implant.head_height_mm
        hexagon = radius * np.cos((angle % (np.pi / 3)) - np.pi / 6) - implant.socket_radius_mm * np.cos(np.pi / 6)
        body = np.maximum(body, -np.maximum(hexagon, half - depth - along) / frame.voxel_mm)
    if implant.bore_radius_mm > 0:
        body = np.maximum(body, (implant.bore_radius_mm - radius) / frame.voxel_mm)
    return body.astype(np.float32)


def _own_coordinates(implant: ImplantParameters, frame: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    position = [c - o for c, o in zip(frame.coordinates_mm(), implant.offset_zyx_mm, strict=True)]
    along, first, second = (
        sum(p * component for p, component in zip(position, row, strict=True))
        for row in implant_axes(implant).astype(np.float32)
    )
    if implant.bend_mm > 0:
        extent = frame.shape_zyx[0] * frame.voxel_mm
        first = first - implant.bend_mm * np.sin(np.pi * along / extent)
    first, second = first * implant.flatness**0.5, second / implant.flatness**0.5
    power = implant.squareness
    radius = (
        np.hypot(first, second) if power == 2 else (np.abs(first) ** power + np.abs(second) ** power) ** (1 / power)
    )
    return along, np.arctan2(second, first), radius


def _outer_radius(implant: ImplantParameters, along: np.ndarray, angle: np.ndarray) -> np.ndarray:
    half = implant.length_mm / 2
    turns = (along / implant.thread_pitch_mm - angle / (2 * np.pi)) % 1
    ridge = np.abs(2 * turns - 1) ** implant.thread_sharpness
    core = implant.radius_mm - implant.thread_depth_mm
    radius = core + implant.thread_depth_mm * ridge
    shank_start = half - implant.head_height_mm - implant.shank_mm
    radius = np.where(along > shank_start, core + 0.4 * implant.thread_depth_mm, radius) if implant.shank_mm else radius
    if implant.head_radius_mm:
        to_top = np.clip((half - along) / implant.head_height_mm, 0, 1)
        head = implant.head_radius_mm * (0.75 + 0.25 * np.sqrt(to_top))
        radius = np.where(along > half - implant.head_height_mm, head, radius)
    from_tip = np.clip((along + half) / implant.tip_mm, 0, 1)
    return radius * (0.35 + 0.65 * np.sqrt(from_tip * (2 - from_tip)))


@dataclass(frozen=True)
class CorrodedImplant:
    """Arrays (z, y, x): level sets of the bodies in voxels, negative inside; the part of each voxel that cracks fill,
    0 to 1; where these are too narrow for the scan to show; the depth coordinate of the layer.
    """

    initial: np.ndarray
    outer: np.ndarray
    metal: np.ndarray
    crack_part: np.ndarray
    crack_is_hairline: np.ndarray
    layer_position: np.ndarray


def corrode(
    initial: np.ndarray, corrosion: CorrosionParameters, voxel_mm: float, rng: np.random.Generator
) -> CorrodedImplant:
    """Metal shrunk by a depth that varies over the surface with pits, and the layer that takes its place.

    `layer_position` runs from 0 at the metal to 1 at the outer surface of the layer.
    """
    distance = signed_distance(initial)
    depth = _corrosion_depth(initial, corrosion, voxel_mm, rng)
    swelling = smooth_field(rng, initial.shape, corrosion.depth_correlation_mm / voxel_mm)
    swelling = (corrosion.swelling_mm + corrosion.swelling_variation_mm * swelling) / voxel_mm
    bare = depth <= 0
    swelling[bare] = np.minimum(swelling[bare], 0)
    outer = distance - swelling
    metal = np.maximum(distance + np.maximum(depth, 0), outer)
    position = np.clip(metal / np.maximum(metal - outer, 1e-3), 0, 1)
    return CorrodedImplant(initial, outer, metal, *_cracks(metal, position, corrosion, voxel_mm, rng), position)


def uncorroded(initial: np.ndarray) -> CorrodedImplant:
    """The implant as it was: all metal, no layer, no cracks."""
    nothing = np.zeros_like(initial)
    return CorrodedImplant(initial, initial, initial, nothing, nothing > 0, nothing)


def _corrosion_depth(initial: np.ndarray, corrosion: CorrosionParameters, voxel_mm: float, rng) -> np.ndarray:
    """Depth in voxels; negative where the metal is bare."""
    variation = smooth_field(rng, initial.shape, corrosion.depth_correlation_mm / voxel_mm)
    depth = corrosion.depth_mm * np.exp(corrosion.depth_variation * variation - corrosion.depth_variation**2 / 2)
    surface = np.argwhere(np.abs(initial) < 1)
    for _ in range(corrosion.pits if len(surface) else 0):
        centre = surface[rng.integers(len(surface))]
        radius = corrosion.pit_radius_mm * rng.uniform(0.5, 1.3) / voxel_mm
        _add_bump(depth, centre, radius, corrosion.pit_depth_mm * rng.uniform(0.5, 1.3))
    if corrosion.bare_part > 0:
        cover = smooth_field(rng, initial.shape, 2 * corrosion.depth_correlation_mm / voxel_mm)
        edge = np.quantile(cover[::4, ::4, ::4], corrosion.bare_part)
        depth *= np.clip((cover - edge) * 3, -0.01, 1)
    return (depth / voxel_mm).astype(np.float32)


def _add_bump(field: np.ndarray, centre: np.ndarray, radius: float, height: float) -> None:
    reach = int(np.ceil(2.5 * radius))
    box = tuple(slice(max(0, c - reach), c + reach + 1) for c in centre)
    axes = [np.arange(s.start, min(s.stop, n)) - c for s, n, c in zip(box, field.shape, centre, strict=True)]
    squared = sum(a**2 for a in np.meshgrid(*axes, indexing="ij", sparse=True))
    field[box] += height * np.exp(-0.5 * squared / radius**2)


def _cracks(
    metal: np.ndarray, position: np.ndarray, corrosion: CorrosionParameters, voxel_mm: float, rng
) -> tuple[np.ndarray, np.ndarray]:
    """Part of each voxel that cracks fill, sheets across and along the layer; where they are hairlines."""
    if corrosion.crack_part <= 0:
        return np.zeros(metal.shape, np.float32), np.zeros(metal.shape, bool)
    shape, spacing = metal.shape, corrosion.crack_spacing_mm / voxel_mm
    half_width = corrosion.crack_width_mm / voxel_mm / 2
    across = np.abs(slope_normalised(smooth_field(rng, shape, 0.5 * spacing)))
    level = rng.uniform(0.3, 0.7)
    span = slope_normalised(position - level + 0.05 * smooth_field(rng, shape, spacing))
    distance = np.minimum(across, np.abs(span))
    half_widths = half_width * np.maximum(1 + 0.4 * smooth_field(rng, shape, spacing), 0)
    part = np.minimum(distance + half_widths, 0.5) - np.maximum(distance - half_widths, -0.5)
    where = smooth_field(rng, shape, spacing)
    absent = where < np.quantile(where[::4, ::4, ::4], 1 - corrosion.crack_part)
    part[absent] = 0
    part = np.clip(np.minimum(part, metal - 0.5), 0, 1).astype(np.float32)
    return part, 2 * half_widths < HAIRLINE_VOXELS
