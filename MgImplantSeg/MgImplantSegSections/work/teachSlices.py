"""Slices of a scan by axis and index: which are done (kept on the segmentation), what is on them, where they are.

Axes are those of the scan's array, z, y, x; Slicer calls them K, J, I.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.scene.frames import LPS_TO_RAS
from MgImplantSegLib.scene.segmentation_grid import first_xyz, lattice_of_volume, resampled
from MgImplantSegLib.scene.segments import binary_image, segment_ids
from MgImplantSegLib.scene.volumes import array_of_image, geometry_of_node
from MgImplantSegLib.training.teach.slices import SliceName, parse_slices, slices_text
from MgImplantSegSections.work.measureWork import ROLES_ATTRIBUTE, roleOf

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode

    from MgImplantSegLib.grids.volume import Geometry

DONE_ATTRIBUTE = "MgImplantSeg.DoneSlices"
VIEWS = ("Red", "Yellow", "Green")
SLICER_AXES = "KJI"
PARALLEL = 1 - 1e-6  # cosine between a view's normal and an axis of the scan


@dataclass(frozen=True)
class Labelled:
    """What counts as labelled on the done slices.

    :param slices: the done slices that lie in the scan.
    :param roles: classes that are painted on them, background apart.
    """

    slices: tuple = ()
    roles: tuple = ()


def doneSlices(segmentationNode: vtkMRMLSegmentationNode):
    """The done slices of a segmentation, in the order of axis and index."""
    text = segmentationNode.GetAttribute(DONE_ATTRIBUTE) if segmentationNode is not None else None
    try:
        return tuple(sorted(parse_slices(text or "")))
    except InputError:
        return ()  # an attribute that somebody else has written


def doneSlicesIn(volumeNode: vtkMRMLScalarVolumeNode, segmentationNode: vtkMRMLSegmentationNode):
    """The done slices of a segmentation that are slices of a scan."""
    shape = geometry_of_node(volumeNode).shape_zyx
    return tuple(name for name in doneSlices(segmentationNode) if name.index < shape[name.axis])


def setDone(segmentationNode: vtkMRMLSegmentationNode, name: SliceName, done: bool = True):
    """Keep with a segmentation that a slice is done, or that it is not."""
    slices = set(doneSlices(segmentationNode)) - {name} | ({name} if done else set())
    text = slices_text(sorted(slices))
    if text:
        segmentationNode.SetAttribute(DONE_ATTRIBUTE, text)
    else:
        segmentationNode.RemoveAttribute(DONE_ATTRIBUTE)


def labelledOn(segmentationNode: vtkMRMLSegmentationNode, volumeNode: vtkMRMLScalarVolumeNode):
    """What is labelled on the done slices; looks at single planes of the segments."""
    slices = doneSlicesIn(volumeNode, segmentationNode)
    found: set[Role] = set()
    lattice = lattice_of_volume(segmentationNode, volumeNode)
    for segmentId in segment_ids(segmentationNode.GetSegmentation()) if slices else ():
        role = roleOf(segmentationNode, segmentId)
        if role not in (None, Role.BACKGROUND, *found) and _isOn(segmentationNode, segmentId, slices, lattice):
            found.add(role)
    return Labelled(slices, tuple(role for role in Role if role in found))


def _isOn(segmentationNode: vtkMRMLSegmentationNode, segmentId: str, slices: Any, lattice: Any):
    segmentation = segmentationNode.GetSegmentation()
    image = binary_image(segmentation, segmentId)
    if image is None:
        return False
    start, value = first_xyz(image, lattice), segmentation.GetSegment(segmentId).GetLabelValue()
    if start is None:
        planes = (array_of_image(resampled(image, _planeOf(lattice, name))) for name in slices)
        return any((plane == value).any() for plane in planes)
    array = array_of_image(image)
    for name in slices:
        index = name.index - int(start[::-1][name.axis])
        if 0 <= index < array.shape[name.axis] and (array[SliceName(name.axis, index).place] == value).any():
            return True
    return False


def _planeOf(lattice: Any, name: SliceName):
    """The voxels of a slice alone."""
    first, size = np.array(lattice.first_xyz), np.array(lattice.size_xyz)
    first[2 - name.axis], size[2 - name.axis] = first[2 - name.axis] + name.index, 1
    return replace(lattice, first_xyz=first, size_xyz=size)


def stateOf(segmentationNode: vtkMRMLSegmentationNode, volumeNode: vtkMRMLScalarVolumeNode):
    """Something that differs when what `labelledOn` gives may differ; quick."""
    segmentation = segmentationNode.GetSegmentation()
    images = [(entry, binary_image(segmentation, entry)) for entry in segment_ids(segmentation)]
    times = tuple((entry, 0 if image is None else image.GetMTime()) for entry, image in images)
    texts = tuple(segmentationNode.GetAttribute(name) for name in (DONE_ATTRIBUTE, ROLES_ATTRIBUTE))
    return segmentationNode.GetID(), volumeNode.GetID(), geometry_of_node(volumeNode), times, texts


def axesRas(geometry: Geometry):
    """The unit vectors of the axes z, y, x of a scan as rows (3, 3), in RAS."""
    return (LPS_TO_RAS[:3, :3] @ geometry.direction_matrix).T[::-1]


def centreRas(geometry: Geometry, name: SliceName):
    """The middle of a slice in RAS mm."""
    index = (np.array(geometry.shape_zyx, dtype=float) - 1) / 2
    index[name.axis] = name.index
    return LPS_TO_RAS[:3, :3] @ np.asarray(geometry.lps_from_index_zyx(index), dtype=float)


def orientationText(geometry: Geometry, axis: Any):
    """``axial``, ``coronal`` or ``sagittal``: what a slice across an axis of the scan is, or is next to."""
    words = (_("sagittal"), _("coronal"), _("axial"))
    return words[int(np.abs(axesRas(geometry)[axis]).argmax())]


def sliceText(geometry: Geometry, name: SliceName):
    """``axial slice K 40``."""
    orientation = orientationText(geometry, name.axis)
    return _("{orientation} slice, {axis} {index}").format(
        orientation=orientation, axis=SLICER_AXES[name.axis], index=name.index
    )


def showSlice(volumeNode: vtkMRMLScalarVolumeNode, name: SliceName, pointRas: Any = None):
    """Move the slice view that looks along the slice's axis to it, turned onto the scan's voxels if it is not.

    :param pointRas: a point on the slice that comes into the middle where the view has to be turned.
    :returns: name of the view; None without views.
    """
    geometry = geometry_of_node(volumeNode)
    axes, views = axesRas(geometry), sliceNodes()
    if not views:
        return None
    view = _viewOf(views, axes, name.axis)
    node = views[view]
    point = centreRas(geometry, name) if pointRas is None else np.asarray(pointRas, dtype=float)
    if abs(_directions(node)[2] @ axes[name.axis]) < PARALLEL:
        _turn(node, axes, name.axis, point)
    node.JumpSliceByOffsetting(*point)
    return view


def shownSlice(volumeNode: vtkMRMLScalarVolumeNode, view: Any):
    """The slice of the scan that a view shows; None without it.

    :raises InputError: if the view lies oblique to the scan's voxels, or beside the scan.
    """
    node = sliceNodes().get(view)
    if node is None:
        return None
    geometry = geometry_of_node(volumeNode)
    cosines = np.abs(axesRas(geometry) @ _directions(node)[2])
    axis = int(cosines.argmax())
    if cosines[axis] < PARALLEL:
        raise InputError(
            _("Expected a slice along the scan's voxels, got a view rotated relative to them."),
            _("Select a suggested slice, which rotates the view, or rotate the view to the volume plane."),
        )
    point = np.array([node.GetSliceToRAS().GetElement(row, 3) for row in range(3)])
    index = round(float(geometry.index_zyx_from_lps(LPS_TO_RAS[:3, :3] @ point)[axis]))
    if not 0 <= index < geometry.shape_zyx[axis]:
        raise InputError(_("Expected a view that shows the scan, got one outside it."), _("Scroll to the scan."))
    return SliceName(axis, index)


def sliceNodes():
    """The slice nodes of the three standard views, by name; without those that are not there."""
    nodes = {view: slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNode{view}") for view in VIEWS}
    return {view: node for view, node in nodes.items() if node is not None}


def _directions(node: vtkMRMLNode):
    """Unit vectors to the right, up and out of a view as rows (3, 3), in RAS."""
    matrix = node.GetSliceToRAS()
    columns = np.array([[matrix.GetElement(row, column) for row in range(3)] for column in range(3)])
    return columns / np.linalg.norm(columns, axis=1, keepdims=True)


def _viewOf(views: Any, axes: Any, axis: Any):
    """The view for an axis, so that all three axes have different views: the best fit first."""
    left = {view: np.abs(axes @ _directions(node)[2]) for view, node in views.items()}
    free, chosen = set(range(3)), {}
    while left and free:
        cosine, number, view = max((fit[number], -number, view) for view, fit in left.items() for number in free)
        del cosine, left[view]
        free.discard(-number)
        chosen[-number] = view
    return chosen.get(axis, next(iter(views)))


def _turn(node: vtkMRMLNode, axes: Any, axis: Any, point: Any):
    """Turn a view onto the scan's axes; what was right, up and out stays so as far as it can."""
    now, others = _directions(node), [other for other in range(3) if other != axis]
    right = max(others, key=lambda other: abs(axes[other] @ now[0]))
    up = others[0] if right == others[1] else others[1]
    matrix = node.GetSliceToRAS()
    for column, chosen in enumerate((right, up, axis)):
        sign = 1.0 if axes[chosen] @ now[column] >= 0 else -1.0
        for row in range(3):
            matrix.SetElement(row, column, sign * axes[chosen][row])
    for row in range(3):
        matrix.SetElement(row, 3, point[row])
    node.UpdateMatrices()
