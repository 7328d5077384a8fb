"""Writes the pictures of the panel for the tutorial: python Testing/Module/screenshots.py [FOLDER [MODEL]].

The sample explant is loaded, segmented by the bundled model (or the given one), shown, measured and compared; each
section is photographed as a person sees it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
TESTS = Path(__file__).parent
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "MgImplantSeg"), str(TESTS), str(TESTS.parent)]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
WIDTH = 390  # of the dock in Slicer, its scroll bar apart


def main(folder: Path, model: Path | None) -> None:
    """Open the panel, go through the workflow, photograph every section."""
    from harness import install

    from MgImplantSegLib.scene.standalone import StandaloneScene

    install.install_qt()
    with StandaloneScene() as scene, tempfile.TemporaryDirectory() as home:
        os.environ.update(HOME=home, MGIMPLANTSEG_CONFIG=home)
        application = install.install_scene(scene)
        import MgImplantSeg

        widget = MgImplantSeg.MgImplantSegWidget()
        widget.setup()
        widget.enter()
        if model is not None:
            widget.panel.models.add(model)
        work(widget)
        photograph(widget, folder)
        widget.cleanup()
        application.close()


def work(widget) -> None:
    """Input, segmentation, measures with a ROI, comparison."""
    from harness import person

    ui, panel = widget.panel.workbench.ui, widget.panel
    person.click(ui.sampleDataButton)
    first = segment(ui, panel)
    person.choose(ui.planesSelector, "1 plane")
    second = segment(ui, panel)
    ui.measuredSegmentationSelector.setCurrentNode(first)
    person.click(ui.show3DButton)
    person.wait_until(lambda: not panel.display3D.isRunning(), 600)
    person.click(ui.addRoiAroundButton)
    person.wait_until(lambda: ui.roiTable.rowCount, 600)
    person.click(ui.computeButton)
    person.wait_until(lambda: not panel.measurements.isRunning(), 3600)
    ui.referenceSegmentationSelector.setCurrentNode(first)
    ui.othersSelector.setCheckState(second, 2)
    person.click(ui.compareButton)
    person.wait_until(lambda: not panel.compare.isRunning(), 3600)


def fill_queues(panel) -> None:
    """Rows as a batch and some trainings would have them, in all states."""
    from MgImplantSegLib.cli.batch_progress import counts_of
    from MgImplantSegLib.cli.batch_table import DONE, FAILED, RUNNING, Row

    def measures(contact: float):
        return [{"symbol": "BIC", "unit": "%", "region": "implant", "value": contact}]

    rows = [
        Row("rabbit 01 left", "", DONE, 74.0, measures=measures(13.9), where="lab-pc", is_skipped=True),
        Row("rabbit 01 right", "", DONE, 71.0, measures=measures(15.2), where="lab-pc"),
        Row(
            "rabbit 02 left", "", FAILED, 1.0, "Expected a scan with its voxel size, got 1 mm or none.", where="lab-pc"
        ),
        Row("rabbit 02 right", "", RUNNING, where="cluster", began=time.time() - 41),
        Row("rabbit 03 left", "", where="cluster"),
    ]
    panel.batch.queue.show(rows)
    progress = {"event": "progress", "stage": "samples", "done": 3, "total": len(rows), "eta_s": 104.0}
    panel.batch.queue.take({**progress, "counts": counts_of(rows)})
    common = {"command": "train", "reason": ""}
    panel.training.jobs.learn(
        [
            {**common, "reference": "cluster/train-2", "name": "fine-tuning", "state": "running", "created": 1.79e9},
            {**common, "reference": "gpu-server/train-1", "name": "from scratch", "state": "done", "created": 1.785e9},
        ]
    )


def segment(ui, panel):
    """Click Segment and wait; returns the new node."""
    from harness import person

    person.click(ui.segmentButton)
    person.wait_until(lambda: not panel.segmentation.isRunning(), 3600)
    return ui.measuredSegmentationSelector.currentNode()


def photograph(widget, folder: Path) -> None:
    """The work with all sections folded, and one picture a section."""
    from harness import person
    from MgImplantSegSections.sections.panel import FOLDED, sectionOf

    ui = widget.panel.workbench.ui
    for old in folder.glob("panel_*.png"):
        old.unlink()
    person.photograph(widget.parent, folder / "panel_work.png", WIDTH, person.height_of(widget.parent, WIDTH))
    ui.environmentsTable.item(0, 2).setText("Slicer/bin/PythonSlicer")  # not that of the computer that takes pictures
    fill_queues(widget.panel)
    for name in FOLDED:
        sectionOf(ui, name).collapsed = False
        person.photograph(getattr(ui, f"{name}Panel"), folder / f"panel_{name.lower()}.png", WIDTH)
    texts = (ui.inputInfoLabel, ui.modelCardLabel, ui.measuresHeadlineLabel, ui.measuresStateLabel)
    print("\n".join(label.text for label in texts))  # noqa: T201
    print("\n".join(" | ".join(row) for row in person.rows_of(ui.measuresTable)))  # noqa: T201


if __name__ == "__main__":
    words = [Path(word) for word in sys.argv[1:]]
    main(words[0] if words else CHECKOUT / "Resources" / "Screenshots", words[1] if len(words) > 1 else None)
