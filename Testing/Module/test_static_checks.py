"""What source and .ui files ask of Qt, CTK and Slicer exists there; texts are translated; imports are allowed ones."""

import ast
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from harness import api
from harness.ui_loader import check_names

MODULE = Path(__file__).resolve().parents[2] / "MgImplantSeg"
SOURCES = sorted(MODULE.rglob("*.py"))
UI_FILES = sorted((MODULE / "Resources" / "UI").glob("*.ui"))
ALLOWED_IMPORTS = {
    *sys.stdlib_module_names,
    "slicer",
    "qt",
    "ctk",
    "vtk",
    "numpy",
    "SimpleITK",
    "scipy",
    "MgImplantSegLib",
    "MgImplantSegSections",
}
OWN_MODULE_NAMES = {"mgimplantseg"}
SHOWN_PROPERTIES = {"text", "toolTip", "plainText", "html", "title", "windowTitle", "placeholderText"}
PASSIVE = {
    "QLabel",
    "QProgressBar",
    "QTextBrowser",
    "QPlainTextEdit",
    "qMRMLTableView",
    "qMRMLWidget",
    "QTableWidget",
    "ctkCollapsibleButton",
    "ctkCollapsibleGroupBox",
}


def class_of_widget():
    """Class of every named widget in the .ui files."""
    found = {}
    for path in UI_FILES:
        for widget in ElementTree.parse(path).getroot().iter("widget"):
            assert widget.get("name") not in found, f"{widget.get('name')} stands in two .ui files"
            found[widget.get("name")] = widget.get("class")
    return found


def dotted(node):
    """``a.b.c`` of nested attributes as a list; empty for other expressions."""
    names = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if isinstance(node, ast.Name) else []


def attributes(tree):
    """All dotted expressions with their line numbers."""
    return [(dotted(node), node.lineno) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and dotted(node)]


