"""The pictures of a result: ``view_3d.png`` and ``slices.png``."""

from __future__ import annotations

from pathlib import Path

from MgImplantSegLib.events import Events
from MgImplantSegLib.labels import Role
from MgImplantSegLib.volume import LabelMap, Volume

VIEW_3D, SLICES = "view_3d.png", "slices.png"


def draw_pictures(volume: Volume, label_map: LabelMap, folder: Path, events: Events) -> list[str]:
    """Draw both pictures into a folder; returns their names.

    Without any segment there is nothing to show in 3D, and the list holds the slices alone.
    """
    from MgImplantSegLib.scene.slices import draw_slices

    drawn = []
    with events.task("pictures", 2) as task:
        if label_map.mask(*(role for role in Role if role is not Role.BACKGROUND)).any():
            _draw_in_3d(label_map, folder / VIEW_3D)
            drawn.append(VIEW_3D)
        task.advance()
        draw_slices(volume, label_map, folder / SLICES)
        drawn.append(SLICES)
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
