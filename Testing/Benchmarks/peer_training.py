"""Our training against that of another program in equal time: ``python Testing/Benchmarks/peer_training.py FOLDER``.

The peer is volume-segmantics, a 2D U-Net that predicts along 3 or 12 directions. Both learn from the same simulated
explants, one after the other, with the same wall-clock budget on the same cores, and segment the same others. It runs
in its own environment, whose Python is given by ``--peer-python``; with Python 3.11::

    python3 -m venv PEER
    PEER/bin/pip install volume-segmantics==0.3.2 "albumentations<1.4" scikit-image imageio six torch==2.13.0

where pip has to find a CPU build of torch. 0.3.2 is what pip gives beside the torch that we train with; 0.4 asks for a
torch before 2.11. Explants, trainings and predictions that FOLDER holds already are kept.
``--results FILE`` keeps the table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import h5py
import numpy as np

from MgImplantSegLib import __version__
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.files import atomic_folder, atomic_output
from MgImplantSegLib.base.settings import read_toml
from MgImplantSegLib.base.toml_writer import toml_text
from MgImplantSegLib.evaluation import evaluate
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.io import read_label_map, read_volume, write_label_map, write_volume
from MgImplantSegLib.model.file import read_card
from MgImplantSegLib.simulation import ImplantKind, SimulationSettings, simulate_explant
from MgImplantSegLib.training.studies.tables import Estimate

CONFIGURATION = Path(__file__).with_suffix(".toml")
PEER_DRIVER = Path(__file__).with_name("peer_volume_segmantics.py")
FIRST_SEED, IMAGING_SEED, SPACING_UM = 6000, 6900, 25.0
CLASSES = 4
ROLES = ("background", "bone", "degradation_layer", "residual_material", "mean")
# Freed memory stays with the process: our engine sees to it itself, the peer gains by it too.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "2147483647", "MALLOC_TOP_PAD_": "268435456"}


@dataclass(frozen=True)
class Contest:
    """What both have in common.

    Parameters
    ----------
    folder : Path
        Holds the explants and all that is made of them.
    minutes : float
        Wall-clock time of a training.
    threads : int
        Threads and cores of every process.
    training, test : tuple of Path
        Folders of the explants.
    """

    folder: Path
    minutes: float
    threads: int
    training: tuple[Path, ...]
    test: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Of the trainings in the folder."""
        return f"{self.minutes:g}min-{self.threads}threads"

    def run(self, words: Sequence[str | Path]) -> float:
        """Run a command with the threads of the contest; minutes that it took."""
        environment = os.environ | ALLOCATOR | {"OMP_NUM_THREADS": str(self.threads)}
        started = time.monotonic()
        subprocess.run([str(word) for word in words], env=environment, check=True)
        return (time.monotonic() - started) / 60


@dataclass(frozen=True)
class Result:
    """A row of the table: IoU of every test explant by role, what training took, seconds of every prediction."""

    name: str
    scores: list[dict[str, float]]
    training: dict[str, Any]
    seconds: list[float]

    def cells(self) -> list[str]:
        """The row's cells."""
        took = self.training
        return [
            self.name,
            *(str(Estimate.of([row[role] for row in self.scores])) for role in ROLES),
            f"{took['training_minutes']:.2f}",
            f"{took['command_minutes']:.2f}",
            f"{took['iterations']}",
            f"{took['parameters'] / 1e6:.2f}",
            f"{np.mean(self.seconds):.1f}",
        ]


def write_explant(target: Path, seed: int, size: int) -> Path:
    """Image and labels of one explant in a folder of their own, for both programs, unless they are there."""
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    explant = simulate_explant(
        SimulationSettings(size, SPACING_UM, seed, kind=ImplantKind.SCREW, imaging_seed=IMAGING_SEED)
    )
    labels = explant.labels
    if np.unique(labels.array).tolist() != list(range(CLASSES)):
        raise InputError(f"Expected all {CLASSES} classes in the explant with seed {seed}.", "Use a larger size.")
    with atomic_folder(target) as temporary:
        write_volume(explant.image, temporary / "image.nrrd")
        write_label_map(labels, temporary / "labels.seg.nrrd")
        for name, array in (("image", explant.image.array), ("labels", labels.array)):
            with h5py.File(temporary / f"{name}.h5", "w") as stream:
                stream["data"] = array
    return target


