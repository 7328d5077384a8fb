"""Make the explants of the bundled model and train it: ``python Testing/Benchmarks/train_bundled_model.py FOLDER``.

Explants that are in FOLDER already are kept, so the command can be run again after an interruption; ``--resume``
goes on from the last checkpoint. The model file is then ``FOLDER/mgimplantseg-sim20.mgmodel``, with weights of 16 bits.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from MgImplantSegLib.files import atomic_folder
from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.model_file import load_model, save_model
from MgImplantSegLib.resources import resource
from MgImplantSegLib.simulation import ImplantKind, SimulationSettings, simulate_explant
from MgImplantSegLib.simulation.settings import draw_parameters

NAME = "mgimplantseg-sim20"
FIRST_SEED = 1000
SIZES = (160, 128, 192)
DRAWN, DARK_LAYERS, VALIDATION = 480, 64, 12
TRAINING = DRAWN + DARK_LAYERS
# One explant in sixteen has no implant, one no bone, one no degradation layer: absent classes are normal.
VARIANTS = {0: {"kind": ImplantKind.NONE}, 1: {"with_bone": False}, 2: {"corroded": False}}


# A layer hardly brighter than what surrounds it is drawn for one explant in 25, too few to learn how it looks.
FIRST_DARK_SEED = 20_000
DARK_CONTRAST = 0.34  # to soft tissue, in units of the metal's grey value


def explant_settings(number: int) -> SimulationSettings:
    """The explant with that number, those for training first; its seed is never used by the demo or the tests."""
    size = SIZES[number % 3]
    if DRAWN <= number < TRAINING:
        return SimulationSettings(size=size, seed=_dark_layer_seeds()[number - DRAWN])
    drawn = number if number < DRAWN else number - DARK_LAYERS
    return SimulationSettings(size=size, seed=FIRST_SEED + drawn, **VARIANTS.get(drawn % 16, {}))


@cache
def _dark_layer_seeds() -> tuple[int, ...]:
    """The first seeds whose degradation layer is hardly brighter than the tissue around it."""
    seeds = (seed for seed in itertools.count(FIRST_DARK_SEED) if _layer_contrast(seed) < DARK_CONTRAST)
    return tuple(itertools.islice(seeds, DARK_LAYERS))


def _layer_contrast(seed: int) -> float:
    imaging = draw_parameters(SimulationSettings(seed=seed)).imaging
    return min(imaging.layer_inner, imaging.layer_outer) - imaging.soft_tissue


def write_explant(number: int, folder: Path) -> None:
    """Image and labels of one explant in a folder of their own, unless they are there."""
    settings = explant_settings(number)
    target = folder / str(settings.seed)
    if target.exists():
        return
    explant = simulate_explant(settings)
    with atomic_folder(target) as temporary:
        write_volume(explant.image, temporary / "image.nrrd")
        write_label_map(explant.labels, temporary / "labels.seg.nrrd")


def write_bundled_model(trained: Path, bundled: Path, history: Sequence[str] = ()) -> None:
    """The trained model as it comes with the engine: small weights, tidied labels, the command that makes it."""
    card, weights = load_model(trained)
    training = {key: value for key, value in card.training.items() if key not in ("commands", "base_model")}
    training["command"] = "python Testing/Benchmarks/train_bundled_model.py --processes 2 FOLDER"
    if history:
        training["history"] = list(history)
    card = replace(card, name=NAME, weights_dtype="float16", default_postprocessing="clean_contact", training=training)
    save_model(bundled, card, weights)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--processes", type=int, default=1, help="processes that train together, one thread each")
    arguments = parser.parse_args()
    for number in range(TRAINING + VALIDATION):
        folder = arguments.folder / ("explants" if number < TRAINING else "validation")
        folder.mkdir(parents=True, exist_ok=True)
        write_explant(number, folder)
        sys.stderr.write(f"\rexplant {number + 1}/{TRAINING + VALIDATION}")
    configuration = arguments.folder / f"{NAME}.toml"
    shutil.copyfile(resource("Configurations", f"{NAME}.toml"), configuration)
    resume = ["--resume", str(arguments.folder / "runs" / NAME)] if arguments.resume else []
    several = ["torch.distributed.run", "--standalone", f"--nproc-per-node={arguments.processes}", "-m"]
    launcher = several if arguments.processes > 1 else []
    words = [sys.executable, "-m", *launcher, "MgImplantSegLib", "train", str(configuration), *resume]
    code = subprocess.call(words)
    if code == 0:
        write_bundled_model(arguments.folder / "runs" / NAME / f"{NAME}.mgmodel", arguments.folder / f"{NAME}.mgmodel")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