def constructed(tree):
    """Names (``combo``, ``self._timer``) that are given a new Qt object, with its qualified class."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            maker = dotted(node.value.func)
            if len(maker) == 2 and maker[0] in ("qt", "ctk"):
                for target in node.targets:
                    found[".".join(dotted(target) or [getattr(target, "id", "?")])] = ".".join(maker)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_attribute_used_on_qt_ctk_and_slicer_exists_there(path):
    tree = ast.parse(path.read_text("utf-8"))
    widgets, made, wrong = class_of_widget(), constructed(tree), []
    for names, line in attributes(tree):
        problem = _problem(names, widgets, made)
        if problem:
            wrong.append(f"{path.name}:{line}: {problem}")
    assert not wrong, "\n".join(wrong)


def _problem(names, widgets, made):
    if names[0] in ("qt", "ctk") and names[:2] != ["qt", "Qt"]:
        return _class_problem(f"{names[0]}.{names[1]}", names[2:])
    if names[0] == "slicer" and len(names) > 1:
        return _slicer_problem(names[1:])
    if "ui" in names[:3] and len(names) > names.index("ui") + 1:
        return _widget_problem(names[names.index("ui") + 1 :], widgets)
    for name, qualified in made.items():
        if ".".join(names).startswith(name + "."):
            return _class_problem(qualified, names[name.count(".") + 1 :])
    return None


def _class_problem(qualified, rest):
    if qualified not in api.knowledge()["classes"]:
        return f"{qualified} is not described in slicer_api.json"
    if rest and api.kind_of_member(qualified, rest[0]) is None:
        return f"{qualified} has no {rest[0]} in Slicer"
    return None


def _slicer_problem(rest):
    if rest[0] == "packaging":
        return "slicer.packaging is no attribute before something imports it; use slicer.util.pip_install"
    for where in ("slicer.util", "slicer.app", "slicer.modules"):
        if rest[0] == where.split(".")[1] and len(rest) > 1:
            known = api.names(where) | (OWN_MODULE_NAMES if where == "slicer.modules" else set())
            return None if rest[1] in known else f"{where} has no {rest[1]} in Slicer"
    if rest[0].startswith(("qMRML", "qSlicer", "ctk")):
        return _class_problem(f"slicer.{rest[0]}", rest[1:])
    return None


def _widget_problem(rest, widgets):
    if rest[0] not in widgets:
        return f"{rest[0]} stands in no .ui file"
    return _class_problem(api.qualified_name(widgets[rest[0]]), rest[1:]) if len(rest) > 1 else None


def test_the_check_itself_finds_names_that_slicer_does_not_have():
    widgets = {"goButton": "QPushButton"}
    assert _problem(["self", "ui", "goButton", "setClickable"], widgets, {})
    assert _problem(["self", "ui", "goneButton"], widgets, {})
    assert _problem(["qt", "QPushButton", "Sparkle"], widgets, {})
    assert _problem(["slicer", "util", "loadEverything"], widgets, {})
    assert _problem(["slicer", "packaging", "pip_install"], widgets, {})
    assert _problem(["timer", "begin"], widgets, {"timer": "qt.QTimer"})
    assert not _problem(["self", "ui", "goButton", "toolTip"], widgets, {})


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.stem)
def test_classes_and_properties_of_the_ui_files_exist_in_slicer(path):
    root = ElementTree.parse(path).getroot()
    check_names(root, path.name)
    assert root.find("widget").get("class") == "qMRMLWidget"
    declared = {entry.find("class").text for entry in root.iter("customwidget")}
    used = {widget.get("class") for widget in root.iter("widget")}
    assert {name for name in used if not name.startswith("Q")} == declared


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.stem)
def test_every_mrml_widget_gets_the_scene(path):
    root = ElementTree.parse(path).getroot()
    top = root.find("widget").get("name")
    receivers = set()
    for entry in root.iter("connection"):
        if (entry.find("sender").text, entry.find("slot").text) == (top, "setMRMLScene(vtkMRMLScene*)"):
            receivers.add(entry.find("receiver").text)
    wanted = {w.get("name") for w in root.iter("widget") if w.get("class").startswith("qMRML")} - {top}
    assert wanted == receivers


def test_every_control_is_bound_to_a_parameter_or_used_by_a_section():
    bound, used = set(), set()
    for path in UI_FILES:
        for widget in ElementTree.parse(path).getroot().iter("widget"):
            if "SlicerParameterName" in {entry.get("name") for entry in widget.findall("property")}:
                bound.add(widget.get("name"))
    for path in SOURCES:
        for names, _line in attributes(ast.parse(path.read_text("utf-8"))):
            if "ui" in names[:3]:
                used.update(names[names.index("ui") + 1 :][:1])
    controls = {name for name, kind in class_of_widget().items() if kind not in PASSIVE}
    assert not controls - bound - used


def test_every_control_has_a_tooltip(ui):
    controls = [name for name, kind in class_of_widget().items() if kind not in PASSIVE]
    silent = [name for name in controls if not getattr(ui, name).toolTip]
    assert not silent


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_texts_are_translated_as_lupdate_can_read_them(path):
    wrong = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "id", "") == "_"
            and not isinstance(node.args[0], ast.Constant)
        ):
            wrong.append(f"{path.name}:{node.lineno}: _() of something else than one literal text")
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.Constant, ast.JoinedStr)):
            shown = [t for t in node.targets if isinstance(t, ast.Attribute) and t.attr in SHOWN_PROPERTIES]
            if shown and getattr(node.value, "value", "text"):
                wrong.append(f"{path.name}:{node.lineno}: {shown[0].attr} is not translated")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_file_scope_imports_are_allowed_ones(path):
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    assert not found - ALLOWED_IMPORTS


def test_only_the_module_file_stands_where_slicers_factory_looks():
    assert [path.name for path in MODULE.glob("*.py")] == ["MgImplantSeg.py"]


BLOCKED = ("torch", "nrrd", "h5py", "tifffile", "matplotlib")
OPEN_THE_PANEL = f"""
import sys
sys.path[:0] = sys.argv[1:]
for name in {BLOCKED!r}:
    sys.modules[name] = None
from harness import install
install.install_qt()
from MgImplantSegLib.scene.standalone import StandaloneScene
with StandaloneScene() as scene:
    application = install.install_scene(scene)
    import MgImplantSeg
    widget = MgImplantSeg.MgImplantSegWidget()
    widget.setup()
    widget.enter()
    import unittest
    test = MgImplantSeg.MgImplantSegTest()
    test.runTest()
    widget.cleanup()
    application.close()
    del widget
print("opened")
"""


def test_the_panel_opens_and_its_self_test_passes_without_any_package_that_slicer_lacks(tmp_path):
    tests = Path(__file__).parent
    folders = [str(MODULE.parent), str(MODULE), str(tests), str(tests.parent)]
    done = subprocess.run(
        [sys.executable, "-c", OPEN_THE_PANEL, *folders], capture_output=True, text=True, cwd=tmp_path
    )
    assert "opened" in done.stdout, done.stderr


SELF_TESTS = sorted((MODULE.parent / "Testing" / "SlicerSelfTests").glob("*.py"))


@pytest.mark.parametrize("path", SELF_TESTS, ids=lambda path: path.stem)
def test_the_scripts_for_the_real_application_use_only_what_slicer_and_the_panel_have(path):
    widgets, wrong = class_of_widget(), []
    for names, line in attributes(ast.parse(path.read_text("utf-8"))):
        problem = _problem(names, widgets, {})
        if problem:
            wrong.append(f"{path.name}:{line}: {problem}")
    assert not wrong, "\n".join(wrong)
