"""The 3D picture of a segmentation for a paper: metal, layer and bone, translucent, bone cut open, with a scale bar.

Drawn off-screen from the closed surfaces of a segmentation node, with the colours that its segments have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import DependencyError, InputError
from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.scene.annotations import add_legend, add_scale_bar
from MgImplantSegLib.scene.canvas import OffscreenCanvas, write_png
from MgImplantSegLib.scene.frames import local_to_world_ras
from MgImplantSegLib.scene.meshes import cut_open, facing_outward, transformed, with_normals
from MgImplantSegLib.scene.segments import role_of_segment, segment_ids
from MgImplantSegLib.scene.viewpoint import Viewpoint, viewpoint_of_points


@dataclass(frozen=True)
class SurfaceLook:
    """How the surface of one role is drawn.

    Parameters
    ----------
    opacity, cap_opacity : float
        Of the surface, and of the face where it is cut, 0–1.
    specular : float
        Strength of the highlights, 0–1.
    cut_towards : str
        Direction of `Viewpoint` in which the half beyond the implant's axis is cut away; empty for none.
    hide_inner_wall : bool
        Leave out what faces away from the viewer: the wall that the layer shares with the metal.
    """

    opacity: float
    cap_opacity: float = 1.0
    specular: float = 0.15
    cut_towards: str = ""
    hide_inner_wall: bool = False


LOOKS = MappingProxyType(
    {
        Role.BONE: SurfaceLook(opacity=0.6, cap_opacity=0.9, cut_towards="front_ras"),
        Role.DEGRADATION_LAYER: SurfaceLook(opacity=0.6, cut_towards="right_ras", hide_inner_wall=True),
        Role.RESIDUAL_MATERIAL: SurfaceLook(opacity=1.0, specular=0.4),
    }
)
LOOK_ALONE = SurfaceLook(opacity=1.0)


@dataclass(frozen=True)
class PictureSettings:
    """Size and style of the picture.

    Parameters
    ----------
    cut_open : bool
        Cut the bone away in front of the implant's axis, and the layer at the right of it.
    background_rgb : tuple of float
        Colour behind everything, 0–1.
    """

    width: int = 1600
    height: int = 1400
    cut_open: bool = True
    background_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 200:
            raise InputError(f"Expected a picture of at least 200×200 pixels, got {self.width}×{self.height}.")


def render_segmentation(
    segmentation_node: Any,
    path: str | Path,
    settings: PictureSettings | None = None,
    roles: Mapping[str, Role] | None = None,
) -> Path:
    """Draw the closed surfaces of a segmentation node into a PNG file.

    Segments that are hidden in the node, that have no closed surface, or of which it is not known what they are, are
    left out. Bone without an implant is drawn whole and opaque. Raises InputError if there is no surface to draw,
    make them with `create_closed_surfaces`; or if the node is under a transform that is not linear; DependencyError if
    nothing can be drawn off-screen on this computer.

    Parameters
    ----------
    roles : mapping of segment ID to Role, optional
        What segments are, where ID, terminology and name do not say.
    """
    settings = settings or PictureSettings()
    surfaces = _surfaces(segmentation_node, roles or {})
    if not surfaces:
        raise InputError(
            "Expected visible segments of known meaning with closed surfaces, got none.",
            "Create the closed surfaces first, and assign classes to the segments.",
        )
    has_implant = any(surface.role is not Role.BONE for surface in surfaces)
    viewpoint = viewpoint_of_points(_implant_points(surfaces))
    canvas = OffscreenCanvas(settings.width, settings.height, settings.background_rgb)
    try:
        for surface in surfaces:
            _add_surface(canvas, surface, LOOKS[surface.role] if has_implant else LOOK_ALONE, viewpoint, settings)
        canvas.aim(viewpoint)
        add_legend(canvas.renderer, [(entry.name, entry.color_rgb) for entry in surfaces], settings.height)
        add_scale_bar(canvas.renderer, settings.width, settings.height)
        return write_png(_drawn(canvas.pixels()), path)
    finally:
        canvas.close()


def _drawn(pixels: np.ndarray) -> np.ndarray:
    if (pixels == pixels[0, 0]).all():
        raise DependencyError(
            "Expected a picture of the surfaces, got an empty one: the graphics driver draws nothing off-screen.",
            "Take a picture of the 3D view instead, or install another driver.",
        )
    return pixels


@dataclass(frozen=True)
class _Surface:
    role: Role
    name: str
    color_rgb: tuple[float, float, float]
    mesh: Any


def _surfaces(node: Any, roles: Mapping[str, Role]) -> list[_Surface]:
    """The closed surfaces of all visible segments that have a role, in world RAS."""
    from vtkmodules.vtkCommonDataModel import vtkPolyData

    segmentation, to_world, found = node.GetSegmentation(), local_to_world_ras(node), []
    for segment_id in segment_ids(segmentation):
        segment, mesh = segmentation.GetSegment(segment_id), vtkPolyData()
        role = roles.get(segment_id) or role_of_segment(segmentation, segment_id)
        visible = node.GetDisplayNode() is None or node.GetDisplayNode().GetSegmentVisibility(segment_id)
        if role is not None and role in LOOKS and visible and node.GetClosedSurfaceRepresentation(segment_id, mesh):
            mesh = with_normals(facing_outward(transformed(mesh, to_world)))
            found.append(_Surface(role, segment.GetName(), segment.GetColor(), mesh))
    return [surface for surface in found if surface.mesh.GetNumberOfPolys()]


def _implant_points(surfaces: list[_Surface]) -> np.ndarray:
    """Points (n, 3) of the implant's surface; of everything where there is no implant."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    implant = [surface for surface in surfaces if surface.role is not Role.BONE]
    return np.concatenate([vtk_to_numpy(entry.mesh.GetPoints().GetData()) for entry in implant or surfaces])


def _add_surface(
    canvas: OffscreenCanvas, surface: _Surface, look: SurfaceLook, viewpoint: Viewpoint, settings: PictureSettings
) -> None:
    mesh, cap = surface.mesh, None
    if look.cut_towards and settings.cut_open:
        mesh, cap = cut_open(mesh, viewpoint.centre_ras_mm, getattr(viewpoint, look.cut_towards))
    style = canvas.add_mesh(mesh, surface.color_rgb, look.opacity)
    style.SetSpecular(look.specular)
    style.SetBackfaceCulling(look.hide_inner_wall)
    if cap is not None:
        style = canvas.add_mesh(cap, surface.color_rgb, look.cap_opacity)
        style.SetAmbient(0.5)
        style.SetDiffuse(0.5)
        style.SetInterpolationToFlat()
