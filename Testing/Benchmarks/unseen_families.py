"""How a model copes with scans unlike those it was trained on: ``python Testing/Benchmarks/unseen_families.py``.

Explants of the families of `unseen_explants` at 10, 20 and 30 µm, and real scans of Resources/SampleData: a slice of
a degraded wire, shrunk so that the wire is 50 to 100 voxels across, alone and stacked to a straight wire; trabecular
bone and a tooth, in which there is no implant to be found. Prints one row a scan with IoU by class, then the means of
the families, their mean and the worst; ``--json`` keeps all with the command. ``--rows FOLDER`` takes what
`expected_iou.py` has segmented already. No choice is made on these numbers.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from unseen_explants import FAMILIES

from MgImplantSegLib.base.events import json_ready
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.resources import find_model, resource
from MgImplantSegLib.evaluation import evaluate
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.inference.segmenter import SegmentOptions, segment_volume
from MgImplantSegLib.io import read_volume

FIRST_SEED = 0
SIZE_OF_SPACING_UM = {10.0: 144, 20.0: 112, 30.0: 96}
ROLES = ("background", "bone", "degradation_layer", "residual_material")
COLUMNS = (*ROLES, "mean_iou")
WIRE_SHRUNK = (2, 3, 4)
MODEL_UM = 20.0
HEIGHT = 64
Row = dict[str, float]


def explants(spacings_um: Sequence[float], count: int, families: Sequence[str]) -> Iterator[tuple[str, float, int]]:
    """Family, voxel size and seed of every explant."""
    for family in families:
        for spacing_um in spacings_um:
            for number in range(count):
                yield family, spacing_um, FIRST_SEED + 100 * int(spacing_um) + number


def iou_row(volume: Volume, labels: LabelMap, options: SegmentOptions) -> Row:
    """IoU by class and their mean, classes that neither has left out."""
    evaluation = evaluate(segment_volume(volume, options).label_map, labels)
    return evaluation.iou_by_role | {"mean_iou": evaluation.mean_iou}


def wire_rows(options: SegmentOptions) -> dict[str, Row]:
    """The real wire as a straight wire that fills the height, along all planes and slice by slice."""
    grey, labels = (tifffile.imread(resource("SampleData", f"mg_wire_slice_{name}.tif")) for name in ("grey", "labels"))
    rows = {}
    for factor in WIRE_SHRUNK:
        small = ndimage.zoom(ndimage.gaussian_filter(grey.astype(np.float32), factor / 2.5), 1 / factor, order=1)
        truth = ndimage.zoom(labels, 1 / factor, order=0)
        geometry = Geometry((HEIGHT, *small.shape), (MODEL_UM / 1000,) * 3)
        volume, label_map = (
            kind(np.repeat(slice_[None], HEIGHT, axis=0), geometry)
            for kind, slice_ in ((Volume, small), (LabelMap, truth))
        )
        for name, planes in (("stacked", options.planes), ("slice", "1")):
            rows[f"wire {name} 1/{factor}"] = iou_row(volume, label_map, replace(options, planes=planes))
    return rows


def implant_percent(volume: Volume, options: SegmentOptions) -> float:
    """Voxels called implant, in % of those that are not called background; there should be none."""
    found = segment_volume(volume, options).label_map.array
    return 100 * float(np.count_nonzero(found >= 2)) / max(1, int(np.count_nonzero(found)))


def without_implant(options: SegmentOptions) -> dict[str, float]:
    """`implant_percent` of the real bone and of the tooth, whose two slices are shrunk and stacked."""
    bone = read_volume(resource("SampleData", "lhdl_trabecular_bone_19p5um.nrrd"))
    tooth = read_volume(resource("SampleData", "tooth_synchrotron_2slices.nrrd")).array.astype(np.float32)
    slice_ = tooth.mean(axis=0).reshape(320, 2, 320, 2).mean(axis=(1, 3))
    stack = np.repeat(slice_[None], HEIGHT // 2, axis=0)
    stacked = Volume(stack, Geometry(stack.shape, (MODEL_UM / 1000,) * 3))
    return {"LHDL": implant_percent(bone, options), "tooth": implant_percent(stacked, options)}


def kept_rows(folder: Path, model: Path) -> dict[str, Row]:
    """IoU by class and on average of what `expected_iou.py` has segmented with the weights of the model, by name."""
    import calibrate_expected_iou as calibrate

    rows = calibrate.known_rows(folder, "unseen", model)
    return {
        row.family: {("mean_iou" if key == calibrate.MEAN else key): v for key, v in row.iou.items()} for row in rows
    }


def means(rows: Sequence[Row]) -> Row:
    """Mean of every column over the rows that have it."""
    table = np.array([[row.get(key, math.nan) for key in COLUMNS] for row in rows])
    return {key: float(np.nanmean(values)) for key, values in zip(COLUMNS, table.T, strict=True)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=None, help="model file or name; default the bundled model")
    parser.add_argument("--planes", default="3")
    parser.add_argument("--count", type=int, default=3, help="explants of each family and voxel size; 0: none")
    parser.add_argument("--spacings-um", type=float, nargs="+", default=list(SIZE_OF_SPACING_UM))
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--no-real", action="store_true", help="without the real scans")
    parser.add_argument("--rows", type=Path, help="folder of expected_iou.py with the same model and count")
    parser.add_argument("--json", type=Path, help="file for all rows and means")
    arguments = parser.parse_args()
    options = SegmentOptions(find_model(arguments.model), planes=arguments.planes)
    groups: dict[str, list[Row]] = {}
    result: dict[str, Any] = {"command": " ".join(["python", *sys.argv]), "first_seed": FIRST_SEED, "explants": {}}
    kept = kept_rows(arguments.rows, options.model) if arguments.rows else {}
    for family, spacing_um, seed in explants(arguments.spacings_um, arguments.count, arguments.families):
        size = SIZE_OF_SPACING_UM.get(spacing_um, 112)
        row = kept.get(f"{family} {spacing_um:g} µm {seed}")
        row = row or iou_row(*FAMILIES[family](seed, size, spacing_um), options)
        groups.setdefault(f"{family} {spacing_um:g} µm", []).append(row)
        result["explants"][f"{family} {spacing_um:g} µm seed {seed} size {size}"] = row
        _print_row(f"{family} {spacing_um:g} µm {seed}", row)
    table = {name: means(rows) for name, rows in groups.items()}
    result["families"] = table
    for spacing_um in arguments.spacings_um if groups else ():
        here = {name: row for name, row in table.items() if name.endswith(f" {spacing_um:g} µm")}
        worst = min(here, key=lambda name: here[name]["mean_iou"])
        result[f"{spacing_um:g} µm"] = {"mean": means(list(here.values())), "worst": worst, "worst_row": here[worst]}
    if not arguments.no_real:
        result["wire"], result["implant_percent"] = wire_rows(options), without_implant(options)
    _print_summary(result)
    if arguments.json:
        with atomic_output(arguments.json) as temporary:
            temporary.write_text(json.dumps(json_ready(result), indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


def _print_summary(result: dict[str, Any]) -> None:
    for name, row in {**result["families"], **result.get("wire", {})}.items():
        _print_row(f"= {name}", row)
    for key, value in result.items():
        if key.endswith(" µm"):
            _print_row(f"= mean at {key}", value["mean"])
            _print_row(f"= worst: {value['worst']}", value["worst_row"])
    for name, percent in result.get("implant_percent", {}).items():
        sys.stdout.write(f"= {name}: {percent:.2f} % called implant, 0 expected\n")


def _print_row(name: str, row: Row) -> None:
    sys.stdout.write(f"{name:28}" + " ".join(f"{row.get(key, math.nan):8.3f}" for key in COLUMNS) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.stdout.write(f"{'':28}" + " ".join(f"{key[:8]:>8}" for key in COLUMNS) + "\n")
    raise SystemExit(main())
