"""The choices that are saved with the scene, and the texts of their combo boxes.

What belongs to this computer (device, environment, model folder) is in QSettings instead, see `settings.py`.
"""

from enum import Enum
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

from MgImplantSegLib.planes import PLANE_SETS
from MgImplantSegLib.quantification.contact_methods import CONTACT_METHODS
from MgImplantSegLib.quantification.degradation import RATE_FORMS
from MgImplantSegLib.quantification.options import QuantifyOptions
from MgImplantSegLib.quantification.surface import SURFACE_METHODS
from MgImplantSegLib.scene.closed_surfaces import SurfaceMethod

ROI_REFERENCE = "roi"
Opacity = Annotated[float, WithinRange(0, 1)]


class LabelledChoice(Enum):
    """A choice whose members carry the engine's value and have a text for people."""

    def label(self):
        """The text in the combo box."""
        return TEXT_OF_CHOICE.get((type(self).__name__, self.value), str(self.value))


def fusionNames():
    """The keys of the engine's fusion rules; their file needs NumPy only."""
    from MgImplantSegLib.inference.fusion import FUSIONS

    return tuple(FUSIONS)


TEXT_OF_CHOICE = {
    ("Planes", "1"): _("1 plane (preview)"),
    ("Planes", "3"): _("3 planes"),
    ("Planes", "9"): _("9 planes (best)"),
    ("Planes", "rc"): _("rc: slices along the first axis"),
    ("Planes", "cp"): _("cp: slices along the second axis"),
    ("Planes", "pr"): _("pr: slices along the third axis"),
    ("Fusion", "soft"): _("Soft voting"),
    ("Fusion", "majority"): _("Majority voting"),
    ("SurfaceArea", "smoothed-mesh"): _("Smoothed mesh"),
    ("SurfaceArea", "crofton"): _("Crofton"),
    ("SurfaceArea", "voxel-faces"): _("Voxel faces"),
    ("SurfaceArea", "raw-mesh"): _("Raw mesh"),
    ("RateForm", "initial-area"): _("Initial area"),
    ("RateForm", "mean-area"): _("Mean of initial and residual area"),
    ("ContactMethod", "faces"): _("Voxel faces (6 neighbours)"),
    ("ContactMethod", "mesh"): _("Smoothed mesh"),
    ("ContactMethod", "18-neighbours"): _("18 neighbours"),
    ("ContactMethod", "26-neighbours"): _("26 neighbours"),
    ("ContactMethod", "crofton"): _("Crofton"),
    ("ContactMethod", "distance"): _("Bone within a distance"),
    ("InitialKind", "none"): _("Not known"),
    ("InitialKind", "segmentation"): _("Segmentation"),
    ("InitialKind", "model"): _("Surface model"),
    ("InitialKind", "typed"): _("Typed volume and area"),
    ("SurfaceKind", "0"): _("Flying edges"),
    ("SurfaceKind", "1"): _("Surface nets (faster)"),
    ("SurfaceColor", "plain"): _("By class"),
    ("SurfaceColor", "contact"): _("Contact with bone"),
    ("SurfaceColor", "depth"): _("Depth of degradation"),
}


def choice(name, values):
    """An enumeration of the engine's keys, in their order."""
    return LabelledChoice(name, {f"choice_{value}".replace("-", "_"): value for value in values})


Planes = choice("Planes", ("3", *(name for name in PLANE_SETS if name != "3")))
Fusion = choice("Fusion", fusionNames())
SurfaceArea = choice("SurfaceArea", SURFACE_METHODS)
RateForm = choice("RateForm", RATE_FORMS)
ContactMethod = choice("ContactMethod", CONTACT_METHODS)
InitialKind = choice("InitialKind", ("none", "segmentation", "model", "typed"))
SurfaceKind = choice("SurfaceKind", tuple(method.value for method in SurfaceMethod))
SurfaceColor = choice("SurfaceColor", ("plain", "contact", "depth"))


@parameterNodeWrapper
class MgImplantSegParameterNode:
    """All choices of the panel; see the tooltips of the .ui files for what each means."""

    inputVolume: vtkMRMLScalarVolumeNode
    limitRoi: vtkMRMLMarkupsROINode
    planes: Planes
    fusion: Fusion
    outputSegmentation: vtkMRMLSegmentationNode

    boneOpacity: Opacity = 0.25
    layerOpacity: Opacity = 0.45
    metalOpacity: Opacity = 1.0
    surfaceMethod: SurfaceKind
    decimation: Annotated[float, WithinRange(0, 0.95)] = 0.0
    surfaceColor: SurfaceColor
    showScan: bool = False

    measuredSegmentation: vtkMRMLSegmentationNode
    initialKind: InitialKind
    initialSegmentation: vtkMRMLSegmentationNode
    initialModel: vtkMRMLModelNode
    initialVolumeMm3: Annotated[float, WithinRange(0, 1e6)] = 0.0
    initialAreaMm2: Annotated[float, WithinRange(0, 1e6)] = 0.0
    days: Annotated[float, WithinRange(0, 36500)] = 0.0
    distanceMm: Annotated[float, WithinRange(0.001, 100)] = QuantifyOptions.distance_mm
    surfaceArea: SurfaceArea
    rateForm: RateForm
    contactMethod: ContactMethod
    closeCracksMm: Annotated[float, WithinRange(0, 1)] = 0.0
    allMeasures: bool = False
    autoCompute: bool = False
    measuresTable: vtkMRMLTableNode

    referenceSegmentation: vtkMRMLSegmentationNode
    comparisonTable: vtkMRMLTableNode


NODES = (
    "inputVolume",
    "limitRoi",
    "outputSegmentation",
    "measuredSegmentation",
    "initialSegmentation",
    "initialModel",
    "measuresTable",
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
