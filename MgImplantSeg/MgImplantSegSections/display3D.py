"""What the 3D view shows: surfaces of the classes, coloured surfaces of the implant, the scan behind, a picture.

Functions without widgets, for the panel and for scripts.
"""

import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.labels import Role
from MgImplantSegLib.scene.canvas import pixels_shown, write_png
from MgImplantSegLib.scene.closed_surfaces import SurfaceMethod, SurfaceSettings, create_closed_surfaces
from MgImplantSegLib.scene.implant_surfaces import contact_surface, depth_surface
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.segments import CLOSED_SURFACE, segment_ids
from MgImplantSegLib.scene.surface_models import add_contact_model_of_mesh, add_depth_model_of_mesh
from MgImplantSegSections.measureWork import labelMapOf, roleOf, rolesOf
from MgImplantSegSections.surfaceWork import isHuge

COLORED_MODEL_REFERENCE = "MgImplantSeg.ColoredModel"
PRESET_OF_SCAN = "CT-Bone"
DECIMATION_OF_HUGE = 0.8


def showIn3D(segmentationNode, settings=None, opacities=None):
    """Make the closed surfaces and show them in the 3D view; returns polygons by segment ID.

    :param settings: `SurfaceSettings`; large volumes get surface nets and decimation by default.
    :param opacities: opacity by `Role`.
    """
    polygons = create_closed_surfaces(segmentationNode, settings or defaultSettings(segmentationNode))
    showSurfaces(segmentationNode, opacities or {})
    return polygons


def showSurfaces(segmentationNode, opacities):
    """Show the surfaces that a segmentation has in the 3D view."""
    display = displayOf(segmentationNode)
    display.SetVisibility(True)
    display.SetVisibility3D(True)
    setOpacities(segmentationNode, opacities)
    resetView()


def defaultSettings(segmentationNode):
    """Surface settings that suit the size of a segmentation."""
    if not isHuge(segmentationNode):
        return SurfaceSettings()
    return SurfaceSettings(SurfaceMethod.SURFACE_NETS, decimation=DECIMATION_OF_HUGE, even_if_large=True)


def setOpacities(segmentationNode, opacities):
    """Set the 3D opacity of all segments by their role."""
    display = displayOf(segmentationNode)
    for segmentId in segment_ids(segmentationNode.GetSegmentation()):
        role = roleOf(segmentationNode, segmentId)
        if role in opacities:
            display.SetSegmentOpacity3D(segmentId, opacities[role])


def displayOf(segmentationNode):
    """The display node of a segmentation, made if need be."""
    if segmentationNode.GetDisplayNode() is None:
        segmentationNode.CreateDefaultDisplayNodes()
    return segmentationNode.GetDisplayNode()


def showColored(segmentationNode, kind, initialNode=None):
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


def putColored(segmentationNode, kind, mesh, initialNode=None):
    """Replace the coloured surface of the implant by a mesh that is made already; returns its model node, or None."""
    scene, name = segmentationNode.GetScene(), segmentationNode.GetName()
    old = segmentationNode.GetNodeReference(COLORED_MODEL_REFERENCE)
    model, provenance = None, {**provenance_of_node(segmentationNode), "segmentation": name}
    if kind == "contact":
        model = add_contact_model_of_mesh(scene, mesh, _("{name} contact").format(name=name), provenance)
    elif kind == "depth":
        provenance["initial"] = initialNode.GetName()
        model = add_depth_model_of_mesh(scene, mesh, _("{name} depth").format(name=name), provenance)
    if old is not None:
        colors = old.GetDisplayNode().GetColorNode() if old.GetDisplayNode() is not None else None
        scene.RemoveNode(old)
        if colors is not None:
            scene.RemoveNode(colors)
    segmentationNode.SetNodeReferenceID(COLORED_MODEL_REFERENCE, model.GetID() if model else None)
    _showImplantSegments(segmentationNode, model is None)
    return model


def requireInitial(initialNode):
    """Raise `InputError` if the depth is asked for without the screw before implantation."""
    if initialNode is None:
        raise InputError(
            _("Expected the screw before implantation for the depth of degradation, got none."),
            _("Choose its segmentation in section 4."),
        )


def _showImplantSegments(segmentationNode, visible):
    display = displayOf(segmentationNode)
    for segmentId in segment_ids(segmentationNode.GetSegmentation()):
        if roleOf(segmentationNode, segmentId) in (Role.DEGRADATION_LAYER, Role.RESIDUAL_MATERIAL):
            display.SetSegmentVisibility3D(segmentId, visible)


def showScan(volumeNode, visible):
    """Show or hide the scan itself by volume rendering."""
    logic = slicer.modules.volumerendering.logic()
    display = logic.GetFirstVolumeRenderingDisplayNode(volumeNode)
    if display is None and visible:
        display = logic.CreateDefaultVolumeRenderingNodes(volumeNode)
        preset = logic.GetPresetByName(PRESET_OF_SCAN)
        if preset is not None:
            display.GetVolumePropertyNode().Copy(preset)
            _fitTransferFunctions(display, volumeNode)
    if display is not None:
        display.SetVisibility(visible)
        resetView()


def _fitTransferFunctions(display, volumeNode):
    """Stretch the preset's opacity and colours over the grey values of this volume."""
    low, high = volumeNode.GetImageData().GetScalarRange()
    volumeProperty = display.GetVolumePropertyNode().GetVolumeProperty()
    for function in (volumeProperty.GetScalarOpacity(), volumeProperty.GetRGBTransferFunction()):
        _stretch(function, low, high)


def _stretch(function, low, high):
    first, last = function.GetRange()
    size = 4 if function.IsA("vtkPiecewiseFunction") else 6
    nodes = []
    for index in range(function.GetSize()):
        node = [0.0] * size
        function.GetNodeValue(index, node)
        node[0] = low + (node[0] - first) / ((last - first) or 1.0) * (high - low)
        nodes.append(node)
    function.RemoveAllPoints()
    for node in nodes:
        if size == 4:
            function.AddPoint(*node)
        else:
            function.AddRGBPoint(*node)


def resetView():
    """Look at everything in the first 3D view, if one is shown."""
    if hasView():
        slicer.app.layoutManager().threeDWidget(0).threeDView().resetFocalPoint()


def takePicture(segmentationNode, path):
    """Write a PNG file of the surfaces with legend and scale bar; makes the surfaces if need be."""
    from MgImplantSegLib.scene.pictures import render_segmentation

    if not hasSurfaces(segmentationNode):
        create_closed_surfaces(segmentationNode, defaultSettings(segmentationNode))
    return render_segmentation(segmentationNode, path, roles=rolesOf(segmentationNode))


def hasSurfaces(segmentationNode):
    """Whether the closed surfaces are there."""
    return segmentationNode.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)


def hasView():
    """Whether a 3D view is shown; one that the layout hides draws nothing."""
    layout = slicer.app.layoutManager()
    return layout is not None and layout.threeDViewCount > 0 and layout.threeDWidget(0).visible


def takePictureOfView(path):
    """Write a PNG file of the first 3D view as it is, with a ruler; for computers that draw nothing off-screen."""
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    node = view.mrmlViewNode()
    before = node.GetRenderMode(), node.GetRulerType()
    node.SetRenderMode(node.Orthographic)  # a ruler has no meaning in perspective
    node.SetRulerType(node.RulerTypeThin)
    try:
        view.forceRender()
        return write_png(pixels_shown(view.renderWindow()), path)
    finally:
        node.SetRenderMode(before[0])
        node.SetRulerType(before[1])
