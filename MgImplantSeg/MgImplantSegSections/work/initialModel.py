"""A surface model of the screw before implantation as a file for the engine, which checks and measures it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import vtk
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.scene.frames import LPS_TO_RAS, local_to_world_ras
from MgImplantSegLib.scene.meshes import transformed

if TYPE_CHECKING:
    from slicer import vtkMRMLModelNode

FILE_NAME = "initial.vtp"


def writeModel(modelNode: vtkMRMLModelNode, path: Any):
    """Write the surface where it is in the world, in LPS mm, as .vtp.

    :raises InputError: if the model has no surface or stands under a transform that is not linear.
    """
    mesh = modelNode.GetPolyData()
    if mesh is None or not mesh.GetNumberOfPoints() or not (mesh.GetNumberOfPolys() or mesh.GetNumberOfStrips()):
        raise InputError(
            _('Expected a closed surface of the screw, got "{name}" without a surface.').format(
                name=modelNode.GetName()
            ),
            _("Choose another model or enter the numbers."),
        )
    surface = vtk.vtkPolyData()
    surface.SetPoints(mesh.GetPoints())
    surface.SetPolys(mesh.GetPolys())
    surface.SetStrips(mesh.GetStrips())
    writer = vtk.vtkXMLPolyDataWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(transformed(surface, np.linalg.inv(LPS_TO_RAS) @ local_to_world_ras(modelNode)))
    if not writer.Write():
        raise InputError(_("Expected to write {path}, could not.").format(path=path), _("Free some disk space."))
