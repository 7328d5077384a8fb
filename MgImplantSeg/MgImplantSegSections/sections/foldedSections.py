"""The sections below the work: one is open at a time, and it comes into view when it opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from MgImplantSegSections.sections.workbench import reveal

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench


class FoldedSections:
    """Follows the headers of all sections.

    :param sections: the `ctkCollapsibleButton`s, from top to bottom.
    """

    def __init__(self, workbench: Workbench, sections: Any):
        self._workbench, self._sections = workbench, list(sections)
        self._followers = [_Follower(self, section) for section in self._sections]

    def open(self, section: Any):
        """Unfold a section and bring it into view, also if it is open already."""
        if section.collapsed:
            section.collapsed = False
        else:
            reveal(section)

    def onOpened(self, opened: Any):
        """A section was unfolded, by the user or by a button elsewhere: fold the others."""
        for section in self._sections:
            if section is not opened and not section.collapsed:
                section.collapsed = True
        self._workbench.restoreVisibility()  # what has to be hidden in it stays hidden
        reveal(opened)


class _Follower:
    """Knows which section a signal comes from; PythonQt passes signals to methods as they are."""

    def __init__(self, sections: Any, section: Any):
        self._sections, self._section = sections, section
        section.connect("contentsCollapsed(bool)", self.onFolded)

    def onFolded(self, folded: bool):
        if not folded:
            self._sections.onOpened(self._section)
