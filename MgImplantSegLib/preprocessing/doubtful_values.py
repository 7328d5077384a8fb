"""What the grey values of a scan say about it: voxels outside the field of view, and label maps mistaken for scans."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

MOST_LABELS = 8
VOXELS_ACROSS = 100


def outside_field_of_view(image: np.ndarray) -> np.ndarray:
    """Boolean array, True where a slice (y, x) is NaN in a region that reaches its border.

    Reconstructions are NaN outside the round, or turned, field that the scanner has seen. NaN inside it is a fault of
    the data.
    """
    missing = np.isnan(image)
    if not missing.any() or missing.all():
        return missing
    regions, count = ndimage.label(missing)
    touching = np.zeros(count + 1, dtype=bool)
    for edge in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        touching[edge] = True
    touching[0] = False
    return touching[regions]


def few_values(array: np.ndarray) -> list[float]:
    """The values of a volume if they are as few whole numbers as those of a label map, else nothing.

    Some ten thousand voxels of each slice are looked at: those of a scan show more values at the first glance.
    """
    found: set[float] = set()
    for image in array:
        step = max(1, min(image.shape) // VOXELS_ACROSS)
        found.update(np.unique(image[::step, ::step])[: MOST_LABELS + 1].tolist())
        if len(found) > MOST_LABELS:
            return []
    whole = all(value == value and value == round(value) for value in found if abs(value) != float("inf"))
    return sorted(found) if whole and len(found) > 1 else []
