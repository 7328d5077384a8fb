"""The dialog in which a Python, a host or a cluster is described, tested and saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import InputError, MgImplantSegError
from MgImplantSegLib.jobs.environment import Environment, Kind
from MgImplantSegLib.jobs.environment_file import save_environment
from MgImplantSegSections.engine import pythons
from MgImplantSegSections.sections.environmentForm import KINDS, EnvironmentForm, kindText
from MgImplantSegSections.sections.fixedText import FixedText
from MgImplantSegSections.sections.panelWords import inPanelWords
from MgImplantSegSections.sections.workbench import errorText, setEnabled

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench

WIDTH, HEIGHT, MESSAGE_LINES = 480, 640, 8  # of a test, a line a check


class EnvironmentDialog:
    """Describes one environment; stays open beside the work until it is saved or closed.

    :param parent: the panel that it belongs to.
    :param environment: what is edited; None describes a new one.
    :param onSaved: called with the name of the saved environment.
    """

    def __init__(self, workbench: Workbench, parent: Any, environment: Environment | None, onSaved: Any):
        self._workbench, self._edited, self._onSaved = workbench, environment, onSaved
        self._task: Any = None
        self.dialog = qt.QDialog(parent)
        self.dialog.windowTitle = _("Environment")
        self._build()
        kind = Kind.SSH if environment is None else environment.kind
        self.kindSelector.setCurrentIndex(KINDS.index(kind))
        if environment is not None:
            self.nameEdit.text = environment.name
            self.form.fill(environment)
        else:
            self.form.fill(Environment.this_computer())
        self.onKind()

    def show(self):
        """Open the dialog; the panel waits behind it, work goes on."""
        self.dialog.open()

    def _build(self):
        fields = qt.QWidget()
        rows = qt.QFormLayout(fields)
        self.kindSelector, self.nameEdit = qt.QComboBox(), qt.QLineEdit()
        self.kindSelector.addItems([kindText(kind) for kind in KINDS])
        self.kindSelector.toolTip = _(
            "How the environment is reached: on this computer, through SSH, or through a queue."
        )
        self.nameEdit.toolTip = _("Name of the environment in the lists.")
        self.nameEdit.readOnly = self._edited is not None
        rows.addRow(_("Kind:"), self.kindSelector)
        rows.addRow(_("Name:"), self.nameEdit)
        self.form = EnvironmentForm(rows)
        area = qt.QScrollArea()
        area.setWidget(fields)
        area.widgetResizable = True
        self.messageLabel = qt.QLabel()
        whole = qt.QVBoxLayout(self.dialog)
        for widget in (area, self.messageLabel):
            whole.addWidget(widget)
        whole.addLayout(self._buttons())
        self.messageLabel = FixedText(self.messageLabel, MESSAGE_LINES)
        self.dialog.resize(WIDTH, HEIGHT)
        self._connect()

    def _buttons(self):
        row = qt.QHBoxLayout()
        self.testButton, self.cancelButton = qt.QPushButton(_("Test")), qt.QPushButton(_("Close"))
        self.cancelButton.toolTip = _("Close without saving.")
        self.saveButton = qt.QPushButton(_("Save"))
        self.saveButton.toolTip = _("Save the environment under its name.")
        for button in (self.testButton, self.cancelButton, self.saveButton):
            button.autoDefault = False
            row.addWidget(button)
        return row

    def _connect(self):
        self.kindSelector.connect("currentIndexChanged(int)", self.onKind)
        self.testButton.connect("clicked(bool)", self.onTest)
        self.saveButton.connect("clicked(bool)", self.onSave)
        self.cancelButton.connect("clicked(bool)", self.onClose)
        self.dialog.connect("finished(int)", self.onFinished)
        for editor in (self.form.editors["host"], self.form.editors["python"]):
            editor.connect("textChanged(QString)", self.onPlace)

    def kind(self):
        """The chosen kind."""
        return KINDS[max(0, self.kindSelector.currentIndex)]

    def environment(self):
        """The environment as described.

        :raises InputError: if it cannot be one, or its name is taken.
        """
        name = self.nameEdit.text.strip() or self.nameEdit.placeholderText
        if not name:
            raise InputError(_("Expected a host, a Python or a name, got none."), _("Enter one of them."))
        found = Environment.from_dict(name, {"kind": self.kind().value, **self.form.values(self.kind())})
        if self._edited is None and name in pythons.names():
            raise InputError(
                _("Expected a new name, got {name!r}, which is already in use.").format(name=name),
                _("Enter another name."),
            )
        if found.kind is Kind.LOCAL:
            pythons.requireProgram(found.python)
        return found

    def onKind(self):
        """Another kind has other settings."""
        self.form.showFor(self.kind())
        self.onPlace()
        self._showButtons()

    def onPlace(self):
        """Without a name of its own an environment is called after its host or folder."""
        editors = self.form.editors
        host = editors["host"].text.strip() if self.kind() is not Kind.LOCAL else ""
        self.nameEdit.placeholderText = pythons.nameForPlace(host, editors["python"].text.strip())

    def isTesting(self):
        """Whether a test runs."""
        return self._task is not None and self._task.isRunning

    def onTest(self):
        """Test what is described, before it is saved; or stop the test."""
        if self.isTesting():
            self._task.cancel()
            return
        environment = self._described()
        if environment is None:
            return
        self.messageLabel.text = _("Testing {name}…").format(name=environment.name)
        self._task = self._workbench.start(
            lambda token: self._workbench.logic.testEnvironmentSteps(environment, token),
            lambda event: None,
            lambda result: self._say(inPanelWords(result["text"])),
            lambda error: self._say(errorText(error)),
            lambda: self._say(_("Stopped.")),
        )
        self._showButtons()

    def onSave(self):
        """Keep it, and close."""
        environment = self._described()
        if environment is None:
            return
        try:
            save_environment(environment)
        except MgImplantSegError as error:
            self._say(errorText(error))
            return
        self.dialog.accept()
        self._onSaved(environment.name)

    def onClose(self):
        """Close without saving."""
        self.dialog.reject()

    def onFinished(self):
        """Nothing runs on for a dialog that is closed."""
        if self._task is not None:
            self._task.abandon()

    def _described(self):
        """The environment, or None after a message that says what is wrong."""
        try:
            return self.environment()
        except MgImplantSegError as error:
            self._say(errorText(error))
            return None

    def _say(self, text: str):
        self.messageLabel.text = text
        self._showButtons()

    def _showButtons(self):
        self.testButton.text = _("Stop test") if self.isTesting() else _("Test")
        setEnabled(self.testButton, [], _("Check Python, packages, devices, memory and queue there."))
