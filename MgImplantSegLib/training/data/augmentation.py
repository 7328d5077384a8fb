"""A raw batch becomes a training batch: patches are resampled and their grey values varied, on any device.

Every patch has its own seed, so a batch does not depend on how it is divided over processes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from MgImplantSegLib.training.data import grey_augmentation as grey
from MgImplantSegLib.training.data.geometry_augmentation import RawBatch, sample_patches, smooth_field
from MgImplantSegLib.training.loop.losses import IGNORE
from MgImplantSegLib.training.settings.augmentation_settings import AugmentationSettings

CURVE_PIECES = 8
CRACK_GRID_PX = 24.0
TEXTURE_GRIDS_PX = (3.0, 9.0)  # nodes of fine and of coarse patterns


class PatchRandomness:
    """Random numbers for a batch, drawn patch by patch from the patch's own seed."""

    def __init__(self, seeds: torch.Tensor, device: torch.device) -> None:
        self.device = device
        self._generators = [torch.Generator(device).manual_seed(int(seed)) for seed in seeds.tolist()]

    def uniform(self, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """(B,) numbers in [low, high)."""
        drawn = torch.stack([torch.rand((), generator=g, device=self.device) for g in self._generators])
        return low + (high - low) * drawn

    def chosen(self, probability: float) -> torch.Tensor:
        """(B,) bool, True with that probability."""
        return self.uniform() < probability

    def normal(self, *shape: int) -> torch.Tensor:
        """(B, *shape) normal numbers."""
        return torch.stack([torch.randn(shape, generator=g, device=self.device) for g in self._generators])


@dataclass(frozen=True)
class SliceRandomness:
    """The same numbers for all slices of a patch, `count` of them, but noise that each has of its own."""

    of_patches: PatchRandomness
    count: int

    def uniform(self, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """(B · count,) numbers in [low, high)."""
        return self.of_patches.uniform(low, high).repeat_interleave(self.count)

    def chosen(self, probability: float) -> torch.Tensor:
        """(B · count,) bool, True with that probability."""
        return self.of_patches.chosen(probability).repeat_interleave(self.count)

    def normal(self, *shape: int) -> torch.Tensor:
        """(B · count, *shape) normal numbers."""
        return self.of_patches.normal(*shape).repeat_interleave(self.count, dim=0)

    def noise(self, *shape: int) -> torch.Tensor:
        """(B · count, *shape) normal numbers, others for each slice."""
        return self.of_patches.normal(self.count, *shape).flatten(0, 1)


@dataclass(frozen=True)
class Augmentation:
    """Turns raw batches into batches of the network.

    Parameters
    ----------
    size : int
        Edge length of the patches in pixels.
    background_channel, layer_channel : int, optional
        Channels of background and degradation layer, for simulated cracks and the contrast of classes to background;
        without them neither is varied.
    """

    settings: AugmentationSettings
    size: int
    background_channel: int | None = None
    layer_channel: int | None = None
    classes: int = 4

    def __call__(self, batch: RawBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, n, size, size), float32, of n slices, and labels (B, size, size), uint8, of the middle one."""
        random = PatchRandomness(batch.seeds, batch.images.device)
        images, labels, inside = sample_patches(batch, self.size, self._displacement(batch, random))
        images, labels = self._with_cracks(images, labels, random)
        images = self._with_other_contrast(images, labels, random)
        images = self._with_textures(images, labels, random)
        slices, of_slices = images.flatten(0, 1), SliceRandomness(random, images.shape[1])
        for variation in (self._with_other_edges, self._with_other_greys, self._with_rings, self._with_noise):
            slices = variation(slices, of_slices)
        inside, labels = self._in_narrow_view(inside, labels, random)
        return slices.unflatten(0, images.shape[:2]) * inside[:, None], labels

    def _displacement(self, batch: RawBatch, random: PatchRandomness) -> torch.Tensor | None:
        settings = self.settings
        if not (settings.elastic_probability and settings.elastic_px):
            return None
        nodes = math.ceil(self.size / settings.elastic_grid_px) + 1
        on = random.chosen(settings.elastic_probability) & batch.resampled
        amount = on * random.uniform() * settings.elastic_px
        return smooth_field(random.normal(2, nodes, nodes) * amount[:, None, None, None], self.size)

    def _with_cracks(
        self, images: torch.Tensor, labels: torch.Tensor, random: PatchRandomness
    ) -> tuple[torch.Tensor, torch.Tensor]:
        settings = self.settings
        if not settings.crack_probability or self.layer_channel is None or self.background_channel is None:
            return images, labels
        width_px = random.uniform(0.3, max(0.3, settings.crack_width_px)) * random.chosen(settings.crack_probability)
        nodes = math.ceil(self.size / CRACK_GRID_PX) + 1
        profile = grey.crack_profile(smooth_field(random.normal(1, nodes, nodes), self.size)[:, 0], width_px)
        profile = profile * (labels == self.layer_channel)
        background = (labels == self.background_channel)[:, None]  # (B, 1, h, w)
        count = background.sum((2, 3), keepdim=True)
        dark = (images * background).sum((2, 3), keepdim=True) / count.clamp_min(1)  # 0 where there is no background
        images = images + profile[:, None] * (dark - images)
        return images, labels.masked_fill(profile > 0.5, self.background_channel)

    def _with_other_contrast(self, images: torch.Tensor, labels: torch.Tensor, random: PatchRandomness) -> torch.Tensor:
        """Neighbouring slices get the contrast of the middle one, whose labels are known."""
        settings = self.settings
        if not settings.class_contrast_probability or self.background_channel is None:
            return images
        on = random.chosen(settings.class_contrast_probability)
        factors = torch.exp(random.normal(self.classes) * settings.class_contrast * on[:, None])
        count = images.shape[1]
        changed = grey.change_class_contrast(
            images.flatten(0, 1),
            labels.repeat_interleave(count, dim=0),
            factors.repeat_interleave(count, dim=0),
            self.background_channel,
        )
        return changed.unflatten(0, images.shape[:2])

    def _with_textures(self, images: torch.Tensor, labels: torch.Tensor, random: PatchRandomness) -> torch.Tensor:
        """All slices of a patch alike; the patterns of two classes have nothing in common."""
        settings = self.settings
        if not (settings.class_texture_probability and settings.class_texture):
            return images
        on = random.chosen(settings.class_texture_probability)
        shares = torch.softmax(4 * random.normal(len(TEXTURE_GRIDS_PX), self.classes), dim=1)
        strength = settings.class_texture * torch.tanh(random.normal(self.classes).abs()) * on[:, None]  # (B, classes)
        patterns = torch.zeros((), device=images.device)
        for number, grid_px in enumerate(TEXTURE_GRIDS_PX):
            nodes = math.ceil(self.size / grid_px) + 1
            amount = strength * shares[:, number].sqrt()
            patterns = (
                patterns + smooth_field(random.normal(self.classes, nodes, nodes), self.size) * amount[..., None, None]
            )
        textured = [grey.texture_classes(images[:, n], labels, patterns) for n in range(images.shape[1])]
        return torch.stack(textured, dim=1)

    def _in_narrow_view(
        self, inside: torch.Tensor, labels: torch.Tensor, random: PatchRandomness
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Where the patch is seen, and its labels, `IGNORE` elsewhere."""
        settings = self.settings
        if not settings.narrow_view_probability:
            return inside, labels
        wide = ~random.chosen(settings.narrow_view_probability)
        place = torch.arange(self.size, device=labels.device)
        for axis in (2, 1):
            extent = random.uniform(settings.narrowest_view, 1) * self.size
            start = random.uniform() * (self.size - extent)
            seen = (place >= start[:, None]) & (place < (start + extent)[:, None]) | wide[:, None]  # (B, size)
            inside = inside & seen.unsqueeze(axis)
        return inside, labels.masked_fill(~inside, IGNORE)

    def _with_other_edges(self, images: torch.Tensor, random: SliceRandomness) -> torch.Tensor:
        settings = self.settings
        if not settings.blur_probability:
            return images
        on = random.chosen(settings.blur_probability)
        sigma_px = random.uniform(*settings.blur_sigma_px)
        blurred = torch.full_like(sigma_px, -1.0)
        sharpened = random.uniform(0, settings.sharpen) if settings.sharpen else blurred
        amount = torch.where(random.chosen(0.5), blurred, sharpened)
        radius_px = math.ceil(3 * settings.blur_sigma_px[1])
        return grey.blur_or_sharpen(images, sigma_px, amount * on, radius_px)

    def _with_other_greys(self, images: torch.Tensor, random: SliceRandomness) -> torch.Tensor:
        settings = self.settings
        if settings.gamma or settings.curve:
            exponent = torch.exp(random.normal() * settings.gamma)
            slopes = torch.exp(random.normal(CURVE_PIECES) * settings.curve)
            images = grey.bend_curve(images, exponent, slopes)
        if settings.inversion_probability:
            images = grey.invert(images, random.chosen(settings.inversion_probability))
        if settings.contrast or settings.brightness:
            factor = 1 + random.uniform(-1, 1) * settings.contrast
            images = grey.change_contrast(images, factor, random.uniform(-1, 1) * settings.brightness)
        return images

    def _with_rings(self, images: torch.Tensor, random: SliceRandomness) -> torch.Tensor:
        settings = self.settings
        if not (settings.rings_probability and settings.rings):
            return images
        deviation = random.chosen(settings.rings_probability) * random.uniform() * settings.rings
        centre = torch.stack((random.uniform(-1, 2), random.uniform(-1, 2)), dim=1) * self.size
        profile = random.normal(math.ceil(2 * math.sqrt(2) * self.size) + 1) * deviation[:, None]
        return grey.add_rings(images, profile, centre)

    def _with_noise(self, images: torch.Tensor, random: SliceRandomness) -> torch.Tensor:
        settings = self.settings
        if not (settings.noise_probability and settings.noise):
            return images
        deviation = random.chosen(settings.noise_probability) * random.uniform() * settings.noise
        return grey.add_noise(images, random.noise(self.size, self.size), deviation, random.uniform())
