"""``teach``: a model learns the look of scans from a few labelled slices."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.cli.elsewhere import add_environment_option, run_elsewhere
from MgImplantSegLib.cli.parser import choice_option, number, option, output_path, whole_number
from MgImplantSegLib.cli.segmentation_options import ROLES_HELP, roles
from MgImplantSegLib.cli.tables import text_table
from MgImplantSegLib.errors import InputError
from MgImplantSegLib.events import Events
from MgImplantSegLib.resources import DEFAULT_MODEL, find_model

if TYPE_CHECKING:
    from MgImplantSegLib.training.teach.settings import Pair, TeachSettings

NAME = "teach"
HELP = "teach a model the look of your scans from a few labelled slices"
DEFAULT_MINUTES = 5.0
CONTRACT = """
What counts as labelled:
  - The slices named by --done-slices and what lies in --roi are labelled wholly: what is in no segment there is
    background. All else is not labelled, whatever is painted there, such as a prediction that is being corrected.
  - Without these options --labelled says it. auto: if the labels mark voxels as not labelled (--unlabelled V, a role
    "ignore", a segment named "not labelled" or "ignore"), all others are labelled; else every slice on which something
    is painted is a done slice, found in any orientation. painted: painted voxels alone (scribbles; paint background
    as a segment of its own). slices: as auto finds them. all: every voxel.
  - Voxels marked as not labelled never count, in done slices neither.
With three or more done slices one in four is kept from learning for the first half of the time, and the result says
what the model reaches on it; in a further round one that no round before has learned from.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scan, its labels, the model, how long, what counts as labelled."""
    parser.description = f"{HELP}.\n{CONTRACT}"
    parser.add_argument("image", type=Path, metavar="IMAGE", help="scan: image file, or folder of TIFF slices")
    parser.add_argument("labels", type=Path, metavar="LABELS", help="its label map or .seg.nrrd, with the same voxels")
    parser.add_argument("out", type=output_path, metavar="OUT.mgmodel", help="model file to write")
    option(
        parser,
        "--from",
        str,
        "MODEL",
        f"model file, or name of a bundled model, to start from; without it {DEFAULT_MODEL}",
    )
    option(
        parser,
        "--minutes",
        number("minutes"),
        "M",
        "time from start to model file; without it 5, or no limit with --iterations",
    )
    option(parser, "--iterations", whole_number(1), "N", "steps of learning; without it as many as the time allows")
    option(
        parser,
        "--done-slices",
        str,
        "z:40,y:12,...",
        "slices that are labelled wholly: axis and index of IMAGE, from 0 (Slicer's I, J, K are x, y, z)",
    )
    option(parser, "--roi", Path, "R.mrk.json", "Slicer's markups ROI: inside it all is labelled")
    choice_option(
        parser, "--labelled", ("auto", "slices", "painted", "all"), "what counts as labelled without the two", "auto"
    )
    option(parser, "--unlabelled", whole_number(0), "V", "label value that says: not labelled")
    option(parser, "--roles", roles, "V=ROLE,...", f"{ROLES_HELP}; without it what the file says, else as here")
    option(
        parser,
        "--pairs",
        Path,
        "FILE.toml",
        "further scans with labels: tables [[pairs]] with image, labels, and the options above with _ for -",
    )
    option(parser, "--seed", whole_number(0), "S", "of patches and their variation", 0)
    option(parser, "--device", str, "auto|cpu|cuda[:N]", "where the network learns", "auto")
    option(parser, "--spacing-um", number("µm"), "X", "voxel size in µm, in place of the file's")
    option(parser, "--dataset", str, "PATH", "dataset inside an HDF5 file with the scan")
    option(parser, "--labels-dataset", str, "PATH", "dataset inside an HDF5 file with the labels")
    add_environment_option(parser)


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Teach; the result names the model file, what was labelled, and what was measured on held-out slices."""
    started = time.monotonic()
    if arguments.environment:
        return {**run_elsewhere(NAME, add_arguments, arguments, events), "model": str(arguments.out)}
    from MgImplantSegLib.training.teach.run import teach

    pairs, settings = pairs_of(arguments), settings_of(arguments)
    return teach(pairs, arguments.out, parent_of(arguments), settings, events, started).to_dict()


def parent_of(arguments: argparse.Namespace) -> Path:
    """The model to start from."""
    try:
        return find_model(getattr(arguments, "from"))
    except InputError as error:
        raise InputError(error.message, error.remedy.replace("--model", "--from")) from error


def settings_of(arguments: argparse.Namespace) -> TeachSettings:
    """How long and how, of the options."""
    from MgImplantSegLib.training.teach.settings import TeachSettings

    minutes = arguments.minutes or (0.0 if arguments.iterations else DEFAULT_MINUTES)
    return TeachSettings(
        minutes=minutes, iterations=arguments.iterations or 0, seed=arguments.seed, device=arguments.device
    )


def pairs_of(arguments: argparse.Namespace) -> tuple[Pair, ...]:
    """The pair of the command line, and those of the file of pairs."""
    from MgImplantSegLib.training.teach.settings import Pair, read_pairs

    scheme = arguments.roles
    first = Pair(
        arguments.image,
        arguments.labels,
        done_slices=arguments.done_slices or "",
        roi=arguments.roi,
        labelled=arguments.labelled,
        unlabelled=arguments.unlabelled if scheme is None or arguments.unlabelled is not None else scheme.ignore_value,
        roles={} if scheme is None else {str(label.value): label.role.value for label in scheme.labels},
        dataset=arguments.dataset,
        labels_dataset=arguments.labels_dataset,
        spacing_um=arguments.spacing_um,
    )
    return (first, *(read_pairs(arguments.pairs) if arguments.pairs else ()))


def report(result: dict[str, Any]) -> str:
    """What was labelled, how it ended, what the model reaches."""
    rows = [
        (
            scan["name"],
            str(scan["slice_count"] or "-"),
            str(len(scan["orientations"]) or "-"),
            ", ".join(role for role, count in scan["voxels_per_class"].items() if count),
        )
        for scan in result["labelled"]
    ]
    return "\n".join(
        [
            text_table(("scan", "done slices", "orientations", "labelled classes"), rows),
            f"Ended after {result['iterations']} steps and {result['minutes']:.1f} minutes: {result['reason']}.",
            result["held_out"]["words"],
            f"Model file: {result['model']}",
        ]
    )
