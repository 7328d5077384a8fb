"""Three slices through the first look at a scan, side by side, with the box that is kept: for the user to check."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.grids.boxes import Box
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.preprocessing.coarse_look import CoarseLook

EDGE_PIXELS, GAP_PIXELS = 220, 6
DARKEST, BRIGHTEST = 0.5, 99.5  # percentiles
BOX_COLOUR = (255, 170, 0)


def preview_picture(look: CoarseLook, box: Box, scan: Geometry) -> np.ndarray:
    """RGB picture (rows, columns, 3), uint8: slices across z, y and x through the middle of the box.

    Rows run along y, z, z and columns along x, x, y, all to one scale in mm; what was not scanned is black.
    """
    scale = EDGE_PIXELS / max(scan.extent_zyx_mm)
    middle = [
        min(n - 1, (part.start + part.stop) * n // (2 * size))
        for part, n, size in zip(box, look.volume.array.shape, scan.shape_zyx, strict=True)
    ]
    pictures = [_slice(look, box, scan, axis, middle[axis], scale) for axis in range(3)]
    rows = max(len(picture) for picture in pictures)
    columns = sum(picture.shape[1] for picture in pictures) + 2 * GAP_PIXELS
    whole, at = np.zeros((rows, columns, 3), np.uint8), 0
    for picture in pictures:
        whole[: len(picture), at : at + picture.shape[1]] = picture
        at += picture.shape[1] + GAP_PIXELS
    return whole


def _slice(look: CoarseLook, box: Box, scan: Geometry, axis: int, index: int, scale: float) -> np.ndarray:
    """The slice across an axis, in colours, with the outline of the box."""
    across = [other for other in range(3) if other != axis]
    image = np.take(look.volume.array, index, axis=axis)
    finite = look.volume.array[np.isfinite(look.volume.array)]
    low, high = np.percentile(finite, (DARKEST, BRIGHTEST)) if finite.size else (0.0, 1.0)
    grey = np.nan_to_num((image - low) / max(high - low, 1e-30), nan=0.0, posinf=1.0, neginf=0.0)
    sizes = [max(1, round(scan.extent_zyx_mm[other] * scale)) for other in across]
    rows, columns = (np.arange(size) * n // size for size, n in zip(sizes, image.shape, strict=True))
    picture = np.repeat((255 * np.clip(grey, 0, 1))[rows][:, columns, None], 3, axis=2).astype(np.uint8)
    edges = [
        (part.start * size // n, min(size - 1, part.stop * size // n))
        for part, size, n in zip(
            (box[other] for other in across), sizes, (scan.shape_zyx[other] for other in across), strict=True
        )
    ]
    (top, bottom), (left, right) = edges
    for line in (
        (slice(top, bottom + 1), left),
        (slice(top, bottom + 1), right),
        (top, slice(left, right + 1)),
        (bottom, slice(left, right + 1)),
    ):
        picture[line] = BOX_COLOUR
    return picture
