"""Label map volumes of the scene are offered for import: only segmentations can be measured and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.scene.segments import segment_ids
from MgImplantSegSections.parameters import InitialKind, shownNodes
from MgImplantSegSections.sections.workbench import errorText, setEnabled
from MgImplantSegSections.work.labelMapWork import importSteps, isImported
from MgImplantSegSections.work.measureWork import roleOf

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench


class LabelMapImport:
    """A row that is there as long as the scene has label maps: which one, Import, and what has come of it."""

    def __init__(self, workbench: Workbench):
        self.workbench, self.ui = workbench, workbench.ui
        self._task: Any = None
        self._text = ""
        self.ui.importLabelMapButton.connect("clicked(bool)", self.onImport)
        self.ui.labelMapSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onChosen)
        workbench.onChange(self.refresh)
        self.refresh()

    def forget(self):
        """Nothing of the scene that was closed is known any more."""
        self._text = ""

    def isRunning(self):
        """Whether a label map is being imported."""
        return self._task is not None and self._task.isRunning

    def onChosen(self):
        """Another label map, or none is left."""
        self._text = ""
        self.refresh()

    def onImport(self):
        """Convert the chosen label map to a segmentation."""
        node = self.ui.labelMapSelector.currentNode()
        self._task = self.workbench.start(
            lambda token: importSteps(node, token),
            lambda event: None,
            self.onImported,
            self.onFailed,
            self.refresh,
        )
        self._text = _("Importing {name}…").format(name=node.GetName())
        self.refresh()

    def onImported(self, node: Any):
        """Choose it: a screw alone as the initial one where that is missing, anything else to be measured."""
        chosen = self.workbench.parameters
        roles = {roleOf(node, segmentId) for segmentId in segment_ids(node.GetSegmentation())}
        wantsInitial = chosen.initialKind == InitialKind("segmentation") and chosen.initialSegmentation is None
        if wantsInitial and roles == {Role.RESIDUAL_MATERIAL} and chosen.measuredSegmentation is not None:
            chosen.initialSegmentation = node
        else:
            chosen.measuredSegmentation = node
        self._text = _("Imported: {name}.").format(name=node.GetName())
        if None in roles:
            self._text = _("{text} Assign its segments to classes in the class mapping.").format(text=self._text)
        self.workbench.changed()

    def onFailed(self, error: Exception):
        """What happened, and what to do."""
        self._text = errorText(error)
        self.refresh()

    def refresh(self):
        """Show the row if there is something to import."""
        node, isOffered = self.ui.labelMapSelector.currentNode(), bool(shownNodes("vtkMRMLLabelMapVolumeNode"))
        for widget in (self.ui.labelMapSelector, self.ui.importLabelMapButton, self.ui.labelMapLabel):
            self.workbench.setVisible(widget, isOffered)
        hint = _("Label maps are measured and compared once they are imported as segmentations.")
        isKnown = node is not None and isImported(node)
        self.ui.labelMapLabel.text = self._text or ("" if isKnown else hint)
        missing = [] if node is not None else [_("a label map")]
        missing += [_("wait for the import to finish")] if self.isRunning() else []
        again = _("Convert the chosen label map to another segmentation.")
        first = _(
            "Convert the chosen label map to a segmentation; classes are guessed from its colour names and values."
        )
        setEnabled(self.ui.importLabelMapButton, missing, again if isKnown else first)
