"""The simulated explant that comes with the module: registered with Slicer's Sample Data, and loaded from disk."""

from __future__ import annotations

import hashlib
import os

import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.resources import resource
from MgImplantSegLib.scene.nodes import place_beside

CATEGORY = "MgImplantSeg"
NAME = "SimulatedMgExplant"
FILE_NAME = "simulated_explant.nrrd"
INITIAL_NAME, INITIAL_FILE_NAME = "SimulatedMgExplant before implantation", "simulated_explant_initial.seg.nrrd"
DAYS = 168  # after which the explant was taken out
SHA256 = {
    FILE_NAME: "83052b51e77763dc2e9258e32c86e5bb445525b74c0425fc89ae3147a3fe1281",
    INITIAL_FILE_NAME: "22e1231394431d022a73e3b0e62795f7e529d31d0b3d539b6c187b6d68e1a448",
}
THUMBNAIL = os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "Resources", "Icons", f"{NAME}.png"
)


def register():
    """Make the explant known to Slicer's Sample Data module."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=NAME,
        thumbnailFileName=THUMBNAIL,
        uris=path().as_uri(),
        fileNames=FILE_NAME,
        nodeNames=NAME,
        checksums=f"SHA256:{SHA256[FILE_NAME]}",
        loadFileType="VolumeFile",
    )


def path(name: str = FILE_NAME):
    """Where a file of the sample data lies on disk."""
    return resource("SampleData", name)


def load():
    """The explant as a volume node; taken from the scene if it is there already. The screw before comes with it.

    :raises InputError: if a file is damaged.
    """
    for name, digest in SHA256.items():
        if hashlib.sha256(path(name).read_bytes()).hexdigest() != digest:
            raise InputError(
                _("Expected the bundled sample data, got a damaged file {path}.").format(path=path(name)),
                _("Install the extension again."),
            )
    found = _found(NAME, "vtkMRMLScalarVolumeNode")
    isNew = found is None or initialNode() is None
    if initialNode() is None:
        initial = slicer.util.loadSegmentation(str(path(INITIAL_FILE_NAME)), properties={"name": INITIAL_NAME})
        initial.GetDisplayNode().SetVisibility(False)
    volume = found or slicer.util.loadVolume(str(path(FILE_NAME)), properties={"name": NAME})
    if isNew:
        place_beside(slicer.mrmlScene, initialNode(), volume)
    return volume


def initialNode():
    """The screw before implantation, or None as long as the sample data are not loaded."""
    return _found(INITIAL_NAME, "vtkMRMLSegmentationNode")


def _found(name: str, className: str):
    return slicer.util.getFirstNodeByClassByName(className, name)
