"""The voxel size of a scan, and of the segmentations that were painted on it before it was set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from MgImplantSegLib.scene.frames import numpy_matrix, vtk_matrix
from MgImplantSegLib.scene.segmentation_grid import REFERENCE_GEOMETRY
from MgImplantSegLib.scene.segments import CLOSED_SURFACE, binary_image, is_made_of_surfaces, segment_ids
from MgImplantSegSections.parameters import shownNodes

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode

UM_PER_MM = 1000.0


def setVoxelSize(volumeNode: vtkMRMLScalarVolumeNode, spacingUm: Any):
    """Give a volume cubes of this edge length as voxels; its first voxel stays where it is."""
    volumeNode.SetSpacing(*[spacingUm / UM_PER_MM] * 3)


def segmentationsLeftBehind(volumeNode: vtkMRMLScalarVolumeNode):
    """The segmentations of a volume that lie on its voxels as they were, but no longer on them as they are now."""
    return [node for node in shownNodes("vtkMRMLSegmentationNode") if _change(node, volumeNode) is not None]


def follow(segmentationNode: vtkMRMLSegmentationNode, volumeNode: vtkMRMLScalarVolumeNode):
    """Put the voxels of a segmentation onto those of its volume again."""
    change, segmentation = _change(segmentationNode, volumeNode), segmentationNode.GetSegmentation()
    images = [binary_image(segmentation, key) for key in segment_ids(segmentation)]
    if segmentation.ContainsRepresentation(CLOSED_SURFACE):
        segmentationNode.RemoveClosedSurfaceRepresentation()
    for image in {image.GetAddressAsString(""): image for image in images if image is not None}.values():
        matrix = vtk_matrix(np.eye(4))
        image.GetImageToWorldMatrix(matrix)
        image.SetImageToWorldMatrix(vtk_matrix(change @ numpy_matrix(matrix)))
        image.Modified()
    segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    segmentation.InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)


def _change(segmentationNode: vtkMRMLSegmentationNode, volumeNode: vtkMRMLScalarVolumeNode):
    """The 4×4 matrix that moves a segmentation onto its volume's voxels; None if it has nothing to move.

    The reference geometry of the segmentation tells how the voxels were when it was painted.
    """
    segmentation = segmentationNode.GetSegmentation()
    role = segmentationNode.GetReferenceImageGeometryReferenceRole()
    text = segmentation.GetConversionParameter(REFERENCE_GEOMETRY)
    if segmentationNode.GetNodeReference(role) is not volumeNode or not text or is_made_of_surfaces(segmentation):
        return None
    reference = slicer.vtkOrientedImageData()
    if not slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, reference, False):
        return None
    if reference.GetDimensions() != volumeNode.GetImageData().GetDimensions():
        return None
    before, now = vtk_matrix(np.eye(4)), vtk_matrix(np.eye(4))
    reference.GetImageToWorldMatrix(before)
    volumeNode.GetIJKToRASMatrix(now)
    change = numpy_matrix(now) @ np.linalg.inv(numpy_matrix(before))
    return None if np.allclose(change, np.eye(4), atol=1e-9) else change
