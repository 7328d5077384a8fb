"""The harness for the tests of the module; where PySide6 is missing they are skipped, or with CI=true fail."""

from __future__ import annotations

import importlib
import os
import pathlib
import subprocess
import sys
import traceback

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
PANELS_IN_FAST_LANE = 2  # tests of a file
MAKE_TINY_MODEL = """
import sys, torch
from MgImplantSegLib.model.file import ModelCard, save_model
from MgImplantSegLib.networks import build_network
from MgImplantSegLib.preprocessing.preprocess import Preprocessing
torch.manual_seed(0)
spec = {"name": "unet", "depth": 1, "width": 4, "classes": 4}
card = ModelCard("tiny", spec, Preprocessing(20.0), metrics={"mean_iou": 0.25}, licence="Apache-2.0")
weights = build_network(spec).state_dict()
for name in [name for name in weights if name.startswith("head")]:
    weights[name] = weights[name] * (0 if name.endswith("bias") else 30)
save_model(sys.argv[1], card, weights)
"""


def _what_is_missing() -> str:
    """Why the harness cannot run here: a package, or a system library that Qt needs; empty if it can."""
    try:
        for name in ("PySide6.QtUiTools", "PySide6.QtTest", "slicer"):
            importlib.import_module(name)
    except ImportError as error:
        return str(error)
    return ""


MISSING = _what_is_missing()
MUST_RUN = os.environ.get("CI") == "true"  # there the tests fail, with what is missing, instead of vanishing
collect_ignore_glob = ["test_*.py"] if MISSING and not MUST_RUN else []


def pytest_report_header() -> str | None:
    """Say why the tests of the module do not run."""
    if not MISSING:
        return None
    happens = "cannot run" if MUST_RUN else "is skipped"
    return f"Testing/Module {happens}: {MISSING} (it needs PySide6-Essentials and slicer-core)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that open the panel are `panel`, but for the first ones of each file, which the fast lane keeps."""
    kept: dict[pathlib.Path, int] = {}
    for item in items:
        if item.path.parent == HERE and "open_panel" in getattr(item, "fixturenames", ()):
            kept[item.path] = kept.get(item.path, 0) + (item.get_closest_marker("slow") is None)
            if kept[item.path] > PANELS_IN_FAST_LANE:
                item.add_marker(pytest.mark.panel)


@pytest.fixture(scope="session")
def qt_application():
    """PySide6 behind PythonQt's rules as the modules `qt` and `ctk`, for the whole session."""
    from harness import install

    return install.install_qt()


@pytest.fixture
def slicer_app(qt_application, tmp_path):
    """`slicer.app` with an empty scene and settings of its own; errors in slots and observers fail the test."""
    from harness import install, signals
    from PySide6 import QtCore

    from MgImplantSegLib.scene.standalone import StandaloneScene

    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, str(tmp_path / "ini"))
    errors = signals.slot_errors
    errors.clear()
    hook, sys.excepthook = sys.excepthook, lambda *error: errors.append("".join(traceback.format_exception(*error)))
    stand_alone = StandaloneScene()
    application = install.install_scene(stand_alone)
    yield application
    application.close()
    stand_alone.close()
    install.remove_scene()
    sys.excepthook = hook
    assert not errors, "\n".join(errors)


@pytest.fixture
def module(slicer_app, tmp_path, monkeypatch):
    """The module's file, loaded as Slicer does; settings and environments of this test alone."""
    import slicer

    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "configuration"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)  # other tests of the same run may have set it
    folder = pathlib.Path(slicer.modules.mgimplantseg.path).parent
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("MgImplantSeg", None)
    sections = sys.modules.get("MgImplantSegSections")  # stay imported, as while Slicer runs, unless they are others
    if sections is not None and pathlib.Path(sections.__path__[0]).parent != folder:
        for name in [name for name in sys.modules if name.split(".")[0] == "MgImplantSegSections"]:
            del sys.modules[name]
    yield importlib.import_module("MgImplantSeg")
    importlib.import_module("MgImplantSegSections.work.layouts").leaveChart()


