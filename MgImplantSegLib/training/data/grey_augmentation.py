"""Variations of grey values, each one function over a batch of images (B, h, w) with strengths per image (B,)."""

from __future__ import annotations

import torch
from torch.nn import functional


def _each(strength: torch.Tensor) -> torch.Tensor:
    return strength[:, None, None]


def change_contrast(images: torch.Tensor, factor: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Deviation from the image's mean times `factor`, then all plus `shift`."""
    mean = images.mean((1, 2), keepdim=True)
    return (images - mean) * _each(factor) + mean + _each(shift)


def bend_curve(images: torch.Tensor, exponent: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    """Map [0, 1] onto itself: a power, then piecewise linear with positive `slopes`, shape (B, pieces)."""
    images = images.clamp(0, 1) ** _each(exponent)
    pieces = slopes.shape[1]
    rises = slopes / slopes.sum(1, keepdim=True)  # (B, pieces)
    starts = rises.cumsum(1) - rises
    piece = (images * pieces).long().clamp_max(pieces - 1).flatten(1)  # (B, h·w)
    part = images.flatten(1) * pieces - piece
    return (starts.gather(1, piece) + rises.gather(1, piece) * part).reshape(images.shape)


def invert(images: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Black and white exchanged where `chosen`."""
    return torch.where(_each(chosen), 1 - images, images)


def blur_or_sharpen(images: torch.Tensor, sigma_px: torch.Tensor, amount: torch.Tensor, radius_px: int) -> torch.Tensor:
    """image + amount × (image − blurred image): amount −1 blurs, above 0 enhances edges as phase contrast does."""
    blurred = gaussian_blur(images, sigma_px, radius_px)
    return images + _each(amount) * (images - blurred)


def gaussian_blur(images: torch.Tensor, sigma_px: torch.Tensor, radius_px: int) -> torch.Tensor:
    """Gaussian of another width for every image, cut off at `radius_px`; edges are continued."""
    steps = torch.arange(-radius_px, radius_px + 1, device=images.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (steps / sigma_px[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)  # (B, 2·radius+1)
    count = len(images)
    padded = functional.pad(images[None], (radius_px,) * 4, mode="replicate")  # (1, B, h+2r, w+2r)
    rows = functional.conv2d(padded, kernel[:, None, :, None], groups=count)
    return functional.conv2d(rows, kernel[:, None, None, :], groups=count)[0]


def add_noise(images: torch.Tensor, white: torch.Tensor, deviation: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Noise of that standard deviation from `white` (B, h, w); `share` of its variance correlated over 3×3 pixels."""
    grainy = functional.avg_pool2d(white[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0] * 3
    return images + _each(deviation) * (_each((1 - share).sqrt()) * white + _each(share.sqrt()) * grainy)


def add_rings(images: torch.Tensor, profile: torch.Tensor, centre_xy: torch.Tensor) -> torch.Tensor:
    """Add `profile` (B, radii), one value for each pixel of distance from `centre_xy` (B, 2)."""
    rows = torch.arange(images.shape[1], device=images.device, dtype=torch.float32)
    columns = torch.arange(images.shape[2], device=images.device, dtype=torch.float32)
    across = columns[None, None, :] - centre_xy[:, 0, None, None]
    down = rows[None, :, None] - centre_xy[:, 1, None, None]
    radius = torch.sqrt(across.square() + down.square()).long().clamp_max(profile.shape[1] - 1)  # (B, h, w)
    return images + profile.gather(1, radius.flatten(1)).reshape(images.shape)


def change_class_contrast(
    images: torch.Tensor, labels: torch.Tensor, factors: torch.Tensor, background: int
) -> torch.Tensor:
    """Difference to the mean of background times the factor of its class, `factors` (B, classes).

    Between two classes the factor changes over about two pixels, as the grey value does. Pixels that are not known, and
    images without background, stay as they are.
    """
    is_dark = labels == background
    count = is_dark.sum((1, 2), keepdim=True)
    dark = (images * is_dark).sum((1, 2), keepdim=True) / count.clamp_min(1)
    known = labels < factors.shape[1]
    factor = factors.gather(1, labels.long().clamp_max(factors.shape[1] - 1).flatten(1)).reshape(images.shape)
    factor = torch.where(known & (count > 0), factor, torch.ones_like(factor))
    factor = functional.avg_pool2d(factor[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]
    return dark + (images - dark) * factor


def texture_classes(images: torch.Tensor, labels: torch.Tensor, patterns: torch.Tensor) -> torch.Tensor:
    """Grey value times 1 + the pattern of its class, `patterns` (B, classes, h, w); what is not known stays."""
    known = labels < patterns.shape[1]
    chosen = patterns.gather(1, labels.long().clamp_max(patterns.shape[1] - 1)[:, None])[:, 0]
    return images * (1 + torch.where(known, chosen, torch.zeros_like(chosen)))


def crack_profile(field: torch.Tensor, half_width_px: torch.Tensor) -> torch.Tensor:
    """1 on the zero lines of a smooth field (B, h, w), falling to 0 half a pixel beyond `half_width_px` (B,)."""
    down, right = torch.gradient(field, dim=(1, 2))
    distance_px = field.abs() / (down.square() + right.square()).sqrt().clamp_min(1e-6)
    return (_each(half_width_px) + 0.5 - distance_px).clamp(0, 1) * _each((half_width_px > 0).float())
