"""Draws what is rare in one laboratory and usual in another: contrasts, textures, layers and sizes: `strange`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from MgImplantSegLib.simulation.settings import ExplantParameters, Texture, TextureParameters

HIDDEN = 0.1  # a layer whose grey value is nearer to the metal's needs a pattern, or nobody could find it


def strange(rng: np.random.Generator, explant: ExplantParameters, field_mm: float) -> ExplantParameters:
    """The explant with what is rare in one laboratory and usual in another: each change for half of those drawn."""
    changes = (_other_contrast, _textured_layer, _thick_or_fine, _large_implant)
    for change in changes:
        if rng.random() < 0.5:
            explant = change(rng, explant, field_mm)
    hidden = abs(explant.imaging.layer_inner - 1) < HIDDEN and explant.texture.strength < 0.04
    return _textured_layer(rng, explant, field_mm) if hidden else explant


def _other_contrast(rng: np.random.Generator, explant: ExplantParameters, _field_mm: float) -> ExplantParameters:
    """Alloys from far lighter than bone to far denser, a layer as bright as bone or nearly as dark as the tissue."""
    imaging = explant.imaging
    bone = float(np.exp(rng.uniform(np.log(0.5), np.log(2.0))))
    inner, outer = bone * rng.uniform(0.6, 1.1, 2) if rng.random() < 0.5 else rng.uniform(0.5, 1.6, 2)
    tissue = rng.uniform(0.0, 0.7) * min(inner, outer, bone, 1.0) - 0.03
    tissue = max(0.0, tissue)
    return replace(
        explant,
        imaging=replace(
            imaging,
            bone=bone,
            layer_inner=inner,
            layer_outer=outer,
            soft_tissue=tissue,
            surroundings=min(imaging.surroundings, tissue),
            texture_bone=rng.uniform(0.01, 0.12),
        ),
    )


def _textured_layer(rng: np.random.Generator, explant: ExplantParameters, _field_mm: float) -> ExplantParameters:
    """A layer with the mean of the metal, which its pattern, its cracks and a gradient tell from it."""
    count = 1 + int(rng.random() < 0.5)
    kinds = tuple(Texture(kind) for kind in rng.choice([kind.value for kind in Texture], count, replace=False))
    texture = TextureParameters(kinds, rng.uniform(0.04, 0.2), rng.uniform(0.015, 0.12), rng.uniform(-0.15, 0.3))
    inner = rng.normal(1.0, 0.03)
    outer = rng.choice([inner, inner, explant.imaging.bone])
    tissue = max(0.0, min(explant.imaging.soft_tissue, min(inner, outer) - 0.15))
    imaging = replace(
        explant.imaging,
        layer_inner=inner,
        layer_outer=outer,
        soft_tissue=tissue,
        surroundings=min(explant.imaging.surroundings, tissue),
        texture_metal=rng.uniform(0.0, 0.03),
    )
    corrosion = replace(explant.corrosion, crack_part=rng.uniform(0.3, 1.0), crack_spacing_mm=rng.uniform(0.08, 0.4))
    return replace(explant, imaging=imaging, texture=texture, corrosion=corrosion)


def _thick_or_fine(rng: np.random.Generator, explant: ExplantParameters, _field_mm: float) -> ExplantParameters:
    """A layer down to two thirds of the radius or hardly thicker than a voxel, even or patchy."""
    core_mm = explant.implant.radius_mm - explant.implant.thread_depth_mm
    depth_mm = rng.uniform(0.3, 0.7) * core_mm if rng.random() < 0.6 else rng.uniform(0.03, 0.06)
    corrosion = replace(
        explant.corrosion,
        depth_mm=min(depth_mm, 0.4),
        depth_variation=rng.uniform(0.05, 1.0),
        bare_part=rng.choice([0.0, rng.uniform(0.0, 0.5)]),
    )
    return replace(explant, corrosion=corrosion)


def _large_implant(rng: np.random.Generator, explant: ExplantParameters, field_mm: float) -> ExplantParameters:
    """An implant that fills much of the field of view or leaves it at the side, as in a region scanned alone."""
    implant = explant.implant
    scale = rng.uniform(0.2, 0.42) * field_mm / implant.radius_mm
    changed = replace(
        implant,
        radius_mm=scale * implant.radius_mm,
        thread_depth_mm=min(scale, 1.5) * implant.thread_depth_mm,
        bore_radius_mm=scale * implant.bore_radius_mm,
        head_radius_mm=0.0,
        socket_radius_mm=0.0,
        length_mm=4 * field_mm,
        offset_zyx_mm=tuple(rng.uniform(-0.2, 0.2, 3) * field_mm),
    )
    return replace(explant, implant=changed)
