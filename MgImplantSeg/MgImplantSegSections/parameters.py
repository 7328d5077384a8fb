"""The choices that are saved with the scene.

Options of the engine come from its declarations (`engineOptions.py`); a widget is bound to one by its name.
What belongs to this computer (device, memory, environment, model folder) is in QSettings instead, see `settings.py`.
"""

from typing import Annotated

import slicer
from slicer import (
    vtkMRMLMarkupsROINode,
    vtkMRMLModelNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTableNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.quantification.options import QuantifyOptions
from MgImplantSegSections.engine.engineOptions import choice, withOptions

ROI_REFERENCE = "roi"
Opacity = Annotated[float, WithinRange(0, 1)]

InitialKind = choice(
    "InitialKind",
    {
        "none": _("Not known"),
        "segmentation": _("Segmentation"),
        "model": _("Surface model"),
        "typed": _("Typed volume and area"),
    },
)
SurfaceKind = choice("SurfaceKind", {"0": _("Flying edges"), "1": _("Surface nets (faster)")})
SurfaceColor = choice(
    "SurfaceColor", {"plain": _("By class"), "contact": _("Contact with bone"), "depth": _("Depth of degradation")}
)


@parameterNodeWrapper
@withOptions(SegmentOptions, QuantifyOptions)
class MgImplantSegParameterNode:
    """All choices of the panel; see the tooltips of the .ui files for what each means."""

    inputVolume: vtkMRMLScalarVolumeNode
    limitRoi: vtkMRMLMarkupsROINode
    outputSegmentation: vtkMRMLSegmentationNode

    teachSegmentation: vtkMRMLSegmentationNode
    teachRoi: vtkMRMLMarkupsROINode
    suggestCount: Annotated[int, WithinRange(1, 20)] = 5
    teachMinutes: Annotated[float, WithinRange(0.1, 600)] = 5.0
    teachOtherScans: bool = True
    teachScribbles: bool = False
    segmentAfterTeaching: bool = True

    boneOpacity: Opacity = 0.25
    layerOpacity: Opacity = 0.45
    metalOpacity: Opacity = 1.0
    surfaceMethod: SurfaceKind  # type: ignore[valid-type] # made when it is loaded
    decimation: Annotated[float, WithinRange(0, 0.95)] = 0.0
    surfaceColor: SurfaceColor  # type: ignore[valid-type] # made when it is loaded
    showScan: bool = False

    measuredSegmentation: vtkMRMLSegmentationNode
    initialKind: InitialKind  # type: ignore[valid-type] # made when it is loaded
    initialSegmentation: vtkMRMLSegmentationNode
    initialModel: vtkMRMLModelNode
    initialVolumeMm3: Annotated[float, WithinRange(0, 1e6)] = 0.0
    initialAreaMm2: Annotated[float, WithinRange(0, 1e6)] = 0.0
    allMeasures: bool = False
    ranges: bool = True
    autoCompute: bool = False

    referenceSegmentation: vtkMRMLSegmentationNode
    comparisonTable: vtkMRMLTableNode


NODES = (
    "inputVolume",
    "limitRoi",
    "outputSegmentation",
    "teachSegmentation",
    "teachRoi",
    "measuredSegmentation",
    "initialSegmentation",
    "initialModel",
    "referenceSegmentation",
    "comparisonTable",
)


def forget(parameters, node):
    """Choose nothing wherever a node is chosen that is about to leave the scene."""
    for name in NODES:
        if getattr(parameters, name) is node:
            setattr(parameters, name, None)


def roiNodes(parameters):
    """The ROI nodes in the list of regions, in their order."""
    node = parameters.parameterNode
    found = [node.GetNthNodeReference(ROI_REFERENCE, index) for index in range(node.GetNumberOfNodeReferences("roi"))]
    return [roi for roi in found if roi is not None]


def addRoi(parameters, roiNode):
    """Put a ROI at the end of the list of regions, once."""
    if roiNode not in roiNodes(parameters):
        parameters.parameterNode.AddNodeReferenceID(ROI_REFERENCE, roiNode.GetID())
        parameters.parameterNode.Modified()


def removeRoi(parameters, roiNode):
    """Take a ROI out of the list of regions."""
    kept = [roi for roi in roiNodes(parameters) if roi is not roiNode]
    parameters.parameterNode.RemoveNodeReferenceIDs(ROI_REFERENCE)
    for roi in kept:
        parameters.parameterNode.AddNodeReferenceID(ROI_REFERENCE, roi.GetID())
    parameters.parameterNode.Modified()


def shownNodes(className):
    """The nodes of a class that the user sees, in the order of the scene."""
    scene = slicer.mrmlScene
    nodes = [scene.GetNthNodeByClass(index, className) for index in range(scene.GetNumberOfNodesByClass(className))]
    return [node for node in nodes if node.GetClassName() == className and not node.GetHideFromEditors()]
