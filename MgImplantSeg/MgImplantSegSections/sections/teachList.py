"""The list of slices to teach from: suggested slices and done ones, and in words what counts as labelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MgImplantSegLib.grids.labels import CLASSES, Role
from MgImplantSegLib.scene.volumes import geometry_of_node
from MgImplantSegLib.training.teach.slices import parse_slices
from MgImplantSegSections.sections.classMapping import roleText
from MgImplantSegSections.sections.wholeTables import fitList
from MgImplantSegSections.work import teachSlices

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsROINode

    from MgImplantSegLib.grids.volume import Geometry

SLICES_FOR_HELD_OUT = 3


class TeachList:
    """Rows of slices; a done one has a tick.

    :param widget: the QListWidget.
    :param onSelected: called when another row is selected.
    """

    def __init__(self, widget: Any, onSelected: Callable[[], Any]):
        self._widget = widget
        self._suggested: dict[Any, Any] = {}
        self._names: tuple[Any, ...] = ()
        self._texts: list[str] = []
        self._scanId = None
        self.labelled = teachSlices.Labelled()
        widget.connect("currentRowChanged(int)", onSelected)
        fitList(widget)

    def suggest(self, slices: Any, scan: Any):
        """Take slices that the engine has suggested for a scan, in place of those before; returns the first or None."""
        self._scanId = scan.GetID() if scan is not None else None
        self._suggested = {parse_slices(entry["slice"])[0]: entry for entry in slices}
        return min(self._suggested, default=None)

    def selected(self):
        """The selected slice or None."""
        row = self._widget.currentRow
        return self._names[row] if 0 <= row < len(self._names) else None

    def select(self, name: Any):
        """Select a slice that is in the list."""
        if name in self._names:
            self._widget.setCurrentRow(self._names.index(name))

    def isDone(self, name: Any):
        """Whether a slice is done."""
        return name in self.labelled.slices

    def pointRas(self, name: Any):
        """A point on a suggested slice within the implant, RAS mm; None for other slices."""
        centre = self._suggested.get(name, {}).get("centre_lps_mm")
        return None if centre is None else (-centre[0], -centre[1], centre[2])

    def refresh(self, scan: Any, labelled: Any):
        """Show what there is for a scan; the selected slice stays selected.

        :param scan: volume node; None empties the list.
        """
        self.labelled = labelled
        names: tuple = ()
        texts, selected = [], self.selected()
        if scan is None:
            self._suggested = {}
        if scan is not None:
            geometry = geometry_of_node(scan)
            suggested = self._suggested if scan.GetID() == self._scanId else {}
            inside = {name for name in suggested if name.index < geometry.shape_zyx[name.axis]}
            names = tuple(sorted(inside | set(labelled.slices)))
            texts = [self._text(geometry, name) for name in names]
        if (names, texts) == (self._names, self._texts):
            return
        self._names, self._texts = names, texts
        self._widget.blockSignals(True)
        self._widget.clear()
        self._widget.addItems(texts)
        self._widget.setCurrentRow(names.index(selected) if selected in names else -1)
        self._widget.blockSignals(False)
        fitList(self._widget)

    def _text(self, geometry: Geometry, name: Any):
        text = teachSlices.sliceText(geometry, name)
        if self.isDone(name):
            return _("✓ {slice}").format(slice=text)
        share = self._suggested[name]["disagreement"]
        return _("{slice} (planes disagree on {percent:.1f} %)").format(slice=text, percent=100 * share)


def labelledText(labelled: Any, roiNode: vtkMRMLMarkupsROINode, others: Any):
    """``3 slices are done, 2 orientations``, the classes on them, what is not labelled, and the other scans."""
    slices = labelled.slices
    parts = [_("one slice is done") if len(slices) == 1 else _("{n} slices are done").format(n=len(slices))]
    if slices:
        axes = len({name.axis for name in slices})
        parts.append(_("one orientation") if axes == 1 else _("{n} orientations").format(n=axes))
    if roiNode is not None:
        parts.append(_("ROI {name}").format(name=roiNode.GetName()))
    lines = [_("Labelled: {parts}.").format(parts=", ".join(parts)), *_classes(labelled)]
    lines += [_("Also learned from: {scans}.").format(scans=", ".join(others))] if others else []
    return "\n".join(lines)


def _classes(labelled: Any):
    if not labelled.slices:
        return []
    classes = ", ".join(roleText(role) for role in labelled.roles) or _("none")
    lines = [_("Classes on them besides background: {classes}.").format(classes=classes)]
    missing = [label.role for label in CLASSES if label.role not in (Role.BACKGROUND, *labelled.roles)]
    lines += [_("No {role} is labelled on them.").format(role=roleText(role)) for role in missing]
    if len(labelled.slices) < SLICES_FOR_HELD_OUT:
        lines.append(_("With three or more slices, one is held out for evaluation."))
    return lines


def resultText(name: Any, heldOut: Any, scanCount: int):
    """What the new model reaches on the slices that were kept apart, and what that is worth."""
    if not heldOut.get("slices"):
        return heldOut["words"]
    where = _("on this one scan") if scanCount == 1 else _("on these {n} scans").format(n=scanCount)
    return _(
        "{name}: on {slices}, held out from learning, mean IoU {before:.2f} before and {after:.2f} after, {where}. "
        "Results on "
        "other scans may differ."
    ).format(
        name=name,
        slices=", ".join(entry.rsplit(" ", 1)[-1] if scanCount == 1 else entry for entry in heldOut["slices"]),
        before=heldOut["before"]["mean"],
        after=heldOut["after"]["mean"],
        where=where,
    )


def overlapText(overlap: Any):
    """How much the new result is like the labels, class by class."""
    values = ", ".join(f"{roleText(role)} {iou:.2f}" for role, iou in overlap.items())
    return _("IoU of the labels and the new result, over the whole scan: {values}.").format(values=values)
