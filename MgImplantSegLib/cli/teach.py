"""``teach``: a model learns the look of scans from a few labelled slices."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.option_kinds import File, Kind, Number, OneOf, ResultFile, WholeNumber
from MgImplantSegLib.base.options import add_options, option
from MgImplantSegLib.base.resources import DEFAULT_MODEL, find_model
from MgImplantSegLib.cli.elsewhere import add_environment_option, run_elsewhere
from MgImplantSegLib.cli.segmentation_options import ReadingOptions
from MgImplantSegLib.cli.tables import text_table

if TYPE_CHECKING:
    from MgImplantSegLib.training.teach.settings import Pair, TeachSettings

NAME = "teach"
HELP = "teach a model the look of your scans from a few labelled slices"
DEFAULT_MINUTES = 5.0
CONTRACT = """
What counts as labelled:
  - The slices given by --done-slices and the inside of --roi are completely labelled: what belongs to no segment there
    is background. Everything else is unlabelled, whatever is painted there, such as a prediction being corrected.
  - Without these options, --labelled decides. auto: if the labels mark voxels as not labelled (--unlabelled V, a role
    "ignore", a segment named "not labelled" or "ignore"), all others are labelled; otherwise every slice with something
    painted on it is a done slice, found in any orientation. painted: painted voxels only (scribbles; paint background
    as a segment of its own). slices: as found by auto. all: every voxel.
  - Voxels marked as not labelled never count, not even in done slices.
With three or more done slices, one in four is held out during the first half of the time, and the result reports what
the model achieves on it; a further round holds out one that no earlier round has learned from.
"""


LABELLED = ("auto", "slices", "painted", "all")


@dataclass(frozen=True)
class TeachOptions:
    """The scan, its labels, the model, how long, what counts as labelled."""

    image: Path = option("scan: image file, or folder of slices (TIFF, BMP, PNG)", File("IMAGE"), is_positional=True)
    labels: Path = option("its label map or .seg.nrrd, on the same voxels", File("LABELS"), is_positional=True)
    out: Path = option("model file to write", ResultFile("OUT.mgmodel"), is_positional=True)
    parent: str = option(
        "model file, or name of a bundled model, to start from", Kind("MODEL"), DEFAULT_MODEL, argument="from"
    )
    minutes: float | None = option(
        "time from start to model file, in minutes",
        Number("minutes", metavar="M"),
        None,
        default_help=f"{DEFAULT_MINUTES:g}, or no limit with --iterations",
    )
    iterations: int | None = option("training steps", WholeNumber(1), None, default_help="as many as the time allows")
    done_slices: str | None = option(
        "completely labelled slices: axis and index in IMAGE, from 0 (Slicer's I, J, K are x, y, z)",
        Kind("z:40,y:12,..."),
        None,
    )
    roi: Path | None = option("Slicer markups ROI: everything inside it is labelled", File("R.mrk.json"), None)
    labelled: str = option(
        "what counts as labelled without --done-slices and --roi", OneOf(dict.fromkeys(LABELLED)), "auto"
    )
    unlabelled: int | None = option("label value of unlabelled voxels", WholeNumber(0, "V"), None)
    pairs: Path | None = option(
        "further scans with labels: tables [[pairs]] with image, labels, and the options above with _ for -",
        File("FILE.toml"),
        None,
    )
    finish_file: str | None = option(
        "as soon as this file exists, training ends and the model trained so far is written",
        Kind("FILE"),
        None,
        changes_result=False,
    )
    seed: int = option("seed of patches and augmentation", WholeNumber(0, "S"), 0)
    device: str = option("device used for training", Kind("auto|cpu|cuda[:N]"), "auto", changes_result=False)
    spacing_um: float | None = option("voxel size in µm", Number("µm"), None, default_help="as stored in the file")
    dataset: str | None = option("dataset inside an HDF5 file with the scan", Kind("PATH"), None)
    labels_dataset: str | None = option("dataset inside an HDF5 file with the labels", Kind("PATH"), None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scan, its labels, the model, how long, what counts as labelled."""
    parser.description = f"{HELP}.\n{CONTRACT}"
    add_options(parser, TeachOptions)
    add_options(parser, ReadingOptions, only=("roles",))
    add_environment_option(parser)


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Teach; the result names the model file, what was labelled, and what was measured on held-out slices."""
    started = time.monotonic()
    if arguments.environment:
        return {**run_elsewhere(NAME, add_arguments, arguments, events), "model": str(arguments.out)}
    from MgImplantSegLib.training.teach.run import teach

    pairs, settings = pairs_of(arguments), settings_of(arguments)
    file = arguments.finish_file

    def wants_end() -> bool:
        return file is not None and Path(file).exists()

    return teach(pairs, arguments.out, parent_of(arguments), settings, events, started, wants_end).to_dict()


def parent_of(arguments: argparse.Namespace) -> Path:
    """The model to start from."""
    try:
        return find_model(getattr(arguments, "from"))
    except InputError as error:
        raise InputError(error.message, error.template.replace("[[model]]", "[[from]]")) from error


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
