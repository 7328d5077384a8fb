"""The panel as a whole: builds the sections over the loaded widgets and hands them what they share."""

from types import SimpleNamespace

import qt
import slicer

from MgImplantSegSections.engine.engineOptions import describeOptions
from MgImplantSegSections.sections.alignment import Alignment
from MgImplantSegSections.sections.batchSection import BatchSection
from MgImplantSegSections.sections.classMapping import ClassMapping
from MgImplantSegSections.sections.compareSection import CompareSection
from MgImplantSegSections.sections.cracksPanel import CracksPanel
from MgImplantSegSections.sections.display3DSection import Display3DSection
from MgImplantSegSections.sections.environmentsSection import EnvironmentsSection
from MgImplantSegSections.sections.foldedSections import FoldedSections
from MgImplantSegSections.sections.importDialog import ImportScan
from MgImplantSegSections.sections.inputSection import InputSection
from MgImplantSegSections.sections.labelMapImport import LabelMapImport
from MgImplantSegSections.sections.measurementsSection import MeasurementsSection
from MgImplantSegSections.sections.modelSection import ModelSection
from MgImplantSegSections.sections.regionsList import RegionsList
from MgImplantSegSections.sections.segmentationSection import SegmentationSection
from MgImplantSegSections.sections.teachSection import TeachSection
from MgImplantSegSections.sections.trainingSection import TrainingSection
from MgImplantSegSections.sections.workbench import Workbench
from MgImplantSegSections.work.observations import Observations

FOLDED = ("Advanced", "Measurements", "Display3D", "Compare", "Teach", "Training", "Batch", "Environments")
PANELS = ("Work", *FOLDED)


class Panel:
    """All sections.

    :param widgets: the top widgets of the .ui files, in the order of `PANELS`.
    :param logic: the module's logic.
    """

    def __init__(self, widgets, logic):
        self.workbench = workbench = Workbench(namedWidgets(widgets), logic)
        describeOptions(vars(workbench.ui).values())
        letShrink(vars(workbench.ui).values())
        self._observations = Observations()
        self.models = ModelSection(workbench)
        self.input = InputSection(workbench, self.models)
        self.importScan = ImportScan(workbench)
        self.segmentation = SegmentationSection(workbench, self.input, self.models, self.addPython)
        self.cracks = CracksPanel(workbench)
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
        self.sections = FoldedSections(workbench, [sectionOf(workbench.ui, name) for name in FOLDED])
        workbench.ui.openTeachButton.connect("clicked(bool)", self.openTeach)
        workbench.ui.openMeasurementsButton.connect("clicked(bool)", self.openMeasurements)

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

    def openTeach(self):
        """Unfold what is needed to teach a model and scroll to it."""
        self.sections.open(self.workbench.ui.teachSection)

    def openMeasurements(self):
        """Unfold the measurements and scroll to them."""
        self.sections.open(self.workbench.ui.measurementsSection)

    def clearMessages(self):
        """Nothing that was said of a scene holds for the next one."""
        ui = self.workbench.ui
        for label in (ui.segmentStatusLabel, ui.measuresStateLabel, ui.compareStatusLabel):
            label.text = ""

    def cleanup(self):
        """Stop all work, observe nothing any more, and forget the widgets, which Slicer destroys."""
        self.workbench.abandonAll()
        self.measurements.follow(False)
        self._observations.removeAll()
        self.models.details.close()
        self.segmentation.log.close()
        self.training.log.close()


def sectionOf(ui, name):
    """The header of a section, by the name of its .ui file."""
    return getattr(ui, f"{name[0].lower()}{name[1:]}Section")


def letShrink(widgets):
    """Long names of nodes must not make the panel wide."""
    for widget in widgets:
        if widget.inherits("qMRMLNodeComboBox"):
            widget.sizeAdjustPolicy = qt.QComboBox.AdjustToMinimumContentsLengthWithIcon


def namedWidgets(widgets):
    """All named widgets below the given ones, and these, as attributes of one object."""
    found = {}
    for widget in widgets:
        found[widget.name] = widget
        found.update(vars(slicer.util.childWidgetVariables(widget)))
    return SimpleNamespace(**found)
