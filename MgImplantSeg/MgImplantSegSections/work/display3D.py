"""What the 3D view shows: surfaces of the classes, coloured surfaces of the implant, the scan behind, a picture.

Functions without widgets, for the panel and for scripts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.scene.canvas import pixels_shown, write_png
from MgImplantSegLib.scene.closed_surfaces import SurfaceMethod, SurfaceSettings, create_closed_surfaces
from MgImplantSegLib.scene.color_legends import color_legend_of, fit_color_legend, remove_colored_model
from MgImplantSegLib.scene.implant_surfaces import contact_surface, depth_surface
from MgImplantSegLib.scene.nodes import place_beside, provenance_of_node
from MgImplantSegLib.scene.scan_rendering import set_veil
from MgImplantSegLib.scene.segments import CLOSED_SURFACE, segment_ids
from MgImplantSegLib.scene.surface_models import add_contact_model_of_mesh, add_depth_model_of_mesh
from MgImplantSegLib.scene.volumes import array_of_image
from MgImplantSegSections.work import layouts
from MgImplantSegSections.work.measureWork import labelMapOf, roleOf, rolesOf
from MgImplantSegSections.work.surfaceWork import isHuge

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode, vtkMRMLScene, vtkMRMLSegmentationNode

COLORED_MODEL_REFERENCE = "MgImplantSeg.ColoredModel"
KIND = "surface"
DECIMATION_OF_HUGE = 0.8
GREY_PERCENTILES = (1.0, 99.5)
GREY_SAMPLES = 1_000_000


def showIn3D(segmentationNode: vtkMRMLSegmentationNode, settings: Any = None, opacities: Any = None):
    """Make the closed surfaces and show them in the 3D view; returns polygons by segment ID.

    :param settings: `SurfaceSettings`; large volumes get surface nets and decimation by default.
    :param opacities: opacity by `Role`.
    """
    polygons = create_closed_surfaces(segmentationNode, settings or defaultSettings(segmentationNode))
    showSurfaces(segmentationNode, opacities or {})
    return polygons


def showSurfaces(segmentationNode: vtkMRMLSegmentationNode, opacities: Any):
    """Show the surfaces that a segmentation has in the 3D view."""
    display = displayOf(segmentationNode)
    display.SetVisibility(True)
    display.SetVisibility3D(True)
    setOpacities(segmentationNode, opacities)
    lookAtAll()


def defaultSettings(segmentationNode: vtkMRMLSegmentationNode):
    """Surface settings that suit the size of a segmentation."""
    if not isHuge(segmentationNode):
        return SurfaceSettings()
    return SurfaceSettings(SurfaceMethod.SURFACE_NETS, decimation=DECIMATION_OF_HUGE, even_if_large=True)


def setOpacities(segmentationNode: vtkMRMLSegmentationNode, opacities: Any):
    """Set the 3D opacity of all segments by their role."""
    display = displayOf(segmentationNode)
    for segmentId in segment_ids(segmentationNode.GetSegmentation()):
        role = roleOf(segmentationNode, segmentId)
        if role in opacities:
            display.SetSegmentOpacity3D(segmentId, opacities[role])


def displayOf(segmentationNode: vtkMRMLSegmentationNode):
    """The display node of a segmentation, made if need be."""
    if segmentationNode.GetDisplayNode() is None:
        segmentationNode.CreateDefaultDisplayNodes()
    return segmentationNode.GetDisplayNode()


def showColored(segmentationNode: vtkMRMLSegmentationNode, kind: str, initialNode: Any = None):
    """Replace the coloured surface of the implant by another; returns its model node, or None for plain.

    :param kind: ``plain``, ``contact`` (touched by bone) or ``depth`` (millimetres below the initial surface).
    :raises InputError: if the depth is asked for without the screw before implantation.
    """
    mesh = None
    if kind == "contact":
        mesh = contact_surface(labelMapOf(segmentationNode))
    elif kind == "depth":
        requireInitial(initialNode)
        mesh = depth_surface(labelMapOf(segmentationNode), labelMapOf(initialNode, Role.RESIDUAL_MATERIAL))
    return putColored(segmentationNode, kind, mesh, initialNode)


def putColored(segmentationNode: vtkMRMLSegmentationNode, kind: str, mesh: Any, initialNode: Any = None):
    """Replace the coloured surface of the implant by a mesh that is made already; returns its model node, or None."""
    scene, name = segmentationNode.GetScene(), segmentationNode.GetName()
    old = segmentationNode.GetNodeReference(COLORED_MODEL_REFERENCE)
    model, provenance = None, {KIND: kind, **provenance_of_node(segmentationNode), "segmentation": name}
    if kind == "contact":
        model = add_contact_model_of_mesh(scene, mesh, _("{name} contact").format(name=name), provenance)
    elif kind == "depth":
        provenance["initial"] = initialNode.GetName()
        model = add_depth_model_of_mesh(scene, mesh, _("{name} depth").format(name=name), provenance)
    if old is not None:
        remove_colored_model(old)
    if model is not None:
        place_beside(scene, model, segmentationNode)
    segmentationNode.SetNodeReferenceID(COLORED_MODEL_REFERENCE, model.GetID() if model else None)
    _showImplantSegments(segmentationNode, model is None)
    fitLegends(scene)
    return model


def shownWindow():
    """The render window of the first 3D view; None where none is shown."""
    return slicer.app.layoutManager().threeDWidget(0).threeDView().renderWindow() if layouts.has3D() else None


def fitLegends(scene: vtkMRMLScene):
    """Make the letters of the legends as large as the first 3D view allows."""
    window = shownWindow()
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") if window is not None else 0):
        node = scene.GetNthNodeByClass(number, "vtkMRMLSegmentationNode")
        model = node.GetNodeReference(COLORED_MODEL_REFERENCE)
        legend = color_legend_of(model) if model is not None else None
        if legend is not None:
            width, height = window.GetSize()
            fit_color_legend(legend, width, height, window.GetDPI())


def shownColor(segmentationNode: vtkMRMLSegmentationNode):
    """What the surface of the implant is coloured by: ``plain``, ``contact`` or ``depth``."""
    model = segmentationNode.GetNodeReference(COLORED_MODEL_REFERENCE)
    return provenance_of_node(model)[KIND] if model is not None else "plain"


def requireInitial(initialNode: Any):
    """Raise `InputError` if the depth is asked for without the screw before implantation."""
    if initialNode is None:
        raise InputError(
            _("Expected the screw before implantation for the depth of degradation, got none."),
            _("Choose it as Initial segmentation in Measurements."),
        )


def _showImplantSegments(segmentationNode: vtkMRMLSegmentationNode, visible: bool):
    display = displayOf(segmentationNode)
    for segmentId in segment_ids(segmentationNode.GetSegmentation()):
        if roleOf(segmentationNode, segmentId) in (Role.DEGRADATION_LAYER, Role.RESIDUAL_MATERIAL):
            display.SetSegmentVisibility3D(segmentId, visible)


def showScan(volumeNode: vtkMRMLScalarVolumeNode, visible: bool):
    """Show or hide the scan itself by volume rendering, so thin that surfaces are seen through it."""
    logic = slicer.modules.volumerendering.logic()
    display = logic.GetFirstVolumeRenderingDisplayNode(volumeNode)
    if display is None and visible:
        display = logic.CreateDefaultVolumeRenderingNodes(volumeNode)
        bounds = [0.0] * 6
        volumeNode.GetRASBounds(bounds)
        length = max(high - low for low, high in zip(bounds[::2], bounds[1::2], strict=True))
        set_veil(display.GetVolumePropertyNode().GetVolumeProperty(), _greyRange(volumeNode), length)
    if display is not None:
        display.SetVisibility(visible)
        if visible:
            lookAtAll()


def _greyRange(volumeNode: vtkMRMLScalarVolumeNode):
    """Grey values of a volume without the few that are far off."""
    values = array_of_image(volumeNode.GetImageData()).ravel()
    values = values[:: max(1, values.size // GREY_SAMPLES)]
    low, high = np.percentile(values[np.isfinite(values)], GREY_PERCENTILES)
    return float(low), float(high)


def lookAtAll():
    """Turn the first 3D view to everything in it, near enough to fill it; one is shown if there is none."""
    layouts.require3D()
    if layouts.has3D():
        view = slicer.app.layoutManager().threeDWidget(0).threeDView()
        view.resetFocalPoint()  # first: else the box around the last objects, 200 mm wide at the start, is looked at
        view.resetCamera(False, True, True)  # the user's direction stays


def takePicture(segmentationNode: vtkMRMLSegmentationNode, path: Any):
    """Write a PNG file of what the 3D view shows; of the surfaces with legend and scale bar where there is no view."""
    if layouts.has3D():
        return takePictureOfView(path)
    from MgImplantSegLib.scene.pictures import render_segmentation

    if not hasSurfaces(segmentationNode):
        create_closed_surfaces(segmentationNode, defaultSettings(segmentationNode))
    return render_segmentation(segmentationNode, path, roles=rolesOf(segmentationNode))


def hasSurfaces(segmentationNode: vtkMRMLSegmentationNode):
    """Whether the closed surfaces are there."""
    return segmentationNode.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)


def takePictureOfView(path: Any):
    """Write a PNG file of the first 3D view as it is: camera, colours, opacities and legends; returns the path.

    A ruler is drawn in parallel projection only: in perspective it has no meaning.
    """
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    node = view.mrmlViewNode()
    before = node.GetRulerType()
    if node.GetRenderMode() == node.Orthographic:
        node.SetRulerType(node.RulerTypeThin)
    try:
        view.forceRender()
        return write_png(pixels_shown(view.renderWindow()), path)
    finally:
        node.SetRulerType(before)
