"""The functions behind `LOSSES`: ``loss(logits, target, total=..., **options)``.

``logits`` has shape (B, k, h, w), ``target`` shape (B, h, w) with channel numbers and `IGNORE` where nothing is
known. ``total`` turns a sum over this process's part of the batch into the sum over the global batch; with several
processes it is `World.sum`. A loss may ask for ``implant_channels``, the channels of layer and metal. Every loss is a
scalar of the global batch. Without a single known pixel it is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from MgImplantSegLib.training.loop.losses import IGNORE

Total = Callable[[torch.Tensor], torch.Tensor]


def _as_it_is(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def cross_entropy(logits: torch.Tensor, target: torch.Tensor, total: Total = _as_it_is) -> torch.Tensor:
    """Mean of −log p of the true class over all known pixels."""
    target = target.long()
    summed = functional.cross_entropy(logits.float(), target, ignore_index=IGNORE, reduction="sum")
    known = (target != IGNORE).sum().to(summed.dtype)
    return total(summed) / total(known).clamp_min(1)


def dice(logits: torch.Tensor, target: torch.Tensor, total: Total = _as_it_is) -> torch.Tensor:
    """1 − mean soft Dice of the classes present in the batch: 2·Σ p·g / (Σ p + Σ g), sums over known pixels.

    References
    ----------
    Milletari, Navab, Ahmadi: V-Net, 3DV 2016, doi 10.1109/3DV.2016.79; sums over the batch instead of one image.
    """
    known = (target != IGNORE)[:, None]  # (B, 1, h, w)
    probability = logits.float().softmax(1) * known  # (B, k, h, w)
    truth = functional.one_hot(target.long() * known[:, 0], logits.shape[1]).movedim(-1, 1) * known
    overlap = total((probability * truth).sum((0, 2, 3)))
    predicted, present = total(probability.sum((0, 2, 3))), total(truth.sum((0, 2, 3)).float())
    score = 2 * overlap / (predicted + present).clamp_min(1e-6)
    is_present = (present > 0).float()
    return (is_present * (1 - score)).sum() / is_present.sum().clamp_min(1)


def cross_entropy_dice(
    logits: torch.Tensor, target: torch.Tensor, total: Total = _as_it_is, *, weight: float
) -> torch.Tensor:
    """Cross-entropy + `weight` × Dice loss."""
    return cross_entropy(logits, target, total) + weight * dice(logits, target, total)


def boundary_length(logits: torch.Tensor, target: torch.Tensor, total: Total = _as_it_is) -> torch.Tensor:
    """Length of the predicted boundaries per known pixel: total variation of the probabilities, halved.

    A step from one class to another changes two probabilities by 1, hence the half; a straight boundary counts
    its length in pixels. Only differences between two known pixels count.

    References
    ----------
    Rudin, Osher, Fatemi: Physica D 60 (1992) 259, doi 10.1016/0167-2789(92)90242-F; as a loss: Chen et al.,
    Learning active contour models for medical image segmentation, CVPR 2019, doi 10.1109/CVPR.2019.01190.
    """
    probability = logits.float().softmax(1)
    known = (target != IGNORE)[:, None]  # (B, 1, h, w)
    both_known = known[..., :-1, :-1] & known[..., 1:, :-1] & known[..., :-1, 1:]
    down = probability[..., 1:, :-1] - probability[..., :-1, :-1]
    right = probability[..., :-1, 1:] - probability[..., :-1, :-1]
    slope = (down.square() + right.square() + 1e-8).sqrt() - 1e-4  # the root of 0 has no finite gradient
    return 0.5 * total((slope * both_known).sum()) / total(known.sum().float()).clamp_min(1)


def cross_entropy_smooth(
    logits: torch.Tensor, target: torch.Tensor, total: Total = _as_it_is, *, weight: float
) -> torch.Tensor:
    """Cross-entropy + `weight` × length of the predicted boundaries: ragged boundaries cost more than smooth ones."""
    return cross_entropy(logits, target, total) + weight * boundary_length(logits, target, total)


def near_implant_surface(target: torch.Tensor, implant_channels: Sequence[int], reach_px: int) -> torch.Tensor:
    """Pixels with both implant and something else within `reach_px`, the distance that of a square window.

    Shape and device of `target`, boolean. Unknown pixels are neither implant nor something else.
    """
    implant = sum((target == channel for channel in implant_channels), torch.zeros_like(target, dtype=torch.bool))
    both = torch.stack((implant, ~implant & (target != IGNORE)), dim=1).float()  # (B, 2, h, w)
    reached = functional.max_pool2d(both, 2 * reach_px + 1, stride=1, padding=reach_px)
    return reached.amin(1) > 0


def cross_entropy_surface(
    logits: torch.Tensor,
    target: torch.Tensor,
    total: Total = _as_it_is,
    *,
    implant_channels: Sequence[int],
    weight: float,
    reach_px: float,
) -> torch.Tensor:
    """Cross-entropy in which pixels near the implant's surface count `weight` times, + Dice loss.

    Bone-to-implant contact is measured on these pixels alone, and they are few.

    References
    ----------
    Ronneberger, Fischer, Brox: U-Net, MICCAI 2015, doi 10.1007/978-3-319-24574-4_28, weighs pixels near borders more.
    """
    entropy = functional.cross_entropy(logits.float(), target.long(), ignore_index=IGNORE, reduction="none")
    weights = (1 + (weight - 1) * near_implant_surface(target, implant_channels, int(reach_px))) * (target != IGNORE)
    mean = total((weights * entropy).sum()) / total(weights.sum()).clamp_min(1)
    return mean + dice(logits, target, total)
