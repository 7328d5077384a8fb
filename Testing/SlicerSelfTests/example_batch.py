"""Example: segment and measure volumes from a script, without the panel.

    Slicer --no-splash --no-main-window --python-script example_batch.py -- scan1.nrrd scan2.nrrd
    Slicer --no-splash --no-main-window --python-script example_batch.py -- --environment my-env scan1.nrrd

The first form needs torch in Slicer's own Python; the second one segments in an environment that was added in the
panel. The calls wait until they are done and keep Slicer alive meanwhile. Results are written beside each scan. The
exit code is 0 only if all of them were written.
"""

import argparse
import sys
import traceback
from pathlib import Path

import slicer


def work(path, environment=None):
    """One scan: segmentation, measures and the scene beside it."""
    from MgImplantSeg import MgImplantSegLogic

    logic = MgImplantSegLogic()
    volume = slicer.util.loadVolume(str(path))
    segmentation = logic.segment(volume, planes="3", device="auto", environment=environment)
    roi = logic.addRoiAroundImplant(segmentation, 0.5)
    table, measures = logic.quantify(segmentation, days=168, roiNodes=[roi], distanceMm=0.5)
    logic.showIn3D(segmentation)
    for measure in measures:
        print(f"{path.name}: {measure.symbol} = {measure.value:.4g} {measure.unit} ({measure.region})")  # noqa: T201
    write(path, segmentation, table)
    slicer.mrmlScene.Clear(0)


def write(path, segmentation, table):
    """Write the results beside the scan; raises OSError if one of them is not there in the end."""
    path = path.absolute()  # Slicer takes relative paths from the folder of its scene
    files = {suffix: path.with_suffix(suffix) for suffix in (".seg.nrrd", ".csv", ".mrb")}
    written = {
        ".seg.nrrd": slicer.util.saveNode(segmentation, str(files[".seg.nrrd"])),
        ".csv": slicer.util.saveNode(table, str(files[".csv"])),
        ".mrb": slicer.util.saveScene(str(files[".mrb"])),
    }
    missing = [file.name for suffix, file in files.items() if not (written[suffix] and file.is_file())]
    if missing:
        raise OSError(f"Expected to write {', '.join(missing)} into {path.parent}, could not.")


def main(words):
    """Work through all scans; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", help="name of an environment of the panel (default: Slicer's own Python)")
    parser.add_argument("scans", nargs="+", type=Path)
    try:
        arguments = parser.parse_args([word for word in words if word != "--"])
        for path in arguments.scans:
            work(path.absolute(), arguments.environment)
        return slicer.util.EXIT_SUCCESS
    except SystemExit as end:  # argparse has said what is wrong
        return end.code or slicer.util.EXIT_SUCCESS
    except Exception:
        traceback.print_exc()
        return slicer.util.EXIT_FAILURE


if __name__ == "__main__":
    slicer.util.exit(main(sys.argv[1:]))  # else Slicer would stay open without a window
