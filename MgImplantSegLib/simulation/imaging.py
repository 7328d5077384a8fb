"""From bodies to a scan: grey values, partial volume, phase-contrast edges, rings, streaks, reconstruction noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from MgImplantSegLib.simulation.fields import filled_part, radial_frequency, smooth_field
from MgImplantSegLib.simulation.implant import CorrodedImplant
from MgImplantSegLib.simulation.scanner import exported, scan
from MgImplantSegLib.simulation.settings import ExplantParameters, ImagingParameters, Look
from MgImplantSegLib.simulation.textures import layer_pattern


@dataclass(frozen=True)
class Composition:
    """The part of each voxel, 0 to 1, that each class fills; what is left is background.

    `hairline` is the part that cracks fill which are too narrow for the scan to show: they darken the layer, and are
    labelled as layer.
    """

    bone: np.ndarray
    layer: np.ndarray
    metal: np.ndarray
    hairline: np.ndarray | float = 0.0

    @property
    def labels(self) -> np.ndarray:
        """uint8 (z, y, x): the class that fills the largest part of the voxel; 0 is background."""
        layer = self.layer + self.hairline
        rest = 1 - self.bone - layer - self.metal
        return np.argmax(np.stack([rest, self.bone, layer, self.metal]), axis=0).astype(np.uint8)


def compose(implant: CorrodedImplant, bone: np.ndarray) -> Composition:
    """What fills each voxel; metal displaces layer, the implant displaces bone, cracks are empty."""
    metal = filled_part(implant.metal)
    whole = np.maximum(filled_part(implant.outer), metal)
    cracks = (whole - metal) * implant.crack_part
    layer = whole - metal - cracks
    return Composition(np.minimum(filled_part(bone), 1 - whole), layer, metal, cracks * implant.crack_is_hairline)


def render(
    parts: Composition,
    implant: CorrodedImplant,
    parameters: ExplantParameters,
    look: Look,
    voxel_mm: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The scan of a simulated explant, and where it was seen.

    Returns
    -------
    image : numpy.ndarray
        (z, y, x); uint16 or uint8, or float32 with values like an absorption coefficient in 1/cm.
    view : numpy.ndarray
        bool (y, x): the field of view of the reconstruction, a circle.
    """
    return RENDERERS[look](_grey_values(parts, implant, parameters, voxel_mm, rng), parameters, voxel_mm, rng)


