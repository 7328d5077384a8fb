"""The picture `slices.png`: three orthogonal cuts through the implant, image with coloured classes over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import DependencyError, InputError
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.labels import Label
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.scene.annotations import length_text, nice_length_mm

FILL_OPACITY = 0.30
GREY_PERCENTILES = (0.5, 99.5)
PANEL_INCHES = 3.4
INK = "0.1"


@dataclass(frozen=True)
class Cut:
    """A plane through the volume: the axis it is across, and the axes that go up (or down) and right in the picture."""

    across: str
    vertical: str
    horizontal: str
    vertical_goes_up: bool


CUTS = (Cut("z", "y", "x", False), Cut("y", "z", "x", True), Cut("x", "z", "y", True))
AXIS_INDEX = {"z": 0, "y": 1, "x": 2}


def draw_slices(
    volume: Volume, label_map: LabelMap, path: str | Path, at_zyx: Sequence[int] | None = None, dpi: int = 200
) -> Path:
    """Draw three cuts of a volume, plain above and with the classes of its label map below, into one PNG file.

    Raises InputError if the two are not on the same grid, or the cuts would be outside; DependencyError if matplotlib
    is missing.

    Parameters
    ----------
    at_zyx : sequence of int, optional
        Voxel through which the cuts go; the centre of the implant if not given, else of all labels.
    """
    if not volume.geometry.same_grid(label_map.geometry):
        raise InputError("Expected a label map on the grid of the image, got another grid.", "Resample one of them.")
    at_zyx = centre_zyx(label_map) if at_zyx is None else tuple(at_zyx)
    if not all(0 <= index < count for index, count in zip(at_zyx, volume.array.shape, strict=True)):
        raise InputError(f"Expected cuts through a voxel inside {volume.array.shape}, got {at_zyx}.")
    figure, panels = _figure(volume.geometry)
    limits = _grey_limits([_plane(volume.array, cut, at_zyx) for cut in CUTS])
    for column, cut in enumerate(CUTS):
        for row, axes in enumerate(panels[:, column]):
            _show_grey(axes, volume, cut, at_zyx, limits)
            if row == 1:
                _show_classes(axes, label_map, cut, at_zyx)
            _annotate(axes, volume.geometry, cut, at_zyx, with_title=row == 0)
    seen = {value for cut in CUTS for value in np.unique(_plane(label_map.array, cut, at_zyx)).tolist()}
    _add_legend(figure, [label for label in label_map.scheme.segments if label.value in seen])
    with atomic_output(path) as temporary:
        figure.savefig(temporary, dpi=dpi, facecolor="white")
    return Path(path)


def centre_zyx(label_map: LabelMap) -> tuple[int, int, int]:
    """The voxel in the middle of the implant's box; of all segments without an implant, of the grid without any."""
    for mask in (label_map.implant_mask(), label_map.mask(*[label.role for label in label_map.scheme.segments])):
        profiles = [np.flatnonzero(mask.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
        if all(len(profile) for profile in profiles):
            return triple(int(profile[0] + profile[-1]) // 2 for profile in profiles)
    return triple(count // 2 for count in label_map.array.shape)


def _figure(geometry: Geometry) -> tuple[Any, np.ndarray]:
    """A figure with 2 × 3 axes, all with the same number of millimetres to an inch."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError(
            f"Expected matplotlib for pictures of slices, got: {error}.", "Install it with: pip install matplotlib"
        ) from error
    extent_mm = dict(zip("zyx", geometry.extent_zyx_mm, strict=True))
    widths_mm = [extent_mm[cut.horizontal] for cut in CUTS]
    height_mm = max(extent_mm[cut.vertical] for cut in CUTS)
    inches_per_mm = PANEL_INCHES / max(*widths_mm, height_mm)
    panel_height = height_mm * inches_per_mm
    size = (sum(widths_mm) * inches_per_mm + 0.6, 2 * panel_height + 1.0)
    figure = Figure(figsize=size, layout="none")  # type: ignore[arg-type] # Matplotlib has it, its types do not
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2,
        3,
        width_ratios=widths_mm,
        left=0.1 / size[0],
        right=1 - 0.1 / size[0],
        wspace=0.06,
        bottom=0.45 / size[1],
        top=1 - 0.3 / size[1],
        hspace=0.03,
    )
    return figure, np.asarray(grid.subplots())


def _plane(array: np.ndarray, cut: Cut, at_zyx: Sequence[int]) -> np.ndarray:
    """The cut as an image (vertical, horizontal)."""
    axis = AXIS_INDEX[cut.across]
    return np.take(array, at_zyx[axis], axis=axis)  # the other two axes stay in the order z, y, x: vertical first


def _grey_limits(planes: list[np.ndarray]) -> tuple[float, float]:
    values = np.concatenate([plane.ravel() for plane in planes]).astype(float)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, GREY_PERCENTILES)
    return float(low), float(high if high > low else low + 1)


def _extent_mm(geometry: Geometry, cut: Cut) -> tuple[float, float, float, float]:
    """Left, right, bottom, top of the cut in mm from the corner of the grid, for `imshow`."""
    extent_mm = dict(zip("zyx", geometry.extent_zyx_mm, strict=True))
    width, height = extent_mm[cut.horizontal], extent_mm[cut.vertical]
    return (0, width, 0, height) if cut.vertical_goes_up else (0, width, height, 0)


def _show_grey(axes: Any, volume: Volume, cut: Cut, at_zyx: Sequence[int], limits: tuple[float, float]) -> None:
    axes.imshow(
        _plane(volume.array, cut, at_zyx),
        cmap="gray",
        vmin=limits[0],
        vmax=limits[1],
        interpolation="nearest",
        origin="lower" if cut.vertical_goes_up else "upper",
        extent=_extent_mm(volume.geometry, cut),
    )
    axes.set_axis_off()


def _show_classes(axes: Any, label_map: LabelMap, cut: Cut, at_zyx: Sequence[int]) -> None:
    """Every class as a translucent fill with a contour."""
    plane = _plane(label_map.array, cut, at_zyx)
    spacing_mm = dict(zip("zyx", label_map.geometry.spacing_zyx_mm, strict=True))
    right_mm = (np.arange(plane.shape[1]) + 0.5) * spacing_mm[cut.horizontal]
    up_mm = (np.arange(plane.shape[0]) + 0.5) * spacing_mm[cut.vertical]
    for label in label_map.scheme.segments:
        mask = plane == label.value
        if mask.any():
            rgba = np.zeros((*plane.shape, 4))
            rgba[mask] = (*label.color_rgb, FILL_OPACITY)
            axes.imshow(
                rgba,
                interpolation="nearest",
                extent=_extent_mm(label_map.geometry, cut),
                origin="lower" if cut.vertical_goes_up else "upper",
            )
            if min(plane.shape) > 1:
                axes.contour(right_mm, up_mm, mask, [0.5], colors=[label.color_rgb], linewidths=0.8)


def _annotate(axes: Any, geometry: Geometry, cut: Cut, at_zyx: Sequence[int], with_title: bool) -> None:
    if with_title:
        number, count = at_zyx[AXIS_INDEX[cut.across]], geometry.shape_zyx[AXIS_INDEX[cut.across]]
        axes.set_title(
            f"{cut.vertical}{cut.horizontal} plane, {cut.across} = {number} of {count}", fontsize=8, color=INK
        )
        return
    _draw_axis_names(axes, geometry, cut)
    _draw_scale_bar(axes, geometry, cut)


def _draw_axis_names(axes: Any, geometry: Geometry, cut: Cut) -> None:
    """Two arrows from the lower left corner with the names of the array's axes, in the direction of rising index."""
    style = {"arrowstyle": "-|>", "color": "white", "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
    style |= {"path_effects": _dark_edge()}
    vertical_tips = ((0.05, 0.05), (0.05, 0.19)) if cut.vertical_goes_up else ((0.05, 0.19), (0.05, 0.05))
    for name, (start, tip), place in (
        (cut.horizontal, ((0.05, 0.05), (0.19, 0.05)), (0.22, 0.05)),
        (cut.vertical, vertical_tips, (0.05, 0.22)),
    ):
        axes.annotate("", xy=tip, xytext=start, xycoords="axes fraction", arrowprops=style)
        axes.text(*place, name, transform=axes.transAxes, ha="center", va="center", **_white_text())


def _draw_scale_bar(axes: Any, geometry: Geometry, cut: Cut) -> None:
    width_mm = geometry.extent_zyx_mm[AXIS_INDEX[cut.horizontal]]
    length_mm = nice_length_mm(0.3 * width_mm)
    part = length_mm / width_mm
    line = {"color": "white", "linewidth": 2.5, "solid_capstyle": "butt", "path_effects": _dark_edge()}
    axes.plot([0.95 - part, 0.95], [0.05, 0.05], transform=axes.transAxes, **line)
    text = length_text(length_mm)
    axes.text(0.95 - part / 2, 0.075, text, transform=axes.transAxes, ha="center", **_white_text())


def _white_text() -> dict[str, Any]:
    return {"color": "white", "fontsize": 8, "path_effects": _dark_edge()}


def _dark_edge() -> list[Any]:
    """A thin dark edge, so that white lines and letters are seen on bright bone too."""
    from matplotlib.patheffects import Normal, Stroke

    return [Stroke(linewidth=2.5, foreground="0.15"), Normal()]


def _add_legend(figure: Any, labels: Sequence[Label]) -> None:
    from matplotlib.patches import Patch

    if labels:
        handles = [Patch(color=label.color_rgb, label=label.name) for label in labels]
        figure.legend(
            handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=9, labelcolor=INK
        )
