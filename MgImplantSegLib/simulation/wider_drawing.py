"""Draws what makes explants vary more: textures, layers as grey as the metal, scanners, anatomy, resolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from MgImplantSegLib.simulation.settings import (
    BoneParameters,
    ExplantParameters,
    ImagingParameters,
    ImplantKind,
    ImplantParameters,
    ScannerParameters,
    SimulationSettings,
    Texture,
    TextureParameters,
)
from MgImplantSegLib.simulation.strange_drawing import strange

ALIKE = 0.55  # of the explants of `Look.SCANNER` have a layer with the mean grey value of the metal
NEARLY_ALIKE = 0.1
BASIC_TEXTURES = ("speckle", "lamellae", "network", "patches", "pores")  # what `Look.FAST` draws from
STRANGE = 0.6  # of the explants of `Look.SCANNER` go beyond what is usual in one way or several


def draw_texture(rng: np.random.Generator, imaging: ImagingParameters) -> TextureParameters:
    """Patterns of the layer; none where its grey value distinguishes it from the metal well enough.

    Where it does not, texture, cracks, position and edges distinguish the two, so the pattern is stronger than the
    noise.
    """
    count = 1 + int(rng.random() < 0.4)
    kinds = tuple(Texture(kind) for kind in rng.choice(BASIC_TEXTURES, count, replace=False))
    strength = max(rng.uniform(0.04, 0.16), min(1.5 * imaging.noise, 0.12))
    scale_mm, rim = rng.uniform(0.02, 0.08), rng.choice([0.0, rng.uniform(-0.1, 0.3)])
    if abs(imaging.layer_inner - 1) > NEARLY_ALIKE + imaging.noise:
        return TextureParameters((), 0.0, scale_mm, 0.0)
    return TextureParameters(kinds, strength, scale_mm, rim)


def draw_scanner(rng: np.random.Generator) -> ScannerParameters:
    """Energies from 23 to 46 keV (FIELD: 1.1–5.6 1/cm for the metal), noise of 1 to 8 %, rings from none to strong."""
    clipped = (rng.uniform(0, 2), 10 ** rng.uniform(-2, 0.5))
    return ScannerParameters(
        attenuation_per_mm=rng.uniform(0.11, 0.55),
        noise=0.008 * 10 ** rng.uniform(0, 1),
        rings=rng.choice([0.0, 0.006 * 20 ** rng.uniform(0, 1)]),
        ring_drift=rng.uniform(1, 30),
        fringes=rng.choice([0.0, rng.uniform(0.1, 1.0)]),
        retrieval=rng.choice([0.0, 0.0, rng.uniform(0.5, 3.0)]),
        hardening=rng.choice([0.0, 0.0, rng.uniform(0.02, 0.2)]),
        zingers=rng.choice([0.0, 0.0, 10 ** rng.uniform(-5, -3.5)]),
        optics_blur=rng.choice([rng.uniform(0, 0.6), rng.uniform(0.4, 1.4)]),
        window=str(rng.choice(["ramp", "cosine", "hann"])),
        truncated=bool(rng.random() < 0.4),
        clipped_percent=clipped if rng.random() < 0.4 else None,
    )


def wider(rng: np.random.Generator, drawn: ExplantParameters, settings: SimulationSettings) -> ExplantParameters:
    """The explant with more kinds of implant, bone, gap and image."""
    implant = _wider_implant(rng, drawn.implant)
    imaging = _wider_imaging(rng, drawn.imaging)
    texture = draw_texture(rng, imaging)
    if not texture.kinds and rng.random() < 0.7:
        texture = replace(texture, kinds=(Texture(str(rng.choice(BASIC_TEXTURES))),), strength=rng.uniform(0, 0.14))
    corrosion = replace(
        drawn.corrosion,
        depth_variation=rng.uniform(0.1, 0.7),
        crack_part=rng.choice([0.0, rng.uniform(0.1, 0.8), rng.uniform(0.4, 1.0)]),
        crack_spacing_mm=rng.uniform(0.1, 0.6),
    )
    field_mm = settings.size * settings.spacing_um / 1000
    bone = _wider_bone(rng, drawn.bone, field_mm)
    explant = replace(drawn, implant=implant, corrosion=corrosion, bone=bone, imaging=imaging, texture=texture)
    own = np.random.default_rng([settings.seed, 4])
    return strange(own, explant, field_mm) if own.random() < STRANGE else explant


def _wider_implant(rng: np.random.Generator, implant: ImplantParameters) -> ImplantParameters:
    """Straight implants that fill the height, cannulated ones, plates; square sections."""
    if implant.kind is ImplantKind.PLATE:
        return replace(implant, flatness=rng.uniform(1.5, 4), squareness=rng.uniform(3, 8))
    straight = rng.random() < 0.35
    cannulated = rng.random() < 0.15
    slender = implant.kind is not ImplantKind.SCREW
    return replace(
        implant,
        tilt_deg=rng.choice([0.0, rng.uniform(0, 4)]) if straight else implant.tilt_deg,
        length_mm=4 * implant.length_mm if straight and slender else implant.length_mm,
        bend_mm=0.0 if straight else implant.bend_mm,
        bore_radius_mm=rng.uniform(0.2, 0.45) * implant.radius_mm if cannulated else implant.bore_radius_mm,
        squareness=rng.uniform(2, 8) if slender else implant.squareness,
        flatness=rng.choice([1.0, rng.uniform(0.7, 1.4)]) if slender else 1.0,
    )


def _wider_bone(rng: np.random.Generator, bone: BoneParameters, field_mm: float) -> BoneParameters:
    """Trabeculae of a real scan, gaps and capsules, gas pockets; canals from fine to wide."""
    return replace(
        bone,
        real_scale=rng.uniform(2.0, 5.0) if rng.random() < 0.3 else 0.0,
        cortical_mm=bone.cortical_mm * rng.choice([0.5, 1.0, 2.0]),
        canal_radius_mm=rng.uniform(0.01, 0.06),
        contact_part=rng.choice([rng.uniform(0.0, 0.5), rng.uniform(0.3, 1.0)]),
        gap_mm=rng.uniform(0.04, 0.35),
        capsule_mm=rng.uniform(0.02, 0.15) if rng.random() < 0.25 else 0.0,
        gas_pockets=int(rng.integers(1, 12)) if rng.random() < 0.4 else 0,
    )


def _wider_imaging(rng: np.random.Generator, imaging: ImagingParameters) -> ImagingParameters:
    """Layers as grey as the metal, metal with more grain, air around; artefacts are left to the scanner."""
    inner, outer = imaging.layer_inner, imaging.layer_outer
    if rng.random() < ALIKE:
        inner = rng.normal(1.0, 0.025)
        outer = imaging.bone if rng.random() < 0.3 else inner
    tissue = rng.uniform(0.0, 0.08) if rng.random() < 0.25 else imaging.soft_tissue
    tissue = min(tissue, min(inner, outer, imaging.bone) - 0.15)
    return replace(
        imaging,
        layer_inner=inner,
        layer_outer=outer,
        soft_tissue=tissue,
        surroundings=min(imaging.surroundings, tissue),
        texture_metal=rng.choice([rng.uniform(0.0, 0.02), rng.uniform(0.01, 0.05)]),
        edge_gain=0.0,
        blur=0.0,
        halo=imaging.halo * 0.5,
        shading=imaging.shading * 0.5,
    )
