"""The scripts for the real application pass in the harness too, step by step."""

import importlib
import pathlib
import sys

import pytest

from MgImplantSegLib.base.resources import DEFAULT_MODEL, bundled_models

SCRIPTS = pathlib.Path(__file__).resolve().parents[1] / "SlicerSelfTests"


@pytest.fixture
def script(widget, monkeypatch):
    """Imports a script anew."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.delitem(sys.modules, "torch", raising=False)  # other tests of the same run import it

    def load(name):
        for old in (name, "running"):
            sys.modules.pop(old, None)
        return importlib.import_module(name)

    return load


def test_what_works_without_torch(script):
    script("test_without_torch").steps()


def test_what_people_met_in_the_panel_and_must_not_meet_again(script):
    script("panel_in_use").steps()


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.stem)
def test_slicer_can_read_the_scripts_whatever_the_systems_encoding(path):
    compile(path.read_text("ascii"), str(path), "exec")


@pytest.mark.slow
@pytest.mark.skipif(DEFAULT_MODEL not in bundled_models(), reason="the default model is not in this checkout")
def test_the_full_workflow(script):
    script("full_workflow").steps()
