"""Figures of the studies: IoU by planes and fusion, and mean IoU against FLOPs. Drawn where matplotlib is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from MgImplantSegLib.base.errors import DependencyError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.quantification.figures import new_figure
from MgImplantSegLib.training.studies.tables import ScaledModel, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MARKERS = "osD^vP*X"


def draw_plane_table(table: Table, path: Path, events: Events) -> None:
    """Bars of IoU with standard errors: a group for each class, a bar for each planes-and-fusion scheme."""
    figure = _new_figure((9, 4), path, events)
    if figure is None:
        return
    axes = figure.subplots()
    columns = list(next(iter(table.values())))
    width = 0.8 / len(table)
    for number, (scheme, cells) in enumerate(table.items()):
        places = np.arange(len(columns)) + (number - (len(table) - 1) / 2) * width
        means = [cells[column].mean for column in columns]
        errors = np.nan_to_num([cells[column].standard_error for column in columns])
        axes.bar(places, means, width, yerr=errors, capsize=2, label=scheme)
    axes.set_xticks(range(len(columns)), [column.replace("_", " ") for column in columns])
    lowest = np.nanmin([cell.mean for cells in table.values() for cell in cells.values()])
    axes.set_ylim(max(0.0, lowest - 0.1), 1.0)
    axes.set_ylabel("IoU")
    axes.legend(fontsize=7, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
    _save(figure, path)


def draw_scaling(models: Sequence[ScaledModel], path: Path, events: Events) -> None:
    """Mean IoU against FLOPs (logarithmic): colour for depth, marker for input size, area for width."""
    figure = _new_figure((7, 4.5), path, events)
    if figure is None:
        return
    axes = figure.subplots()
    depths, sizes = sorted({m.depth for m in models}), sorted({m.input_size for m in models})
    widest = max(model.width for model in models)
    for depth in depths:
        for size in sizes:
            chosen = [m for m in models if (m.depth, m.input_size) == (depth, size)]
            axes.scatter(
                [m.flops for m in chosen],
                [m.mean_iou for m in chosen],
                [20 + 120 * m.width / widest for m in chosen],
                color=f"C{depths.index(depth)}",
                marker=MARKERS[sizes.index(size) % len(MARKERS)],
                alpha=0.7,
                label=f"depth {depth}, input {size}²" if chosen else None,
            )
    axes.set_xscale("log")
    axes.set_xlabel("FLOPs of one forward pass")
    axes.set_ylabel("mean IoU")
    axes.legend(fontsize=7, loc="lower right", title="larger marker: wider network", title_fontsize=7)
    axes.grid(alpha=0.3)
    _save(figure, path)


def _new_figure(size_inches: tuple[float, float], path: Path, events: Events) -> Figure | None:
    """An empty figure, or None with a warning where matplotlib is missing: the tables hold the same numbers."""
    try:
        figure = new_figure(path)
    except DependencyError:
        events.warning(f"{path.name} was not drawn: matplotlib is missing. Install it with: pip install matplotlib.")
        return None
    figure.set_size_inches(*size_inches)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with atomic_output(path) as temporary:
        figure.savefig(temporary, dpi=150)