def _scanned(
    grey: np.ndarray, parameters: ExplantParameters, voxel_mm: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """By way of projections; the shape of the scan's grey values is the scanner's."""
    grey = scan(_detector(grey, parameters.imaging), parameters.scanner, voxel_mm, rng)
    radius = _radius_from_centre(grey.shape[1:])
    grey *= 1 + parameters.imaging.shading * (2 * radius / grey.shape[1]) ** 2
    view = radius <= 0.5 * grey.shape[1]
    return exported(grey, view, parameters.scanner, rng), view


def _painted(
    grey: np.ndarray, parameters: ExplantParameters, _voxel_mm: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """In image space: quick, and the same artefacts wherever they can be painted."""
    imaging = parameters.imaging
    grey = _detector(grey, imaging)
    grey += _noise(rng, grey.shape, imaging)
    radius = _radius_from_centre(grey.shape[1:])
    grey += _rings(rng, grey.shape, imaging)
    grey *= 1 + imaging.shading * (2 * radius / grey.shape[1]) ** 2
    view = radius <= imaging.view_radius * grey.shape[1]
    return _stored(grey, view, imaging), view


RENDERERS = {Look.FAST: _painted, Look.SCANNER: _scanned}


def _grey_values(
    parts: Composition,
    implant: CorrodedImplant,
    parameters: ExplantParameters,
    voxel_mm: float,
    rng: np.random.Generator,
) -> np.ndarray:
    shape, imaging = parts.metal.shape, parameters.imaging
    metal = 1 + imaging.texture_metal * smooth_field(rng, shape, 0.03 / voxel_mm)
    if imaging.inclusions > 0:
        spots = rng.random(shape, dtype=np.float32) < imaging.inclusions
        metal += imaging.inclusion_gain * ndimage.gaussian_filter(spots.astype(np.float32), 0.6) / 0.3
    position = implant.layer_position
    layer = imaging.layer_inner + (imaging.layer_outer - imaging.layer_inner) * position
    fine = smooth_field(rng, shape, max(0.6, imaging.layer_texture_mm / voxel_mm))
    coarse = smooth_field(rng, shape, 0.15 / voxel_mm)
    layer += imaging.interface * np.exp(-np.maximum(implant.metal, 0))
    layer *= 1 + imaging.texture_layer * (0.7 * fine + 0.7 * coarse)
    layer *= 1 + layer_pattern(rng, implant.metal, parameters.texture, voxel_mm)
    layer += parameters.texture.rim * np.exp(np.minimum(implant.outer, 0))
    bone = imaging.bone * (1 + imaging.texture_bone * (0.6 * fine[::-1] + 0.8 * coarse[:, ::-1]))
    soft = imaging.soft_tissue * (1 + 0.08 * coarse[:, :, ::-1])
    rest = 1 - parts.bone - parts.layer - parts.metal
    inside = _sample_part(shape, imaging, rng)
    tissue = rest * (inside * soft + (1 - inside) * imaging.surroundings)
    return (tissue + parts.bone * bone + parts.layer * layer + parts.metal * metal).astype(np.float32)


def _sample_part(shape: tuple[int, int, int], imaging: ImagingParameters, rng) -> np.ndarray:
    """1 in the excised block of tissue, 0 in the air or resin around it; (1, y, x)."""
    radius = _radius_from_centre(shape[1:])
    wobble = 1 + 0.04 * smooth_field(rng, shape[1:], shape[1] / 8)
    return np.clip(imaging.sample_radius * shape[1] * wobble - radius, 0, 1)[None]


def _detector(grey: np.ndarray, imaging: ImagingParameters) -> np.ndarray:
    """Blur of the optics, fringes of free-space propagation, and the halo that phase retrieval leaves."""
    if imaging.edge_gain > 0:
        grey = grey + imaging.edge_gain * (grey - ndimage.gaussian_filter(grey, imaging.edge_width))
    if imaging.blur > 0.2:
        grey = ndimage.gaussian_filter(grey, imaging.blur)
    if imaging.halo > 0:
        grey = (1 - imaging.halo) * grey + imaging.halo * ndimage.gaussian_filter(grey, 5, truncate=2.5)
    return grey


def _noise(rng: np.random.Generator, shape: tuple[int, ...], imaging: ImagingParameters) -> np.ndarray:
    """Noise of filtered back-projection: within a slice its spectrum rises with the frequency, then rolls off."""
    white = rng.standard_normal(shape, dtype=np.float32)
    if imaging.noise_blur > 0.2:
        white = ndimage.gaussian_filter1d(white, imaging.noise_blur, axis=0)
    frequency = radial_frequency(shape[1:])
    spectrum = (1 - imaging.noise_ramp) + imaging.noise_ramp * np.sqrt(2 * frequency)
    spectrum = spectrum * np.exp(-2 * (np.pi * frequency * imaging.noise_blur) ** 2)
    noise = fft.irfft2(fft.rfft2(white) * spectrum.astype(np.float32), s=shape[1:])
    return (imaging.noise / noise.std() * noise).astype(np.float32)


def _rings(rng: np.random.Generator, shape: tuple[int, int, int], imaging: ImagingParameters) -> np.ndarray:
    """Rings around the rotation axis, whole and partial, slowly changing along it, and straight streaks."""
    size = int(np.ceil(np.hypot(*shape[1:]) / 2)) + 3
    radius = _radius_from_centre(shape[1:])
    z = shape[0]
    profile = rng.standard_normal((z, size)) * (rng.random(size) < 0.3)
    profile = ndimage.gaussian_filter(profile, (z / 6, 0.5), mode="wrap")
    profile /= max(profile.std(), 1e-6)
    total = np.zeros(shape, np.float32)
    angle = np.arctan2(*np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in shape[1:]], indexing="ij"))
    arc = np.clip(np.sin(angle * rng.integers(1, 4) + rng.uniform(0, 6.3)), 0, 1)
    gain = imaging.rings + imaging.partial_rings * arc
    streak = imaging.streaks * _streaks(rng, shape[1:])
    for k in range(z if gain.max() > 0 or imaging.streaks > 0 else 0):
        total[k] = gain * np.interp(radius, np.arange(size), profile[k]) + streak
    return total


def _streaks(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in shape], indexing="ij")
    streaks = np.zeros(shape)
    for _ in range(rng.integers(2, 12)):
        direction, shift = rng.uniform(0, np.pi), rng.uniform(-0.2, 0.2) * shape[0]
        across = x * np.cos(direction) + y * np.sin(direction) - shift
        streaks += rng.normal() * np.exp(-0.5 * (across / rng.uniform(0.6, 4)) ** 2)
    return streaks


def _radius_from_centre(shape_yx: tuple[int, int]) -> np.ndarray:
    y, x = np.ogrid[: shape_yx[0], : shape_yx[1]]
    return np.hypot(y - (shape_yx[0] - 1) / 2, x - (shape_yx[1] - 1) / 2).astype(np.float32)


def _stored(grey: np.ndarray, view: np.ndarray, imaging: ImagingParameters) -> np.ndarray:
    """16-bit as archives hold it, or float32 in 1/cm (2.93 for the metal at 30 keV); zero outside the view."""
    if imaging.integer:
        stored = np.clip((grey * imaging.gain * 0.8 + imaging.offset) * 65535, 0, 65535)
        return np.where(view[None], np.rint(stored), 0).astype(np.uint16)
    return np.where(view[None], 2.93 * grey, 0).astype(np.float32)
