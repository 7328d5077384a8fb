"""What is offered when Slicer's Python lacks packages: install them here, or use another Python; then work goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from MgImplantSegSections.engine import pythons
from MgImplantSegSections.sections.installing import downloadText, installMissing

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench


class SetUp:
    """A sentence and two buttons.

    :param addPython: `addPython(program, onEnd)` adds a Python, tests it, takes it if it has all, and calls
        `onEnd(isReady, text)`.
    :param onReady: called when there is a Python that has all.
    """

    def __init__(self, workbench: Workbench, addPython: Callable[..., Any], onReady: Callable[[], Any]):
        self._workbench, self.ui = workbench, workbench.ui
        self._addPython, self._onReady = addPython, onReady
        self._wanted: tuple[str, ...] = pythons.PACKAGES_FOR_FILES
        self.ui.chooseEnvironmentButton.text = _("Use another Python…")
        self.ui.chooseEnvironmentButton.toolTip = _(
            "Choose the Python executable of an environment that has the packages; it is tested, and segmentation "
            "continues there."
        )
        self.ui.installPackagesButton.connect("clicked(bool)", self.onInstall)
        self.ui.chooseEnvironmentButton.connect("clicked(bool)", self.onUseAnother)
        self.hide()

    def offer(self, wanted: Sequence[str]):
        """Say which of the packages are missing, and offer both ways."""
        self._wanted = tuple(wanted)
        packages = pythons.missingPackages(packages=wanted)
        size = downloadText(packages)
        self.ui.missingLabel.text = _(
            "Slicer's Python lacks {packages}. Install them into Slicer ({size}), or use another Python that has them."
        ).format(packages=", ".join(packages), size=size)
        self._show(True)

    def hide(self):
        """Nothing is missing."""
        self._show(False)

    def _show(self, isWanted: bool):
        for widget in (self.ui.missingLabel, self.ui.installPackagesButton, self.ui.chooseEnvironmentButton):
            self._workbench.setVisible(widget, isWanted)

    def onInstall(self):
        """Install what is missing into Slicer's own Python; the size was said."""
        if installMissing(self._workbench, self.ui.installPackagesButton, self.ui.segmentStatusLabel, self._wanted):
            self._goOn()

    def onUseAnother(self):
        """Choose the program of another Python."""
        path = qt.QFileDialog.getOpenFileName(self.ui.segmentButton.window(), _("Choose a Python executable"))
        if path:
            self.use(Path(path))

    def use(self, program: Path):
        """Test a Python, and go on there if it has all."""
        self.ui.chooseEnvironmentButton.enabled = False
        self.ui.segmentStatusLabel.text = _("Testing {program}…").format(program=program)
        self._addPython(program, self.onTested)

    def onTested(self, isReady: bool, text: str):
        """The test has ended: go on, or say what is missing there."""
        self.ui.chooseEnvironmentButton.enabled = True
        self.ui.segmentStatusLabel.text = "" if isReady else text
        if isReady:
            self._goOn()

    def _goOn(self):
        self.hide()
        self._onReady()
