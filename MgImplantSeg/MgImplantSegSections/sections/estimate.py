"""How long a segmentation will take on this computer and how much memory: the line above the Segment button."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from MgImplantSegSections.sections.workbench import durationText, sizeText
from MgImplantSegSections.work import settings

if TYPE_CHECKING:
    from MgImplantSegLib.inference.estimate import Estimate

FIRST_GUESS_PER_SECOND = {"cpu": 2e10, "cuda": 2e12}
SHORTEST_TELLING_SECONDS = 5.0


def rememberSpeed(place: tuple[str, str], multiplications: float, seconds: float):
    """Keep how fast the last segmentation was, for the next estimate.

    :param place: environment and device.
    """
    if seconds >= SHORTEST_TELLING_SECONDS:
        speeds = settings.readTable(settings.SPEEDS)
        settings.writeTable(settings.SPEEDS, {**speeds, "/".join(place): multiplications / seconds})


def estimateText(sizes: Estimate, place: tuple[str, str]):
    """For example ``About 3 min 20 s and 2.1 GB of memory (from the last run here).``

    :param sizes: the engine's `Estimate`.
    """
    known = settings.readTable(settings.SPEEDS).get("/".join(place))
    guess = FIRST_GUESS_PER_SECOND["cuda" if place[-1].startswith("cuda") else "cpu"]
    basis = _("from the last run here") if known else _("a rough estimate; more precise after the first run")
    return _("About {time} and {memory} of memory ({basis}).").format(
        time=durationText(sizes.multiplications / (known or guess)), memory=sizeText(sizes.memory_bytes), basis=basis
    )
