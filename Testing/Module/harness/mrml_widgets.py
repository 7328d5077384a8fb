"""Stand-ins for Slicer's MRML widgets, written for this project; they show the nodes of slicer-core's scene."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QTableWidget, QTableWidgetItem, QWidget
from vtkmodules.util.misc import calldata_type
from vtkmodules.vtkCommonCore import VTK_OBJECT


class qMRMLWidget(QWidget):
    """The top widget of a panel; gives its scene to the widgets that the .ui file connects."""

    mrmlSceneChanged = Signal("vtkMRMLScene*")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._receivers: list[Any] = []

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        for receiver in self._receivers:
            receiver.setMRMLScene(scene)

    def pass_scene_to(self, receiver: Any) -> None:
        """What a connection ``mrmlSceneChanged → setMRMLScene`` of a .ui file does."""
        self._receivers.append(receiver)


class qMRMLNodeComboBox(QWidget):
    """A combo box of the scene's nodes of some types."""

    cpp_signals = ("currentNodeChanged(vtkMRMLNode*)", "currentNodeChanged(bool)", "nodeAddedByUser(vtkMRMLNode*)")
    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeAddedByUser = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._combo = QComboBox(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._scene: Any = None
        self._tags: list[int] = []
        self._values: dict[str, Any] = {
            "nodeTypes": [],
            "noneEnabled": False,
            "addEnabled": True,
            "removeEnabled": True,
            "renameEnabled": False,
            "editEnabled": False,
            "showHidden": False,
            "showChildNodeTypes": True,
            "noneDisplay": "None",
            "baseName": "",
            "selectNodeUponCreation": True,
            "hideChildNodeTypes": [],
        }
        self._combo.currentIndexChanged.connect(self._changed)
        self._last: str | None = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if self._scene is not None:
            for tag in self._tags:
                self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        if scene is not None:
            # qMRMLSceneModel takes the row out before the node is gone, after observers of ordinary priority
            self._tags = [
                scene.AddObserver(scene.NodeAddedEvent, self._on_scene, 10.0),
                scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._on_removal, -10.0),
                scene.AddObserver(scene.EndCloseEvent, self._on_scene),
            ]
        self.refill()

    def _on_scene(self, _scene: Any, _event: str) -> None:
        self.refill()

    @calldata_type(VTK_OBJECT)
    def _on_removal(self, _scene: Any, _event: str, node: Any) -> None:
        """As Qt's combo boxes do: when the chosen row goes, the one behind it is chosen, or the one before."""
        row = self._combo.findData(node.GetID())
        if row >= 0:
            self._combo.removeItem(row)

    def nodes(self) -> list[Any]:
        """The nodes to choose from, in the order of the scene."""
        if self._scene is None:
            return []
        scene, kinds = self._scene, self._values["nodeTypes"]
        if len(kinds) == 1:
            nodes = scene.GetNodesByClass(kinds[0])
            nodes.UnRegister(scene)  # it is handed over, and would keep the nodes
        else:
            nodes = scene.GetNodes()
        found = [nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems())]
        return [node for node in found if self._is_shown(node)]

    def _is_shown(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self._values["showHidden"]:
            return False
        if self._values["showChildNodeTypes"]:
            return any(node.IsA(kind) for kind in self._values["nodeTypes"])
        return node.GetClassName() in self._values["nodeTypes"]

    def refill(self) -> None:
        """Show the scene's nodes; the choice stays if its node is still there, else it is the first or none."""
        wanted = self._combo.currentData()
        self._combo.blockSignals(True)
        self._combo.clear()
        if self._values["noneEnabled"]:
            self._combo.addItem(self._values["noneDisplay"], "")
        for node in self.nodes():
            self._combo.addItem(node.GetName(), node.GetID())
        index = self._combo.findData(wanted) if wanted else -1
        self._combo.setCurrentIndex(max(index, 0) if self._combo.count() else -1)
        self._combo.blockSignals(False)
        self._changed()

    def setSizeAdjustPolicy(self, policy: Any) -> None:
        self._combo.setSizeAdjustPolicy(policy)

    def nodeCount(self) -> int:
        return len(self.nodes())

    def currentNode(self) -> Any:
        identifier = self._combo.currentData()
        return self._scene.GetNodeByID(identifier) if self._scene is not None and identifier else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, identifier: str) -> None:
        index = self._combo.findData(identifier or "")
        self._combo.setCurrentIndex(index)

    def addNode(self, kind: str = "") -> Any:
        kind = kind or self._values["nodeTypes"][0]
        node = self._scene.AddNewNodeByClass(kind, self._scene.GenerateUniqueName(self._values["baseName"] or kind))
        self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def _changed(self, _index: int = 0) -> None:
        identifier = self._combo.currentData() or None
        if identifier != self._last:
            self._last = identifier
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(identifier or "")

    def _set_value(self, name: str, value: Any) -> None:
        self._values[name] = value
        self.refill()

    def _value(name: str, kind: str):
        return Property(kind, lambda self: self._values[name], lambda self, value: self._set_value(name, value))

    def _current_id(self) -> str:
        return self._combo.currentData() or ""

    currentNodeID = Property(str, _current_id, setCurrentNodeID)
    nodeTypes, hideChildNodeTypes = _value("nodeTypes", "QStringList"), _value("hideChildNodeTypes", "QStringList")
    noneEnabled, addEnabled = _value("noneEnabled", "bool"), _value("addEnabled", "bool")
    removeEnabled, renameEnabled = _value("removeEnabled", "bool"), _value("renameEnabled", "bool")
    editEnabled, showHidden = _value("editEnabled", "bool"), _value("showHidden", "bool")
    showChildNodeTypes = _value("showChildNodeTypes", "bool")
    selectNodeUponCreation = _value("selectNodeUponCreation", "bool")
    sizeAdjustPolicy = Property(
        int,
        lambda self: self._combo.sizeAdjustPolicy(),
        lambda self, value: self._combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy(value)),
    )
    noneDisplay, baseName = _value("noneDisplay", "QString"), _value("baseName", "QString")


