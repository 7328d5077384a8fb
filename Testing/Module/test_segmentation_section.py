"""Section 3: Segment, progress, Cancel, and that nothing is left behind."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import slicer
from harness import person
from module_cases import add_volume, engine_without

from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.agent.processes import marked
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment_file import save_environment
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.segments import segment_ids
from MgImplantSegLib.scene.volumes import geometry_of_node

SLOW_ENGINE = """
import json, pathlib, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path({pids!r}).write_text(f"{{__import__('os').getpid()}} {{child.pid}}")
if {stubborn}: signal.signal(signal.SIGTERM, signal.SIG_IGN)
else: signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({pids!r} + ".asked").touch(), child.kill(), sys.exit(130)))
print(json.dumps({{"event": "progress", "stage": "plane 1/3", "done": 1, "total": 4, "eta_s": 41}}), flush=True)
time.sleep(600)
"""


LAUNCHER = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"


@pytest.fixture
def ready(widget, ui, tiny_model):
    """A panel with model and volume, ready to segment."""
    widget.panel.models.add(tiny_model)
    add_volume(slicer.mrmlScene)
    widget.enter()
    return ui


@pytest.fixture
def slow_engine(module, monkeypatch, tmp_path):
    """Puts a program that never ends in place of the engine; returns a function that gives its process numbers."""
    from MgImplantSegSections import pythons
    from MgImplantSegSections.engineRun import EnginePython

    pids = tmp_path / "pids"

    def install(stubborn=False, launcher=()):
        program = SLOW_ENGINE.format(pids=str(pids), stubborn=stubborn)
        engine = EnginePython((*launcher, sys.executable, "-c", program), dict(os.environ), tmp_path)
        monkeypatch.setattr(pythons, "python", lambda name=None: engine)
        return lambda: [int(number) for number in pids.read_text().split()]

    return install


def is_alive(pid):
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def left_behind():
    return list(Path(slicer.app.temporaryPath).glob("MgImplantSeg-*"))


def segmentations():
    return slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


def test_the_tooltip_of_segment_lists_all_that_is_missing(widget, ui):
    from MgImplantSegLib.resources import bundled_models

    assert not ui.segmentButton.enabled
    assert "a volume (section 1)" in ui.segmentButton.toolTip
    assert ("a model (section 2)" in ui.segmentButton.toolTip) == (not bundled_models())


def test_segment_makes_a_segmentation_beside_the_volume(ready, widget):
    person.click(ready.segmentButton)
    assert ready.segmentButton.text == "Cancel"
    person.wait_until(lambda: not widget.panel.segmentation.isRunning(), 120)
    (node,) = segmentations()
    assert "Done" in ready.segmentStatusLabel.text
    assert set(segment_ids(node.GetSegmentation())) <= {"bone", "degradation_layer", "residual_material"}
    provenance = provenance_of_node(node)
    assert provenance["model"] == "tiny" and provenance["options"]["planes"] == "3" and provenance["input"] == "Scan"
    assert ready.measuredSegmentationSelector.currentNode() is node
    assert not left_behind() and ready.segmentButton.text == "Segment"


def test_the_scripts_call_gives_the_same_labels_as_the_engine_alone(module, tiny_model, tmp_path):
    import subprocess

    from MgImplantSegLib.io import read_label_map, write_volume
    from MgImplantSegLib.scene.segmentation_reading import label_map_of_node
    from MgImplantSegLib.scene.volumes import volume_of_node

    volume = add_volume(slicer.mrmlScene)
    node = module.MgImplantSegLogic().segment(volume, tiny_model, planes="3", device="cpu")
    write_volume(volume_of_node(volume), tmp_path / "scan.nrrd")
    words = ["segment", tmp_path / "scan.nrrd", tmp_path / "out.nrrd", "--model", tiny_model, "--device", "cpu"]
    folder = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-m", "MgImplantSegLib", *map(str, words)], cwd=folder, check=True)
    alone = read_label_map(tmp_path / "out.nrrd")
    ours = label_map_of_node(node)
    names = {label.value: label.segment_id for label in ours.scheme.labels}
    expected = {label.value: label.segment_id for label in alone.scheme.labels}
    assert ours.geometry.same_grid(alone.geometry)
    assert np.array_equal(np.vectorize(names.get)(ours.array), np.vectorize(expected.get)(alone.array))


def choose_python_that_first(does, environment, ui, path):
    """Choose the environment in section 3, its Python behind a script that does something first."""
    path.write_text(f'#!/bin/sh\n{does}\nexec "{environment.python}" "$@"\n', "utf-8")
    path.chmod(0o755)
    changed = replace(environment, python=str(path))
    save_environment(changed)
    person.choose(ui.runInSelector, environment.name)
    return changed


@pytest.mark.parametrize("environment", ["local", "ssh", "slurm"], indirect=True)
def test_segment_runs_in_the_chosen_environment_and_the_result_comes_into_the_scene(
    environment, ready, widget, tmp_path
):
    from MgImplantSegLib.scene.segmentation_reading import label_map_of_node

    choose_python_that_first(f'echo "$*" >> "{tmp_path}/ran"', environment, ready, tmp_path / "witness")
    person.choose(ready.planesSelector, "1 plane")
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning(), 300)
    (node,) = segmentations()
    scan = geometry_of_node(ready.inputVolumeSelector.currentNode())
    assert label_map_of_node(node).geometry.same_grid(scan) and not left_behind()
    assert "-m MgImplantSegLib segment" in (tmp_path / "ran").read_text()


@pytest.mark.parametrize("environment", ["slurm through ssh"], indirect=True)
def test_cancel_stops_the_job_in_the_chosen_environment_too(environment, ready, widget, tmp_path):
    sleeps = 'case "$*" in *leash*) exec sleep 600;; esac'
    with Backend(choose_python_that_first(sleeps, environment, ready, tmp_path / "slow")) as backend:
        person.click(ready.segmentButton)
        person.wait_until(lambda: running_jobs(backend), 300)
        (status,) = running_jobs(backend)
        person.click(ready.segmentButton)
        person.wait_until(lambda: not widget.panel.segmentation.isRunning(), 100)
        assert backend.status(status.job).state is State.CANCELLED
    assert "Cancelled" in ready.segmentStatusLabel.text
    assert not marked(status.folder) and not left_behind() and not segmentations()


def running_jobs(backend):
    return [status for status in backend.list() if status.state is State.RUNNING]


def test_segmenting_needs_no_package_but_torch_that_slicer_lacks(module, tiny_model, monkeypatch):
    from MgImplantSegSections import pythons

    engine = engine_without("nrrd", "h5py", "tifffile", "matplotlib")
    monkeypatch.setattr(pythons, "python", lambda name=None: engine)
    volume = add_volume(slicer.mrmlScene)
    node = module.MgImplantSegLogic().segment(volume, tiny_model, planes="1", device="cpu")
    assert provenance_of_node(node)["model"] == "tiny"


def test_progress_shows_stage_and_time_left_and_cancel_leaves_nothing(ready, widget, slow_engine):
    pids = slow_engine()
    person.click(ready.segmentButton)
    person.wait_until(lambda: "41 s left" in ready.segmentStatusLabel.text)
    assert "plane 1/3" in ready.segmentStatusLabel.text and ready.segmentProgressBar.value == 250
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    assert "Cancelled" in ready.segmentStatusLabel.text
    assert not any(is_alive(pid) for pid in pids())
    assert not left_behind() and not segmentations()


def test_an_engine_that_does_not_listen_is_ended_with_all_it_has_started(ready, widget, slow_engine, monkeypatch):
    from MgImplantSegSections import childProcess, engineRun

    for holder in (childProcess, engineRun):
        monkeypatch.setattr(holder, "POLITE_SECONDS", 0.3)
    pids = slow_engine(stubborn=True)
    person.click(ready.segmentButton)
    person.wait_until(lambda: "plane" in ready.segmentStatusLabel.text)
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    assert not any(is_alive(pid) for pid in pids()) and not left_behind()


def test_the_engine_is_asked_politely_although_slicers_launcher_passes_no_signal_on(
    ready, widget, slow_engine, tmp_path
):
    pids = slow_engine(launcher=(sys.executable, "-c", LAUNCHER))
    person.click(ready.segmentButton)
    person.wait_until(lambda: "plane" in ready.segmentStatusLabel.text)
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    assert (tmp_path / "pids.asked").exists()
    assert not any(is_alive(pid) for pid in pids()) and not left_behind()


@pytest.mark.parametrize("leave", ["close the scene", "delete the volume", "reload", "quit"])
def test_leaving_while_it_runs_leaves_no_process_no_file_and_no_half_result(ready, widget, slow_engine, leave):
    pids = slow_engine()
    person.click(ready.segmentButton)
    person.wait_until(lambda: "plane" in ready.segmentStatusLabel.text)
    section = widget.panel.segmentation
    if leave == "close the scene":
        slicer.mrmlScene.Clear(0)
    elif leave == "delete the volume":
        slicer.mrmlScene.RemoveNode(ready.inputVolumeSelector.currentNode())
    elif leave == "reload":
        widget.cleanup()
    else:
        slicer.app._signals.aboutToQuit.emit()
    person.wait_until(lambda: not section.isRunning())
    assert not any(is_alive(pid) for pid in pids())
    assert not left_behind() and not segmentations()


def test_an_error_of_the_engine_says_what_happened_and_what_to_do(ready, widget, tmp_path):
    slicer.mrmlScene.GetFirstNodeByName("Scan").GetImageData().AllocateScalars(11, 1)
    array = slicer.util.array("Scan")
    array[:] = np.nan
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning(), 120)
    assert "Expected" in ready.segmentStatusLabel.text
    assert not segmentations() and not left_behind()


def test_missing_packages_are_named_with_their_size_and_two_ways_out(ready, widget, monkeypatch):
    from MgImplantSegSections import pythons

    monkeypatch.setattr(pythons, "version", lambda package: None if package == "torch" else "1")
    person.click(ready.segmentButton)
    assert "lacks torch" in ready.missingLabel.text and "250 MB" in ready.missingLabel.text
    assert not widget.panel.segmentation.isRunning()
    ready.environmentsSection.collapsed = True
    person.click(ready.chooseEnvironmentButton)
    assert not ready.environmentsSection.collapsed


def test_a_chosen_output_gets_the_new_contents(ready, widget):
    from module_cases import add_segmentation

    output = add_segmentation(slicer.mrmlScene, "Mine")
    ready.outputSegmentationSelector.setCurrentNode(output)
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning(), 120)
    assert segmentations() == [output]
    assert provenance_of_node(output)["model"] == "tiny"


def test_device_and_environment_are_kept_on_this_computer_not_in_the_scene(ready, widget):
    person.choose(ready.deviceSelector, "cpu")
    parameters = widget.logic.getParameterNode().parameterNode
    assert "cpu" not in [parameters.GetParameter(name) for name in parameters.GetParameterNames()]
    from MgImplantSegSections import settings

    assert settings.read(settings.DEVICE) == "cpu"


def test_the_estimate_grows_with_the_planes(ready):
    person.choose(ready.planesSelector, "1 plane")
    one = ready.estimateLabel.text
    assert one.startswith("About") and "first guess" in one


def test_preview_segments_one_slice(ready, widget):
    person.click(ready.previewButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning(), 120)
    assert "Preview of one slice" in ready.segmentStatusLabel.text
    assert provenance_of_node(segmentations()[0])["preview_of_slice"] == 6
    assert "Preview of one slice" in ready.segmentStatusLabel.text


def test_a_preview_replaces_the_last_one_and_never_the_chosen_output(ready, widget):
    from module_cases import add_segmentation

    output = add_segmentation(slicer.mrmlScene, "Mine")
    ready.outputSegmentationSelector.setCurrentNode(output)
    for _twice in range(2):
        person.click(ready.previewButton)
        person.wait_until(lambda: not widget.panel.segmentation.isRunning(), 120)
    assert [node.GetName() for node in segmentations()] == ["Mine", "Scan preview"]
    assert "preview_of_slice" not in provenance_of_node(output)


def test_a_new_limiting_roi_begins_as_the_whole_volume(ready):
    roi = ready.limitRoiSelector.addNode()
    bounds = [0.0] * 6
    ready.inputVolumeSelector.currentNode().GetRASBounds(bounds)
    assert roi.GetSize() == pytest.approx([high - low for low, high in zip(bounds[::2], bounds[1::2], strict=True)])
    assert ready.segmentButton.enabled, ready.segmentButton.toolTip


def test_a_limiting_roi_without_size_is_named_before_anything_starts(ready):
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Empty")
    ready.limitRoiSelector.setCurrentNode(roi)
    assert not ready.segmentButton.enabled and "three edge lengths" in ready.segmentButton.toolTip


def test_an_environment_that_is_gone_is_told(ready, widget, monkeypatch):
    monkeypatch.setattr(widget.panel.segmentation, "runIn", lambda: "gone")
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    assert "got 'gone'" in ready.segmentStatusLabel.text and ready.segmentButton.text == "Segment"
