"""The harness holds PythonQt's rules, so that code which fails in Slicer fails here."""

import pathlib
from types import SimpleNamespace
from typing import Annotated

import pytest


@pytest.fixture
def button(slicer_app):
    import qt

    return qt.QPushButton("Go")


def test_a_property_is_an_attribute_that_shadows_the_method(button):
    button.text = "Stop"
    assert button.text == "Stop"
    with pytest.raises(TypeError):
        button.text()


def test_an_unknown_attribute_raises_when_read_and_when_written(button):
    with pytest.raises(AttributeError, match="in Slicer"):
        _ = button.setClickable
    with pytest.raises(AttributeError, match="does not exist"):
        button.myNote = 1


def test_a_slot_cannot_be_overwritten(button):
    with pytest.raises(AttributeError, match="cannot be overwritten"):
        button.click = lambda: None


def test_signals_connect_by_signature_or_by_attribute_and_slots_get_what_they_take(button):
    seen = []
    button.connect("clicked(bool)", lambda checked: seen.append(checked))
    button.clicked.connect(lambda: seen.append("no argument"))
    button.click()
    assert seen == [False, "no argument"]


def test_functions_get_what_they_take_and_other_callables_get_everything(button):
    import functools

    seen = []
    button.clicked.connect(lambda checked=None: seen.append(checked))
    button.clicked.connect(functools.partial(lambda *arguments: seen.append(arguments), "bound"))
    button.click()
    assert seen == [False, ("bound", False)]


def test_a_disconnected_slot_is_not_called_again(button):
    seen = []
    listener = seen.append
    button.connect("clicked(bool)", listener)
    button.disconnect("clicked(bool)", listener)
    button.click()
    assert seen == []


@pytest.mark.parametrize("signature", ["clicked", "klicked(bool)", "clicked(QString)"])
def test_a_signal_that_qt_does_not_have_is_refused(button, signature):
    with pytest.raises(ValueError, match="has no signal"):
        button.connect(signature, print)


def test_an_error_in_a_slot_is_kept_for_the_test_to_see(button):
    from harness import signals

    button.clicked.connect(lambda: 1 / 0)
    button.click()
    assert "ZeroDivisionError" in signals.slot_errors.pop()


def test_lists_come_as_tuples_and_bytes_from_data(slicer_app):
    import qt

    process = qt.QProcess()
    process.setArguments(["-c", "1"])
    assert process.arguments() == ("-c", "1")
    assert bytes(process.readAllStandardOutput().data()).decode() == ""


def test_the_same_widget_is_equal_to_itself_and_keeps_its_class(button):
    import qt

    box = qt.QWidget()
    layout = qt.QVBoxLayout(box)
    layout.addWidget(button)
    assert button in box.children()
    assert type(box.findChildren(qt.QPushButton)[0]) is qt.QPushButton


def test_a_ui_file_with_an_unknown_property_is_refused(slicer_app, tmp_path):
    import slicer
    from harness.ui_loader import UiFileError

    text = """<ui version="4.0"><widget class="qMRMLWidget" name="Top"><layout class="QVBoxLayout" name="l"><item>
      <widget class="QLabel" name="line"><property name="colour"><string>red</string></property></widget>
      </item></layout></widget></ui>"""
    (tmp_path / "Bad.ui").write_text(text, "utf-8")
    with pytest.raises(UiFileError, match=r"line\.colour"):
        slicer.util.loadUI(str(tmp_path / "Bad.ui"))


def wrapped(kind):
    import slicer
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    cls = parameterNodeWrapper(type("Parameters", (), {"__annotations__": {"value": kind}}))
    return cls(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


def bound(widget, kind):
    node = wrapped(kind)
    widget.setProperty("SlicerParameterName", "value")
    node.connectGui(SimpleNamespace(widget=widget))
    return node


def test_a_parameter_follows_its_widget_and_the_widget_its_parameter(slicer_app):
    import qt
    from slicer.parameterNodeWrapper import WithinRange

    box = qt.QDoubleSpinBox()
    node = bound(box, Annotated[float, WithinRange(0, 10)])
    box.value = 2.5
    assert node.value == 2.5
    node.value = 4
    assert box.value == 4.0


def test_values_are_kept_until_the_node_says_that_it_was_modified(slicer_app):
    node = wrapped(int)
    was_modifying = node.StartModify()
    node.parameterNode.SetParameter("value", "7")
    assert node.value == 0
    node.EndModify(was_modifying)
    assert node.value == 7


def test_the_first_connection_has_the_tag_0_and_a_wrapper_leaves_no_observer(slicer_app):
    import qt

    node = wrapped(bool)
    box = qt.QCheckBox()
    box.setProperty("SlicerParameterName", "value")
    assert node.connectGui(SimpleNamespace(widget=box)) == 0
    inner = node.parameterNode
    node.disconnectGui(0)
    del node
    assert not inner.HasObserver("ModifiedEvent")


def test_a_path_line_shows_the_path_of_last_time_without_a_signal(slicer_app):
    import ctk

    first, again = ctk.ctkPathLineEdit(), ctk.ctkPathLineEdit()
    for line in (first, again):
        line.settingKey = "Testing/Folder"
        line.currentPath = line.currentPath or "/somewhere"
        line.addCurrentPathToHistory()
    assert again.currentPath == "/somewhere"


def test_a_combo_box_needs_a_choice(slicer_app):
    import qt
    from slicer.parameterNodeWrapper import Choice

    with pytest.raises(RuntimeError, match="Choice"):
        bound(qt.QComboBox(), str)
    combo = qt.QComboBox()
    node = bound(combo, Annotated[str, Choice(["soft", "majority"])])
    combo.currentIndex = 1
    assert node.value == "majority"


def test_a_widget_of_the_wrong_class_does_not_bind(slicer_app):
    import qt

    with pytest.raises(RuntimeError, match="Unable to create GUI connector"):
        bound(qt.QLineEdit(), pathlib.Path)
    with pytest.raises(RuntimeError, match="Unable to create GUI connector"):
        bound(qt.QRadioButton(), bool)


def test_a_node_parameter_follows_the_scene(slicer_app):
    import slicer

    combo = slicer.qMRMLNodeComboBox()
    combo.noneEnabled = True
    node = bound(combo, slicer.vtkMRMLSegmentationNode)
    combo.setMRMLScene(slicer.mrmlScene)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "S")
    combo.setCurrentNode(segmentation)
    assert node.value is segmentation
    slicer.mrmlScene.RemoveNode(segmentation)
    assert node.value is None


def test_a_class_derived_from_qobject_has_attributes_of_its_own_and_is_asked_about_events(qt_application):
    import qt

    class Watch(qt.QObject):
        def __init__(self):
            qt.QObject.__init__(self)
            self.seen = []

        def eventFilter(self, watched, event):
            self.seen.append((watched, event.type() == qt.QEvent.Show))
            return False

    label, watch = qt.QLabel(), Watch()
    label.installEventFilter(watch)
    label.show()
    label.hide()
    assert (label, True) in watch.seen and (label, False) in watch.seen
    with pytest.raises(AttributeError):
        label.seen = []
