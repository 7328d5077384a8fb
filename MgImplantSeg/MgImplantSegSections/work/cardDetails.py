"""A model's card for people: what it is for, how good it is, what it was trained on; how it was made, step by step.

Cards come from anywhere: what is missing is left out, what is no number or text is not shown, all texts are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.expected_iou import Calibration
from MgImplantSegSections.work.cardText import isNumber, notToReport
from MgImplantSegSections.work.numberText import numberText

if TYPE_CHECKING:
    from MgImplantSegLib.model.card import ModelCard

MEAN = "mean"
COLUMNS = (MEAN, "bone", "degradation_layer", "residual_material")
KEYS_OF_COLUMN = {MEAN: ("mean_iou", "mean", "iou")} | {key: (key, f"iou_{key}") for key in COLUMNS[1:]}
KNOWN_KEYS = {name for names in KEYS_OF_COLUMN.values() for name in names} | {"background", "iou_background", "loss"}
UNSEEN = re.compile(r"unseen_families_(\d+(?:\.\d+)?)_um")
LONGEST, DEEPEST, MOST_ROWS = 400, 5, 40
DIGITS = 3


def cardHtml(card: ModelCard):
    """The card, without the steps in which the model was made; see `historyHtml`."""
    parts = [
        f"<h3>{_text(card.name)}</h3>",
        _paragraph(_of(card.training, "description")),
        _section(_("What to report, and what not"), [_paragraph(notToReport(card)), _paragraph(card.intended_use)]),
        _section(_("How good it is"), [_metricsHtml(card.metrics), _paragraph(_expectedText(card))]),
        _section(_("What it was trained on"), [_paragraph(text) for text in _trainingTexts(card)]),
        _section(_("What it is"), [_tableHtml([], _factRows(card))]),
    ]
    return "".join(parts)


def historyHtml(card: ModelCard):
    """How the model was made, step by step, and all further numbers of the card; empty if it says nothing of that."""
    steps = [_text(step) for step in _listOf(_of(card.training, "history"))]
    steps += [_text(_roundText(entry)) for entry in _listOf(_of(card.training, "lineage"))]
    others = [[title, numberText(value, DIGITS)] for title, value in _otherNumbers(card.metrics, ())]
    found = ["<ol>" + "".join(f"<li>{step}</li>" for step in steps if step) + "</ol>"] if any(steps) else []
    found += [_tableHtml([], [[escape(title, quote=False), number] for title, number in others])] if others else []
    return _section(_("How it was made"), found)


def _metricsHtml(metrics: Any):
    rows = [[escape(title, quote=False), *cells] for title, cells in _qualityRows(metrics, ())][:MOST_ROWS]
    if not rows:
        return _paragraph(_("Not documented."))
    said = _("IoU, the overlap of what it segments with the truth: 1 is perfect, 0 is none.")
    header = [_("Tested on"), _("mean"), _("bone"), _("layer"), _("metal")]
    return _paragraph(said) + _tableHtml(header, rows)


def _qualityRows(table: Any, path: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """A row for each table of IoU in the metrics, whatever it is called."""
    if not isinstance(table, dict) or len(path) > DEEPEST:
        return
    values = [next((table[key] for key in KEYS_OF_COLUMN[name] if isNumber(table.get(key))), None) for name in COLUMNS]
    if any(value is not None for value in values):
        family = table.get("family")
        title = _title(path) + (f" ({family[:LONGEST]})" if isinstance(family, str) and family else "")
        yield title, [_iouText(value) for value in values]
    for key, value in table.items():
        yield from _qualityRows(value, (*path, str(key)))


def _iouText(value: Any):
    """With two digits; what is no part of 1 was not measured by this program, and is shown as it is."""
    if value is None:
        return ""
    return f"{value:.2f}" if 0 <= value <= 1 else numberText(value, DIGITS)


def _otherNumbers(table: Any, path: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    """Numbers that are no IoU, with what they are called."""
    if not isinstance(table, dict) or len(path) > DEEPEST:
        return
    for key, value in table.items():
        if isNumber(value) and key not in KNOWN_KEYS:
            yield f"{_title(path)}: {_words(str(key))}" if path else _words(str(key)), value
        else:
            yield from _otherNumbers(value, (*path, str(key)))


def _title(path: Sequence[str]):
    words = ", ".join(_words(key) for key in path) or _("all test scans")
    return words[:1].upper() + words[1:]


def _words(key: str):
    """A key of the card as people read it."""
    unseen = UNSEEN.fullmatch(key)
    if unseen:
        return _("kinds of explants not trained on, {um} µm").format(um=unseen[1])
    known = {
        "held_out": _("slices kept apart"),
        "validation": _("scans for checking during training"),
        "mean": _("average"),
        "worst": _("worst kind"),
        "before": _("before teaching"),
        "after": _("after teaching"),
    }
    return known.get(key) or key[:LONGEST].replace("_", " ").strip()


def _expectedText(card: ModelCard):
    """Whether the model says how good its result on a scan is likely to be, and how well it knows."""
    try:
        calibration = Calibration.from_dict(card.calibration)
    except InputError:
        calibration = None
    if calibration is None:
        return _("For a single scan it does not know how good its result is likely to be (no expected IoU).")
    text = _("For each scan it says how good its result is likely to be (expected IoU), and warns below {low:.2f}.")
    said = text.format(low=calibration.warn_below)
    error = _of(card.calibration, "from", "mean_error_of_families_left_out", "several_planes")
    count = _of(card.calibration, "from", "explants")
    if isNumber(error) and isNumber(count):
        known = _("It is off by {error:.2f} on average ({count:.0f} simulated explants of kinds left out).")
        said = f"{said} {known.format(error=error, count=count)}"
    return said


def _trainingTexts(card: ModelCard):
    data, found = _of(card.training, "data"), []
    samples, voxels = _of(data, "train", "samples"), _of(data, "train", "voxels")
    if isNumber(samples) and isNumber(voxels):
        text = _("{n:.0f} scans ({millions} million voxels).")
        found.append(text.format(n=samples, millions=numberText(voxels / 1e6, DIGITS)))
    elif isNumber(samples):
        found.append(_("{n:.0f} scans.").format(n=samples))
    checks = _of(data, "validation", "samples")
    if isNumber(checks):
        found.append(_("{n:.0f} further scans to check it during training.").format(n=checks))
    rounds = [_roundText(entry) for entry in _listOf(_of(card.training, "lineage"))]
    found += rounds[-1:]
    base = _of(card.training, "base_model")
    if isinstance(base, str) and base and not rounds:
        found.append(_("It began as the model {name}.").format(name=_cut(base)))
    minutes, iterations = _of(card.training, "elapsed_minutes"), _of(card.training, "iterations")
    if isNumber(minutes) and isNumber(iterations):
        text = _("The last training took {minutes} minutes, {n:,.0f} iterations.")
        found.append(text.format(minutes=numberText(minutes, DIGITS), n=iterations))
    return found or [_("Not documented.")]


def _roundText(entry: Any):
    """A round of teaching in a sentence."""
    if not isinstance(entry, dict):
        return ""
    scans = [scan for scan in _listOf(entry.get("scans")) if isinstance(scan, dict)]
    names = ", ".join(_cut(scan["name"]) for scan in scans if isinstance(scan.get("name"), str))
    slices = sum(int(scan["slice_count"]) for scan in scans if isNumber(scan.get("slice_count")))
    parent = _cut(entry["parent"]) if isinstance(entry.get("parent"), str) else _("another model")
    text = _("Taught from {parent}: {slices} labelled slices of {scans}.")
    said = text.format(parent=parent, slices=slices, scans=names or _("a scan"))
    before, after = (_of(entry, "held_out", when, MEAN) for when in ("before", "after"))
    if isNumber(before) and isNumber(after):
        kept = _("On slices kept apart its mean IoU went from {before:.2f} to {after:.2f}.")
        said = f"{said} {kept.format(before=before, after=after)}"
    return said


def _factRows(card: ModelCard):
    spacing = _("{um:g} µm; other scans are resampled to that").format(um=card.preprocessing.spacing_um)
    classes = ", ".join(label.name for label in card.label_scheme.labels)
    rows = [(_("Classes"), classes), (_("Voxel size"), spacing), (_("Network"), _networkText(card.network))]
    axes = {"rc": _("rows and columns"), "cp": _("columns and slices"), "pr": _("slices and rows")}
    planes = ", ".join(axes.get(name, str(name)) for name in card.training_planes)
    rows += [(_("Trained on slices along"), planes), (_("Licence"), card.licence), (_("Made on"), card.created)]
    rows += [(_("Version of MgImplantSeg"), card.software_version)]
    return [[_text(name), _text(value)] for name, value in rows if value]


def _networkText(network: Any):
    """For example ``U-Net, 5 levels, 12 channels in the first``."""
    name = str(_of(network, "name") or "")
    name = {"unet": "U-Net"}.get(name, name)
    depth, width = _of(network, "depth"), _of(network, "width")
    if not (isNumber(depth) and isNumber(width)):
        return name
    return _("{name}, {depth:.0f} levels, {width:.0f} channels in the first").format(
        name=name, depth=depth, width=width
    )


def _of(table: Any, *keys: str):
    """What stands in tables within tables; None where something is no table."""
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table


def _listOf(value: Any):
    return value[:MOST_ROWS] if isinstance(value, (list, tuple)) else []


def _cut(text: str):
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _text(value: Any):
    """A text as HTML; empty for what is none."""
    return escape(_cut(value), quote=False) if isinstance(value, str) else ""


def _paragraph(value: Any):
    return f"<p>{_text(value)}</p>" if _text(value) else ""


def _section(heading: str, parts: Sequence[str]):
    body = "".join(parts)
    return f"<h4>{escape(heading, quote=False)}</h4>{body}" if body else ""


def _tableHtml(header: Sequence[str], rows: Sequence[Sequence[str]]):
    """:param rows: cells that are HTML already."""
    lines = [f"<tr>{''.join(f'<th align=left>{escape(cell, quote=False)}&nbsp;&nbsp;</th>' for cell in header)}</tr>"]
    lines = lines if header else []
    lines += [f"<tr>{''.join(f'<td>{cell}&nbsp;&nbsp;</td>' for cell in row)}</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"
