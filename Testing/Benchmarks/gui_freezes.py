"""How long the panel keeps the event loop waiting with a large scan: the longest pause of every step.

    python Testing/Benchmarks/gui_freezes.py [--size 1024] [--steps "segment,measure"] [--results FOLDER]

Runs in the harness of Testing/Module (slicer-core and PySide6), without Slicer's own views. A timer of 10 ms notes the
time between two turns of the event loop: wall seconds, and CPU seconds of the main thread, which count on a busy
machine. The engine is a stand-in that writes a label map at once and measures a small one; all that Slicer's process
does is real. Wanted for 1024³ voxels of 16 bits (2 GB): no pause much above 1 s.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "MgImplantSeg"), str(CHECKOUT / "Testing" / "Module")]
SPACING_MM = 0.005
STAND_IN = "--stand-in"
BONE, LAYER, METAL = 1, 2, 3


def slice_of_rod(size: int) -> np.ndarray:
    """One slice (y, x): a round rod with its layer, in bone with pores."""
    y, x = np.ogrid[:size, :size]
    radius = np.hypot(y - size / 2, x - size / 2) / size
    pores = np.hypot(y % 256 - 128, x % 256 - 128) < 40
    return np.select([radius < 0.15, radius < 0.18, pores], [METAL, LAYER, 0], BONE).astype(np.uint8)


def rod(size: int) -> np.ndarray:
    """Labels (z, y, x) of a rod that ends before the first and the last slices."""
    ends = np.where(slice_of_rod(size) == BONE, np.uint8(BONE), np.uint8(0))
    labels = np.empty((size,) * 3, np.uint8)
    labels[:] = slice_of_rod(size)
    labels[: size // 8] = labels[-(size // 8) :] = ends
    return labels


@dataclass
class Pauses:
    """The longest time between two turns of the event loop since the last `take`."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    _last: tuple[float, float] = field(default_factory=lambda: (time.perf_counter(), time.thread_time()))

    def tick(self) -> None:
        """A turn of the event loop."""
        now = time.perf_counter(), time.thread_time()
        self.wall_s, self.cpu_s = max(self.wall_s, now[0] - self._last[0]), max(self.cpu_s, now[1] - self._last[1])
        self._last = now

    def take(self) -> tuple[float, float]:
        """Wall and CPU seconds of the longest pause; begins anew."""
        found = self.wall_s, self.cpu_s
        self.wall_s = self.cpu_s = 0.0
        self._last = time.perf_counter(), time.thread_time()
        return found


@dataclass
class Session:
    """The open panel with a large scan."""

    widget: Any
    size: int

    @property
    def ui(self) -> Any:
        """All named widgets."""
        return self.widget.panel.workbench.ui

    def run(self, button: Any, is_running: Callable[[], bool]) -> None:
        """Click and wait for the end."""
        from harness import person

        person.click(button)
        person.wait_until(lambda: not is_running(), 3600)

    def choose_the_scan(self) -> None:
        """A new volume in the scene, chosen by the panel."""
        import slicer

        from MgImplantSegLib.grids.volume import Geometry, Volume
        from MgImplantSegLib.scene.volumes import add_volume_node

        grey = np.empty((self.size,) * 3, np.uint16)
        grey[:] = slice_of_rod(self.size).astype(np.uint16) * 9000 + 500
        add_volume_node(slicer.mrmlScene, Volume(grey, Geometry(grey.shape, (SPACING_MM,) * 3)), "Scan")
        PAUSES.take()
        self.widget.enter()

    def segment(self) -> None:
        """Hand over, run, fetch, put into the scene."""
        self.run(self.ui.segmentButton, self.widget.panel.segmentation.isRunning)

    def preview(self) -> None:
        """One slice."""
        self.run(self.ui.previewButton, self.widget.panel.segmentation.isRunning)

    def measure(self) -> None:
        """The segmentation and the scan are handed over."""
        self.run(self.ui.computeButton, self.widget.panel.measurements.isRunning)

    def around_implant(self) -> None:
        """Place a ROI around the implant."""
        self.run(self.ui.addRoiAroundButton, lambda: self.widget.panel.regions.isLooking())

    def move_roi(self) -> None:
        """Drag a ROI."""
        import slicer
        from harness import person

        roi = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsROINode")
        for step in range(20):
            roi.SetCenter(0.01 * step, 0, 0)
            person.process_events(1)

    def edit(self) -> None:
        """A segment gets a layer of its own, as after painting over others; the measures go stale."""
        import slicer

        segmentation = self.ui.measuredSegmentationSelector.currentNode().GetSegmentation()
        segmentation.SeparateSegmentLabelmap("bone")
        segmentation.GetSegment("bone").GetRepresentation("Binary labelmap").Modified()
        slicer.app.processEvents()

    def compare(self) -> None:
        """Two segmentations are handed over."""
        import slicer

        nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        self.ui.referenceSegmentationSelector.setCurrentNode(nodes[0])
        for node in nodes[1:]:
            self.ui.othersSelector.setCheckState(node, 2)
        self.run(self.ui.compareButton, self.widget.panel.compare.isRunning)

    def surfaces(self) -> None:
        """Show 3D with surface nets and decimation."""
        from harness import person

        person.choose(self.ui.surfaceMethodSelector, "Surface nets")
        self.ui.decimationSlider.value = 0.8
        self.run(self.ui.show3DButton, self.is_drawing)

    def contact(self) -> None:
        """Colour the implant by contact."""
        from harness import person

        person.choose(self.ui.surfaceColorSelector, "Contact")
        self.ui.surfaceColorSelector.activated(1)
        person.wait_until(lambda: not self.is_drawing(), 3600)

    def picture(self) -> None:
        """Take a picture."""
        from harness import person

        self.widget.panel.display3D.takePicture(Path(os.environ["HOME"]) / "picture.png")
        person.wait_until(lambda: not self.is_drawing(), 3600)

    def scan_behind(self) -> None:
        """Volume rendering of the scan, its views apart."""
        self.run(self.ui.showScanCheckBox, lambda: False)

    def close_the_scene(self) -> None:
        """All nodes go."""
        import slicer

        slicer.mrmlScene.Clear(0)

    def is_drawing(self) -> bool:
        """Whether surfaces are being made beside the GUI."""
        return self.widget.panel.display3D.isRunning()


