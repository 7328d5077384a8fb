"""Whether segmentations and surface models are still as they were: by their content, whoever has changed it.

Events do not tell all: undo and redo of Segment Editor replace voxels without those that editing sends, and scripts
write into arrays. So the content is asked, and computed again only where VTK says that something was touched.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from MgImplantSegLib.scene.segments import CLOSED_SURFACE, binary_image, is_made_of_surfaces, segment_ids
from MgImplantSegLib.scene.volumes import array_of_image

if TYPE_CHECKING:
    from slicer import vtkMRMLNode

DIGITS = 6


class InputStates:
    """Keeps what was computed for a node until the node is touched."""

    def __init__(self):
        self._known = {}

    def of(self, node: vtkMRMLNode):
        """Content and place of a node as plain data that outlive the scene; None for no node."""
        if node is None:
            return None
        return {"content": self._content(node)[0], "place": _transformOf(node)}

    def voxelsOf(self, node: vtkMRMLNode):
        """The voxels of a segmentation as plain data, wherever their grid lies and however large it is."""
        return self._content(node)[1]

    def _content(self, node: vtkMRMLNode):
        touched, compute = _segmentationParts(node) if node.IsA("vtkMRMLSegmentationNode") else _modelParts(node)
        known = self._known.get(node.GetID())
        if known is None or known[0] != touched:
            known = self._known[node.GetID()] = (touched, compute())
        return known[1]


def _transformOf(node: vtkMRMLNode):
    """The transform of a node to the world, 12 numbers: a move changes what lies where."""
    matrix = vtk.vtkMatrix4x4()
    parent = node.GetParentTransformNode()
    if parent is not None:
        parent.GetMatrixTransformToWorld(matrix)
    return [round(matrix.GetElement(row, column), DIGITS) for row in range(3) for column in range(4)]


def _segmentationParts(node: vtkMRMLNode):
    """What VTK says of a segmentation's voxels or surfaces, and a function that computes their content."""
    segmentation = node.GetSegmentation()
    if is_made_of_surfaces(segmentation):
        meshes = {
            key: segmentation.GetSegment(key).GetRepresentation(CLOSED_SURFACE) for key in segment_ids(segmentation)
        }
        touched: list[tuple[Any, ...]] = [(key, _touched(mesh)) for key, mesh in meshes.items()]
        return touched, lambda: _pair({key: (_meshContent(mesh),) * 2 for key, mesh in meshes.items()})
    images = {key: binary_image(segmentation, key) for key in segment_ids(segmentation)}
    values = {key: segmentation.GetSegment(key).GetLabelValue() for key in images}
    touched = [(key, values[key], _touched(image)) for key, image in images.items()]
    return touched, lambda: _pair({key: _voxelsContent(image, values[key]) for key, image in images.items()})


def _pair(contents: dict[str, tuple[int, int]]):
    """Contents by segment ID, with and without the grid."""
    return tuple({key: pair[number] for key, pair in contents.items()} for number in (0, 1))


def _touched(data: Any):
    if data is None:
        return None
    array = data.GetPointData().GetScalars() if data.IsA("vtkImageData") else data.GetPoints()
    return data.GetAddressAsString(""), data.GetMTime(), array.GetMTime() if array is not None else 0


def _voxelsContent(image: Any, value: Any):
    """A segment's voxels as a number, with and without the grid; the same however large the box is that holds them."""
    if image is None or image.GetPointData().GetScalars() is None:
        return 0, 0
    mask = array_of_image(image) == value
    places = [np.flatnonzero(mask.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    if not len(places[0]):
        return 0, 0
    box = tuple(slice(found[0], found[-1] + 1) for found in places)
    extent = image.GetExtent()
    first = [int(found[0]) + low for found, low in zip(places, extent[4::-2], strict=True)]
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    grid = np.round([matrix.GetElement(row, column) for row in range(3) for column in range(4)], DIGITS) + 0.0  # no -0
    extent_bytes = np.array([*first, *mask[box].shape], dtype=np.int64).tobytes()
    placed, alone = zlib.crc32(extent_bytes + grid.tobytes()), zlib.crc32(extent_bytes)
    for slab in mask[box]:
        bits = np.packbits(slab).data
        placed, alone = zlib.crc32(bits, placed), zlib.crc32(bits, alone)
    return placed, alone


def _modelParts(node: vtkMRMLNode):
    """What VTK says of a model's surface, and a function that computes its content."""
    mesh = node.GetPolyData()
    return _touched(mesh), lambda: (_meshContent(mesh),) * 2


def _meshContent(mesh: Any):
    if mesh is None or mesh.GetPoints() is None:
        return 0
    points = vtk_to_numpy(mesh.GetPoints().GetData())
    cells = vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()) if mesh.GetNumberOfPolys() else np.zeros(0)
    return zlib.crc32(np.ascontiguousarray(cells).data, zlib.crc32(np.ascontiguousarray(points).data))
