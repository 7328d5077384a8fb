"""Which volume, what is known of it, what is wrong with it, and the ROI that limits the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.io.voxel_size import voxel_size_doubt
from MgImplantSegLib.scene.markups import box_of_roi_node
from MgImplantSegLib.scene.volumes import geometry_of_node
from MgImplantSegSections import parameters
from MgImplantSegSections.sections import voxelSize
from MgImplantSegSections.sections.workbench import errorText, sizeText
from MgImplantSegSections.work import sampleData

if TYPE_CHECKING:
    from slicer import vtkMRMLNode

    from MgImplantSegSections.sections.modelSection import ModelSection
    from MgImplantSegSections.sections.workbench import Workbench

WARNING_STYLE = "QLabel { background: #fff3cd; color: #664d03; border-radius: 3px; }"
UNSET_TOLERANCE_MM = 1e-6
NOTABLE_ANISOTROPY = 1.01
NOTABLE_SPACING_RATIO = 2.0
TYPE_TEXT = {
    "unsigned char": "8-bit",
    "signed char": "8-bit",
    "char": "8-bit",
    "short": "16-bit",
    "unsigned short": "16-bit",
    "int": "32-bit",
    "unsigned int": "32-bit",
    "float": "32-bit float",
    "double": "64-bit float",
}


class InputSection:
    """Info line and warnings of the chosen volume; sample data; voxel size."""

    def __init__(self, workbench: Workbench, modelSection: ModelSection):
        self.workbench, self.ui, self._models = workbench, workbench.ui, modelSection
        self._shownId = None
        self.ui.sampleDataButton.connect("clicked(bool)", self.onSampleData)
        self.ui.setSpacingButton.connect("clicked(bool)", self.onSetSpacing)
        self.ui.limitRoiSelector.connect("nodeAddedByUser(vtkMRMLNode*)", self.onRoiAdded)
        workbench.onChange(self.refresh)

    def chooseDefault(self):
        """Take the first volume of the scene if none is chosen."""
        volumes = parameters.shownNodes("vtkMRMLScalarVolumeNode")
        if self.workbench.parameters.inputVolume is None and volumes:
            self.workbench.parameters.inputVolume = volumes[0]

    def onSampleData(self):
        """Load the bundled explant, once, and choose what is known of it."""
        try:
            node = self.workbench.logic.loadSampleData()
        except (MgImplantSegError, RuntimeError) as error:
            self._warn([errorText(error)])
            return
        chosen = self.workbench.parameters
        chosen.inputVolume = node
        if chosen.initialKind == parameters.InitialKind("none"):
            chosen.initialKind = parameters.InitialKind("segmentation")
            chosen.initialSegmentation, chosen.days = sampleData.initialNode(), sampleData.DAYS
        self.workbench.changed()

    def onSetSpacing(self):
        """Give the volume the voxel size in the spin box."""
        node = self.workbench.parameters.inputVolume
        if node is not None:
            voxelSize.setVoxelSize(node, self.ui.inputSpacingSpinBox.value)
            self._offerToFollow(node)
            slicer.util.setSliceViewerLayers(background=node, fit=True)
            self.workbench.changed()

    def _offerToFollow(self, volume: Any):
        """Segmentations of the volume no longer lie on its voxels: ask whether they shall."""
        left = voxelSize.segmentationsLeftBehind(volume)
        names = ", ".join(f'"{node.GetName()}"' for node in left)
        question = _(
            "Apply the new voxel size to these segmentations of the scan as well? Otherwise they no longer match it: "
            "{names}."
        )
        if left and slicer.util.confirmOkCancelDisplay(question.format(names=names)):
            for node in left:
                voxelSize.follow(node, volume)

    def onRoiAdded(self, roi: Any):
        """A new ROI begins as the box of the whole volume."""
        volume = self.workbench.parameters.inputVolume
        if volume is not None and volume.GetImageData() is not None:
            bounds = [0.0] * 6
            volume.GetRASBounds(bounds)
            roi.SetCenter(*[(low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2], strict=True)])
            roi.SetSize(*[high - low for low, high in zip(bounds[::2], bounds[1::2], strict=True)])
            if roi.GetDisplayNode() is None:
                roi.CreateDefaultDisplayNodes()
            self.workbench.changed()

    def missing(self):
        """What is missing before the volume can be segmented."""
        chosen = self.workbench.parameters
        if chosen.inputVolume is None:
            return [_("a volume")]
        try:
            geometry_of_node(chosen.inputVolume)
            if chosen.limitRoi is not None:
                box_of_roi_node(chosen.limitRoi)
        except MgImplantSegError as error:
            return [errorText(error)]
        return []

    def refresh(self):
        """Show what is known of the volume."""
        node = self.workbench.parameters.inputVolume
        hasVoxels = node is not None and node.GetImageData() is not None
        self.ui.setSpacingButton.enabled = self.ui.inputSpacingSpinBox.enabled = hasVoxels
        if not hasVoxels:
            self.ui.inputInfoLabel.text = _("No volume yet: drag a scan into Slicer.")
            self._warn([])
            return
        if node.GetID() != self._shownId:
            self._shownId = node.GetID()
            self.ui.inputSpacingSpinBox.value = min(node.GetSpacing()) * 1000
        self.ui.inputInfoLabel.text = infoText(node)
        self._warn(self.warnings(node))

    def warnings(self, node: vtkMRMLNode):
        """What a user has to know of this volume before segmenting it."""
        try:
            geometry = geometry_of_node(node)
        except MgImplantSegError as error:
            return [errorText(error)]
        spacings = geometry.spacing_zyx_mm
        if all(abs(spacing - 1) < UNSET_TOLERANCE_MM for spacing in spacings):
            return [
                _(
                    "The voxel size is 1 mm, which usually means that it is not set. Set it here; otherwise all "
                    "measurements will be wrong."
                )
            ]
        doubt = voxel_size_doubt(geometry)
        found = [doubt] if doubt else []
        if max(spacings) > NOTABLE_ANISOTROPY * min(spacings):
            found.append(_("The voxels are not cubes. They are resampled for the network."))
        card = self._models.card()
        if card is not None:
            ratio = min(spacings) * 1000 / card.preprocessing.spacing_um
            if not 1 / NOTABLE_SPACING_RATIO <= ratio <= NOTABLE_SPACING_RATIO:
                found.append(
                    _(
                        "The model was trained with voxels of {model:g} µm; this scan has {scan:g} µm. Check the "
                        "result with care, or choose another model."
                    ).format(model=card.preprocessing.spacing_um, scan=min(spacings) * 1000)
                )
        return found

    def _warn(self, texts: Any):
        """Its place is kept where there is nothing to warn of."""
        self.ui.inputWarningLabel.text = "\n".join(texts)
        self.ui.inputWarningLabel.styleSheet = WARNING_STYLE if texts else ""


def infoText(node: vtkMRMLNode):
    """For example ``820×820×1400 voxels, 5.0 µm, 16-bit, 1.8 GB``."""
    image, spacings = node.GetImageData(), [spacing * 1000 for spacing in node.GetSpacing()]
    isCube = max(spacings) <= NOTABLE_ANISOTROPY * min(spacings)
    spacing = f"{spacings[0]:.4g}" if isCube else "×".join(f"{value:.4g}" for value in spacings)
    byteCount = image.GetNumberOfPoints() * image.GetScalarSize() * image.GetNumberOfScalarComponents()
    return _("{size} voxels, {spacing} µm, {kind}, {bytes}").format(
        size="×".join(str(n) for n in image.GetDimensions()),
        spacing=spacing,
        kind=TYPE_TEXT.get(image.GetScalarTypeAsString(), image.GetScalarTypeAsString()),
        bytes=sizeText(byteCount),
    )
