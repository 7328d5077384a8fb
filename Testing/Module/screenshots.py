"""Writes the pictures of the panel for the tutorial: python Testing/Module/screenshots.py [FOLDER [MODEL]].

The sample explant is loaded, segmented by the bundled model (or the given one), shown, measured and compared; each
section is photographed as a person sees it.
"""

from __future__ import annotations

import os
import sys
import tempfile
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
    for name in FOLDED:
        sectionOf(ui, name).collapsed = False
        person.photograph(getattr(ui, f"{name}Panel"), folder / f"panel_{name.lower()}.png", WIDTH)
    texts = (ui.inputInfoLabel, ui.modelCardLabel, ui.measuresHeadlineLabel, ui.measuresStateLabel)
    print("\n".join(label.text for label in texts))  # noqa: T201
    print("\n".join(" | ".join(row) for row in person.rows_of(ui.measuresTable)))  # noqa: T201


if __name__ == "__main__":
    words = [Path(word) for word in sys.argv[1:]]
    main(words[0] if words else CHECKOUT / "Resources" / "Screenshots", words[1] if len(words) > 1 else None)