STEPS = (
    "choose_the_scan",
    "segment",
    "preview",
    "measure",
    "around_implant",
    "move_roi",
    "edit",
    "measure",
    "compare",
    "surfaces",
    "contact",
    "picture",
    "scan_behind",
    "close_the_scene",
)
PAUSES = Pauses()


def main(size: int, steps: tuple[str, ...], results: Path | None) -> None:
    """One line a step; all of them also as a file in the folder `results`."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from harness import install, person
    from PySide6 import QtCore

    from MgImplantSegLib.base.files import atomic_output
    from MgImplantSegLib.scene.standalone import StandaloneScene

    install.install_qt()
    with StandaloneScene() as scene, tempfile.TemporaryDirectory() as home:
        os.environ.update(HOME=home, MGIMPLANTSEG_CONFIG=home)
        application = install.install_scene(scene)
        session = Session(opened_panel(), size)
        timer = QtCore.QTimer(interval=10, timerType=QtCore.Qt.TimerType.PreciseTimer)
        timer.timeout.connect(PAUSES.tick)
        timer.start()
        lines = [
            f"{size}³ voxels of 16 bits; load of the machine at the start {os.getloadavg()[0]:.1f}",
            f"{'step':18} {'longest pause':>14} {'of CPU':>8} {'whole':>8} {'peak GB':>8}",
        ]
        say("\n".join(lines))
        for step in steps:
            PAUSES.take()
            began = time.perf_counter()
            getattr(session, step)()
            person.process_events(50)
            whole, (wall, cpu) = time.perf_counter() - began, PAUSES.take()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            numbers = f"{wall:12.2f} s {cpu:6.2f} s {whole:6.1f} s {peak:8.1f}"
            lines.append(f"{step.replace('_', ' '):18} {numbers}{troubles(session)}")
            say(lines[-1])
        session.widget.cleanup()
        application.close()
    if results:
        with atomic_output(results / "gui_freezes.txt") as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def opened_panel() -> Any:
    """The module's widget, with a stand-in for the engine."""
    from MgImplantSegSections.engine import pythons
    from MgImplantSegSections.engine.engineRun import EnginePython

    import MgImplantSeg

    engine = EnginePython((sys.executable, __file__, STAND_IN), dict(os.environ), CHECKOUT)
    pythons.python = lambda name=None: engine
    pythons.missingPackages = lambda *arguments, **options: []
    widget = MgImplantSeg.MgImplantSegWidget()
    widget.setup()
    widget.enter()
    return widget


def troubles(session: Session) -> str:
    """What the labels of the panel complain about."""
    ui = session.ui
    labels = (ui.segmentStatusLabel, ui.measuresStateLabel, ui.compareStatusLabel)
    return "".join(f"  {label.text}" for label in labels if "rror" in label.text or "Expected" in label.text)


def stand_in(words: list[str]) -> None:
    """The engine's command line: ``segment`` writes the rod; what measures does so on a small rod."""
    for option in ("--events", "--stop-file", *["--roi"] * words.count("--roi")):
        del words[words.index(option) : words.index(option) + 2]
    if words[0] == "segment":
        write_rod(Path(words[1]), Path(words[2]))
        say('{"event": "result", "provenance": {}, "seconds": 1}')
        return
    from MgImplantSegLib.cli.application import main as engine

    for path in (Path(word) for word in words if word.endswith(".mha")):
        write_small(path)
    sys.exit(engine([words[0], "--events", "-", *words[1:]]))


def write_rod(image: Path, result: Path) -> None:
    """A compressed NRRD file of the rod on the grid of an image, slice by slice."""
    with open(image, "rb") as file:
        sizes = [int(n) for n in re.search(rb"DimSize = (\d+) (\d+) (\d+)", file.read(2000)).groups()]
    labels = rod(sizes[0])[: sizes[2]]
    packer = zlib.compressobj(1, wbits=31)
    header = f"NRRD0005\ntype: uint8\ndimension: 3\nsizes: {sizes[0]} {sizes[1]} {sizes[2]}\nencoding: gzip\n\n"
    with open(result, "wb") as file:
        file.write(header.encode())
        for plane in labels:
            file.write(packer.compress(plane.tobytes()))
        file.write(packer.flush())


def write_small(path: Path) -> None:
    """Replace a file handed over by a small one."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(rod(64))
    image.SetSpacing((SPACING_MM,) * 3)
    SimpleITK.WriteImage(image, str(path))


def say(line: str) -> None:
    """Write one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if STAND_IN in sys.argv:
        stand_in(sys.argv[2:])
    else:
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        parser.add_argument("--size", type=int, default=1024, help="edge of the scan in voxels")
        parser.add_argument("--steps", default=",".join(STEPS), help="names separated by commas, in this order")
        parser.add_argument("--results", type=Path, help="folder for gui_freezes.txt")
        arguments = parser.parse_args()
        main(arguments.size, tuple(arguments.steps.split(",")), arguments.results)
