"""The looks of ``teach.py``: explants that one scanner has scanned, and which of their slices are labelled.

``fringes`` is the project's simulation with another scanner (`fine_tuning_gain.py`), ``projections`` comes from
`other_explants.py`, ``tube`` from `lab_explants.py`, ``laboratory`` from `teach_explants.py`, made for this benchmark
and used for nothing else. All explants of a look have one scanner and alloy. ``laboratory_2``, with another one, is for
choices of settings alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from MgImplantSegLib.base.files import atomic_folder
from MgImplantSegLib.grids.volume import LabelMap, Volume
from MgImplantSegLib.io import read_label_map, write_label_map, write_volume
from MgImplantSegLib.simulation import ImplantKind, SimulationSettings, simulate_explant
from MgImplantSegLib.training.teach.settings import Pair
from MgImplantSegLib.training.teach.slices import slices_text
from MgImplantSegLib.training.teach.suggestion import suggest_slices

SPACING_UM = 20.0


@dataclass(frozen=True)
class Look:
    """A look: explant `number` of edge `size`; numbers 0 and 1 are for labelling, from 2 on for tests."""

    name: str
    make: Callable[[int, int], tuple[Volume, LabelMap]]


def fringes(number: int, size: int) -> tuple[Volume, LabelMap]:
    """The project's simulation, the scan made over by `fine_tuning_gain.another_look`."""
    from fine_tuning_gain import FIRST_SEED, IMAGING_SEED, another_look

    settings = SimulationSettings(size, seed=FIRST_SEED + number, kind=ImplantKind.SCREW, imaging_seed=IMAGING_SEED)
    explant = simulate_explant(settings)
    return another_look(explant.image, number), explant.labels


def projections(number: int, size: int) -> tuple[Volume, LabelMap]:
    """`other_explants.py`: painted screws seen by a parallel-beam tomograph."""
    import other_explants

    _, labels = other_explants.explant(8100 + number, size, SPACING_UM)
    scanner = Scanner(8003, number)
    grey = other_explants._grey(labels.array, scanner) * round_view(size)
    scan = other_explants._scanned(grey, SPACING_UM / 1000, scanner)
    return Volume(scan, labels.geometry), labels


def tube(number: int, size: int) -> tuple[Volume, LabelMap]:
    """`lab_explants.py`: several energies, beam hardening, grain."""
    import lab_explants

    _, labels = lab_explants.explant(8200 + number, size, SPACING_UM)
    scan = lab_explants._scanned(Scanner(8005, number), labels.array, round_view(size), SPACING_UM / 1000)
    return Volume(scan, labels.geometry), labels


class Scanner:
    """Random numbers of a family of explants: single ones are those of the scanner `look`, noise is that of a scan."""

    def __init__(self, look: int, scan: int) -> None:
        look_random, scan_random = np.random.default_rng(look), np.random.default_rng([look, scan])
        self.uniform, self.random, self.choice = look_random.uniform, look_random.random, look_random.choice
        self.normal, self.standard_normal = scan_random.normal, scan_random.standard_normal
        self.poisson = scan_random.poisson


def round_view(size: int) -> np.ndarray:
    """What a scanner sees of a slice."""
    y, x = np.ogrid[:size, :size]
    return np.hypot(y - (size - 1) / 2, x - (size - 1) / 2) < 0.49 * size


def laboratory(number: int, size: int) -> tuple[Volume, LabelMap]:
    """Pins and plates seen by an imaginary laboratory scanner."""
    from teach_explants import make_explant

    return make_explant(10 + number, look=1, size=size)


def laboratory_2(number: int, size: int) -> tuple[Volume, LabelMap]:
    """The same with another scanner and alloy, for choices."""
    from teach_explants import make_explant

    return make_explant(10 + number, look=2, size=size)


def known(number: int, size: int) -> tuple[Volume, LabelMap]:
    """The project's simulation as the bundled model knows it: what must not be forgotten."""
    explant = simulate_explant(SimulationSettings(size, seed=9_300_000 + number, kind=ImplantKind.SCREW))
    return explant.image, explant.labels


TESTS = (fringes, projections, tube, laboratory)
LOOKS = {make.__name__: Look(make.__name__, make) for make in (*TESTS, laboratory_2)}
KNOWN = Look("known", known)


def explant_of(look: Look, number: int, size: int, folder: Path) -> Path:
    """The folder of an explant, made unless it is there."""
    target = folder / f"{look.name}_{size}_{number}"
    if not target.exists():
        image, labels = look.make(number, size)
        with atomic_folder(target) as temporary:
            write_volume(image, temporary / "image.nrrd")
            write_label_map(labels, temporary / "labels.seg.nrrd")
    return target


def slices_of(explant: Path, count: int) -> str:
    """The slices that are labelled, as ``--done-slices`` takes them."""
    labels = read_label_map(explant / "labels.seg.nrrd")
    nothing = Volume(np.zeros(labels.array.shape, np.float32), labels.geometry)
    return slices_text(entry.name for entry in suggest_slices(labels, nothing, count))


def pairs_of(explants: list[Path], slices: int) -> tuple[Pair, ...]:
    """The labelled explants, the slices shared between them; all labelled without slices."""
    if not slices:
        return tuple(Pair(e / "image.nrrd", e / "labels.seg.nrrd", e.name, labelled="all") for e in explants)
    share = slices // len(explants)
    return tuple(
        Pair(e / "image.nrrd", e / "labels.seg.nrrd", e.name, done_slices=slices_of(e, share)) for e in explants
    )
