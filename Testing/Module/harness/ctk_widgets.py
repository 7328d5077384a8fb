"""Stand-ins for CTK's widgets, written for this project: their properties and signals on PySide6's widgets."""

from PySide6.QtCore import Property, QEvent, QSettings, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSlider,
    QStyle,
    QStyleOptionButton,
    QStylePainter,
    QToolButton,
    QWidget,
)

HEADER_HEIGHT = 28
DEFAULT_COLLAPSED_HEIGHT = 10  # what CTK shows of the contents, as an empty frame, when they are folded away
WANTS_TO_BE_SEEN, CHANGED_BY_FOLDING = "harness_wanted", "harness_folding"


class ctkCheckBox(QCheckBox):
    """A check box."""


class ctkComboBox(QComboBox):
    """A combo box."""


class ctkDoubleSpinBox(QDoubleSpinBox):
    """A spin box for numbers."""


class FoldsChildren:
    """What can be folded: child widgets are hidden while it is, and come back unless they were hidden by themselves."""

    is_folded = False

    def fold(self, folded: bool) -> None:
        """Fold away or unfold."""
        self.is_folded = folded
        for child in self.children():
            if isinstance(child, QWidget):
                self._hide_or_restore(child)

    def childEvent(self, event) -> None:
        super().childEvent(event)
        if event.added() and isinstance(event.child(), QWidget):
            event.child().installEventFilter(self)
            self._hide_or_restore(event.child())

    def eventFilter(self, child, event) -> bool:
        kinds = (QEvent.Type.ShowToParent, QEvent.Type.HideToParent)
        if event.type() in kinds and not child.property(CHANGED_BY_FOLDING):
            child.setProperty(WANTS_TO_BE_SEEN, event.type() == kinds[0])
            if self.is_folded and event.type() == kinds[0]:
                self._hide_or_restore(child)
        return False

    def _hide_or_restore(self, child: QWidget) -> None:
        wanted = child.property(WANTS_TO_BE_SEEN) is not False and not self.is_folded
        child.setProperty(CHANGED_BY_FOLDING, True)
        child.setVisible(wanted)
        child.setProperty(CHANGED_BY_FOLDING, False)


class ctkCollapsibleButton(FoldsChildren, QWidget):
    """A header with a text over contents that can be folded away."""

    contentsCollapsed = Signal(bool)
    clicked = Signal(bool)
    toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = ""
        self._collapsed_height = DEFAULT_COLLAPSED_HEIGHT
        self.setContentsMargins(0, HEADER_HEIGHT, 0, 0)

    def _get_text(self) -> str:
        return self._text

    def setText(self, text: str) -> None:
        self._text = text
        self.update()

    def _get_collapsed(self) -> bool:
        return self.is_folded

    def setCollapsed(self, collapsed: bool) -> None:
        if collapsed == self.is_folded:
            return
        self.setMaximumHeight(HEADER_HEIGHT + self._collapsed_height if collapsed else 16777215)
        self.fold(collapsed)
        self.contentsCollapsed.emit(collapsed)

    def click(self) -> None:
        self.setCollapsed(not self.is_folded)

    def mousePressEvent(self, event) -> None:
        if event.position().y() <= HEADER_HEIGHT:
            self.click()

    def minimumSizeHint(self):
        hint = super().minimumSizeHint()
        folded = HEADER_HEIGHT + self._collapsed_height
        hint.setHeight(folded if self.is_folded else max(HEADER_HEIGHT, hint.height()))
        return hint

    def paintEvent(self, _event) -> None:
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect.setHeight(HEADER_HEIGHT - 2)
        painter = QStylePainter(self)
        painter.drawControl(QStyle.ControlElement.CE_PushButtonBevel, option)
        arrow = "▸" if self.is_folded else "▾"
        rect = option.rect.adjusted(8, 0, -8, 0)
        painter.drawText(rect, Qt.AlignmentFlag.AlignVCenter, f"{arrow}  {self._text}")

    def _set_collapsed_height(self, height: int) -> None:
        self._collapsed_height = height

    text = Property(str, _get_text, setText)
    collapsedHeight = Property(int, lambda self: self._collapsed_height, _set_collapsed_height)
    collapsed = Property(bool, _get_collapsed, setCollapsed)


