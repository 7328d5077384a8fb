"""The harness for the tests of the module; all of them are skipped, with the reason, where PySide6 is missing."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
MISSING = [name for name in ("PySide6", "slicer") if importlib.util.find_spec(name) is None]
collect_ignore_glob = ["test_*.py"] if MISSING else []


def pytest_report_header() -> str | None:
    """Say why the tests of the module do not run."""
    names = " and ".join(MISSING)
    return f"Testing/Module is skipped: {names} missing; install the extras scene and test" if MISSING else None


@pytest.fixture(scope="session")
def qt_application():
    """PySide6 behind PythonQt's rules as the modules `qt` and `ctk`, for the whole session."""
    from harness import install

    return install.install_qt()


@pytest.fixture
def slicer_app(qt_application, tmp_path):
    """`slicer.app` with an empty scene and settings of its own; errors in slots and observers fail the test."""
    from harness import install, pythonqt
    from PySide6 import QtCore

    from MgImplantSegLib.scene.standalone import StandaloneScene

    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, str(tmp_path / "ini"))
    errors = pythonqt.slot_errors
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
