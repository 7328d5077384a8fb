"""What the segments of a segmentation node say: their IDs in order, their role, and whether they have voxels."""

from __future__ import annotations

from typing import Any

from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.io import terminology
from MgImplantSegLib.io.image_data import Segment
from MgImplantSegLib.scene.volumes import array_of_image

BINARY = "Binary labelmap"
CLOSED_SURFACE = "Closed surface"


def segment_ids(segmentation: Any) -> list[str]:
    """The IDs of all segments, in order."""
    return [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]


def is_made_of_surfaces(segmentation: Any) -> bool:
    """Whether its segments are surfaces by origin, as those from an STL file, and voxels only derived from them."""
    return segmentation.GetSourceRepresentationName() == CLOSED_SURFACE


def description(segmentation: Any, segment_id: str) -> Segment:
    """Value, name, colour and terminology of a segment, as the files of segmentations have them too."""
    segment = segmentation.GetSegment(segment_id)
    entry = segment.GetTerminology() if segment.HasTerminology() else ""
    return Segment(segment.GetLabelValue(), segment_id, segment.GetName() or "", segment.GetColor(), entry)


def role_of_segment(segmentation: Any, segment_id: str) -> Role | None:
    """The role that a segment's name means; None if it is not known."""
    return terminology.role_of_segment(description(segmentation, segment_id))


def binary_image(segmentation: Any, segment_id: str) -> Any:
    """The `vtkOrientedImageData` of a segment, which it may share with others; None if it has no voxels at all."""
    image = segmentation.GetSegment(segment_id).GetRepresentation(BINARY)
    if image is None or image.IsEmpty() or image.GetPointData().GetScalars() is None:
        return None
    return image


def has_voxels(segmentation: Any, segment_id: str) -> bool:
    """Whether the binary label map of a segment has any voxel of it."""
    image, value = binary_image(segmentation, segment_id), segmentation.GetSegment(segment_id).GetLabelValue()
    return image is not None and any((plane_yx == value).any() for plane_yx in array_of_image(image))
