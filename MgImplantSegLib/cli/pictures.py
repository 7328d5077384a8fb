"""The pictures of a result: ``view_3d.png``, ``slices.png``, coloured surfaces, and figures of profiles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.labels import RESIDUAL_MATERIAL, Role
from MgImplantSegLib.grids.volume import LabelMap, Volume

if TYPE_CHECKING:
    from MgImplantSegLib.quantification import InitialScrew, QuantificationReport

VIEW_3D, SLICES, CONTACT, DEPTH = "view_3d.png", "slices.png", "contact.png", "depth.png"


def draw_pictures(volume: Volume | None, label_map: LabelMap, folder: Path, events: Events) -> list[str]:
    """Draw the segmentation in 3D and, with its scan, in slices into a folder; returns the names of the files.

    Without any segment there is nothing to show in 3D.
    """
    from MgImplantSegLib.scene.slices import draw_slices

    drawn = []
    with events.task("pictures", 2) as task:
        if label_map.mask(*(role for role in Role if role is not Role.BACKGROUND)).any():
            _draw_in_3d(label_map, folder / VIEW_3D)
            drawn.append(VIEW_3D)
        task.advance()
        if volume is not None:
            draw_slices(volume, label_map, folder / SLICES)
            drawn.append(SLICES)
    return drawn


def draw_measures(
    report: QuantificationReport, label_map: LabelMap, initial: InitialScrew | None, folder: Path, events: Events
) -> list[str]:
    """Draw where bone touches, how deep the metal is degraded, and the profiles; returns the names of the files."""
    from MgImplantSegLib.quantification.figures import write_series_figure

    drawn = []
    with events.task("pictures of measures", 2) as task:
        if label_map.implant_mask().any():
            drawn += _draw_surfaces(label_map, initial, folder)
        task.advance()
        for series in (series for series in report.series if series.values):
            drawn.append(f"{re.sub(r'[^A-Za-z0-9]+', '_', f'{series.symbol} {series.x_name}')}.png")
            write_series_figure(series, folder / drawn[-1])
    return drawn


def _draw_in_3d(label_map: LabelMap, path: Path) -> None:
    from MgImplantSegLib.scene.closed_surfaces import create_closed_surfaces
    from MgImplantSegLib.scene.pictures import render_segmentation
    from MgImplantSegLib.scene.segmentations import add_segmentation_node
    from MgImplantSegLib.scene.standalone import StandaloneScene

    with StandaloneScene() as standalone:
        node = add_segmentation_node(standalone.scene, label_map, "segmentation")
        create_closed_surfaces(node)
        render_segmentation(node, path)


def _draw_surfaces(label_map: LabelMap, initial: InitialScrew | None, folder: Path) -> list[str]:
    from MgImplantSegLib.scene.model_pictures import render_model
    from MgImplantSegLib.scene.standalone import StandaloneScene
    from MgImplantSegLib.scene.surface_models import add_contact_model, add_depth_model

    with StandaloneScene() as standalone:
        contact = add_contact_model(standalone.scene, label_map, "contact")
        render_model(contact, folder / CONTACT)
        before = _on_grid_of(label_map, initial)
        if before is None or not label_map.mask(Role.RESIDUAL_MATERIAL).any():
            return [CONTACT]
        render_model(add_depth_model(standalone.scene, label_map, before, "depth"), folder / DEPTH, "depth [mm]")
        return [CONTACT, DEPTH]


def _on_grid_of(label_map: LabelMap, initial: InitialScrew | None) -> LabelMap | None:
    """The screw before implantation as a label map on the explant's grid; None where its shape is not known there."""
    if initial is None or initial.shape is None:
        return None
    mask = initial.shape.mask_on(label_map.geometry)
    if not mask.any():
        return None
    return LabelMap(mask * np.uint8(RESIDUAL_MATERIAL.value), label_map.geometry)
