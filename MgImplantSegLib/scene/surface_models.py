"""Result surfaces as model nodes of the scene: coloured by bone contact, or by depth of degradation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from MgImplantSegLib.grids.labels import BONE
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.scene.color_legends import add_color_legend
from MgImplantSegLib.scene.color_tables import STEPS, add_named_colors, add_sequential_colors
from MgImplantSegLib.scene.implant_surfaces import CONTACT, DEPTH, contact_surface, depth_surface
from MgImplantSegLib.scene.nodes import set_provenance

CONTACT_COLORS = (
    ("no bone", (0.62, 0.66, 0.70)),
    ("bone contact", BONE.color_rgb),
    ("not counted", (0.25, 0.25, 0.25)),
)
DEEPEST_PERCENTILE = 99.5


def add_contact_model(scene: Any, label_map: LabelMap, name: str, provenance: Mapping[str, Any] | None = None) -> Any:
    """A `vtkMRMLModelNode` of the implant's surface, coloured where bone touches it.

    Raises InputError if there is no implant.
    """
    return add_contact_model_of_mesh(scene, contact_surface(label_map), name, provenance)


def add_contact_model_of_mesh(scene: Any, mesh: Any, name: str, provenance: Mapping[str, Any] | None = None) -> Any:
    """As `add_contact_model`, of a surface that is made already."""
    colors = add_named_colors(scene, f"{name} colours", CONTACT_COLORS)
    node = _add_model(scene, mesh, name, colors, provenance)
    _show_array(node, CONTACT, in_cells=True, limits=(0, len(CONTACT_COLORS) - 1))
    add_color_legend(node, "Bone contact", named=True, entries=len(CONTACT_COLORS))
    return node


def add_depth_model(
    scene: Any, label_map: LabelMap, initial: LabelMap, name: str, provenance: Mapping[str, Any] | None = None
) -> Any:
    """A `vtkMRMLModelNode` of the residual material's surface, coloured by millimetres below the initial surface.

    Raises InputError if there is no residual material, or no initial screw.
    """
    return add_depth_model_of_mesh(scene, depth_surface(label_map, initial), name, provenance)


def add_depth_model_of_mesh(scene: Any, mesh: Any, name: str, provenance: Mapping[str, Any] | None = None) -> Any:
    """As `add_depth_model`, of a surface that is made already."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    depth_mm = vtk_to_numpy(mesh.GetPointData().GetArray(DEPTH))
    deepest_mm = readable_limit(max(float(np.percentile(depth_mm, DEEPEST_PERCENTILE)), 1e-6))
    node = _add_model(scene, mesh, name, add_sequential_colors(scene, f"{name} colours"), provenance)
    _show_array(node, DEPTH, in_cells=False, limits=(0.0, deepest_mm))
    add_color_legend(node, f"{DEPTH} [mm]", named=False, entries=STEPS)
    return node


def readable_limit(largest: float) -> float:
    """The end of a colour bar with four numbers: the next three-fold of a number of two digits above `largest`."""
    step = 3 * 10.0 ** (math.floor(math.log10(largest)) - 1)
    return step * math.ceil(largest / step * (1 - 1e-9))


def _add_model(scene: Any, mesh: Any, name: str, colors: Any, provenance: Mapping[str, Any] | None) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLModelNode", scene.GenerateUniqueName(name))
    node.SetAndObservePolyData(mesh)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    set_provenance(node, provenance or {})
    return node


def _show_array(node: Any, array: str, in_cells: bool, limits: tuple[float, float]) -> None:
    """Colour a model by one of its arrays, over a fixed range."""
    from vtkmodules.vtkCommonDataModel import vtkDataObject

    display = node.GetDisplayNode()
    place = vtkDataObject.CELL if in_cells else vtkDataObject.POINT
    display.SetActiveScalar(array, place)
    display.SetScalarRangeFlag(display.UseManualScalarRange)
    display.SetScalarRange(*limits)
    display.SetScalarVisibility(True)
