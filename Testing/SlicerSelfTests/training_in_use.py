"""What people met when they taught and trained, and must not meet again; needs a Python with torch, no network.

Each item is tried in a scene of its own, also when others have failed; at the end it is said which did not hold. All
learning is real, and so short that it has no worth.
"""

import os
import shutil
import sys
import unittest
from pathlib import Path

import numpy as np
import slicer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from full_workflow import choose_environment, forget_environment
from panel_in_use import Bench, explant, scan_node, try_items
from running import check, run, wait

DONE_SLICES = 3
TEACH_MINUTES = 0.5
LONG_TRAINING = {
    "network": {"depth": 1, "width": 4},
    "training": {"input_size": 32, "batch_size": 2, "iterations": 1_000_000, "workers": 0},
    "validation": {"every_iterations": 5, "slices_per_sample": 2},
}


class TrainingInUseTest(unittest.TestCase):
    """One test; its steps are the items below."""

    def test_all_items(self):
        """From first to last."""
        steps()


class Folder:
    """A new folder that is deleted again."""

    def __enter__(self):
        self._path = Path(slicer.app.temporaryPath) / "MgImplantSegTrainingInUse"
        shutil.rmtree(self._path, ignore_errors=True)
        self._path.mkdir(parents=True)
        return self._path

    def __exit__(self, *_error):
        shutil.rmtree(self._path, ignore_errors=True)


def written_pair(folder):
    """A scan and its labels as files."""
    from MgImplantSegLib.grids.volume import Volume
    from MgImplantSegLib.io import write_label_map, write_volume
    from MgImplantSegLib.scene.segmentation_reading import label_map_of_node

    labels = label_map_of_node(explant("Painted", scan_node("Scan")))
    write_volume(Volume((60 * labels.array + 5).astype(np.uint8), labels.geometry), folder / "scan.nrrd")
    write_label_map(labels, folder / "labels.nrrd")
    return folder / "scan.nrrd", folder / "labels.nrrd"


def a10_painted_slices_are_learned_from_and_the_rest_is_not_background(bench):
    from MgImplantSegSections.work import models, teachSlices

    from MgImplantSegLib.training.teach.slices import SliceName

    scan = scan_node("Scan")
    bench.chosen.inputVolume = scan
    bench.chosen.teachSegmentation = labels = explant("Painted", scan)
    bench.chosen.teachMinutes, bench.chosen.segmentAfterTeaching = TEACH_MINUTES, False
    check(not bench.ui.teachButton.enabled, "without a done slice nothing can be taught")
    for number in range(DONE_SLICES):
        teachSlices.setDone(labels, SliceName(0, 16 + 4 * number))
    bench.panel.workbench.changed()
    check(f"{DONE_SLICES} slices are done" in bench.ui.teachLabelledLabel.text, bench.ui.teachLabelledLabel.text)
    before = set(models.installed())
    bench.ui.teachButton.click()
    wait(lambda: not bench.panel.teach.isRunning(), "taught", 600)
    new = set(models.installed()) - before
    try:
        check(len(new) == 1, f"one new model; {bench.ui.teachStatusLabel.text}")
        check(bool(bench.ui.teachResultLabel.text), f"it is said what it reaches: {bench.ui.teachResultLabel.text}")
    finally:
        for name in new:
            models.delete(models.installed()[name])
        bench.panel.workbench.modelsChanged()


def a14_the_configuration_of_pairs_fine_tunes_in_minutes(bench):
    from MgImplantSegLib.training.settings.configuration import TrainingConfig

    with Folder() as folder:
        data = bench.panel.training.data
        data.addPair(*written_pair(folder))
        try:
            data.writeConfiguration(folder / "mine.toml")
            config = TrainingConfig.read(folder / "mine.toml")
        finally:
            forget_pairs(bench)
    check(config.base_model is not None, f"it starts from {config.base_model}")
    check(0 < config.training.time_limit_minutes <= 10, f"it takes {config.training.time_limit_minutes} minutes")


def forget_pairs(bench):
    """Take the pairs of this test off the user's list."""
    while bench.ui.pairsTable.rowCount:
        bench.ui.pairsTable.selectRow(bench.ui.pairsTable.rowCount - 1)
        bench.ui.removePairButton.click()


def a16_a23_a24_a_training_is_seen_stopped_resumed_and_still_known(bench):
    from MgImplantSegLib.base.settings import read_toml
    from MgImplantSegLib.base.toml_writer import toml_text

    ui, training = bench.ui, bench.panel.training
    choose_for_training(bench)
    with Folder() as folder:
        training.data.addPair(*written_pair(folder))
        training.data.writeConfiguration(folder / "endless.toml")
        forget_pairs(bench)
        written = read_toml(folder / "endless.toml")
        kept = {key: written[key] for key in ("name", "output", "seed", "data")}
        (folder / "endless.toml").write_text(toml_text({**kept, **LONG_TRAINING}), "utf-8")
        before = ui.trainingJobsTable.rowCount
        ui.startTrainingButton.click()
        wait(
            lambda: ui.showCurvesButton.enabled or not watches(training), "Show curves is enabled with the first metric"
        )
        try:
            check(ui.showCurvesButton.enabled, ui.trainingStatusLabel.text)
            check(not ui.startTrainingButton.enabled, "no second training is started while one is watched")
            stop(ui, training)
            ui.resumeTrainingButton.click()
            wait(training.isWatching, "it goes on")
        finally:
            stop(ui, training)
    check(ui.trainingJobsTable.rowCount == before + 1, f"it is on the list: {training.job}")


def watches(training):
    """Whether something of the training runs."""
    return training.isWatching() or training.isBusy()


def stop(ui, training):
    """Click Stop; the end is told as what was asked for."""
    ui.stopTrainingButton.click()
    wait(lambda: not watches(training), "stopped", 300)
    check("Expected" not in ui.trainingStatusLabel.text, f"it says: {ui.trainingStatusLabel.text}")


def choose_for_training(bench):
    """Train where the self test segments."""
    from MgImplantSegSections.engine import pythons

    bench.panel.training.refillEnvironments()
    bench.ui.trainingEnvironmentSelector.setCurrentIndex(pythons.names().index(bench.panel.segmentation.runIn()))


def a17_the_example_for_scripts_writes_beside_a_scan_with_a_relative_path(bench):
    import example_batch
    from MgImplantSegSections.engine import pythons
    from MgImplantSegSections.work import sampleData

    where = bench.panel.segmentation.runIn()
    environment = [] if where == pythons.OWN else ["--environment", where]
    with Folder() as folder:
        shutil.copyfile(sampleData.path(), folder / "scan.nrrd")
        before = os.getcwd()
        os.chdir(folder)
        try:
            code = example_batch.main(["--", *environment, "scan.nrrd"])
        finally:
            os.chdir(before)
        names = {path.name for path in folder.iterdir()}
    check(
        names >= {"scan.seg.nrrd", "scan.csv", "scan.mrb"} or code != 0, f"exit code {code}, written: {sorted(names)}"
    )
    check(code == slicer.util.EXIT_SUCCESS, f"exit code {code}")


ITEMS = [entry for name, entry in globals().items() if name.startswith("a1") and callable(entry)]


def steps():
    """All items; raises with the names of those that did not hold."""
    bench = Bench()
    try:
        choose_environment(bench.ui, bench.panel)
        try_items(ITEMS)
    finally:
        forget_environment()


if __name__ == "__main__":
    run(TrainingInUseTest)