class qMRMLTableView(QTableWidget):
    """Shows a table node; follows its changes."""

    mrmlSceneChanged = Signal("vtkMRMLScene*")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._tag: int | None = None
        self._scene: Any = None
        self._first_row_locked = self._transposed = False

    def mrmlTableNode(self) -> Any:
        return self._node

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene

    def setMRMLTableNode(self, node: Any) -> None:
        if self._node is not None and self._tag is not None:
            self._node.RemoveObserver(self._tag)
        self._node = node
        self._tag = node.AddObserver("ModifiedEvent", lambda _caller, _event: self.refill()) if node else None
        self.refill()

    def refill(self) -> None:
        """Show the node's cells; the header has the column names where the node says so, else letters.

        Transposed, each column of the node is a row, whose name is in the vertical header; the other has numbers.
        """
        table = self._node.GetTable() if self._node is not None else None
        columns = table.GetNumberOfColumns() if table is not None else 0
        rows = table.GetNumberOfRows() if table is not None else 0
        self.setColumnCount(rows if self._transposed else columns)
        self.setRowCount(columns if self._transposed else rows)
        for column in range(columns):
            named = self._node.GetUseColumnTitleAsColumnHeader()
            title = QTableWidgetItem(table.GetColumnName(column) if named else chr(ord("A") + column))
            (self.setVerticalHeaderItem if self._transposed else self.setHorizontalHeaderItem)(column, title)
            for row in range(rows):
                place = (column, row) if self._transposed else (row, column)
                self.setItem(*place, _cell(table.GetValue(row, column).ToString()))
        self.resizeColumnsToContents()

    def _transpose(self, transposed: bool) -> None:
        """Without a table node the real one refuses with a line in the error log."""
        if self._node is None:
            raise ValueError("qMRMLTableView::setTransposed failed: invalid node")
        self._transposed = transposed
        self.refill()

    def _lock(self, locked: bool) -> None:
        self._first_row_locked = locked

    firstRowLocked = Property(bool, lambda self: self._first_row_locked, _lock)
    transposed = Property(bool, lambda self: self._transposed, _transpose)


def _cell(text: str) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
    return item


class qMRMLCheckableNodeComboBox(qMRMLNodeComboBox):
    """A combo box in which several nodes can be checked."""

    checkedNodesChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._checked: set[str] = set()

    def checkedNodes(self) -> list[Any]:
        return [node for node in self.nodes() if node.GetID() in self._checked]

    def checkState(self, node: Any) -> Qt.CheckState:
        return Qt.CheckState.Checked if node.GetID() in self._checked else Qt.CheckState.Unchecked

    def setCheckState(self, node: Any, state: Any) -> None:
        is_checked = state in (Qt.CheckState.Checked, 2)
        (self._checked.add if is_checked else self._checked.discard)(node.GetID())
        self.checkedNodesChanged.emit()


__all__ = ["qMRMLCheckableNodeComboBox", "qMRMLNodeComboBox", "qMRMLTableView", "qMRMLWidget"]
