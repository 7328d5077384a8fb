"""Closed surfaces of a segmentation node: what its 3D display and its pictures are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from MgImplantSegLib.base.errors import InputError, ResourceError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.scene.meshes import facing_outward
from MgImplantSegLib.scene.segments import CLOSED_SURFACE, binary_image, has_voxels, is_made_of_surfaces, segment_ids

LARGEST_AUTOMATIC_VOXELS = 200_000_000


class SurfaceMethod(str, Enum):
    """How the surface is found; the values are those of Slicer's conversion parameter."""

    FLYING_EDGES = "0"
    SURFACE_NETS = "1"


@dataclass(frozen=True)
class SurfaceSettings:
    """How closed surfaces are made.

    Parameters
    ----------
    method : SurfaceMethod
        Surface nets are about twice as fast; flying edges are Slicer's default.
    smoothing : float
        0 (none) to 1 (strong), Slicer's smoothing factor.
    decimation : float
        Part of the polygons that is removed, 0 (none) to below 1.
    even_if_large : bool
        Build also above `LARGEST_AUTOMATIC_VOXELS`, which takes minutes and gigabytes.
    """

    method: SurfaceMethod = SurfaceMethod.FLYING_EDGES
    smoothing: float = 0.5
    decimation: float = 0.0
    even_if_large: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing <= 1:
            raise InputError(f"Expected a surface smoothing of 0 to 1, got {self.smoothing}.")
        if not 0 <= self.decimation < 1:
            raise InputError(f"Expected a decimation of 0 to below 1, got {self.decimation}.")


def create_closed_surfaces(
    segmentation_node: Any, settings: SurfaceSettings | None = None, events: Events | None = None
) -> dict[str, int]:
    """Make the closed surface of every segment again, and show it in 3D views.

    A segmentation that is made of surfaces, as one from an STL file, keeps them as they are. Raises ResourceError if
    the segmentation is too large to do this unasked; InputError if a segment with voxels gets no polygons.

    Returns
    -------
    dict
        Number of polygons by segment ID; 0 for segments without voxels.
    """
    settings, events = settings or SurfaceSettings(), events or Events()
    segmentation = segmentation_node.GetSegmentation()
    if not is_made_of_surfaces(segmentation):
        _require_reasonable_size(segmentation_node, settings)
        segmentation_node.RemoveClosedSurfaceRepresentation()
        _set_conversion(segmentation, settings)
        with events.task("3D surfaces", 1) as task:
            segmentation_node.CreateClosedSurfaceRepresentation()
            task.advance()
    _prefer_surfaces(segmentation_node)
    polygons = _polygons(segmentation_node)
    _require_polygons(segmentation_node, polygons)
    for entry in polygons:
        surface = segmentation_node.GetClosedSurfaceInternalRepresentation(entry)
        if surface is not None:
            surface.ShallowCopy(facing_outward(surface))
    return polygons


def put_closed_surfaces(
    segmentation_node: Any, meshes: Mapping[str, Any], settings: SurfaceSettings | None = None
) -> dict[str, int]:
    """Give every segment a surface that is made already, and show it in 3D views.

    A segmentation that is made of surfaces, as one from an STL file, keeps them as they are. What Slicer makes again
    after edits is made with the same settings.

    Parameters
    ----------
    meshes : mapping of segment ID to vtkPolyData
        In the node's own coordinates (RAS mm); a segment without one gets an empty surface.

    Returns
    -------
    dict
        Number of polygons by segment ID.
    """
    from vtkmodules.vtkCommonDataModel import vtkPolyData

    segmentation = segmentation_node.GetSegmentation()
    if not is_made_of_surfaces(segmentation):
        segmentation_node.RemoveClosedSurfaceRepresentation()
        _set_conversion(segmentation, settings or SurfaceSettings())
        # 3D views look at the first segment; once it has a surface they make those that are missing, at once
        for entry in reversed(segment_ids(segmentation)):
            surface = meshes[entry] if entry in meshes else vtkPolyData()
            segmentation.GetSegment(entry).AddRepresentation(CLOSED_SURFACE, surface)
        segmentation.InvokeEvent(segmentation.ContainedRepresentationNamesModified)  # buttons of other modules follow
    _prefer_surfaces(segmentation_node)
    return _polygons(segmentation_node)


def _polygons(segmentation_node: Any) -> dict[str, int]:
    """Number of polygons by segment ID."""
    entries = segment_ids(segmentation_node.GetSegmentation())
    surfaces = {entry: segmentation_node.GetClosedSurfaceInternalRepresentation(entry) for entry in entries}
    return {entry: surface.GetNumberOfPolys() if surface else 0 for entry, surface in surfaces.items()}


def _prefer_surfaces(segmentation_node: Any) -> None:
    if segmentation_node.GetDisplayNode() is None:
        segmentation_node.CreateDefaultDisplayNodes()
    segmentation_node.GetDisplayNode().SetPreferredDisplayRepresentationName3D(CLOSED_SURFACE)


def _set_conversion(segmentation: Any, settings: SurfaceSettings) -> None:
    """Joint smoothing stays off: it reports success and gives surfaces without polygons.

    Surface nets smooth by themselves where they are to be decimated: without, Slicer makes them of quadrangles, which
    its decimation leaves as they are.
    """
    decimated_nets = settings.method is SurfaceMethod.SURFACE_NETS and settings.decimation > 0
    values = {
        "SurfaceNets smoothing": "1" if decimated_nets else "0",
        "Joint smoothing": "0",
        "Smoothing factor": str(settings.smoothing),
        "Decimation factor": str(settings.decimation),
        "Conversion method": settings.method.value,
    }
    for name, value in values.items():
        segmentation.SetConversionParameter(name, value)


def _require_reasonable_size(segmentation_node: Any, settings: SurfaceSettings) -> None:
    segmentation = segmentation_node.GetSegmentation()
    images = [binary_image(segmentation, segment_id) for segment_id in segment_ids(segmentation)]
    voxels = max((image.GetNumberOfPoints() for image in images if image is not None), default=0)
    if voxels > LARGEST_AUTOMATIC_VOXELS and not settings.even_if_large:
        raise ResourceError(
            f"Expected at most {LARGEST_AUTOMATIC_VOXELS / 1e6:.0f} million voxels for 3D, got {voxels / 1e6:.0f}.",
            "Use surface nets with a decimation of 0.8 to show it anyway, or crop the segmentation.",
        )


def _require_polygons(segmentation_node: Any, polygons: dict[str, int]) -> None:
    segmentation = segmentation_node.GetSegmentation()
    for segment_id, count in polygons.items():
        if count == 0 and has_voxels(segmentation, segment_id):
            raise InputError(
                f"Expected a closed surface of segment {segment_id!r}, got one without polygons.",
                "Lower the smoothing or the decimation.",
            )
