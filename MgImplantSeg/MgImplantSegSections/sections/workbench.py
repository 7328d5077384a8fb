"""What the sections share: the widgets, the logic, the parameters of the scene, and one way to run and report work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegSections.engine.backgroundTask import BackgroundTask
from MgImplantSegSections.engine.engineRun import CancelToken
from MgImplantSegSections.sections.panelWords import inPanelWords, placeOf


class Workbench:
    """Handed to every section.

    :param ui: all named widgets of the panel as attributes.
    :param logic: the module's logic.
    """

    def __init__(self, ui: Any, logic: Any):
        self.ui = ui
        self.logic = logic
        self.parameters: Any = None
        self._listeners: list[Callable[[], Any]] = []
        self._modelListeners: list[Callable[[], Any]] = []
        self._tasks: list[BackgroundTask] = []
        self._ofScene: list[BackgroundTask] = []
        self._visible: dict[str, tuple[Any, bool]] = {}

    def setVisible(self, widget: Any, visible: bool):
        """Show or hide a widget, also when its section is folded: CTK would forget it and show it when unfolding."""
        self._visible[widget.name] = (widget, visible)
        widget.visible = visible

    def restoreVisibility(self):
        """Hide again what has to be hidden after a section was unfolded."""
        for widget, visible in self._visible.values():
            widget.visible = visible

    def onChange(self, listener: Callable[[], Any]):
        """Call `listener` whenever a parameter or the scene behind the parameters has changed."""
        self._listeners.append(listener)

    def changed(self):
        """Tell all sections that something has changed."""
        if self.parameters is not None:
            for listener in self._listeners:
                listener()

    def onModelsChange(self, listener: Callable[[], Any]):
        """Call `listener` when model files have come or gone."""
        self._modelListeners.append(listener)

    def modelsChanged(self):
        """Tell that model files have come or gone."""
        for listener in self._modelListeners:
            listener()

    def start(
        self,
        makeSteps: Callable[[CancelToken], Iterator[Any]],
        onEvent: Callable[[dict[str, Any]], Any],
        onDone: Callable[..., Any],
        onFailed: Callable[[Exception], Any],
        onCancelled: Callable[[], Any],
        isOfScene: bool = True,
    ):
        """Run `makeSteps(token)` beside the GUI; returns the `BackgroundTask`.

        :param isOfScene: whether it ends with the scene, from which it takes or into which it brings something.
        """
        token = CancelToken()
        self._tasks = [task for task in self._tasks if task.isRunning]
        self._ofScene = [task for task in self._ofScene if task.isRunning]
        task = BackgroundTask(_begun(makeSteps, token), token, onEvent, onDone, onFailed, onCancelled)
        self._tasks.append(task)
        if isOfScene:
            self._ofScene.append(task)
        return task

    def cancelAll(self):
        """Ask all work of the scene to stop; its results do not come into the scene."""
        for task in self._ofScene:
            task.cancel()

    def abandonAll(self):
        """Stop all work and wait until nothing of it is left."""
        for task in self._tasks:
            task.abandon()
        self._tasks, self._ofScene = [], []


def _begun(makeSteps: Callable[[CancelToken], Iterator[Any]], token: CancelToken):
    """The steps, made at the first one, so that what goes wrong while making them is reported as all else is."""
    return (yield from makeSteps(token))


def errorText(error: Exception):
    """An exception as one line for people: what happened, and what to do."""
    if isinstance(error, MgImplantSegError):
        return inPanelWords(f"{error.message} {error.advice(placeOf)}".strip())
    return _("Internal error: {kind}: {text}").format(kind=type(error).__name__, text=error)


def setEnabled(button: Any, missing: Sequence[str], ready: str):
    """Enable a button if nothing is missing; else its tooltip lists all that is.

    :param missing: texts of what is missing.
    :param ready: tooltip of the enabled button.
    """
    button.enabled = not missing
    button.toolTip = ready if not missing else _("Missing:") + "\n" + "\n".join(f"• {entry}" for entry in missing)


def reveal(widget: Any):
    """Scroll the panel to a widget, its top at least; nothing where nothing scrolls."""
    area = widget.parent()
    while area is not None and not area.inherits("QScrollArea"):
        area = area.parent()
    if area is not None:
        slicer.app.processEvents()  # else the widget still has the size that it had when folded
        top = widget.mapTo(area.widget(), qt.QPoint(0, 0)).y()
        area.ensureVisible(0, top + widget.height, 0, 0)
        area.ensureVisible(0, top, 0, 0)


class ProgressView:
    """A progress bar with a text below it, fed with events; both keep their places when nothing runs.

    :param label: a `FixedText`.
    """

    def __init__(self, workbench: Workbench, bar: Any, label: Any):
        self._workbench, self.bar, self.label = workbench, bar, label
        self._rest()

    def _rest(self):
        self.bar.setRange(0, 1000)
        self.bar.reset()
        self.bar.enabled = False

    def begin(self, text: str):
        """Let the bar move."""
        self.bar.setRange(0, 0)
        self.bar.enabled = True
        self.label.text = text

    def show(self, event: Any):
        """Show a progress event: part done, stage, time left."""
        if event["event"] == "stopping":
            self.label.text = _("Stopping…")
        elif event["event"] == "progress":
            self.bar.setRange(0, 1000)
            total = event.get("total") or 1
            self.bar.value = int(1000 * min(1.0, event.get("done", 0) / total))
            self.label.text = stageText(event)

    def end(self, text: str):
        """Empty the bar and leave a line."""
        self._rest()
        self.label.text = text


def stageText(event: dict[str, Any]):
    """What is being done, and the time left where that is known."""
    stage, left = event.get("stage", ""), event.get("eta_s")
    return stage if left is None else _("{stage}, {left} left").format(stage=stage, left=durationText(left))


def durationText(seconds: float):
    """``41 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return _("{s} s").format(s=whole)
    if whole < 3600:
        return _("{m} min {s:02d} s").format(m=whole // 60, s=whole % 60)
    return _("{h} h {m:02d} min").format(h=whole // 3600, m=whole % 3600 // 60)


def sizeText(byteCount: float):
    """``1.8 GB`` or ``820 kB``."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if byteCount >= size:
            return f"{byteCount / size:.1f} {unit}"
    return f"{int(byteCount)} B"
