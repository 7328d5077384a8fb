"""The result of the demo as data, text and page: each number beside its exact truth, where there is one."""

from __future__ import annotations

from typing import Any

from MgImplantSegLib.cli.demo_case import DemoCase
from MgImplantSegLib.cli.quantify import symbols_by_note
from MgImplantSegLib.cli.tables import percent_text, text_table, value_text
from MgImplantSegLib.cli.web_page import Table, WebPage
from MgImplantSegLib.expected_iou import KEY, expected_of
from MgImplantSegLib.labels import Role
from MgImplantSegLib.volume import LabelMap

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
CLASS_COLUMNS = (("volume_mm3", "volume mm³"), ("truth_mm3", "truth mm³"), ("iou", "IoU"))
HONEST_WORDS = (
    "The bundled model was trained on simulated explants alone. For research use only; train or fine-tune on your own "
    "scans and check against your own labels before you publish numbers."
)


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
    known = truth is not None and truth == truth and truth != 0 and entry["value"] is not None
    deviation = 100 * (entry["value"] - truth) / truth if known else None
    return {**entry, "truth": truth, "deviation_percent": deviation}


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


def report_page(result: dict[str, Any]) -> str:
    """The same as an HTML page with the pictures."""
    paragraphs = (*_remarks(result), HONEST_WORDS)
    return WebPage(f"MgImplantSeg: {result['title']}", paragraphs, _tables(result), result["pictures"]).html()


def table_text(table: Table) -> str:
    """A table of the page as plain text, without its title."""
    return text_table(table.header, table.rows)


def _tables(result: dict[str, Any]) -> list[Table]:
    return [_class_table(result), _measure_table(result)]


def _class_table(result: dict[str, Any]) -> Table:
    columns = CLASS_COLUMNS if _has_truth(result) else CLASS_COLUMNS[:1]
    rows = [
        (row["class"].replace("_", " "), *(value_text(row[key]) for key, _title in columns))
        for row in result["classes"]
    ]
    if _has_truth(result):
        rows.append(("mean, background included", "", "", value_text(result["mean_iou"])))
    return Table("Classes", ("class", *(title for _key, title in columns)), rows)


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
