"""The result of the demo as data and text: each number beside its exact truth, where there is one."""

from __future__ import annotations

from typing import Any

from MgImplantSegLib.base.expected_iou import KEY, expected_of
from MgImplantSegLib.cli.demo_case import DemoCase
from MgImplantSegLib.cli.quantify import symbols_by_note
from MgImplantSegLib.cli.report_page import HONEST_WORDS
from MgImplantSegLib.cli.report_samples import class_table, deviation_percent
from MgImplantSegLib.cli.tables import percent_text, text_table, value_text
from MgImplantSegLib.cli.web_page import Table
from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.grids.volume import LabelMap

TRUTH_OF_SYMBOL = {
    "V_i": "V_i_mm3",
    "A_i": "A_i_mm2",
    "V_r": "V_r_mm3",
    "V_DL": "V_DL_mm3",
    "VL": "VL_percent",
    "DR": "DR_mm_per_year",
    "BIC": "BIC_percent",
    "BV/TV": "BV_TV_percent",
}


def summary(
    case: DemoCase, segmentation: LabelMap, measures: dict[str, Any], evaluation: dict[str, Any] | None
) -> dict[str, Any]:
    """The numbers of the demo: measures with truth and deviation, classes with volume, truth and IoU."""
    return {
        "measures": [_with_truth(entry, case) for entry in measures["measures"]],
        "classes": _classes(case, segmentation, evaluation),
        "mean_iou": evaluation["mean_iou"] if evaluation else None,
        "inputs": measures["inputs"],
        "expected_iou": segmentation.provenance.get(KEY),
    }


def _with_truth(entry: dict[str, Any], case: DemoCase) -> dict[str, Any]:
    truth = case.truth.get(TRUTH_OF_SYMBOL.get(entry["symbol"], ""))
    return {**entry, "truth": truth, "deviation_percent": deviation_percent(entry["value"], truth)}


def _classes(case: DemoCase, segmentation: LabelMap, evaluation: dict[str, Any] | None) -> list[dict[str, Any]]:
    rows = []
    for role in (role for role in Role if role is not Role.BACKGROUND):
        rows.append(
            {
                "class": role.value,
                "volume_mm3": _volume_mm3(segmentation, role),
                "truth_mm3": _volume_mm3(case.labels, role) if case.labels is not None else None,
                "iou": evaluation["classes"][role.value]["iou"] if evaluation else None,
            }
        )
    return rows


def _volume_mm3(label_map: LabelMap, role: Role) -> float:
    return int(label_map.mask(role).sum()) * label_map.geometry.voxel_volume_mm3


def report_text(result: dict[str, Any]) -> str:
    """What is printed at the end."""
    parts = [result["title"], "", *(f"{table_text(table)}\n" for table in _tables(result)), *_remarks(result), ""]
    parts += ["Files:", *(f"  {path}" for path in result["files"].values())]
    return "\n".join([*parts, "", f"Done in {result['seconds']:.0f} s. {HONEST_WORDS}"])


def facts(case: DemoCase, result: dict[str, Any]) -> dict[str, Any]:
    """What is known of the case apart from its measures, for the page and for later reports: ``demo.json``."""
    truth = {symbol: case.truth[key] for symbol, key in TRUTH_OF_SYMBOL.items() if key in case.truth}
    return {name: result[name] for name in ("title", "classes", "mean_iou", "absent")} | {"truth": truth}


def table_text(table: Table) -> str:
    """A table of the page as plain text, without its title."""
    return text_table(table.header, table.rows)


def _tables(result: dict[str, Any]) -> list[Table]:
    return [class_table(result), _measure_table(result)]


def _measure_table(result: dict[str, Any]) -> Table:
    rows = []
    for entry in result["measures"]:
        beside = (value_text(entry["truth"]), percent_text(entry["deviation_percent"])) if _has_truth(result) else ()
        rows.append((entry["symbol"], value_text(entry["value"]), *beside, entry["unit"], entry["region"]))
    beside = ("truth", "deviation") if _has_truth(result) else ()
    return Table("Measures", ("measure", "value", *beside, "unit", "region"), rows)


def _has_truth(result: dict[str, Any]) -> bool:
    return result["mean_iou"] is not None


def _remarks(result: dict[str, Any]) -> list[str]:
    """Classes that are absent, where the regions are, and for each undefined measure why."""
    remarks = [f"Not found in this scan: {', '.join(result['absent'])}."] if result["absent"] else []
    expected = expected_of(result)
    if expected is not None and not expected.is_low:  # else it stands in the notes of the measures
        remarks.append(f"{expected.line()}.")
    for roi in result["inputs"]["rois"]:
        remarks.append(
            f"{roi['name']}: a box of {' × '.join(f'{edge:.2f}' for edge in roi['size_mm'])} mm, roi.mrk.json."
        )
    return remarks + [f"{', '.join(symbols)}: {note}" for note, symbols in symbols_by_note(result["measures"]).items()]
