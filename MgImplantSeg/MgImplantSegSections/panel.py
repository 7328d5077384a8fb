"""The panel as a whole: builds the sections over the loaded widgets and hands them what they share."""

from types import SimpleNamespace

import slicer

from MgImplantSegSections.alignment import Alignment
from MgImplantSegSections.batchSection import BatchSection
from MgImplantSegSections.classMapping import ClassMapping
from MgImplantSegSections.compareSection import CompareSection
from MgImplantSegSections.display3DSection import Display3DSection
from MgImplantSegSections.engineOptions import describeOptions
from MgImplantSegSections.environmentsSection import EnvironmentsSection
from MgImplantSegSections.inputSection import InputSection
from MgImplantSegSections.labelMapImport import LabelMapImport
from MgImplantSegSections.measurementsSection import MeasurementsSection
from MgImplantSegSections.modelSection import ModelSection
from MgImplantSegSections.observations import Observations
from MgImplantSegSections.regionsList import RegionsList
from MgImplantSegSections.segmentationSection import SegmentationSection
from MgImplantSegSections.teachSection import TeachSection
from MgImplantSegSections.trainingSection import TrainingSection
from MgImplantSegSections.workbench import Workbench, reveal

PANELS = ("Input", "Model", "Segmentation", "Teach", "Measurements", "Compare", "Batch", "Training", "Environments")


class Panel:
    """All sections.

    :param widgets: the top widgets of the .ui files, in the order of `PANELS`.
    :param logic: the module's logic.
    """

    def __init__(self, widgets, logic):
        self.workbench = workbench = Workbench(namedWidgets(widgets), logic)
        describeOptions(vars(workbench.ui).values())
        self._observations = Observations()
        self.models = ModelSection(workbench)
        self.input = InputSection(workbench, self.models)
        self.segmentation = SegmentationSection(workbench, self.input, self.models, self.addPython)
        self.teach = TeachSection(workbench, self.models, self.segmentation)
        self.display3D = Display3DSection(workbench)
        self.classes = ClassMapping(workbench)
        self.regions = RegionsList(workbench)
        self.measurements = MeasurementsSection(workbench, self.regions, self.classes, self._observations.replace)
        self.alignment = Alignment(workbench)
        self.labelMaps = LabelMapImport(workbench)
        self.compare = CompareSection(workbench, self.measurements)
        self.batch = BatchSection(workbench, self.models, self.segmentation, self.measurements)
        self.training = TrainingSection(workbench, self.models)
        self.environments = EnvironmentsSection(workbench)
        self.environments.onListChanged(self.segmentation.refillEnvironments)
        self.environments.onListChanged(self.training.refillEnvironments)
        workbench.onModelsChange(self.models.refillKeepingChoice)
        self._folding = [_Folding(workbench, getattr(workbench.ui, f"{name.lower()}Section")) for name in PANELS]

    def chooseDefaults(self):
        """Choose what there is only one of, to save clicks."""
        self.input.chooseDefault()
        self.measurements.chooseDefault()

    def refillEnvironments(self):
        """List the environments anew: they may also have been added on the command line."""
        for section in (self.segmentation, self.training):
            section.refillEnvironments()
        self.environments.refill()

    def addPython(self, program, onEnd):
        """Add a Python, test it, and work there from now on if it has all; see `EnvironmentsSection.add`."""
        self.environments.add(program, onEnd)

    def openEnvironments(self):
        """Unfold the list of environments and scroll to it."""
        self.workbench.ui.environmentsSection.collapsed = False
        reveal(self.workbench.ui.environmentsSection)

    def clearMessages(self):
        """Nothing that was said of a scene holds for the next one."""
        ui = self.workbench.ui
        for label in (ui.segmentStatusLabel, ui.display3DLabel, ui.measuresStateLabel, ui.compareStatusLabel):
            label.text = ""

    def cleanup(self):
        """Stop all work, observe nothing any more, and forget the widgets, which Slicer destroys."""
        self.workbench.abandonAll()
        self.measurements.follow(False)
        self._observations.removeAll()


class _Folding:
    """What happens when a section is unfolded: it comes into view, and what has to be hidden in it stays hidden."""

    def __init__(self, workbench, section):
        self._workbench, self._section = workbench, section
        section.connect("contentsCollapsed(bool)", self.onFolded)

    def onFolded(self, folded):
        if not folded:
            self._workbench.restoreVisibility()
            reveal(self._section)


def namedWidgets(widgets):
    """All named widgets below the given ones, and these, as attributes of one object."""
    found = {}
    for widget in widgets:
        found[widget.name] = widget
        found.update(vars(slicer.util.childWidgetVariables(widget)))
    return SimpleNamespace(**found)
