"""Where a batch runs: in the environment of Run in, and in others that are ticked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import qt

from MgImplantSegSections.engine import pythons
from MgImplantSegSections.sections.wholeTables import fitList

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench

FEWEST = 2
FLAG = "--environment"


class BatchPlaces:
    """The list of environments that share the samples.

    :param runIn: `runIn()` is the name of the environment that is always among them.
    """

    def __init__(self, workbench: Workbench, runIn: Callable[[], str]):
        self._workbench, self._list, self._runIn = workbench, workbench.ui.batchEnvironmentsList, runIn
        self._names: list[str] = []
        self.refill()

    def refill(self):
        """List all environments; those that are ticked stay ticked."""
        ticked, self._names = self._ticked(), pythons.names()
        self._list.clear()
        for row, name in enumerate(self._names):
            self._list.addItem(pythons.text(name))
            self._list.item(row).setCheckState(qt.Qt.Checked if name in ticked else qt.Qt.Unchecked)
        fitList(self._list)
        for widget in (self._list, self._workbench.ui.batchEnvironmentsListLabel):
            self._workbench.setVisible(widget, len(self._names) >= FEWEST)

    def names(self):
        """The environments of the batch, that of Run in first."""
        first = self._runIn()
        return [first, *(name for name in self._ticked() if name != first)]

    def words(self):
        """Words of the command line that say where it runs; none where the engine's own process does the work."""
        names = self.names()
        if len(names) == 1 and pythons.isHere(names[0]):
            return []
        return [word for name in names for word in (FLAG, name)]

    def python(self):
        """The environment whose Python runs the command; that of Slicer asks the others."""
        return None if self.words() else self._runIn()

    def _ticked(self):
        return [name for row, name in enumerate(self._names) if self._list.item(row).checkState() == qt.Qt.Checked]


def environmentsOf(words: Sequence[str]):
    """The environments that a command has jobs in, which can go on without it."""
    return [words[place + 1] for place, word in enumerate(words[:-1]) if word == FLAG]
