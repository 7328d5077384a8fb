"""Patches and grey values: places checked against arrays indexed by hand and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from MgImplantSegLib.training.data import grey_augmentation as grey
from MgImplantSegLib.training.data.augmentation import Augmentation
from MgImplantSegLib.training.data.geometry_augmentation import RawBatch, sample_patches
from MgImplantSegLib.training.loop.losses import IGNORE
from MgImplantSegLib.training.settings.augmentation_settings import AugmentationSettings

PLAIN = AugmentationSettings(elastic_probability=0, brightness=0, contrast=0)


def raw_batch(image: np.ndarray, labels: np.ndarray, affine: list, box=None, seed: int = 0) -> RawBatch:
    side = image.shape[0]
    return RawBatch(
        torch.from_numpy(image)[None, None],
        torch.from_numpy(labels)[None],
        torch.tensor([affine], dtype=torch.float32),
        torch.tensor([box or (0, 0, side - 1, side - 1)], dtype=torch.float32),
        torch.tensor([True]),
        torch.tensor([seed]),
        ("a",),
    )


@pytest.fixture
def canvas():
    random = np.random.default_rng(0)
    return random.integers(0, 256, (12, 12), dtype=np.uint8), random.integers(0, 4, (12, 12), dtype=np.uint8)


def test_a_patch_on_whole_pixels_is_cut_out_exactly(canvas):
    image, labels = canvas
    patch, patch_labels, inside = sample_patches(raw_batch(image, labels, [[1, 0, 3], [0, 1, 2]]), 8)
    assert np.allclose(patch[0, 0] * 255, image[2:10, 3:11], atol=1e-3)
    assert np.array_equal(patch_labels[0], labels[2:10, 3:11])
    assert inside.all()


def test_a_flip_and_a_quarter_turn_are_exact(canvas):
    image, labels = canvas
    flipped, flipped_labels, _ = sample_patches(raw_batch(image, labels, [[-1, 0, 11], [0, 1, 0]]), 12)
    turned, turned_labels, _ = sample_patches(raw_batch(image, labels, [[0, -1, 11], [1, 0, 0]]), 12)
    assert np.allclose(flipped[0, 0] * 255, image[:, ::-1], atol=1e-3)
    assert np.array_equal(flipped_labels[0], labels[:, ::-1])
    assert np.allclose(turned[0, 0] * 255, np.rot90(image), atol=1e-3)
    assert np.array_equal(turned_labels[0], np.rot90(labels))


def test_an_oblique_patch_is_what_scipy_samples(canvas):
    image, labels = canvas
    affine = np.array([[1.13, -0.61, 3.071], [0.47, 1.19, 1.733]])
    patch, patch_labels, _ = sample_patches(raw_batch(image, labels, affine.tolist()), 8)
    v, u = np.indices((8, 8))
    x, y = np.einsum("ij,jhw->ihw", affine, np.stack((u, v, np.ones_like(u))))
    expected = ndimage.map_coordinates(image.astype(float), [y, x], order=1, mode="nearest")
    inside = (x >= -0.5) & (x <= 11.5) & (y >= -0.5) & (y <= 11.5)
    assert not inside.all()
    assert np.allclose(patch[0, 0] * 255, expected * inside, atol=1e-2)
    nearest = labels[np.rint(y).astype(int).clip(0, 11), np.rint(x).astype(int).clip(0, 11)]
    assert np.array_equal(patch_labels[0].numpy(), np.where(inside, nearest, IGNORE))


def test_beyond_the_slice_the_image_is_zero_and_nothing_is_known(canvas):
    image, labels = canvas
    settings = AugmentationSettings(
        elastic_px=0, brightness=0.5, noise_probability=1, rings_probability=1, gamma=0.5, blur_probability=1
    )
    batch = raw_batch(image, labels, [[1, 0, 0], [0, 1, 0]], box=(4, 0, 11, 8))
    images, patch_labels = Augmentation(settings, 12)(batch)
    assert (images[0, 0, :, :3] == 0).all()
    assert (images[0, 0, 10:] == 0).all()
    assert (patch_labels[0, :, :3] == IGNORE).all()
    assert (patch_labels[0, 10:] == IGNORE).all()


def test_half_precision_canvases_are_taken_as_they_are():
    image = np.linspace(0, 1, 144, dtype=np.float16).reshape(12, 12)
    patch, _, _ = sample_patches(raw_batch(image, np.zeros((12, 12), np.uint8), [[1, 0, 0], [0, 1, 0]]), 12)
    assert np.allclose(patch[0], image, atol=1e-6)


def test_the_same_seed_gives_the_same_patch_in_any_batch():
    random = np.random.default_rng(1)
    image, labels = random.integers(0, 256, (20, 20), dtype=np.uint8), random.integers(0, 4, (20, 20), dtype=np.uint8)
    settings = AugmentationSettings(
        noise_probability=1,
        rings_probability=1,
        blur_probability=1,
        sharpen=1,
        crack_probability=1,
        curve=0.3,
        class_contrast_probability=1,
        class_texture_probability=1,
        narrow_view_probability=1,
    )
    augment = Augmentation(settings, 16, background_channel=0, layer_channel=2)
    alone = [raw_batch(image, labels, [[1, 0, 2], [0, 1, 2]], seed=seed) for seed in (7, 8)]
    together = RawBatch(
        **{key: torch.cat([vars(batch)[key] for batch in alone]) for key in vars(alone[0]) if key != "samples"},
        samples=("a", "a"),
    )
    images, patch_labels = augment(together)
    for number, batch in enumerate(alone):
        image_alone, labels_alone = augment(batch)
        assert torch.allclose(images[number], image_alone[0], atol=1e-6)
        assert torch.equal(patch_labels[number], labels_alone[0])
    assert not torch.allclose(images[0], images[1])


def test_without_variations_the_patch_is_the_image(canvas):
    image, labels = canvas
    images, patch_labels = Augmentation(PLAIN, 12)(raw_batch(image, labels, [[1, 0, 0], [0, 1, 0]]))
    assert np.allclose(images[0, 0] * 255, image, atol=1e-3)
    assert np.array_equal(patch_labels[0], labels)


def test_elastic_deformation_moves_image_and_labels_alike():
    column = np.arange(64, dtype=np.uint8)
    image = np.tile(column * 4, (64, 1))
    labels = np.tile((column // 16).astype(np.uint8), (64, 1))
    settings = AugmentationSettings(elastic_probability=1, elastic_px=6, elastic_grid_px=16, brightness=0, contrast=0)
    images, patch_labels = Augmentation(settings, 64)(raw_batch(image, labels, [[1, 0, 0], [0, 1, 0]], seed=3))
    place = images[0, 0] * 255 / 4
    assert (place - torch.arange(64)).abs().max() > 1
    known = patch_labels[0] != IGNORE
    assert torch.equal(((place + 0.5).floor() // 16)[known].to(torch.uint8), patch_labels[0][known])


def test_cracks_are_dark_lines_in_the_layer_labelled_background():
    labels = np.zeros((64, 64), np.uint8)
    labels[8:56, 8:56] = 2
    image = np.where(labels == 2, 200, 30).astype(np.uint8)
    settings = AugmentationSettings(
        crack_probability=1, crack_width_px=2, elastic_probability=0, brightness=0, contrast=0
    )
    augment = Augmentation(settings, 64, background_channel=0, layer_channel=2)
    images, patch_labels = augment(raw_batch(image, labels, [[1, 0, 0], [0, 1, 0]], seed=1))
    cracked = (patch_labels[0] == 0) & torch.from_numpy(labels == 2)
    assert 20 < int(cracked.sum()) < 0.5 * 48 * 48
    assert (images[0, 0][cracked] * 255 < 120).all()
    assert np.array_equal(patch_labels[0].numpy()[labels == 0], labels[labels == 0])
    assert np.allclose(images[0, 0].numpy()[labels == 0] * 255, 30, atol=1e-3)


def test_contrast_scales_about_the_mean():
    images = torch.tensor([[[0.0, 1.0]], [[0.2, 0.4]]])
    changed = grey.change_contrast(images, torch.tensor([0.5, 2.0]), torch.tensor([0.0, 0.1]))
    assert torch.allclose(changed, torch.tensor([[[0.25, 0.75]], [[0.2, 0.6]]]))


def test_a_curve_maps_0_to_0_and_1_to_1_and_keeps_the_order():
    values = torch.linspace(0, 1, 101)[None, None]
    slopes = torch.exp(torch.randn(1, 8, generator=torch.Generator().manual_seed(0)))
    curve = grey.bend_curve(values, torch.tensor([1.7]), slopes)[0, 0]
    assert curve[0] == 0
    assert float(curve[-1]) == pytest.approx(1)
    assert (curve.diff() > 0).all()
    assert torch.allclose(grey.bend_curve(values, torch.ones(1), torch.ones(1, 8)), values, atol=1e-6)


def test_the_blur_is_scipys_and_sharpening_its_opposite():
    image = torch.rand(20, 24, generator=torch.Generator().manual_seed(0))
    images = torch.stack((image, image))
    blurred = grey.gaussian_blur(images, torch.tensor([0.6, 1.2]), 4)
    for number, sigma in enumerate((0.6, 1.2)):
        expected = ndimage.gaussian_filter(image.numpy(), sigma, radius=4, mode="nearest")
        assert np.allclose(blurred[number], expected, atol=1e-5)
    changed = grey.blur_or_sharpen(images, torch.tensor([0.6, 0.6]), torch.tensor([-1.0, 0.5]), 4)
    assert torch.allclose(changed[0], blurred[0], atol=1e-6)
    assert torch.allclose(changed[1], image + 0.5 * (image - blurred[0]))


def test_noise_has_the_deviation_that_was_asked_for():
    white = torch.randn(2, 200, 200, generator=torch.Generator().manual_seed(0))
    noisy = grey.add_noise(torch.zeros(2, 200, 200), white, torch.tensor([0.1, 0.1]), torch.tensor([0.0, 1.0]))
    assert noisy.std((1, 2)).tolist() == pytest.approx([0.1, 0.1], rel=0.05)
    neighbours = (noisy[:, 1:] * noisy[:, :-1]).mean((1, 2)) / 0.01
    assert neighbours.tolist() == pytest.approx([0.0, 2 / 3], abs=0.05)


def test_rings_depend_on_the_distance_from_their_centre_alone():
    profile = torch.arange(40, dtype=torch.float32)[None]
    image = grey.add_rings(torch.zeros(1, 9, 9), profile, torch.tensor([[2.0, 5.0]]))[0]
    y, x = np.indices((9, 9))
    assert np.array_equal(image, np.floor(np.hypot(x - 2, y - 5)))


def test_classes_change_their_contrast_to_background_each_on_its_own():
    labels = torch.zeros(1, 6, 20, dtype=torch.uint8)
    labels[0, :, 5:10], labels[0, :, 10:15], labels[0, :, 15:] = 2, 3, IGNORE
    images = torch.where(labels == 0, 0.2, 0.6)
    changed = grey.change_class_contrast(images, labels, torch.tensor([[1.0, 9.0, 0.5, 1.5]]), 0)[0]
    assert changed[:, 2].tolist() == pytest.approx([0.2] * 6)
    assert changed[:, 7].tolist() == pytest.approx([0.4] * 6)  # 0.2 + 0.5 · 0.4
    assert changed[:, 12].tolist() == pytest.approx([0.8] * 6)  # 0.2 + 1.5 · 0.4
    assert changed[:, 17].tolist() == pytest.approx([0.6] * 6)
    without = torch.full_like(labels, 3)
    assert torch.equal(grey.change_class_contrast(images, without, torch.full((1, 4), 2.0), 0), images)


def test_every_class_gets_a_pattern_of_its_own_and_keeps_its_mean():
    labels = torch.zeros(1, 6, 20, dtype=torch.uint8)
    labels[0, :, 5:10], labels[0, :, 15:] = 2, IGNORE
    images, patterns = torch.full((1, 6, 20), 0.5), torch.zeros(1, 4, 6, 20)
    patterns[:, 2] = torch.tensor([0.1, -0.1]).repeat(10)
    changed = grey.texture_classes(images, labels, patterns)[0]
    assert changed[0, 4:8].tolist() == pytest.approx([0.5, 0.45, 0.55, 0.45])
    assert torch.all(changed[:, :5] == 0.5)
    assert torch.all(changed[:, 10:] == 0.5)


def test_textures_tell_classes_of_one_grey_value_apart_by_their_grain():
    labels, image = np.zeros((64, 64), np.uint8), np.full((64, 64), 128, np.uint8)
    labels[:, 32:] = 2
    plain = {"elastic_probability": 0, "brightness": 0, "contrast": 0}
    settings = AugmentationSettings(**plain, class_texture_probability=1, class_texture=0.2)
    deviations = []
    for seed in range(12):
        images, _ = Augmentation(settings, 64)(raw_batch(image, labels, [[1, 0, 0], [0, 1, 0]], seed=seed))
        deviations.append([float(half.std()) for half in images[0, 0].split(32, dim=1)])
        assert abs(float(images.mean()) - 128 / 255) < 0.05
    assert 0.02 < np.mean(deviations) < 0.1
    assert abs(np.corrcoef(np.transpose(deviations))[0, 1]) < 0.7


def test_in_a_narrow_view_a_rectangle_is_seen_and_known_and_nothing_else():
    labels, image = np.full((40, 40), 3, np.uint8), np.full((40, 40), 200, np.uint8)
    settings = AugmentationSettings(
        elastic_probability=0, brightness=0, contrast=0, narrow_view_probability=1, narrowest_view=0.5
    )
    for seed in range(5):
        batch = raw_batch(image, labels, [[1, 0, 0], [0, 1, 0]], seed=seed)
        images, patch_labels = Augmentation(settings, 40)(batch)
        known = patch_labels[0] != IGNORE
        rows, columns = int(known.any(1).sum()), int(known.any(0).sum())
        assert int(known.sum()) == rows * columns < 1600
        assert min(rows, columns) >= 19
        assert torch.equal(images[0, 0] > 0, known)


def test_a_crack_is_as_wide_as_asked():
    field = (torch.arange(21, dtype=torch.float32) - 10)[None, :, None].expand(1, 21, 5) * 0.3
    profile = grey.crack_profile(field, torch.tensor([1.5]))[0]
    assert torch.equal(profile[:, 2], (torch.arange(21).sub(10).abs() <= 1).float())
    assert grey.crack_profile(field, torch.tensor([0.0])).max() == 0
