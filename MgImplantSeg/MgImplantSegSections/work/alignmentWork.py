"""The screw before implantation onto the explant: the engine finds rotation and shift, a transform node has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import Cancelled, InputError
from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.scene.frames import LPS_TO_RAS, local_to_world_ras, numpy_matrix, vtk_matrix
from MgImplantSegSections.engine.engineRun import runEngine, sceneOf, whileWanted
from MgImplantSegSections.engine.exchange import ROLES_WORD, taskFolder
from MgImplantSegSections.work.initialModel import FILE_NAME, writeModel
from MgImplantSegSections.work.measureWork import writeSegmentation
from MgImplantSegSections.work.scanFolders import placeWith

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLScene

    from MgImplantSegSections.engine.engineRun import CancelToken, EnginePython

REFERENCE, QUALITY_ATTRIBUTE = "MgImplantSeg.Alignment", "MgImplantSeg.AlignmentQuality"
SHOWN_ATTRIBUTE = "MgImplantSeg.ShownBeforeAlignment"
STILL_MM = 1e-6


def alignSteps(
    segmentationNode: Any,
    initialNode: Any,
    python: EnginePython,
    temporaryFolder: str | Path,
    token: CancelToken,
):
    """Generator of events; returns the transform node that moves the initial implant onto the explant.

    :param initialNode: segmentation or closed surface model of the screw before implantation.
    :raises InputError: if one of them cannot be used, or the initial implant was moved meanwhile.
    :raises EngineError: if the engine fails.
    :raises Cancelled: if the user has asked to stop, or one of them has left the scene.
    """
    scene, place = sceneOf(segmentationNode), local_to_world_ras(initialNode)
    nodes = (segmentationNode, initialNode)
    with taskFolder(temporaryFolder) as folder:
        explant, transform = folder / "segmentation.mha", folder / "alignment.tfm"
        yield from writeSegmentation(segmentationNode, explant, token)
        initial, words = yield from _writeInitial(initialNode, folder, token)
        arguments = ["register", explant, initial, transform, "--roles", ROLES_WORD, *words]
        names = {explant: segmentationNode.GetName(), initial: initialNode.GetName()}
        engine = runEngine(python, arguments, folder / "log.txt", token, names=names)
        result = yield from whileWanted(engine, lambda: all(map(scene.IsNodePresent, nodes)), token)
    if not all(map(scene.IsNodePresent, nodes)):
        raise Cancelled
    if not np.allclose(local_to_world_ras(initialNode), place, atol=STILL_MM):
        raise InputError(
            _('Expected "{name}" to stay where it was, but it was moved.').format(name=initialNode.GetName()),
            _("Align it again."),
        )
    return _moved(scene, initialNode, segmentationNode, np.array(result["matrix_lps"]), result)


def _writeInitial(node: vtkMRMLNode, folder: Path, token: CancelToken):
    """Write the initial implant; yields events, returns its file and the words that say what its labels mean."""
    if node.IsA("vtkMRMLModelNode"):
        writeModel(node, folder / FILE_NAME)
        return folder / FILE_NAME, []
    path = folder / "initial.mha"
    yield from writeSegmentation(node, path, token, Role.RESIDUAL_MATERIAL)
    return path, ["--initial-roles", ROLES_WORD]


def _moved(scene: vtkMRMLScene, node: vtkMRMLNode, explant: Any, matrixLps: Any, quality: Any):
    """Put a movement in the world onto a node, below the transforms that it is under; returns the transform node."""
    transform = alignmentOf(node)
    before = np.eye(4) if transform is None else _matrixOf(transform)
    if transform is None:
        parent = node.GetParentTransformNode()
        name = scene.GenerateUniqueName(_("{name} alignment").format(name=node.GetName()))
        transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
        transform.SetAndObserveTransformNodeID(parent.GetID() if parent is not None else None)
        placeWith(transform, explant)
        node.SetNodeReferenceID(REFERENCE, transform.GetID())
    above = local_to_world_ras(transform)
    inWorld = LPS_TO_RAS @ matrixLps @ LPS_TO_RAS
    transform.SetMatrixTransformToParent(vtk_matrix(np.linalg.inv(above) @ inWorld @ above @ before))
    kept = {key: quality[key] for key in ("dice", "residual_inside_percent")}
    transform.SetAttribute(QUALITY_ATTRIBUTE, json.dumps(kept))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def _matrixOf(transform: Any):
    from vtk import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    transform.GetMatrixTransformToParent(matrix)
    return numpy_matrix(matrix)


def alignmentOf(node: Any):
    """The transform that an alignment has put on a node; None if there is none, or it was taken off."""
    transform = node.GetNodeReference(REFERENCE) if node is not None else None
    return transform if transform is not None and node.GetParentTransformNode() is transform else None


def showAligned(node: Any):
    """Show an aligned initial implant, and remember whether it was shown before it was aligned for the first time."""
    transform, display = alignmentOf(node), node.GetDisplayNode()
    if transform is None or display is None:
        return
    if transform.GetAttribute(SHOWN_ATTRIBUTE) is None:
        transform.SetAttribute(SHOWN_ATTRIBUTE, str(int(display.GetVisibility())))
    display.SetVisibility(True)


def undoAlignment(node: Any):
    """Take the alignment of a node off again: it lies and is shown as before, the transform leaves the scene.

    What people have put under the transform besides stays under those that the transform was under itself.
    """
    transform = alignmentOf(node)
    if transform is None:
        return
    scene, parent, shown = (
        transform.GetScene(),
        transform.GetParentTransformNode(),
        transform.GetAttribute(SHOWN_ATTRIBUTE),
    )
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLTransformableNode")):
        other = scene.GetNthNodeByClass(number, "vtkMRMLTransformableNode")
        if other.GetParentTransformNode() is transform:
            other.SetAndObserveTransformNodeID(parent.GetID() if parent is not None else None)
    node.RemoveNodeReferenceIDs(REFERENCE)
    if shown is not None and node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetVisibility(int(shown))
    scene.RemoveNode(transform)


def qualityText(transform: Any):
    """How well both lie on each other, in words; empty for a transform that an alignment has not made."""
    kept = json.loads(transform.GetAttribute(QUALITY_ATTRIBUTE) or "{}") if transform is not None else {}
    if not kept:
        return ""
    text = _("Aligned: overlap with the explant (Dice) {dice:.2f}").format(dice=kept["dice"])
    inside = kept["residual_inside_percent"]
    if inside is not None:
        text = _("{text}, {percent:.1f} % of the residual material lies inside").format(text=text, percent=inside)
    return _("{text}.").format(text=text)