@pytest.fixture
def open_panel(module, qt_application):
    """Opens the panel, as the user does by choosing the module; each one is closed at the end if it is not before."""
    opened = []

    def open_panel():
        instance = module.MgImplantSegWidget()
        instance.setup()
        instance.enter()
        importlib.import_module("slicer").modules.show("MgImplantSeg", instance)
        opened.append(instance)
        return instance

    yield open_panel
    for instance in opened:
        if instance.panel is not None:
            instance.cleanup()
    qt_application.processEvents()  # what tables put off is done before they go


@pytest.fixture
def widget(open_panel):
    """The open panel."""
    return open_panel()


@pytest.fixture
def environment(request, module, make_environment):
    """A real environment of the kind that the test names by its parameter, among those that the user has added."""
    from MgImplantSegLib.jobs.environment_file import save_environment

    environment = make_environment(request.param)
    save_environment(environment)
    return environment


@pytest.fixture
def ui(widget):
    """All named widgets of the panel."""
    return widget.panel.workbench.ui


@pytest.fixture
def measurable(widget, ui):
    """All named widgets of a panel with a segmentation and a thin shell, so that measuring is quick."""
    from module_cases import add_segmentation

    add_segmentation(importlib.import_module("slicer").mrmlScene)
    widget.enter()
    ui.distanceSpinBox.value = 0.06
    return ui


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A model file with random weights, made by another process because Slicer's must not import torch."""
    path = tmp_path_factory.mktemp("models") / "tiny.mgmodel"
    done = subprocess.run(
        [sys.executable, "-c", MAKE_TINY_MODEL, str(path)], cwd=CHECKOUT, capture_output=True, text=True
    )
    if done.returncode:
        missing = f"torch is needed to make a model: {done.stderr.splitlines()[-1:]}"
        (pytest.fail if MUST_RUN else pytest.skip)(missing)
    return path


@pytest.fixture
def ready(widget, ui, tiny_model):
    """A panel with model and volume, ready to segment."""
    from module_cases import add_volume

    widget.panel.models.add(tiny_model)
    add_volume(importlib.import_module("slicer").mrmlScene)
    widget.enter()
    return ui


@pytest.fixture
def slow_engine(module, monkeypatch, tmp_path):
    """Puts a program that never ends in place of the engine; returns a function that gives its process numbers."""
    from MgImplantSegSections.engine import pythons
    from MgImplantSegSections.engine.engineRun import EnginePython
    from slow_engine import SLOW_ENGINE

    pids = tmp_path / "pids"

    def install(stubborn=False, launcher=()):
        program = SLOW_ENGINE.format(pids=str(pids), stubborn=stubborn)
        engine = EnginePython((*launcher, sys.executable, "-c", program), dict(os.environ), tmp_path)
        monkeypatch.setattr(pythons, "python", lambda name=None: engine)
        return lambda: [int(number) for number in pids.read_text().split()]

    return install


@pytest.fixture
def no_process(module, monkeypatch):
    """The engine's commands called in this process, for tests that are not about the child process."""
    from MgImplantSegSections.engine.engineRun import withNames
    from MgImplantSegSections.work import compareWork, measureWork

    from MgImplantSegLib.base.events import Events
    from MgImplantSegLib.cli.parser import Parser
    from MgImplantSegLib.cli.registry import command

    def run(python, words, log, token, names=None):
        chosen, parser, warnings = command(words[0]), Parser(), []
        chosen.add_arguments(parser)
        yield None
        events = Events(lambda record: warnings.append(record["message"]) if record["event"] == "warning" else None)
        result = chosen.run(parser.parse_all([str(word) for word in words[1:]]), events)
        return {**withNames(result, names or {}), "warnings": warnings}

    for user in (measureWork, compareWork):
        monkeypatch.setattr(user, "runEngine", run)