class ctkCollapsibleGroupBox(FoldsChildren, QGroupBox):
    """A group box whose check mark folds its contents away."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed_height = DEFAULT_COLLAPSED_HEIGHT
        self.setCheckable(True)
        self.toggled.connect(self._follow)

    def _follow(self, is_open: bool) -> None:
        self.setMaximumHeight(16777215 if is_open else HEADER_HEIGHT + self._collapsed_height)
        self.fold(not is_open)

    def _get_collapsed(self) -> bool:
        return not self.isChecked()

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    def _set_collapsed_height(self, height: int) -> None:
        self._collapsed_height = height

    collapsedHeight = Property(int, lambda self: self._collapsed_height, _set_collapsed_height)
    collapsed = Property(bool, _get_collapsed, setCollapsed)


class ctkPathLineEdit(QWidget):
    """A line for a path with a button to browse."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._line, self._browse = QLineEdit(self), QToolButton(self)
        self._browse.setText("…")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._line)
        layout.addWidget(self._browse)
        self._line.textChanged.connect(self.currentPathChanged)
        self._values = {
            "nameFilters": [],
            "settingKey": "",
            "filters": 2,
            "label": "",
            "showHistoryButton": True,
        }

    def setCurrentPath(self, path: str) -> None:
        self._line.setText(path)

    def addCurrentPathToHistory(self) -> None:
        """Remember the path for the next time, as far as there is a key to keep it under."""
        others = [path for path in self._history() if path != self.currentPath]
        QSettings().setValue(self._values["settingKey"] or "ctkPathLineEdit", [self.currentPath, *others])

    def _history(self) -> list[str]:
        kept = QSettings().value(self._values["settingKey"] or "ctkPathLineEdit") or []
        return [kept] if isinstance(kept, str) else list(kept)

    def _set_key(self, key: str) -> None:
        self._values["settingKey"] = key
        if self._history() and not self.currentPath:
            self._line.setText(self._history()[0])

    def _value(name: str, kind: str):
        return Property(kind, lambda self: self._values[name], lambda self, value: self._values.update({name: value}))

    currentPath = Property(str, lambda self: self._line.text(), setCurrentPath, notify=currentPathChanged)
    nameFilters = _value("nameFilters", "QStringList")
    settingKey = Property(str, lambda self: self._values["settingKey"], _set_key)
    label = _value("label", "QString")
    filters = _value("filters", "int")
    showHistoryButton = _value("showHistoryButton", "bool")


class ctkSliderWidget(QWidget):
    """A slider with a spin box."""

    valueChanged = Signal(float)
    STEPS = 1000

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider, self._box = QSlider(Qt.Orientation.Horizontal, self), QDoubleSpinBox(self)
        self._slider.setRange(0, self.STEPS)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        layout.addWidget(self._box)
        self._box.valueChanged.connect(self._follow)
        self._slider.sliderMoved.connect(self._slide)

    def _follow(self, value: float) -> None:
        span = self._box.maximum() - self._box.minimum()
        self._slider.setValue(round((value - self._box.minimum()) / span * self.STEPS) if span else 0)
        self.valueChanged.emit(value)

    def _slide(self, step: int) -> None:
        span = self._box.maximum() - self._box.minimum()
        self._box.setValue(self._box.minimum() + step / self.STEPS * span)

    def setValue(self, value: float) -> None:
        self._box.setValue(value)

    def _part(kind: type, name: str):
        setter = f"set{name[0].upper()}{name[1:]}"
        return Property(kind, lambda self: getattr(self._box, name)(), lambda self, v: getattr(self._box, setter)(v))

    value = Property(float, lambda self: self._box.value(), setValue, notify=valueChanged)
    minimum, maximum = _part(float, "minimum"), _part(float, "maximum")
    singleStep, decimals, suffix = _part(float, "singleStep"), _part(int, "decimals"), _part(str, "suffix")


class ctkDirectoryButton(QPushButton):
    """A button that shows a folder and lets choose another."""

    directoryChanged = Signal(str)
    directorySelected = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._directory = ""

    def setDirectory(self, folder: str) -> None:
        if folder != self._directory:
            self._directory = folder
            self.setText(folder)
            self.directoryChanged.emit(folder)

    directory = Property(str, lambda self: self._directory, setDirectory, notify=directoryChanged)
