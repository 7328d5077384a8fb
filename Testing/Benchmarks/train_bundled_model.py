"""Make the explants of the bundled model and train it: ``python Testing/Benchmarks/train_bundled_model.py FOLDER``.

Explants that are in FOLDER already are kept, so the command can be run again after an interruption; ``--resume``
goes on from the last checkpoint. The model file is then ``FOLDER/mgimplantseg-sim20.mgmodel``, with weights of 16 bits.

``--only-explants`` makes the explants, for example in the background with ``nice -n 19``; ``--fine-tune`` starts from
the bundled model, and `mix_models` then finds weights that keep what it knew; `calibrate_expected_iou` calibrates what
came out. On a GPU, with explants that are there
already, within ten minutes:

    python Testing/Benchmarks/train_bundled_model.py --fine-tune --minutes 8 --batch-size 64 --workers 8 FOLDER
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from MgImplantSegLib.base.files import atomic_folder
from MgImplantSegLib.base.resources import find_model, resource
from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.model.file import load_model, save_model
from MgImplantSegLib.simulation import ImplantKind, Look, SimulationSettings, simulate_explant
from MgImplantSegLib.simulation.drawing import draw_parameters

NAME = "mgimplantseg-sim20"
FIRST_SEED = 100_000  # the demo and the tests use others
EXPLANTS, VALIDATION = 1000, 12
# Three of five explants come from the simulated scanner, with (size, voxel size in µm): some fields are small.
SCANNED = ((112, 20.0), (72, 20.0), (128, 20.0), (80, 30.0), (144, 10.0), (96, 20.0), (104, 20.0), (96, 30.0))
PAINTED = ((128, 20.0), (160, 20.0), (112, 20.0), (96, 20.0))
KINDS = (*[ImplantKind.SCREW] * 7, *[ImplantKind.PIN] * 4, *[ImplantKind.WIRE] * 2, ImplantKind.PLATE, ImplantKind.NONE)
# A layer hardly brighter than what surrounds it is drawn for one explant in 25, too few to learn how it looks.
FIRST_DARK_SEED = 400_000
DARK_CONTRAST = 0.34  # to soft tissue, in units of the metal's grey value
FINE_TUNING_RATE = 6e-4


def explant_settings(number: int) -> SimulationSettings:
    """The explant with that number; any first part of them holds all kinds."""
    rng = np.random.default_rng([number, 5])
    seed, kind = FIRST_SEED + number, KINDS[rng.integers(len(KINDS))]
    absent = {"with_bone": bool(rng.random() > 0.08), "corroded": bool(rng.random() > 0.05)}
    if number % 5 < 3:
        size, spacing_um = SCANNED[rng.integers(len(SCANNED))]
        return SimulationSettings(size, spacing_um, seed, kind, look=Look.SCANNER, **absent)
    size, spacing_um = PAINTED[rng.integers(len(PAINTED))]
    if number % 25 == 4:
        return SimulationSettings(size, spacing_um, _dark_layer_seed(number // 25))
    return SimulationSettings(size, spacing_um, seed, kind, **absent)


def _dark_layer_seed(number: int) -> int:
    """A seed whose degradation layer is hardly brighter than the tissue around it."""
    seeds = itertools.count(FIRST_DARK_SEED + 1000 * number)
    return next(seed for seed in seeds if _layer_contrast(seed) < DARK_CONTRAST)


def _layer_contrast(seed: int) -> float:
    imaging = draw_parameters(SimulationSettings(seed=seed)).imaging
    return min(imaging.layer_inner, imaging.layer_outer) - imaging.soft_tissue


def write_explant(number: int, folder: Path) -> None:
    """Image and labels of one explant in a folder of their own, unless they are there."""
    target = folder / f"{number:05d}"
    if target.exists():
        return
    explant = simulate_explant(explant_settings(number))
    with atomic_folder(target) as temporary:
        write_volume(explant.image, temporary / "image.nrrd")
        write_label_map(explant.labels, temporary / "labels.seg.nrrd")


def write_bundled_model(trained: Path, bundled: Path, history: Sequence[str] = ()) -> None:
    """The trained model as it comes with the engine: small weights, tidied labels, the command that makes it."""
    card, weights = load_model(trained)
    training = {key: value for key, value in card.training.items() if key not in ("commands", "base_model")}
    training["command"] = f"python Testing/Benchmarks/train_bundled_model.py {'--fine-tune ' if history else ''}FOLDER"
    if history:
        training["history"] = list(history)
    card = replace(card, name=NAME, weights_dtype="float16", default_postprocessing="clean_contact", training=training)
    save_model(bundled, card, weights)


def _configured(arguments: argparse.Namespace) -> str:
    """The text of the bundled configuration, with what the command line says otherwise."""
    text = resource("Configurations", f"{NAME}.toml").read_text(encoding="utf-8")
    values = {
        "time_limit_minutes": arguments.minutes,
        "batch_size": arguments.batch_size,
        "learning_rate": FINE_TUNING_RATE if arguments.fine_tune else None,
    }
    for key, value in values.items():
        if value is not None:
            text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    if arguments.workers is not None:
        text = text.replace("[training]\n", f"[training]\nworkers = {arguments.workers}\n")
    return f'base_model = "{NAME}"\n{text}' if arguments.fine_tune else text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--processes", type=int, default=1, help="processes that train together, one thread each")
    parser.add_argument("--fine-tune", action="store_true", help="start from the bundled model, with a lower rate")
    parser.add_argument("--minutes", type=float, help="time limit of the training")
    parser.add_argument("--batch-size", type=int, help="patches of one step")
    parser.add_argument("--workers", type=int, help="processes that read patches ahead")
    parser.add_argument("--explants", type=int, default=EXPLANTS, help="explants to train on")
    parser.add_argument("--first", type=int, default=0, help="number of the first explant to make")
    parser.add_argument("--only-explants", action="store_true", help="make the explants and do not train")
    arguments = parser.parse_args()
    numbers = {
        "validation": range(EXPLANTS, EXPLANTS + VALIDATION),
        "explants": range(arguments.first, arguments.explants),
    }
    for name, some in numbers.items():
        (arguments.folder / name).mkdir(parents=True, exist_ok=True)
        for number in some:
            write_explant(number, arguments.folder / name)
            sys.stderr.write(f"\r{name} {number + 1}/{some.stop}")
    if arguments.only_explants:
        return 0
    configuration = arguments.folder / f"{NAME}.toml"
    configuration.write_text(_configured(arguments), encoding="utf-8")
    resume = ["--resume", str(arguments.folder / "runs" / NAME)] if arguments.resume else []
    several = ["torch.distributed.run", "--standalone", f"--nproc-per-node={arguments.processes}", "-m"]
    launcher = several if arguments.processes > 1 else []
    words = [sys.executable, "-m", *launcher, "MgImplantSegLib", "train", str(configuration), *resume]
    code = subprocess.call(words)
    if code == 0:
        trained = arguments.folder / "runs" / NAME / f"{NAME}.mgmodel"
        write_bundled_model(trained, arguments.folder / f"{NAME}.mgmodel", _history() if arguments.fine_tune else ())
    return code


def _history() -> list[str]:
    """What the card of the present bundled model says of its training, and that this one started from it."""
    card, _weights = load_model(find_model(NAME))
    former = [
        line.replace("the settings of this card", "the settings of the card then") for line in card.training["history"]
    ]
    return [*former, "from these weights: the settings of this card"]


if __name__ == "__main__":
    raise SystemExit(main())