def once(kept: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the file holds, or what the work reports, which is then kept there."""
    if not kept.exists():
        done = work()
        with atomic_output(kept) as temporary:
            temporary.write_text(json.dumps(done, indent=1), encoding="utf-8")
    return json.loads(kept.read_text(encoding="utf-8"))


def train_ours(contest: Contest) -> tuple[Path, dict[str, Any]]:
    """Our model file and what its training took."""
    run = contest.folder / "runs" / contest.name
    model = run / f"{contest.name}.mgmodel"

    def work() -> dict[str, Any]:
        settings = read_toml(CONFIGURATION) | {"name": contest.name}
        settings["training"]["time_limit_minutes"] = contest.minutes
        configuration = contest.folder / f"{contest.name}.toml"
        configuration.write_text(toml_text(settings), encoding="utf-8")
        minutes = contest.run([sys.executable, "-m", "MgImplantSegLib", "train", configuration])
        return {"command_minutes": minutes, **facts_of_ours(run)}

    return model, once(contest.folder / f"{contest.name}-ours.json", work)


def facts_of_ours(run: Path) -> dict[str, Any]:
    """Time in the loop, iterations and parameters of a finished run of ours."""
    import torch

    from MgImplantSegLib.networks import build_network
    from MgImplantSegLib.training.loop.checkpoint import load_checkpoint

    progress = load_checkpoint(run / "last.pt")["progress"]
    network = build_network(read_card(run / f"{run.name}.mgmodel").network)
    return {
        "training_minutes": progress["elapsed_s"] / 60,
        "iterations": progress["iteration"],
        "parameters": sum(values.numel() for values in network.parameters()),
        "versions": {"MgImplantSegLib": __version__, "torch": torch.__version__},
    }


def result_of_ours(contest: Contest) -> Result:
    """Our row of the table: 3 planes, soft voting."""
    import torch

    from MgImplantSegLib.inference.segmenter import SegmentOptions, segment_volume

    model, training = train_ours(contest)
    torch.set_num_threads(contest.threads)
    scores, seconds = [], []
    for explant in contest.test:
        started = time.monotonic()
        segmented = segment_volume(read_volume(explant / "image.nrrd"), SegmentOptions(model, "3", "soft")).label_map
        seconds.append(time.monotonic() - started)
        scores.append(iou_by_role(segmented, explant))
    return Result("MgImplantSegLib, 3 planes", scores, training, seconds)


def train_peer(contest: Contest, python: Path, rate: float) -> tuple[Path, dict[str, Any]]:
    """The folder with the peer's checkpoint and what its training took."""
    name = f"{contest.name}-peer" + (f"-rate{rate:g}" if rate else "")
    folder = contest.folder / "runs" / name
    own_report = folder / "training.json"

    def work() -> dict[str, Any]:
        minutes = contest.run(
            [
                python,
                PEER_DRIVER,
                "train",
                folder,
                *contest.training,
                "--minutes",
                str(contest.minutes),
                "--threads",
                str(contest.threads),
                "--rate",
                str(rate),
                "--seed",
                str(FIRST_SEED),
                "--report",
                own_report,
            ]
        )
        return {"command_minutes": minutes, **json.loads(own_report.read_text(encoding="utf-8"))}

    return folder, once(contest.folder / f"{name}.json", work)


def result_of_peer(contest: Contest, python: Path, rate: float, directions: int) -> Result:
    """The peer's row of the table for that number of directions."""
    folder, training = train_peer(contest, python, rate)
    own_report = folder / f"prediction_{directions}.json"
    if not own_report.exists():
        contest.run(
            [
                python,
                PEER_DRIVER,
                "predict",
                folder,
                *contest.test,
                "--directions",
                str(directions),
                "--threads",
                str(contest.threads),
                "--report",
                own_report,
            ]
        )
    scores = []
    for explant in contest.test:
        reference = read_label_map(explant / "labels.seg.nrrd")
        with h5py.File(folder / f"{explant.name}_{directions}.h5") as stream:
            segmented = LabelMap(stream["data"][()], reference.geometry, reference.scheme)
        scores.append(iou_by_role(segmented, explant))
    seconds = json.loads(own_report.read_text(encoding="utf-8"))["seconds"]
    return Result(f"volume-segmantics, {directions} directions", scores, training, seconds)


def iou_by_role(segmented: LabelMap, explant: Path) -> dict[str, float]:
    """IoU of one explant by role, and their mean."""
    found = evaluate(segmented, read_label_map(explant / "labels.seg.nrrd"))
    return found.iou_by_role | {"mean": found.mean_iou}


def report(contest: Contest, results: list[Result], command: str, rate_given: bool) -> str:
    """Table and settings as Markdown."""
    ours, peer = results[0].training, results[1].training
    columns = (
        "program",
        *ROLES,
        "training, min",
        "whole command, min",
        "iterations",
        "parameters, million",
        "prediction, s per explant",
    )
    lines = [columns, ["---"] * len(columns), *(result.cells() for result in results)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    versions = "; ".join(", ".join(f"{name} {n}" for name, n in one["versions"].items()) for one in (ours, peer))
    edge = read_volume(contest.test[0] / "image.nrrd").array.shape[0]
    rate = peer["rate"]
    search = f"a highest rate of {rate:g}" if rate_given else f"the search in a tenth of the time (found: {rate:.1e})"
    return f"""# Our training and that of volume-segmantics in equal time

`{command}`:
{len(contest.training)} explants to learn from (seeds from {FIRST_SEED}), {len(contest.test)} to test on,
screws of one scanner (imaging seed {IMAGING_SEED}), {edge}³ voxels of {SPACING_UM:g} µm, exact labels;
{contest.minutes:g} minutes of training each, one after the other, CPU only, threads and cores: {contest.threads}.
IoU, mean ± standard error over the test explants. "Training" ends with the last step of the optimiser; "whole command"
adds preparation, the last validation and writing the model.
Versions: {versions}.

{table}

- Ours: the bundled model's network and settings (`{CONFIGURATION.name}`), random weights at first; one of the explants
  is kept for validation; bf16 where the CPU computes with it.
- volume-segmantics 0.3.2, which knows CUDA devices only and is told of the CPU (`{PEER_DRIVER.name}`), float32,
  with its own settings: U-Net with ResNet-34 encoder, Dice loss, all three axes, 20 % of the slices for
  validation, its augmentation, learning rate search and one cycle of the rate, best checkpoint by validation loss,
  directions combined by maximum probability. **Its encoder starts from random weights**: it recommends pre-trained
  ImageNet weights, which cannot be had without the internet, so it is at a disadvantage here, and there is nothing to
  train with a frozen encoder. Set for this comparison: images of {peer["image_size"]}² (256² would scale the slices up
  in training, but not in prediction), batches of 12 (its choice for large GPUs), {search}, the cycle
  over the time that is left, no early stopping before it is over (validations: {peer["epochs"]}), and our allocator
  settings, which it does not have of its own.
"""


def keep_to_cores(count: int) -> None:
    """Give this process, and so its children, `count` cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peer-python", type=Path, required=True, help="Python that has volume-segmantics")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each training")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads and cores of each program")
    parser.add_argument("--training", type=int, default=4, help="explants to learn from")
    parser.add_argument("--test", type=int, default=2, help="explants to test on")
    parser.add_argument("--size", type=int, default=128, help="their edge in voxels; a multiple of 32 fits the peer")
    parser.add_argument("--directions", type=int, nargs="+", default=[3, 12], choices=(3, 12), help="of the peer")
    parser.add_argument("--peer-rate", type=float, default=0.0, help="its highest learning rate; 0: its own search")
    parser.add_argument("--results", type=Path, help="file for the table, .md")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute() / f"{arguments.training}+{arguments.test}x{arguments.size}"
    keep_to_cores(arguments.threads)
    explants = tuple(
        write_explant(
            folder / ("training" if number < arguments.training else "test") / f"{FIRST_SEED + number}",
            FIRST_SEED + number,
            arguments.size,
        )
        for number in range(arguments.training + arguments.test)
    )
    contest = Contest(
        folder, arguments.minutes, arguments.threads, explants[: arguments.training], explants[arguments.training :]
    )
    results = [result_of_ours(contest)]
    results += [
        result_of_peer(contest, arguments.peer_python, arguments.peer_rate, number) for number in arguments.directions
    ]
    command = (
        f"python Testing/Benchmarks/{Path(__file__).name} FOLDER --peer-python PYTHON --minutes {arguments.minutes:g} "
        f"--threads {arguments.threads} --training {arguments.training} --test {arguments.test} --size {arguments.size}"
    )
    if arguments.peer_rate:
        command += f" --peer-rate {arguments.peer_rate:g}"
    text = report(contest, results, command, rate_given=bool(arguments.peer_rate))
    sys.stdout.write(text)
    if arguments.results:
        with atomic_output(arguments.results) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
