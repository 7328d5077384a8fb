"""The fields of an environment as widgets, made from the engine's declaration of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import qt
from slicer.i18n import tr as _

from MgImplantSegLib.jobs.agent.schedulers import SCHEDULERS
from MgImplantSegLib.jobs.environment import Environment, Kind
from MgImplantSegLib.jobs.environment_fields import FIELDS, default_of_field, pair, type_of_field

LARGEST, DECIMALS, LINES_HEIGHT = 10**9, 1, 44
PAIRS = ("path_map", "variables")
KINDS = tuple(kind for kind in Kind if kind is not Kind.THIS)


def kindText(kind: Kind):
    """What people read for a kind of environment."""
    known = {
        Kind.THIS: _("this computer"),
        Kind.LOCAL: _("Python on this computer"),
        Kind.SSH: _("host (SSH)"),
    }
    return known.get(kind) or _("cluster ({queue})").format(queue=SCHEDULERS[kind.value].name)


class EnvironmentForm:
    """Rows of a form layout, one a setting; those that a kind does not have are hidden.

    :param layout: the QFormLayout.
    """

    def __init__(self, layout: Any):
        self.editors: dict[str, Any] = {}
        self._labels: dict[str, Any] = {}
        self._inputs: dict[str, Any] = {}
        for name, field in FIELDS.items():
            entry = _input(name)
            label = qt.QLabel(_("{field}:").format(field=field.label))
            tip = f"{field.help[:1].upper()}{field.help[1:]}.{entry.howToWrite}"
            for widget in (label, entry.widget):
                widget.toolTip = tip
            layout.addRow(label, entry.widget)
            self._inputs[name], self.editors[name], self._labels[name] = entry, entry.widget, label

    def showFor(self, kind: Kind):
        """Show the settings of a kind."""
        for name, field in FIELDS.items():
            self._labels[name].visible = self.editors[name].visible = field.applies_to(kind)

    def fill(self, environment: Environment):
        """Show the values of an environment."""
        for name, entry in self._inputs.items():
            entry.write(getattr(environment, name))

    def values(self, kind: Kind):
        """The values that a kind has, as `Environment.from_dict` takes them.

        :raises InputError: if a line of pairs is not one.
        """
        return {name: self._inputs[name].read() for name, field in FIELDS.items() if field.applies_to(kind)}


class _Text:
    howToWrite = ""

    def __init__(self):
        self.widget = self._line = qt.QLineEdit()

    def read(self):
        return self._line.text.strip()

    def write(self, value: Any):
        self._line.text = value


class _Tick:
    howToWrite = ""

    def __init__(self):
        self.widget = self._box = qt.QCheckBox()

    def read(self):
        return self._box.checked

    def write(self, value: Any):
        self._box.checked = value


class _Number:
    """:param widget: spin box of whole or other numbers; 0 reads as the default where it is that."""

    howToWrite = ""

    def __init__(self, widget: Any, default: float):
        self.widget = self._number = widget
        widget.maximum = LARGEST
        if default == 0:
            widget.specialValueText = _("default")

    def read(self):
        return self._number.value

    def write(self, value: Any):
        self._number.value = value


class _Lines:
    def __init__(self):
        self.howToWrite = "\n" + _("One a line.")
        self.widget = self._lines = qt.QPlainTextEdit()
        self._lines.setFixedHeight(LINES_HEIGHT)
        self._lines.tabChangesFocus = True

    def read(self):
        return [line.strip() for line in self._lines.plainText.splitlines() if line.strip()]

    def write(self, value: Any):
        self._lines.plainText = "\n".join(value)


class _Pairs(_Lines):
    """:param expected: how a line reads; `isTable` whether the engine has them as a table."""

    def __init__(self, expected: str, isTable: bool):
        super().__init__()
        self.howToWrite = "\n" + _("One per line: {example}").format(example=expected)
        self._expected, self._isTable = expected, isTable

    def read(self):
        pairs = [pair(line, self._expected) for line in super().read()]
        return dict(pairs) if self._isTable else pairs

    def write(self, value: Any):
        super().write(["=".join(entry) for entry in (value.items() if isinstance(value, Mapping) else value)])


def _input(name: str):
    """The input for the type that the engine declares."""
    kind, default = type_of_field(name), default_of_field(name)
    if name in PAIRS:
        return _Pairs(FIELDS[name].metavar, isinstance(default, Mapping))
    if kind == "int":
        return _Number(qt.QSpinBox(), default)
    if kind == "float":
        box = qt.QDoubleSpinBox()
        box.decimals = DECIMALS
        return _Number(box, default)
    return {"str": _Text, "bool": _Tick}.get(kind, _Lines)()
