"""Segmenting: what Segment and Preview make, where it runs, and what is said when it cannot."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from harness import person
from module_cases import add_volume, engine_without, left_behind, segmentations

from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.agent.processes import marked
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment_file import save_environment
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.segments import segment_ids
from MgImplantSegLib.scene.volumes import geometry_of_node


def test_the_tooltip_of_segment_lists_all_that_is_missing(widget, ui):
    from MgImplantSegLib.base.resources import bundled_models

    assert not ui.segmentButton.enabled
    assert "a volume" in ui.segmentButton.toolTip
    assert ("a model" in ui.segmentButton.toolTip) == (not bundled_models())


def test_segment_makes_a_segmentation_beside_the_volume(ready, widget):
    person.click(ready.segmentButton)
    assert ready.segmentButton.text == "Cancel"
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
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
    """Choose the environment in Advanced, its Python behind a script that does something first."""
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
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    (node,) = segmentations()
    scan = geometry_of_node(ready.inputVolumeSelector.currentNode())
    assert label_map_of_node(node).geometry.same_grid(scan) and not left_behind()
    assert "-m MgImplantSegLib segment" in (tmp_path / "ran").read_text()


@pytest.mark.parametrize("environment", ["slurm through ssh"], indirect=True)
def test_cancel_stops_the_job_in_the_chosen_environment_too(environment, ready, widget, tmp_path):
    sleeps = 'case "$*" in *leash*) exec sleep 600;; esac'
    with Backend(choose_python_that_first(sleeps, environment, ready, tmp_path / "slow")) as backend:
        person.click(ready.segmentButton)
        person.wait_until(lambda: running_jobs(backend))
        (status,) = running_jobs(backend)
        person.click(ready.segmentButton)
        person.wait_until(lambda: not widget.panel.segmentation.isRunning())
        assert backend.status(status.job).state is State.CANCELLED
    assert "Cancelled" in ready.segmentStatusLabel.text
    assert not marked(status.folder) and not left_behind() and not segmentations()


def running_jobs(backend):
    return [status for status in backend.list() if status.state is State.RUNNING]


def test_segmenting_needs_no_package_but_torch_that_slicer_lacks(module, tiny_model, monkeypatch):
    from MgImplantSegSections.engine import pythons

    engine = engine_without("nrrd", "h5py", "tifffile", "matplotlib")
    monkeypatch.setattr(pythons, "python", lambda name=None: engine)
    volume = add_volume(slicer.mrmlScene)
    node = module.MgImplantSegLogic().segment(volume, tiny_model, planes="1", device="cpu")
    assert provenance_of_node(node)["model"] == "tiny"


def test_an_error_of_the_engine_says_what_happened_and_what_to_do(ready, widget, tmp_path):
    slicer.mrmlScene.GetFirstNodeByName("Scan").GetImageData().AllocateScalars(11, 1)
    array = slicer.util.array("Scan")
    array[:] = np.nan
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    assert "Expected" in ready.segmentStatusLabel.text
    assert not segmentations() and not left_behind()


def test_missing_packages_are_named_with_their_size_and_two_ways_out(ready, widget, monkeypatch):
    from MgImplantSegSections.engine import pythons

    monkeypatch.setattr(pythons, "version", lambda package: None if package == "torch" else "1")
    person.click(ready.segmentButton)
    assert "lacks torch" in ready.missingLabel.text and "250 MB" in ready.missingLabel.text
    assert not widget.panel.segmentation.isRunning()
    assert not ready.installPackagesButton.isHidden() and not ready.chooseEnvironmentButton.isHidden()
    assert ready.chooseEnvironmentButton.text == "Use another Python…"


@pytest.mark.parametrize(
    ("has_gpu", "openvino", "asked"), [(False, None, "openvino (59"), (True, None, "torch (250"), (True, "1", "")]
)
def test_openvino_is_enough_to_segment_where_torch_has_no_gpu_or_openvino_is_there(
    ready, widget, monkeypatch, has_gpu, openvino, asked
):
    from MgImplantSegSections.engine import pythons

    installed = {"torch": None, "openvino": openvino}
    monkeypatch.setattr(pythons, "version", lambda package: installed.get(package, "1"))
    monkeypatch.setattr(pythons.shutil, "which", lambda program: "/usr/bin/nvidia-smi" if has_gpu else None)
    monkeypatch.setattr(pythons, "has_openvino", lambda model: model.stem == "tiny")
    model = widget.panel.models.path()
    missing = pythons.missingPackages(packages=pythons.toSegment(model))
    assert ", ".join(f"{name} ({pythons.downloadMb([name])}" for name in missing) == asked
    assert pythons.missingPackages() == ["torch"]  # to teach and train
    if asked:
        person.click(ready.segmentButton)
        assert f"lacks {missing[0]}. Install them into Slicer (about" in ready.missingLabel.text


def test_a_chosen_output_gets_the_new_contents(ready, widget):
    from MgImplantSegSections.work.display3D import showColored
    from MgImplantSegSections.work.measureWork import rolesOf, setRole
    from module_cases import add_segmentation

    from MgImplantSegLib.grids.labels import Role

    output = add_segmentation(slicer.mrmlScene, "Mine")
    setRole(output, "bone", Role.BACKGROUND)
    showColored(output, "contact")
    ready.outputSegmentationSelector.setCurrentNode(output)
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    assert segmentations() == [output]
    assert provenance_of_node(output)["model"] == "tiny"
    scan = output.GetNodeReference(output.GetReferenceImageGeometryReferenceRole())
    assert scan is ready.inputVolumeSelector.currentNode()
    assert rolesOf(output) == {} and slicer.util.getNodesByClass("vtkMRMLModelNode") == []


def test_device_and_environment_are_kept_on_this_computer_not_in_the_scene(ready, widget):
    person.choose(ready.deviceSelector, "cpu")
    parameters = widget.logic.getParameterNode().parameterNode
    assert "cpu" not in [parameters.GetParameter(name) for name in parameters.GetParameterNames()]
    from MgImplantSegSections.work import settings

    assert settings.read(settings.DEVICE) == "cpu"


def test_all_options_of_the_engine_are_chosen_in_the_panel_and_reach_it(ready, widget):
    from MgImplantSegLib.base.options import options_of
    from MgImplantSegLib.inference.options import SegmentOptions

    ready.advancedSection.collapsed = False
    person.choose(ready.planesSelector, "1 plane")
    person.choose(ready.fusionSelector, "Majority")
    person.choose(ready.deviceSelector, "cpu")
    person.choose(ready.precisionSelector, "32 bits")
    person.choose(ready.postprocessingSelector, "Largest implant")
    ready.memorySpinBox.value = 6
    options = widget.panel.segmentation.options()
    chosen = {entry.name: getattr(options, entry.name) for entry in options_of(SegmentOptions)}
    assert chosen.pop("model").name == "tiny.mgmodel"
    assert chosen == {
        "planes": "1",
        "fusion": "majority",
        "device": "cpu",
        "precision": "fp32",
        "backend": "auto",  # what is installed decides
        "postprocessing": "largest_implant",
        "memory_gb": 6,
    }
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    provenance = provenance_of_node(segmentations()[0])
    assert provenance["postprocessing"] == "largest implant" and provenance["precision"] == "fp32"
    assert provenance["options"]["memory_gb"] == 6


def test_without_a_choice_the_models_card_decides(ready, widget):
    options = widget.panel.segmentation.options()
    assert (options.planes, options.fusion, options.postprocessing, options.memory_gb) == (None, None, None, None)
    assert person.texts_of(ready.planesSelector)[0] == "Model's default"


def test_widgets_show_the_name_and_the_definition_of_each_choice(ready):
    assert "Soft voting" in person.texts_of(ready.fusionSelector)
    assert "• Soft voting: mean of the probabilities of all planes" in ready.fusionSelector.toolTip
    assert ready.memorySpinBox.toolTip.startswith("Memory limit of the process in GB")


def test_a_new_option_of_the_engine_needs_only_its_field_and_a_widget(slicer_app, module):
    from dataclasses import dataclass

    import qt
    from MgImplantSegSections.engine.engineOptions import optionsFrom, withOptions
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    from MgImplantSegLib.base.option_kinds import Number
    from MgImplantSegLib.base.options import option
    from MgImplantSegLib.inference.options import SegmentOptions

    @dataclass(frozen=True)
    class More(SegmentOptions):
        sharpening_um: float = option("sharpen edges of this width in µm", Number("µm", zero=True), 0.0)

    @parameterNodeWrapper
    @withOptions(More)
    class Parameters:
        shown: bool = True

    box = qt.QDoubleSpinBox()
    box.setProperty("SlicerParameterName", "sharpeningUm")
    parameters = Parameters(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    parameters.connectGui(SimpleNamespace(box=box))
    box.value = 2.5
    assert optionsFrom(parameters, More, model="m").sharpening_um == 2.5


def test_the_estimate_grows_with_the_planes(ready):
    person.choose(ready.planesSelector, "1 plane")
    one = ready.estimateLabel.text
    assert one.startswith("About") and "rough estimate" in one


def test_preview_segments_one_slice(ready, widget):
    person.click(ready.previewButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    assert "Preview of one slice" in ready.segmentStatusLabel.text
    assert provenance_of_node(segmentations()[0])["preview_of_slice"] == 6
    assert "Preview of one slice" in ready.segmentStatusLabel.text


def test_a_preview_replaces_the_last_one_and_never_the_chosen_output(ready, widget):
    from module_cases import add_segmentation

    output = add_segmentation(slicer.mrmlScene, "Mine")
    ready.outputSegmentationSelector.setCurrentNode(output)
    for _twice in range(2):
        person.click(ready.previewButton)
        person.wait_until(lambda: not widget.panel.segmentation.isRunning())
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
