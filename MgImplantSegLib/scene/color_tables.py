"""Colour tables of result surfaces, made in the scene so that they are the same in and outside Slicer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

STEPS = 256  # of a colour table that runs evenly

# light where the implant is whole, dark where it is eaten away; lightness falls evenly
DEPTH_ANCHORS_RGB = (
    (0.988, 0.992, 0.749),
    (0.997, 0.768, 0.529),
    (0.985, 0.535, 0.382),
    (0.868, 0.288, 0.409),
    (0.645, 0.209, 0.475),
    (0.439, 0.122, 0.507),
    (0.232, 0.059, 0.437),
    (0.064, 0.040, 0.184),
)


def add_sequential_colors(scene: Any, name: str) -> Any:
    """A colour table node that runs evenly from light to dark."""
    places = np.linspace(0, len(DEPTH_ANCHORS_RGB) - 1, STEPS)
    anchors = np.array(DEPTH_ANCHORS_RGB)
    colors_rgb = [np.interp(places, range(len(anchors)), channel) for channel in anchors.T]
    return add_named_colors(scene, name, [(str(step), rgb) for step, rgb in enumerate(zip(*colors_rgb, strict=True))])


def add_named_colors(scene: Any, name: str, entries: Sequence[tuple[str, Sequence[float]]]) -> Any:
    """A colour table node with one named colour (RGB 0–1) for each value 0, 1, 2, …"""
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", scene.GenerateUniqueName(name))
    node.SetTypeToUser()
    node.SetNumberOfColors(len(entries))
    for value, (color_name, rgb) in enumerate(entries):
        node.SetColor(value, color_name, *(float(channel) for channel in rgb), 1.0)
    node.GetLookupTable().SetRange(0, len(entries) - 1)
    return node
