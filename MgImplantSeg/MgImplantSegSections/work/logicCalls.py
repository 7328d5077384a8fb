"""The calls of the module's logic: the same work for scripts (they wait) and for the panel (it does not)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import DependencyError, InputError, MgImplantSegError
from MgImplantSegLib.base.resources import find_model
from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.quantification.options import QuantifyOptions
from MgImplantSegLib.scene.plots import add_chart
from MgImplantSegSections.engine import pythons
from MgImplantSegSections.engine.engineRun import CancelToken, runEngine, runToEnd
from MgImplantSegSections.engine.exchange import taskFolder
from MgImplantSegSections.work import disagreement, display3D, layouts, sampleData
from MgImplantSegSections.work.alignmentWork import alignSteps
from MgImplantSegSections.work.compareWork import compareSteps
from MgImplantSegSections.work.cracksWork import cracksSteps
from MgImplantSegSections.work.measuresReport import reportOfTable
from MgImplantSegSections.work.measureWork import QuantifyRequest, quantifySteps
from MgImplantSegSections.work.regionWork import roiAroundSteps
from MgImplantSegSections.work.segmentWork import SegmentRequest, segmentSteps
from MgImplantSegSections.work.surfaceWork import classSurfaceSteps, coloredSurfaceSteps
from MgImplantSegSections.work.teachWork import hideInViews, overlapSteps, suggestSteps, teachSteps

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode, vtkMRMLTableNode

PROFILE_SYMBOL = "BV/TV"
CHART_REFERENCE = "MgImplantSeg.Chart"


class LogicCalls:
    """Mixed into `MgImplantSegLogic`. Calls that wait keep the application alive meanwhile."""

    def segment(
        self,
        volumeNode: Any,
        modelPath: str | Path | None = None,
        planes: str = "9",
        fusion: str = "soft",
        device: str = "auto",
        environment: str | None = None,
        roiNode: Any = None,
        keepDisagreement: bool = False,
        **further: Any,
    ):
        """Segment a volume and wait; returns the new segmentation node.

        :param modelPath: a model file, or the name of a bundled model (default: the default model).
        :param planes: key of the engine's plane sets, ``"1"``, ``"3"``, ``"9"``, ``"rc"``, ``"cp"`` or ``"pr"``.
        :param environment: name of one of the environments (default: Slicer's own Python).
        :param keepDisagreement: keep the disagreement of several planes, from which measures get ranges.
        :param further: other fields of the engine's `SegmentOptions`: ``precision``, ``postprocessing``, ``memory_gb``.
        :raises InputError, EngineError: with what was expected, what came and what to do.
        """
        options = SegmentOptions(find_model(modelPath), planes, fusion, device, **further)
        self.requirePackages(environment, pythons.toSegment(options.model))
        request = SegmentRequest(options, roiNode, keepDisagreement=keepDisagreement)
        return _wait(self.segmentSteps(volumeNode, request, environment, CancelToken()))

    def quantify(
        self,
        segmentationNode: Any,
        initialNode: Any = None,
        initialVolumeMm3: float | None = None,
        initialAreaMm2: float | None = None,
        days: float | None = None,
        roiNodes: Sequence[Any] = (),
        distanceMm: float = 0.5,
        ranges: bool = True,
        **further: Any,
    ):
        """Measure a segmentation and wait; returns the table node and the list of measures.

        :param initialNode: segmentation (or closed surface model) of the screw before implantation.
        :param ranges: ranges beside values where the disagreement of the planes was kept, see `segment`.
        :param further: other fields of the engine's `QuantifyOptions`, for example ``contact`` or ``measures``.
        """
        isModel = initialNode is not None and initialNode.IsA("vtkMRMLModelNode")
        request = QuantifyRequest(
            QuantifyOptions(time_days=days, distance_mm=distanceMm, **further),
            None if isModel else initialNode,
            initialNode if isModel else None,
            initialVolumeMm3,
            initialAreaMm2,
            tuple(roiNodes),
            *(disagreement.usableOf(segmentationNode) if ranges else ()),
        )
        tableNode, report = _wait(self.quantifySteps(segmentationNode, request, CancelToken()))
        return tableNode, list(report.measures)

    def segmentSteps(self, volumeNode: Any, request: Any, environment: str | None, token: CancelToken):
        """The work of `segment` as a generator of events."""
        if not pythons.isHere(environment):
            request = replace(request, farEnvironment=environment)
        return segmentSteps(volumeNode, request, pythons.python(environment), slicer.app.temporaryPath, token)

    def suggestSteps(
        self,
        volumeNode: vtkMRMLScalarVolumeNode,
        segmentationNode: vtkMRMLSegmentationNode,
        count: int,
        options: Any,
        environment: Any,
        token: CancelToken,
    ):
        """Slices that are worth painting, as a generator of events."""
        self.requirePackages(environment, pythons.toSegment(options.model))
        far = "" if pythons.isHere(environment) else environment
        python, folder = pythons.python(environment), slicer.app.temporaryPath
        steps = suggestSteps(volumeNode, segmentationNode, count, options, far, python, folder, token)
        return (yield from steps)

    def teachSteps(
        self,
        volumeNode: vtkMRMLScalarVolumeNode,
        segmentationNode: vtkMRMLSegmentationNode,
        request: Any,
        environment: Any,
        token: CancelToken,
    ):
        """Teach a model from done slices, as a generator of events; returns its installed file and the result."""
        self.requirePackages(environment)
        if not pythons.isHere(environment):
            request = replace(request, farEnvironment=environment)
        python, folder = pythons.python(environment), slicer.app.temporaryPath
        return (yield from teachSteps(volumeNode, segmentationNode, request, python, folder, token))

    def segmentAgainSteps(
        self, volumeNode: vtkMRMLScalarVolumeNode, oldNode: Any, request: Any, environment: Any, token: CancelToken
    ):
        """Segment into a new node, hide the old one; returns the new one and the IoU of both by role."""
        self.requirePackages(environment, pythons.toSegment(request.options.model))
        node = yield from self.segmentSteps(volumeNode, request, environment, token)
        hideInViews(oldNode)
        return node, (yield from overlapSteps(volumeNode, oldNode, node, token))

    def cracksSteps(self, volumeNode: Any, segmentationNode: Any, options: Any, row: int | None, token: CancelToken):
        """Cracks of a segmentation as a generator of events; returns the node; Slicer's own Python has what it needs.

        :param row: slice along the array's first axis for a preview; None for the whole scan.
        """
        folder = slicer.app.temporaryPath
        return cracksSteps(volumeNode, segmentationNode, options, row, pythons.python(), folder, token)

    def quantifySteps(self, segmentationNode: Any, request: Any, token: CancelToken):
        """The work of `quantify` as a generator of events; Slicer's own Python has what it needs."""
        return quantifySteps(segmentationNode, request, pythons.python(), slicer.app.temporaryPath, token)

    def align(self, segmentationNode: Any, initialNode: Any):
        """Put the screw before implantation onto the explant and wait; returns the transform node on it.

        :param initialNode: segmentation (or closed surface model) of the screw before implantation.
        """
        return _wait(self.alignSteps(segmentationNode, initialNode, CancelToken()))

    def alignSteps(self, segmentationNode: Any, initialNode: Any, token: CancelToken):
        """The work of `align` as a generator of events."""
        return alignSteps(segmentationNode, initialNode, pythons.python(), slicer.app.temporaryPath, token)

    def compareSteps(self, referenceNode: Any, otherNodes: Sequence[Any], request: Any, token: CancelToken):
        """The comparison as a generator of events; returns the table node."""
        folder = slicer.app.temporaryPath
        return compareSteps(referenceNode, otherNodes, request, pythons.python(), folder, token)

    def engineSteps(
        self,
        words: Sequence[Any],
        environment: str | None,
        token: CancelToken,
        politeSeconds: float | None = None,
    ):
        """Any command of the engine as a generator of events; returns the fields of its result."""
        with taskFolder(slicer.app.temporaryPath) as folder:
            return (yield from runEngine(pythons.python(environment), words, folder / "log.txt", token, politeSeconds))

    def testEnvironmentSteps(self, environment: Any, token: CancelToken):
        """The checks of an environment, saved or not, as a generator of events; returns the fields of the result."""
        return pythons.testSteps(environment, slicer.app.temporaryPath, token)

    def startTraining(self, configurationPath: str | Path, environment: str = pythons.OWN):
        """Start a training as a job and return at once what is known of it; the job outlives Slicer.

        :param environment: name of one of the environments.
        :returns: fields of the job, ``reference`` and ``state`` among them.
        """
        words = ["jobs", "submit", environment, "train", str(configurationPath)]
        return _wait(self.engineSteps(words, None, CancelToken()))

    def showIn3D(self, segmentationNode: Any, settings: Any = None, opacities: dict[str, float] | None = None):
        """Make the closed surfaces and show them in the 3D view; returns polygons by segment ID."""
        return display3D.showIn3D(segmentationNode, settings, opacities)

    def surfaceSteps(self, segmentationNode: Any, settings: Any, token: CancelToken):
        """`showIn3D` of a large segmentation as a generator of events, its view apart; returns polygons."""
        folder = slicer.app.temporaryPath
        return classSurfaceSteps(segmentationNode, settings, pythons.python(), folder, token)

    def coloredSurfaceSteps(self, segmentationNode: Any, kind: str, initialNode: Any, token: CancelToken):
        """The implant's surface with contact or depth as a generator of events; returns the mesh."""
        folder = slicer.app.temporaryPath
        return coloredSurfaceSteps(segmentationNode, kind, initialNode, pythons.python(), folder, token)

    def addRoiAroundImplant(self, segmentationNode: Any, distanceMm: float = 0.5):
        """A new ROI node on the implant's oriented bounding box plus a distance."""
        return _wait(roiAroundSteps(segmentationNode, distanceMm, CancelToken()))

    def plotBoneVolumeProfile(self, tableNode: Any):
        """Plot BV/TV over the distance from the implant; returns the chart node, the same for the same table.

        :raises InputError: if the table has no such profile.
        """
        chart = tableNode.GetNodeReference(CHART_REFERENCE) if tableNode is not None else None
        if chart is None:
            chart = self._newChart(tableNode)
            tableNode.SetNodeReferenceID(CHART_REFERENCE, chart.GetID())
        layouts.showChart(chart)
        return chart

    def _newChart(self, tableNode: vtkMRMLTableNode):
        report = reportOfTable(tableNode)
        series = [entry for entry in (report.series if report else ()) if entry.symbol == PROFILE_SYMBOL]
        if not series:
            raise InputError(
                _("Expected a table of measures with a profile of BV/TV, got none."),
                _("Compute the measures of a segmentation with an implant."),
            )
        return add_chart(tableNode.GetScene(), series, _("Bone volume over the distance from the implant"))

    def loadSampleData(self):
        """The bundled simulated explant as a volume node."""
        return sampleData.load()

    def requirePackages(self, environment: str | None = None, packages: Sequence[str] = pythons.PACKAGES):
        """Raise `InputError` that says what Slicer's Python lacks, if that is what will run."""
        missing = pythons.missingPackages(environment, packages)
        if missing:
            raise InputError(
                _("Expected {packages} in Slicer's Python, got none.").format(packages=", ".join(missing)),
                _("Install them under Environments in the panel, or name another environment."),
            )

    def installPackages(self, packages: Sequence[str]):
        """Install packages into Slicer's own Python; PyTorch by the PyTorch extension. Call it on a click only.

        :raises DependencyError: if the PyTorch extension is missing or the installation fails.
        """
        others = [package for package in packages if package != "torch"]
        try:
            if others:
                slicer.util.pip_install(others)
            if "torch" in packages:
                _installTorch()
        except MgImplantSegError:
            raise
        except Exception as error:  # whatever stops pip: the network, the disk, a package in use
            if not pythons.missingPackages(packages=packages):
                return  # the PyTorch extension imports what it has installed, which may fail before a restart
            raise DependencyError(
                _("Expected to install {packages}, got: {reason}.").format(packages=", ".join(packages), reason=error),
                _("The full log is in the Python console. Restart Slicer and try again, or use another environment."),
            ) from error


def _installTorch():
    try:
        import PyTorchUtils
    except ImportError as error:
        raise DependencyError(
            _("Expected the PyTorch extension of Slicer, got none."),
            _("Install it in the Extensions Manager and restart Slicer, or use another environment."),
        ) from error
    PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True)


def _wait(steps: Any):
    return runToEnd(steps, idle=_letSlicerBreathe)


def _letSlicerBreathe():
    import time

    slicer.app.processEvents()
    time.sleep(0.02)
