"""Draws the parameters of an explant from its seed: `draw_parameters`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from MgImplantSegLib.simulation.settings import (
    BoneParameters,
    CorrosionParameters,
    ExplantParameters,
    ImagingParameters,
    ImplantKind,
    ImplantParameters,
    Look,
    SimulationSettings,
)
from MgImplantSegLib.simulation.wider_drawing import draw_scanner, draw_texture, wider

RADIUS_RANGE_MM = {
    ImplantKind.SCREW: (0.5, 1.5),
    ImplantKind.PIN: (0.4, 1.2),
    ImplantKind.WIRE: (0.2, 0.6),
    ImplantKind.PLATE: (0.35, 0.7),
    ImplantKind.NONE: (0.5, 1.0),
}


def draw_parameters(settings: SimulationSettings) -> ExplantParameters:
    """The parameters that belong to the seed, in ranges that real explants have (see the fields' comments).

    Screws 1–3 mm across, degradation layers of 20–200 µm, trabeculae of 50–200 µm; metal, layer and bone absorb the
    same to a few per cent or differ clearly, as they do for other alloys and energies.
    """
    if settings.imaging_seed is not None:
        own = draw_parameters(replace(settings, imaging_seed=None))
        other = draw_parameters(replace(settings, seed=settings.imaging_seed, imaging_seed=None))
        return replace(own, imaging=other.imaging, texture=other.texture, scanner=other.scanner)
    rng = np.random.default_rng([settings.seed, 1])
    field_mm = settings.size * settings.spacing_um / 1000
    implant = _draw_implant(rng, field_mm, settings.kind)
    corrosion = _draw_corrosion(rng, implant)
    bone, imaging = _draw_bone(rng), _draw_imaging(rng)
    look = np.random.default_rng([settings.seed, 3])
    drawn = ExplantParameters(implant, corrosion, bone, imaging, draw_texture(look, imaging), draw_scanner(look))
    return wider(look, drawn, settings) if settings.look is Look.SCANNER else drawn


def _draw_implant(rng: np.random.Generator, field_mm: float, kind: ImplantKind | None) -> ImplantParameters:
    drawn = ImplantKind(rng.choice(["screw", "pin", "wire"], p=[0.8, 0.15, 0.05]))
    kind = kind or drawn
    largest_radius = min(1.5, 0.34 * field_mm)
    low, high = RADIUS_RANGE_MM[kind]
    radius = min(rng.uniform(low, high), largest_radius)
    ends_inside = rng.random() < 0.6
    length = rng.uniform(0.6, 0.85) * field_mm if ends_inside else 4 * field_mm
    threaded = kind is ImplantKind.SCREW
    has_head = threaded and ends_inside and rng.random() < 0.6
    free_orientation = rng.random() < 0.25
    return ImplantParameters(
        kind=kind,
        radius_mm=radius,
        length_mm=length,
        tilt_deg=rng.uniform(0, 90) if free_orientation else abs(rng.normal(0, 8)),
        azimuth_deg=rng.uniform(0, 360),
        offset_zyx_mm=tuple(rng.uniform(-0.06, 0.06, 3) * field_mm),
        thread_pitch_mm=rng.uniform(0.25, 0.55) * max(radius, 0.8),
        thread_depth_mm=rng.uniform(0.10, 0.26) * radius if threaded else 0.0,
        thread_sharpness=rng.uniform(0.6, 3.0),
        shank_mm=rng.uniform(0, 0.3) * length if threaded and rng.random() < 0.4 else 0.0,
        head_radius_mm=min(rng.uniform(1.25, 1.6) * radius, 0.42 * field_mm) if has_head else 0.0,
        head_height_mm=rng.uniform(0.5, 0.9) * radius if has_head else 0.0,
        socket_radius_mm=rng.uniform(0.35, 0.6) * radius if has_head and rng.random() < 0.7 else 0.0,
        tip_mm=rng.uniform(0.1, 1.0) * radius,
        bore_radius_mm=rng.uniform(0.25, 0.45) * radius if radius > 0.6 and rng.random() < 0.1 else 0.0,
        squareness=rng.uniform(2.5, 6) if not threaded and rng.random() < 0.4 else 2.0,
        bend_mm=rng.uniform(0, 0.5) if kind is ImplantKind.WIRE else 0.0,
        flatness=2.5 if kind is ImplantKind.PLATE else 1.0,
    )


def _draw_corrosion(rng: np.random.Generator, implant: ImplantParameters) -> CorrosionParameters:
    deepest = min(0.2, 0.35 * (implant.radius_mm - implant.thread_depth_mm))
    depth = rng.uniform(0.06, deepest)
    return CorrosionParameters(
        time_days=float(rng.choice([28, 42, 56, 84, 112, 168])),
        depth_mm=depth,
        depth_variation=rng.uniform(0.1, 0.5),
        depth_correlation_mm=rng.uniform(0.06, 0.3),
        pits=int(rng.integers(0, 30)) if rng.random() < 0.75 else 0,
        pit_radius_mm=rng.uniform(0.05, 0.25),
        pit_depth_mm=rng.uniform(0.5, 2.0) * depth,
        swelling_mm=rng.uniform(-0.1, 0.5) * depth,
        swelling_variation_mm=rng.uniform(0.0, 0.25) * depth,
        bare_part=rng.choice([0, 0, 0, rng.uniform(0, 0.2)]),
        crack_spacing_mm=rng.uniform(0.15, 0.6),
        crack_width_mm=rng.uniform(0.004, 0.06),
        crack_part=rng.choice([0, rng.uniform(0.1, 0.7)]),
    )


def _draw_bone(rng: np.random.Generator) -> BoneParameters:
    cortical = rng.random() < 0.6
    thickness = rng.uniform(0.05, 0.20)
    return BoneParameters(
        trabecular_thickness_mm=thickness,
        trabecular_spacing_mm=thickness * rng.uniform(2.2, 6),
        irregularity=rng.uniform(0.15, 0.5),
        plate_part=rng.uniform(0, 1),
        trabecular=bool(not cortical or rng.random() < 0.8),
        cortical_mm=rng.uniform(0.3, 1.6) if cortical else 0.0,
        cortical_tilt=rng.normal(0, 0.3),
        canal_spacing_mm=rng.uniform(0.15, 0.4),
        canal_radius_mm=rng.uniform(0.01, 0.04),
        new_bone_mm=rng.uniform(0.04, 0.3),
        new_bone_part=rng.uniform(0.0, 0.8),
        gap_mm=rng.uniform(0.05, 0.25),
        contact_part=rng.uniform(0.3, 1.0),
        gas_pockets=int(rng.integers(1, 12)) if rng.random() < 0.3 else 0,
    )


def _draw_imaging(rng: np.random.Generator) -> ImagingParameters:
    alike = rng.random() < 0.55
    bone = rng.normal(1.0, 0.05) if alike else rng.uniform(0.6, 1.6)
    low, high = sorted((1.0, bone))
    layer = rng.uniform(0.75 * low, 1.15 * high, 2) if rng.random() < 0.75 else np.full(2, rng.uniform(0.45, 1.3))
    noise = 0.01 * 8 ** rng.uniform(0, 1)
    inner, outer = layer
    brightest_tissue = min(inner, outer, bone) - 0.15
    surroundings = min(rng.uniform(0.0, 0.3), brightest_tissue)
    return ImagingParameters(
        bone=bone,
        layer_inner=inner,
        layer_outer=outer,
        interface=rng.choice([0, rng.uniform(-0.3, 0.2)]),
        soft_tissue=min(max(surroundings, rng.uniform(0.08, 0.42)), brightest_tissue),
        surroundings=surroundings * rng.choice([0, 1]),
        texture_metal=rng.uniform(0.0, 0.03),
        texture_layer=rng.uniform(0.0, 0.12),
        texture_bone=rng.uniform(0.01, 0.07),
        layer_texture_mm=rng.uniform(0.012, 0.08),
        inclusions=rng.choice([0, rng.uniform(0.0005, 0.01)]),
        inclusion_gain=rng.uniform(0.2, 1.2),
        blur=rng.choice([rng.uniform(0.0, 0.8), rng.uniform(0.6, 1.0)]),
        edge_gain=rng.choice([0, rng.uniform(0.1, 1.6)]),
        edge_width=rng.uniform(0.6, 1.6),
        halo=rng.choice([0, rng.uniform(0.02, 0.2)]),
        noise=noise,
        noise_ramp=rng.uniform(0, 1),
        noise_blur=rng.choice([rng.uniform(0, 0.7), rng.uniform(0.6, 1.5)]),
        rings=rng.choice([0, 0.003 * 10 ** rng.uniform(0, 1)]),
        partial_rings=rng.choice([0, 0.003 * 10 ** rng.uniform(0, 1)]),
        streaks=rng.choice([0, rng.uniform(0.005, 0.05)]),
        shading=rng.choice([0, rng.uniform(-0.12, 0.12)]),
        sample_radius=rng.uniform(0.42, 0.8),
        view_radius=rng.choice([0.5, 0.5, 0.8]),
        integer=bool(rng.random() < 0.7),
        gain=rng.uniform(0.2, 0.75),
        offset=rng.uniform(0.08, 0.2),
    )
