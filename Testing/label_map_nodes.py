"""Label map volumes as Slicer makes them, which tests convert; the module itself only reads them."""

from __future__ import annotations

from typing import Any

from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.scene.volumes import image_data, place


def add_label_map_node(scene: Any, label_map: LabelMap, name: str) -> Any:
    """A `vtkMRMLLabelMapVolumeNode` with the values of `label_map`, coloured and named as its scheme says."""
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", scene.GenerateUniqueName(name))
    node.SetAndObserveImageData(image_data(label_map.array))
    place(node, label_map.geometry)
    node.CreateDefaultDisplayNodes()
    colors = _add_color_table(scene, label_map, f"{node.GetName()} colours")
    node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    return node


def _add_color_table(scene: Any, label_map: LabelMap, name: str) -> Any:
    """A colour table node with the names and colours of the scheme; other values are transparent."""
    colors = scene.AddNewNodeByClass("vtkMRMLColorTableNode", name)
    colors.SetTypeToUser()
    colors.SetNumberOfColors(max(*label_map.scheme.values, 0) + 1)
    for label in (label for label in label_map.scheme.labels if label.value >= 0):
        colors.SetColor(label.value, label.name, *label.color_rgb, 0.0 if label.value == 0 else 1.0)
    return colors
