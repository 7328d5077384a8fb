"""A ROI around the implant: all voxels are looked at, slab by slab, then the node is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import Cancelled
from MgImplantSegLib.scene.markups import add_roi_node, box_around_points, implant_ends
from MgImplantSegSections.engine.engineRun import sceneOf
from MgImplantSegSections.work.measureWork import readingOf
from MgImplantSegSections.work.scanFolders import placeWith

if TYPE_CHECKING:
    from MgImplantSegSections.engine.engineRun import CancelToken


def roiAroundSteps(segmentationNode: Any, distanceMm: float, token: CancelToken):
    """Generator of events; returns the new ROI node on the implant's oriented bounding box plus a distance.

    :raises InputError: if there is no implant.
    :raises Cancelled: if the user has asked to stop, or the segmentation has left the scene.
    """
    scene, reading = sceneOf(segmentationNode), readingOf(segmentationNode)
    ends, done, total = [], 0, reading.array.shape[0]
    for slab in reading.slabs():
        token.check()
        if not scene.IsNodePresent(segmentationNode):
            raise Cancelled
        ends.append(implant_ends(slab))
        done += slab.array.shape[0]
        yield {"event": "progress", "stage": _("looking for the implant"), "done": done, "total": total}
    box = box_around_points(np.concatenate(ends), reading.geometry, distanceMm, _("ROI around implant"))
    roi = add_roi_node(scene, box)
    placeWith(roi, segmentationNode)
    return roi
