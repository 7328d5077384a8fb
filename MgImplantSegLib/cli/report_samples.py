"""One sample in a report: its pictures, classes and measures, each beside its truth where that is known."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from MgImplantSegLib.cli.pictures import CONTACT, DEPTH, SLICES, VIEW_3D
from MgImplantSegLib.cli.tables import percent_text, value_text
from MgImplantSegLib.cli.web_page import Element, Heading, Lines, Paragraph, Picture, Pictures, Table
from MgImplantSegLib.study.samples import DONE, StudySample

CAPTIONS = {
    VIEW_3D: "segmentation in 3D",
    SLICES: "slices of the scan with the segmentation",
    CONTACT: "contact of bone with the implant",
    DEPTH: "depth of degradation",
}
WIDTH_OF_ONE, WIDTH_OF_MANY, QUALITY = 1200, 640, 88
LARGEST_PICTURE_BYTES = 64 << 20


def sample_elements(sample: StudySample, is_one_of_many: bool) -> Iterator[Element]:
    """What is shown of a sample."""
    if is_one_of_many:
        yield Heading(sample.name)
    if sample.state != DONE:
        yield Paragraph(f"{sample.state}. {sample.problem}".strip())
        return
    facts = _facts(sample)
    if facts:
        yield Lines(facts)
    pictures = list(sample_pictures(sample.folder, WIDTH_OF_MANY if is_one_of_many else WIDTH_OF_ONE))
    if pictures:
        yield Pictures(pictures)
    if sample.facts.get("classes"):
        yield class_table(sample.facts)
    yield measure_table(sample)
    remarks = sample_remarks(sample)
    if remarks:
        yield Lines(remarks)


def sample_pictures(folder: Path, width: int) -> Iterator[Picture]:
    """The pictures of a sample, as large as the page needs them; a file that is not a picture is left out."""
    for name, caption in CAPTIONS.items():
        path = folder / name
        if path.is_file() and path.stat().st_size <= LARGEST_PICTURE_BYTES:
            content, kind = _smaller(path.read_bytes(), width)
            if content:
                yield Picture(content, kind, caption)


def _smaller(content: bytes, width: int) -> tuple[bytes, str]:
    """The picture as JPEG of at most that width; empty if it is none."""
    try:
        from PIL import Image
    except ImportError:
        is_picture = content.startswith(b"\x89PNG\r\n\x1a\n")
        return (content if is_picture else b""), "image/png"
    try:
        with Image.open(io.BytesIO(content)) as opened:
            image = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return b"", ""
    if image.width > width:
        image = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue(), "image/jpeg"


def class_table(facts: Mapping[str, Any]) -> Table:
    """Volume of each class; truth and IoU where they are known."""
    has_truth = facts.get("mean_iou") is not None
    columns = (("volume_mm3", "volume mm³"), ("truth_mm3", "truth mm³"), ("iou", "IoU"))[: 3 if has_truth else 1]
    rows = [
        (str(row["class"]).replace("_", " "), *(value_text(row.get(key)) for key, _title in columns))
        for row in facts["classes"]
    ]
    if has_truth:
        rows.append(("mean, background included", "", "", value_text(facts["mean_iou"])))
    return Table("Classes", ("class", *(title for _key, title in columns)), rows)


def measure_table(sample: StudySample) -> Table:
    """All measures; ranges where they were asked for, truth where it is known."""
    truth = sample.facts.get("truth") or {}
    has_ranges = any(entry.get("low") is not None for entry in sample.measures)
    rows = []
    for entry in sample.measures:
        cells = [str(entry["symbol"]), value_text(entry["value"])]
        cells += [_range_text(entry)] if has_ranges else []
        cells += list(_beside_truth(entry["value"], truth.get(entry["symbol"]))) if truth else []
        rows.append((*cells, str(entry["unit"]), str(entry["region"])))
    header = ["measure", "value", *(["range"] if has_ranges else []), *(["truth", "deviation"] if truth else [])]
    return Table("Measures", (*header, "unit", "region"), rows)


def deviation_percent(value: float | None, truth: float | None) -> float | None:
    """100 · (value − truth) / truth; None where it is not defined."""
    is_known = value is not None and truth is not None and truth == truth and truth != 0
    return 100 * (value - truth) / truth if is_known and value is not None and truth is not None else None


def _beside_truth(value: float | None, truth: float | None) -> tuple[str, str]:
    return value_text(truth), percent_text(deviation_percent(value, truth))


def _range_text(entry: Mapping[str, Any]) -> str:
    low, high = entry.get("low"), entry.get("high")
    return "–" if low is None or high is None else f"{value_text(low)} to {value_text(high)}"


def _facts(sample: StudySample) -> list[str]:
    found = [f"{name.replace('_', ' ')}: {text}" for name, text in sample.study.items() if text]
    found += [f"scan: {sample.image}"] if sample.image else []
    expected = sample.expected_iou
    if isinstance(expected, Mapping):
        parts = [f"{name} {_number_text(value)}" for name, value in expected.items() if _number_text(value)]
        found += [f"expected IoU: {', '.join(parts)}"] if parts else []
    elif _number_text(expected):
        found.append(f"expected IoU: {_number_text(expected)}")
    return found


def _number_text(value: Any) -> str:
    """A number for display; empty for anything else."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value_text(value) if is_number else ""


def sample_remarks(sample: StudySample) -> list[str]:
    """Classes that are absent, where the regions are, notes of measures, and the warnings."""
    absent = sample.facts.get("absent") or ()
    remarks = [f"Not found in this scan: {', '.join(map(str, absent))}."] if absent else []
    for roi in sample.inputs.get("rois") or ():
        if isinstance(roi, Mapping) and isinstance(roi.get("size_mm"), list):
            size = " × ".join(_number_text(edge) or "?" for edge in roi["size_mm"])
            remarks.append(f"{roi.get('name')}: a box of {size} mm.")
    by_note: dict[str, list[str]] = {}
    for entry in sample.measures:
        note = str(entry.get("note") or "")
        for text in sample.warnings:  # one that belongs to all measures is said once
            note = " ".join(note.replace(text, "").split())
        if note:
            by_note.setdefault(note, []).append(str(entry["symbol"]))
    remarks += [f"{', '.join(dict.fromkeys(symbols))}: {note}" for note, symbols in by_note.items()]
    warnings = [text for text in sample.warnings if text not in remarks and text.partition(": ")[2] not in by_note]
    return [*remarks, *(f"Warning: {text}" for text in warnings)]
