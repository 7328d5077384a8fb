"""Installing into Slicer's own Python what it lacks, after a click, and saying how it went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegSections.engine import pythons
from MgImplantSegSections.sections.workbench import errorText

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench


def installMissing(workbench: Workbench, button: Any, label: Any, wanted: Sequence[str] = pythons.PACKAGES_FOR_FILES):
    """Install all of these that Slicer's own Python lacks; the button rests meanwhile, the label says what happens.

    :returns: whether nothing is missing any more.
    """
    missing = pythons.missingPackages(packages=wanted)
    if not missing:
        label.text = _("Slicer's Python has all that is needed.")
        return True
    button.enabled = False
    label.text = _("Installing {packages}…").format(packages=", ".join(missing))
    slicer.app.processEvents()
    try:
        workbench.logic.installPackages(missing)
        label.text = _outcome(pythons.missingPackages(packages=wanted))
    except MgImplantSegError as error:
        label.text = errorText(error)
    finally:
        button.enabled = True
    return not pythons.missingPackages(packages=wanted)


def _outcome(missing: Sequence[str]):
    if missing:
        return _("Not installed: {packages}.").format(packages=", ".join(missing))
    return _("Installed. Slicer's Python has all that is needed.")


def downloadText(packages: Sequence[str]):
    """How much is downloaded to install packages."""
    text = _("about {size} MB to download").format(size=pythons.downloadMb(packages))
    return _("{size}, more with a GPU").format(size=text) if "torch" in packages else text
