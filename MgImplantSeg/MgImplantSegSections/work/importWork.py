"""A large scan as it is imported: the words for the engine, and the result in the scene."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.regions import write_roi_markups
from MgImplantSegLib.io.formats import without_suffix
from MgImplantSegLib.scene.markups import box_of_roi_node
from MgImplantSegSections.work.scanFolders import gather

STRAIGHT_ENOUGH = 1e-4
PACKAGES = ("pynrrd", "tifffile", "h5py")
WHOLE, SAMPLE, BOX, ROI = "none", "sample", "box", "roi"
ROI_FILE = "roi.mrk.json"


@dataclass(frozen=True)
class ImportRequest:
    """What a person has chosen.

    :param scan: folder of slices or image file.
    :param out: the file for the result.
    :param dataset: path inside an HDF5 file, or empty.
    :param spacingUm: voxel size of the scan, 0 as in the file; `targetUm`: of the result, 0 chosen by the engine.
    :param crop: one of `WHOLE`, `SAMPLE`, `BOX`, whose text is `box`, and `ROI`, whose node is `roiNode`.
    :param roiFile: the file that the node was written to, see `withRoiIn`.
    """

    scan: str
    out: str
    dataset: str = ""
    spacingUm: float = 0.0
    targetUm: float = 0.0
    crop: str = WHOLE
    box: str = ""
    roiNode: Any = None
    roiFile: str = ""

    def missing(self):
        """What has to be chosen before the scan can be looked at."""
        found = [] if self.scan else [_("a scan")]
        found += [] if self.out else [_("a file for the result")]
        found += [_("a box")] if self.crop == BOX and not self.box else []
        return found + ([_("an ROI in the scene")] if self.crop == ROI and self.roiNode is None else [])

    def withRoiIn(self, folder: Path):
        """The request with its ROI as a file for the engine: the box in the world, in LPS.

        :raises InputError: if the ROI is no box in the world, or inside out.
        """
        if self.crop != ROI:
            return self
        write_roi_markups([box_of_roi_node(self.roiNode)], folder / ROI_FILE)
        return replace(self, roiFile=str(folder / ROI_FILE))

    def words(self):
        """Words of the engine's command line."""
        found: list[Any] = ["prepare", self.scan, self.out]
        for flag, value in (("--spacing-um", self.spacingUm), ("--target-um", self.targetUm)):
            found += [flag, f"{value:.10g}"] if value > 0 else []
        found += ["--dataset", self.dataset] if self.dataset else []
        found += ["--crop", SAMPLE] if self.crop == SAMPLE else []
        found += ["--roi", self.roiFile] if self.crop == ROI else []
        return found + ([f"--box={self.box}"] if self.crop == BOX else [])

    def lookWords(self, picture: Path):
        """The words for a look that writes nothing but a picture of three slices."""
        return [*self.words(), "--estimate", "--preview", str(picture)]


def isRotated(roiNode: Any):
    """Whether the edges of an ROI run along other directions than the axes of the world; one that is no box does not.

    The engine keeps whole voxels along the axes of the scan, so that it keeps more than such an ROI.
    """
    try:
        axes = box_of_roi_node(roiNode).axes_matrix
    except InputError:
        return False
    return not np.allclose(np.sort(np.abs(axes), axis=0), [[0.0] * 3, [0.0] * 3, [1.0] * 3], atol=STRAIGHT_ENOUGH)


def defaultOutput(scan: str):
    """Where the result goes if nobody says otherwise: beside the scan."""
    path = Path(scan)
    return str(path.with_name(f"{without_suffix(path)}_prepared.nrrd")) if scan else ""


def boxText(result: dict[str, Any]):
    """The box of voxels that is kept, as it is entered."""
    return ",".join(f"{start}:{stop}" for start, stop in result["box"])


def loadPrepared(path: str):
    """The result in the scene, in a folder of its own; returns the volume node.

    :raises InputError: if Slicer cannot read it.
    """
    try:
        node = slicer.util.loadVolume(path)
    except RuntimeError as error:
        raise InputError(_("Expected a scan in {path}, Slicer could not read it.").format(path=path)) from error
    gather(node)
    return node
