"""Explants seen by a simulated scanner: projections, noise, rings, exports; patterns, real bone, anatomy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from MgImplantSegLib.simulation import ImplantKind, Look, SimulationSettings, projections, simulate_explant
from MgImplantSegLib.simulation.bone import bone_level_set
from MgImplantSegLib.simulation.drawing import draw_parameters
from MgImplantSegLib.simulation.implant import Frame, initial_level_set
from MgImplantSegLib.simulation.projections import WINDOWS, ParallelBeam
from MgImplantSegLib.simulation.real_bone import real_trabeculae
from MgImplantSegLib.simulation.scanner import exported, scan
from MgImplantSegLib.simulation.settings import Texture, TextureParameters
from MgImplantSegLib.simulation.textures import layer_pattern

SMALL = SimulationSettings(size=64, spacing_um=40.0, seed=5, look=Look.SCANNER)
QUIET = replace(
    draw_parameters(SMALL).scanner,
    attenuation_per_mm=0.3,
    noise=1e-6,
    rings=0.0,
    fringes=0.0,
    retrieval=0.0,
    hardening=0.0,
    zingers=0.0,
    optics_blur=0.0,
    window="ramp",
    truncated=False,
)


def disc(size: int, radius: float) -> np.ndarray:
    """A disc in the middle with soft edges, (1, size, size)."""
    y, x = np.ogrid[:size, :size]
    away = np.hypot(y - (size - 1) / 2, x - (size - 1) / 2)
    return np.clip(radius + 0.5 - away, 0, 1)[None].astype(np.float32)


def test_the_line_through_the_middle_of_a_disc_is_as_long_as_its_diameter():
    lines = ParallelBeam(65, 40).project(disc(65, 20))
    assert lines[0, :, 32] == pytest.approx(np.full(40, 40), rel=0.03)


def test_every_projection_holds_all_that_there_is():
    body = disc(65, 20)
    body[0, 20:30, 25:40] += 2
    lines = ParallelBeam(65, 30).project(body)
    assert lines.sum(axis=2) == pytest.approx(np.full((1, 30), body.sum()), rel=0.01)


def test_large_slices_that_keep_no_matrices_give_the_same(monkeypatch):
    body = disc(33, 10)
    expected = ParallelBeam(33, 20).project(body)
    monkeypatch.setattr(projections, "WEIGHTS_TO_KEEP", 0)
    beam = ParallelBeam(33, 20)
    assert np.array_equal(beam.project(body), expected)
    assert beam.reconstruct(expected, "ramp")[0, 16, 16] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("window", list(WINDOWS))
def test_a_disc_comes_back_with_its_grey_value(window):
    beam = ParallelBeam(96, 140)
    image = beam.reconstruct(beam.project(disc(96, 30)), window)[0]
    away = np.hypot(*(np.indices((96, 96)) - 47.5))
    assert image[away < 24].mean() == pytest.approx(1, abs=0.02)
    assert image[(away > 36) & (away < 44)].mean() == pytest.approx(0, abs=0.02)


def test_a_scan_without_faults_is_the_body():
    body = np.repeat(disc(96, 30), 3, axis=0)
    image = scan(body, QUIET, 0.02, np.random.default_rng(0))
    assert image[1, 40:56, 40:56].mean() == pytest.approx(1, abs=0.02)


def test_noise_in_the_middle_of_metal_is_what_was_asked_for():
    body = np.repeat(disc(96, 40), 8, axis=0)
    quiet = scan(body, QUIET, 0.02, np.random.default_rng(0))
    noisy = scan(body, replace(QUIET, noise=0.05), 0.02, np.random.default_rng(0))
    # half of the variance is above the detector's sampling limit along the diagonals or interpolated away
    assert 0.02 < (noisy - quiet)[:, 30:66, 30:66].std() < 0.06


def test_uneven_detector_columns_make_rings_through_the_metal():
    body = np.repeat(disc(96, 40), 8, axis=0)
    quiet, ringed = (scan(body, replace(QUIET, rings=r), 0.02, np.random.default_rng(1)) for r in (0, 0.05))
    rings = ringed - quiet
    away = np.hypot(*(np.indices((96, 96)) - 47.5))
    near = (away > 15) & (away < 25)
    profile = [rings[:, (away > r) & (away < r + 1)].mean(axis=1) for r in range(15, 25)]
    assert 0.015 < np.std(profile) < 0.1
    assert np.std(profile) > 0.5 * rings[:, near].std()  # most of it depends on the radius alone


def test_an_export_of_8_bit_cuts_its_tails_and_shows_nothing_outside_the_view():
    grey = np.random.default_rng(0).normal(size=(4, 50, 50)).astype(np.float32)
    view = disc(50, 20)[0] > 0.5
    scanner = replace(QUIET, clipped_percent=(1.0, 3.0))
    image = exported(grey, view, scanner, np.random.default_rng(0))
    assert image.dtype == np.uint8
    assert np.mean(image[:, view] == 255) == pytest.approx(0.03, abs=0.005)
    assert not image[:, ~view].any()


def test_the_same_seed_gives_the_same_scan_with_exact_labels():
    first, again = simulate_explant(SMALL), simulate_explant(SMALL)
    assert np.array_equal(first.image.array, again.image.array)
    assert set(np.unique(first.labels.array)) <= {0, 1, 2, 3}
    assert first.truth["V_r_mm3"] == pytest.approx((first.labels.array == 3).sum() * 0.04**3, rel=0.05)


def test_half_of_the_layers_are_as_grey_as_the_metal_and_differ_by_a_pattern():
    drawn = [draw_parameters(replace(SMALL, seed=seed)) for seed in range(200)]
    alike = [p for p in drawn if abs(p.imaging.layer_inner - 1) < 0.06]
    assert 0.4 < len(alike) / len(drawn) < 0.8
    assert all(p.texture.kinds and p.texture.strength >= 0.04 for p in alike)


def test_a_fast_explant_with_a_layer_as_grey_as_the_metal_has_a_pattern_too():
    drawn = [draw_parameters(replace(SMALL, seed=seed, look=Look.FAST)) for seed in range(200)]
    alike = [p for p in drawn if abs(p.imaging.layer_inner - 1) < 0.06]
    assert len(alike) > 10
    assert all(p.texture.kinds and p.texture.strength >= 0.04 for p in alike)


def test_explants_of_the_scanner_reach_what_is_rare_and_fast_ones_do_not():
    def drawn(look: Look) -> list:
        return [draw_parameters(replace(SMALL, seed=seed, look=look)) for seed in range(300)]

    wide, usual = drawn(Look.SCANNER), drawn(Look.FAST)
    field_mm = SMALL.size * SMALL.spacing_um / 1000
    rare = {
        "bone half as grey as the metal": lambda p: p.imaging.bone < 0.58,
        "bone nearly twice as grey": lambda p: p.imaging.bone > 1.7,
        "cells, fibres or clouds": lambda p: {Texture.CELLS, Texture.FIBRES, Texture.CLOUDS} & set(p.texture.kinds),
        "an implant that fills the view": lambda p: p.implant.radius_mm > 0.36 * field_mm,
        "a layer far thicker than usual": lambda p: p.corrosion.depth_mm > 0.21,
    }
    for name, is_rare in rare.items():
        assert sum(map(bool, map(is_rare, wide))) >= 3, name
        assert not any(map(is_rare, usual)), name
    darkest = [min(p.imaging.bone, p.imaging.layer_inner, p.imaging.layer_outer, 1.0) for p in wide]
    assert all(p.imaging.soft_tissue < grey for p, grey in zip(wide, darkest, strict=True))


@pytest.mark.parametrize("kind", list(Texture))
def test_patterns_vary_about_the_layers_grey_value_by_their_strength(kind):
    from_metal = np.broadcast_to(np.arange(40, dtype=np.float32), (40, 40, 40))
    texture = TextureParameters((kind,), 0.1, 0.06, 0.0)
    pattern = layer_pattern(np.random.default_rng(2), from_metal, texture, 0.02)
    assert abs(pattern.mean()) < 0.08
    assert 0.03 < pattern.std() < 0.2


def test_lamellae_follow_the_surface_of_the_metal():
    from_metal = np.broadcast_to(np.arange(40, dtype=np.float32), (40, 40, 40))
    texture = TextureParameters((Texture.LAMELLAE,), 0.1, 0.1, 0.0)
    pattern = layer_pattern(np.random.default_rng(0), from_metal, texture, 0.02)
    across, along = (np.abs(np.diff(pattern, axis=axis)).mean() for axis in (2, 0))
    assert across > 2 * along


def test_real_bone_fills_the_part_of_the_volume_that_the_scan_has():
    voxel_mm = 2 * 0.0041 * 3  # the whole scan, three times as large, every second voxel
    level_set = real_trabeculae(np.random.default_rng(0), (57, 57, 57), 3.0, voxel_mm)
    assert np.mean(level_set < 0) == pytest.approx(0.293, abs=0.05)


def test_real_bone_twice_as_large_has_half_the_surface():
    small, large = (real_trabeculae(np.random.default_rng(3), (64,) * 3, s, 0.02) < 0 for s in (2.5, 5.0))
    surface = [np.count_nonzero(np.diff(bone.astype(np.int8), axis=0)) / bone.sum() for bone in (small, large)]
    assert surface[0] / surface[1] == pytest.approx(2, rel=0.35)


def test_no_bone_lies_in_the_capsule():
    bone = replace(draw_parameters(SMALL).bone, capsule_mm=0.2, real_scale=4.0, new_bone_part=0.8)
    z, y, x = np.indices((50, 50, 50)) - 24.5
    implant = (np.hypot(y, x) - 10 + 0 * z).astype(np.float32)
    level_set = bone_level_set(bone, implant, 0.04, np.random.default_rng(0))
    assert (level_set[implant < 4.5] > 0).all()
    assert (level_set[implant > 6] < 0).any()


def test_a_plate_is_wider_than_thick():
    plate = replace(
        draw_parameters(replace(SMALL, kind=ImplantKind.PLATE)).implant,
        tilt_deg=0.0,
        length_mm=100.0,
        flatness=4.0,
        bore_radius_mm=0.0,
        tip_mm=0.1,
        offset_zyx_mm=(0, 0, 0),
        radius_mm=0.5,
        squareness=2.0,
    )
    inside = initial_level_set(plate, Frame((9, 120, 120), 0.02))[4] < 0
    extents = sorted((inside.any(axis=0).sum() * 0.02, inside.any(axis=1).sum() * 0.02))
    assert extents == pytest.approx([0.5, 2.0], abs=0.05)  # diameter 1 mm divided and multiplied by √4
