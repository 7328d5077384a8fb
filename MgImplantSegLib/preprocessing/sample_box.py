"""Where the sample lies in a scan: the box around the largest bright object of its coarse copy.

Otsu's threshold parts bright from dark; where the dark part falls into two clearly apart (air, and bone beside a much
brighter implant), it is parted again, so that nothing of the sample is cut off. Liquids and tubes that are as bright as
bone count as sample.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.boxes import Box, bounding_box
from MgImplantSegLib.preprocessing.coarse_look import CoarseLook

BINS = 256
SMOOTHING_VOXELS = 1.0
CLEARLY_APART = 0.8  # between-class variance as part of the whole; 0.64 for one Gaussian, 0.75 for equal frequencies
MOST_CLASSES = 3


def sample_box(look: CoarseLook, margin_mm: float, shape_zyx: tuple[int, int, int]) -> Box | None:
    """The box of the scan's voxels around the sample; None if nothing stands out.

    Parameters
    ----------
    margin_mm : float
        How much is added on every side; one voxel of the coarse copy is added.
    shape_zyx : tuple of int
        Of the scan.
    """
    coarse = look.volume.array
    seen = np.isfinite(coarse)
    if not seen.any():
        return None
    smooth = _smoothed(coarse, seen)
    threshold = _threshold(smooth[seen])
    if threshold is None:
        return None
    regions, count = ndimage.label((smooth > threshold) & seen)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    found = bounding_box(regions, int(sizes.argmax()) + 1)
    return None if found is None else _on_the_scan(found, look, margin_mm, shape_zyx)


def _smoothed(coarse: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Smoothed by a Gaussian over what was seen."""
    weights = ndimage.gaussian_filter(seen.astype(np.float32), SMOOTHING_VOXELS)
    values = ndimage.gaussian_filter(np.where(seen, coarse, 0).astype(np.float32), SMOOTHING_VOXELS)
    return values / np.maximum(weights, np.float32(1e-6))


def _threshold(values: np.ndarray) -> float | None:
    """Otsu's threshold, of the dark part again where that falls into two; None if all values are the same."""
    threshold = None
    for _ in range(MOST_CLASSES - 1):
        found = otsu(values)
        if found is None or (threshold is not None and found[1] < CLEARLY_APART):
            break
        threshold = found[0]
        values = values[values <= threshold]
    return threshold


def otsu(values: np.ndarray) -> tuple[float, float] | None:
    """The threshold with the largest between-class variance, and that variance as part of the whole.

    Otsu 1979, doi 10.1109/TSMC.1979.4310076. None if all values are the same.
    """
    low, high = np.percentile(values, (0.1, 99.9)) if values.size else (0.0, 0.0)
    if not high > low:
        return None
    counts, edges = np.histogram(np.clip(values, low, high), BINS, (low, high))
    centres, parts = (edges[1:] + edges[:-1]) / 2, counts / counts.sum()
    below = np.cumsum(parts)[:-1]
    mean_below, mean = np.cumsum(parts * centres)[:-1], float((parts * centres).sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.nan_to_num((mean * below - mean_below) ** 2 / (below * (1 - below)))
    whole = float((parts * (centres - mean) ** 2).sum())
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(edges[1:][best].mean()), float(between.max() / whole)


def _on_the_scan(found: Box, look: CoarseLook, margin_mm: float, shape_zyx: tuple[int, int, int]) -> Box:
    parts = []
    for part, coarse_n, n, edge_mm in zip(
        found, look.volume.array.shape, shape_zyx, look.volume.geometry.extent_zyx_mm, strict=True
    ):
        scale, margin = n / coarse_n, margin_mm * n / edge_mm
        start, stop = (part.start - 1) * scale - margin, (part.stop + 1) * scale + margin
        parts.append(slice(max(0, int(np.floor(start))), min(n, int(np.ceil(stop)))))
    return triple(parts)
