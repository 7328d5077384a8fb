"""Example: segment and measure volumes from a script, without the panel.

    Slicer --no-splash --no-main-window --python-script example_batch.py -- scan1.nrrd scan2.nrrd

The calls wait until they are done and keep Slicer alive meanwhile. Results are written beside each scan.
"""

import sys
import traceback
from pathlib import Path

import slicer


def work(path):
    """One scan: segmentation, measures and the scene beside it."""
    from MgImplantSeg import MgImplantSegLogic

    logic = MgImplantSegLogic()
    volume = slicer.util.loadVolume(str(path))
    segmentation = logic.segment(volume, planes="3", device="auto")
    roi = logic.addRoiAroundImplant(segmentation, 0.5)
    table, measures = logic.quantify(segmentation, days=168, roiNodes=[roi], distanceMm=0.5)
    logic.showIn3D(segmentation)
    for measure in measures:
        print(f"{path.name}: {measure.symbol} = {measure.value:.4g} {measure.unit} ({measure.region})")  # noqa: T201
    slicer.util.saveNode(segmentation, str(path.with_suffix(".seg.nrrd")))
    slicer.util.saveNode(table, str(path.with_suffix(".csv")))
    slicer.util.saveScene(str(path.with_suffix(".mrb")))
    slicer.mrmlScene.Clear(0)


if __name__ == "__main__":
    code = slicer.util.EXIT_FAILURE
    try:
        for argument in sys.argv[1:]:
            if argument != "--":
                work(Path(argument))
        code = slicer.util.EXIT_SUCCESS
    except Exception:
        traceback.print_exc()
    finally:
        slicer.util.exit(code)  # else Slicer would stay open without a window
