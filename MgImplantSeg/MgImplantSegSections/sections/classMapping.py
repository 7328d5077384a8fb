"""What each segment is: a table with a combo box of roles a segment, filled from names and terminology."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from MgImplantSegLib.grids.labels import CANAL, CRACK, Role
from MgImplantSegLib.scene.segments import segment_ids
from MgImplantSegSections.sections.wholeTables import WholeTable
from MgImplantSegSections.work.measureWork import classOf, setRole

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench

WORDS: tuple[Role | str, ...] = (
    Role.BONE,
    Role.DEGRADATION_LAYER,
    Role.RESIDUAL_MATERIAL,
    CRACK.word,
    CANAL.word,
    Role.BACKGROUND,
)
IGNORED_IDS = ("ignore",)


class ClassMapping:
    """Rows follow the segmentation that is measured."""

    def __init__(self, workbench: Workbench):
        self.workbench, self.ui = workbench, workbench.ui
        self._combos: list[Any] = []
        self._shown: Any = None
        self.ui.classTable.setColumnCount(2)
        self.ui.classTable.setHorizontalHeaderLabels([_("Segment"), _("Class")])
        self._whole = WholeTable(self.ui.classTable, wide=(0, 1))
        workbench.onChange(self.refresh)

    def missing(self):
        """Segments of which it is not known what they are."""
        return [
            _('a class for the segment "{name}" (class mapping)').format(name=name)
            for _id, name, word in self._segments()
            if word is None
        ]

    def refresh(self):
        """Show the segments of the chosen segmentation."""
        segments = self._segments()
        node = self.workbench.parameters.measuredSegmentation
        shown = (node.GetID() if node is not None else None, segments)
        if shown == self._shown:
            return
        self._shown, self._combos = shown, []
        table = self.ui.classTable
        table.setRowCount(len(segments))
        for row, (segmentId, name, word) in enumerate(segments):
            item = qt.QTableWidgetItem(name)
            table.setItem(row, 0, item)
            table.setCellWidget(row, 1, self._combo(segmentId, word))
        self._whole.fit()
        if any(word is None for _id, _name, word in segments):
            self.ui.classMappingGroup.collapsed = False

    def _combo(self, segmentId: str, word: str | None):
        combo = qt.QComboBox()
        combo.addItems([roleText(entry) for entry in WORDS] + ([] if word else [_("not known")]))
        combo.setCurrentIndex(WORDS.index(word) if word else len(WORDS))
        listener = _Listener(self, segmentId)
        combo.connect("activated(int)", listener.onActivated)
        self._combos.append((combo, listener))
        return combo

    def onRole(self, segmentId: str, index: int):
        """The user has said what a segment is."""
        if index < len(WORDS):
            setRole(self.workbench.parameters.measuredSegmentation, segmentId, WORDS[index])
            self.workbench.changed()

    def _segments(self):
        node = self.workbench.parameters.measuredSegmentation
        if node is None:
            return []
        segmentation = node.GetSegmentation()
        classes = {entry: classOf(node, entry) for entry in segment_ids(segmentation) if entry not in IGNORED_IDS}
        return [
            (entry, segmentation.GetSegment(entry).GetName(), None if found is None else found.word)
            for entry, found in classes.items()
        ]


class _Listener:
    """Knows which segment a combo box is for; PythonQt passes signals to methods as they are."""

    def __init__(self, mapping: Any, segmentId: str):
        self._mapping, self._segmentId = mapping, segmentId

    def onActivated(self, index: int):
        self._mapping.onRole(self._segmentId, index)


def roleText(role: Any):
    """What people read for a role, or for cracks and canals."""
    return {
        Role.BONE: _("bone"),
        Role.DEGRADATION_LAYER: _("degradation layer"),
        Role.RESIDUAL_MATERIAL: _("residual material"),
        CRACK.word: _("crack"),
        CANAL.word: _("canal"),
        Role.BACKGROUND: _("left out"),
    }[role]
