"""Align… and Undo alignment, beside the choice of the initial implant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MgImplantSegSections.parameters import InitialKind
from MgImplantSegSections.sections.workbench import ProgressView, errorText, setEnabled
from MgImplantSegSections.work.alignmentWork import alignmentOf, qualityText, showAligned, undoAlignment

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench


class Alignment:
    """Runs beside the GUI; the transform shows in the views, and the measures become stale."""

    def __init__(self, workbench: Workbench):
        self.workbench, self.ui = workbench, workbench.ui
        self._task: Any = None
        self._warnings: list[str] = []
        self._problem = ""
        self._shownFor: Any = None
        self._progress = ProgressView(workbench, self.ui.computeProgressBar, self.ui.alignmentLabel)
        self.ui.alignButton.connect("clicked(bool)", self.onAlign)
        self.ui.undoAlignmentButton.connect("clicked(bool)", self.onUndo)
        workbench.onChange(self.refresh)

    def initial(self):
        """The node of the initial implant, or None."""
        chosen = self.workbench.parameters
        nodes = {
            InitialKind("segmentation"): chosen.initialSegmentation,
            InitialKind("model"): chosen.initialModel,
        }
        return nodes.get(chosen.initialKind)

    def forget(self):
        """Nothing of the scene that was closed is known any more."""
        self._warnings, self._problem, self._shownFor = [], "", None

    def isRunning(self):
        """Whether an alignment is being looked for."""
        return self._task is not None and self._task.isRunning

    def missing(self):
        """All that is missing before Align can be clicked."""
        explant, initial = self.workbench.parameters.measuredSegmentation, self.initial()
        found = [] if explant is not None else [_("a segmentation of the explant")]
        found += [] if initial is not None else [_("an initial segmentation or model")]
        same = explant is not None and explant is initial
        return found + ([_("an initial segmentation that is not the explant itself")] if same else [])

    def onAlign(self):
        """Align, or cancel what runs."""
        if self.isRunning():
            self._task.cancel()
            return
        explant, initial = self.workbench.parameters.measuredSegmentation, self.initial()
        self._warnings, self._problem = [], ""
        self._progress.begin(_("Aligning…"))
        self._task = self.workbench.start(
            lambda token: self.workbench.logic.alignSteps(explant, initial, token),
            self.onEvent,
            lambda transform: self.onAligned(initial),
            self.onFailed,
            lambda: self._end(_("Cancelled; nothing was moved.")),
        )
        self.refresh()

    def onEvent(self, event: dict):
        """Progress to the bar; warnings are kept for the end."""
        self._progress.show(event)
        if event["event"] == "warning":
            self._warnings.append(event["message"])

    def onAligned(self, initial: Any):
        """The initial implant lies on the explant: show it, whichever is chosen by now."""
        showAligned(initial)
        self._end(" ".join(self._warnings))

    def onFailed(self, error: Exception):
        """What happened, and what to do."""
        self._end(errorText(error))

    def onUndo(self):
        """Take back all that Align has changed."""
        undoAlignment(self.initial())
        self._warnings, self._problem = [], ""
        self.workbench.changed()

    def _end(self, text: str):
        self._problem = text
        self._progress.end("")
        self.workbench.changed()

    def refresh(self):
        """States of the buttons, and how well both lie on each other."""
        running, initial = self.isRunning(), self.initial()
        if initial is not self._shownFor and not running:
            self._shownFor, self._problem = initial, "" if self._shownFor is not None else self._problem
        transform = alignmentOf(initial)
        if not running:
            self.ui.alignmentLabel.text = " ".join(filter(None, (qualityText(transform), self._problem)))
        self.ui.alignButton.text = _("Cancel") if running else _("Align…")
        ready = _(
            "Register the initial implant to the explant and apply a transform with rotation and translation to it."
        )
        setEnabled(self.ui.alignButton, [] if running else self.missing(), ready)
        lacks = [] if transform is not None and not running else [_("an aligned initial implant")]
        undo = _("Remove the alignment's transform: the initial implant lies and is shown as before the alignment.")
        setEnabled(self.ui.undoAlignmentButton, lacks, undo)
