"""A large scan as it is imported: the words for the engine, and the result in the scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.io.formats import without_suffix
from MgImplantSegSections.work.scanFolders import gather

PACKAGES = ("pynrrd", "tifffile", "h5py")
WHOLE, SAMPLE, BOX = "none", "sample", "box"


@dataclass(frozen=True)
class ImportRequest:
    """What a person has chosen.

    :param scan: folder of slices or image file.
    :param out: the file for the result.
    :param dataset: path inside an HDF5 file, or empty.
    :param spacingUm: voxel size of the scan, 0 as in the file; `targetUm`: of the result, 0 chosen by the engine.
    :param crop: one of `WHOLE`, `SAMPLE` and `BOX`, whose text is `box`.
    """

    scan: str
    out: str
    dataset: str = ""
    spacingUm: float = 0.0
    targetUm: float = 0.0
    crop: str = WHOLE
    box: str = ""

    def missing(self):
        """What has to be chosen before the scan can be looked at."""
        found = [] if self.scan else [_("a scan")]
        found += [] if self.out else [_("a file for the result")]
        return found + ([_("a box")] if self.crop == BOX and not self.box else [])

    def words(self):
        """Words of the engine's command line."""
        found: list[Any] = ["prepare", self.scan, self.out]
        for flag, value in (("--spacing-um", self.spacingUm), ("--target-um", self.targetUm)):
            found += [flag, f"{value:.10g}"] if value > 0 else []
        found += ["--dataset", self.dataset] if self.dataset else []
        found += ["--crop", SAMPLE] if self.crop == SAMPLE else []
        return found + ([f"--box={self.box}"] if self.crop == BOX else [])

    def lookWords(self, picture: Path):
        """The words for a look that writes nothing but a picture of three slices."""
        return [*self.words(), "--estimate", "--preview", str(picture)]


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
