"""All measures, and `quantify`, which computes the chosen ones of a label map.

A new measure is a function that takes the `MeasureContext` and returns `Measure` and `Series` objects, and an entry in
`MEASURES`; command line, tables and plots take it from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import MgImplantSegLib
from MgImplantSegLib.base.choices import Registry
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.expected_iou import KEY, expected_of
from MgImplantSegLib.base.options import record
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.io.voxel_size import remarks_with_doubt
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.measures.bone_volume import bone_volume, bone_volume_profile
from MgImplantSegLib.quantification.measures.contact import contact, contact_along_axis
from MgImplantSegLib.quantification.measures.cross_section import cross_section
from MgImplantSegLib.quantification.measures.degradation import degradation, volumes
from MgImplantSegLib.quantification.measures.depth import degradation_depth, layer_thickness
from MgImplantSegLib.quantification.measures.morphometry import morphometry
from MgImplantSegLib.quantification.measures.openings import canals, cracks
from MgImplantSegLib.quantification.measures.uncertainty import with_ranges
from MgImplantSegLib.quantification.options import QuantifyOptions
from MgImplantSegLib.quantification.results import Measure, Missing, QuantificationReport, Series, notes

MOST_STEPS = 100_000
# these do not depend on metal and layer being found
NOT_OF_IMPLANT = ("V_i", "A_i", "BV/TV", "Tb.Th", "Tb.Sp", "Tb.N", "Ct.Po", "Ca.Dm")
OF_INITIAL = ("V_i", "A_i", "VL", "DR", "depth_mean", "depth_P95", "depth_max", "PF")


@dataclass(frozen=True)
class MeasureGroup:
    """Measures that are computed together; `help` is a line for the command line, `by_default` for `quantify`."""

    help: str
    compute: Callable[[MeasureContext], Iterable[Measure | Series]]
    by_default: bool = True

    @property
    def name(self) -> str:
        """The symbols."""
        return self.help

    @property
    def definition(self) -> str:
        """The symbols, and whether they have to be asked for."""
        return self.help if self.by_default else f"{self.help}, on request"


MEASURES: Registry[MeasureGroup] = Registry(
    "a measure",
    {
        "volumes": MeasureGroup("V_r, V_DL", volumes),
        "degradation": MeasureGroup("V_i, A_i, VL, DR", degradation),
        "contact": MeasureGroup("BIC of the implant and per ROI", contact),
        "bone-volume": MeasureGroup("BV/TV in the shell, per ROI, and where both overlap", bone_volume),
        "bone-profile": MeasureGroup("BV/TV over shells around the implant", bone_volume_profile),
        "contact-profile": MeasureGroup("BIC per slice along the screw axis", contact_along_axis, by_default=False),
        "depth": MeasureGroup("degradation depth and pitting factor", degradation_depth, by_default=False),
        "layer": MeasureGroup("thickness of the degradation layer", layer_thickness, by_default=False),
        "cross-section": MeasureGroup(
            "smallest cross-section of the residual material", cross_section, by_default=False
        ),
        "cracks": MeasureGroup(
            "volume, width, depth and openness of cracks, BIC with cracks open and closed", cracks, by_default=False
        ),
        "canals": MeasureGroup("Ct.Po and Ca.Dm of canals in bone", canals, by_default=False),
        "morphometry": MeasureGroup("Tb.Th, Tb.Sp, Tb.N per ROI, or in the shell", morphometry, by_default=False),
    },
)
DEFAULT_MEASURES = tuple(key for key, group in MEASURES.items() if group.by_default)


def quantify(
    label_map: LabelMap, options: QuantifyOptions | None = None, events: Events | None = None
) -> QuantificationReport:
    """Measure a segmentation.

    Raises InputError if a label value has no role, an option names something that does not exist, or steps cannot be
    counted.

    Parameters
    ----------
    options : QuantifyOptions
        Additional information, and how to measure.
    """
    options, events = options or QuantifyOptions(), events or Events()
    label_map = _without_what_no_longer_holds(label_map)
    chosen = _chosen_groups(options)
    _require_countable_steps(label_map, options)
    found: list[Measure | Series] = []
    with events.task("measures", len(chosen) + 2) as task:
        context = MeasureContext.of_label_map(label_map, options, events)
        for key, group in chosen.items():
            task.advance(stage=f"measures: {key}")
            found.extend(group.compute(context))
        measures = tuple(entry for entry in found if isinstance(entry, Measure))
        if options.disagreement is not None:
            task.advance(stage="measures: ranges")
            measures = with_ranges(measures, context)
    _warn(measures, events)
    series = tuple(entry for entry in found if isinstance(entry, Series))
    measures, series = _with_remarks((measures, series), label_map, options)
    return QuantificationReport(measures, _inputs(label_map, options, tuple(chosen)), series)


def _without_what_no_longer_holds(label_map: LabelMap) -> LabelMap:
    """Without the expected IoU if the labels are no longer those that the model gave: corrected, cropped, joined."""
    expected = expected_of(label_map.provenance)
    if expected is None or not expected.voxels:
        return label_map
    now, then = label_map.voxels_of_roles(), expected.voxels
    if all(now.get(role, 0) == then.get(role, 0) for role in {*now, *then}):
        return label_map
    kept = {key: value for key, value in label_map.provenance.items() if key != KEY}
    return replace(label_map, provenance=kept)


def _with_remarks(found: tuple[tuple[Any, ...], ...], label_map: LabelMap, options: QuantifyOptions) -> Iterator[tuple]:
    """What was warned of when the files were read, as notes beside all numbers that follow from them."""
    remarks = tuple(dict.fromkeys((*remarks_with_doubt(label_map), *options.scan_remarks)))
    expected = expected_of(label_map.provenance)
    doubt = "" if expected is None else expected.warning()
    of_initial = () if options.initial is None else options.initial.remarks
    for entries in found:
        yield tuple(
            replace(
                entry,
                note=notes(
                    entry.note,
                    *remarks,
                    *(of_initial if entry.symbol in OF_INITIAL else ()),
                    "" if entry.symbol in NOT_OF_IMPLANT else doubt,
                ),
            )
            for entry in entries
        )


def _require_countable_steps(label_map: LabelMap, options: QuantifyOptions) -> None:
    """Steps so fine, or distances so long, that their number alone would fill the memory are slips of a unit."""
    longest_mm = max(float(np.linalg.norm(label_map.geometry.extent_zyx_mm)), options.distance_mm)
    for name in ("profile_step_mm", "slice_mm"):
        step_mm = getattr(options, name)
        if longest_mm > MOST_STEPS * step_mm:
            raise InputError(
                f"Expected at most {MOST_STEPS:,} steps, got {longest_mm / step_mm:.2g}: {name} of {step_mm:g} mm for "
                f"{longest_mm:.3g} mm of volume or distance.",
                "Give lengths in mm: longer steps, or a shorter distance_mm.",
            )


def _chosen_groups(options: QuantifyOptions) -> dict[str, MeasureGroup]:
    """The groups in the order of `MEASURES`."""
    keys = DEFAULT_MEASURES if options.measures is None else options.measures
    return {key: group for key, group in MEASURES.items() if key in keys}


def _warn(measures: Iterable[Measure], events: Events) -> None:
    """Tell each note once, with all symbols it belongs to; what was not given is no surprise."""
    symbols_of: dict[str, list[str]] = {}
    for measure in measures:
        if measure.note and measure.missing is not Missing.NOT_GIVEN:
            symbols_of.setdefault(measure.note, []).append(measure.symbol)
    for note, symbols in symbols_of.items():
        events.warning(f"{', '.join(dict.fromkeys(symbols))}: {note}", kind="measure")


def _inputs(label_map: LabelMap, options: QuantifyOptions, measures: tuple[str, ...]) -> dict[str, Any]:
    initial = options.initial
    return {
        "software_version": MgImplantSegLib.__version__,
        "segmentation": dict(label_map.provenance),
        "shape_zyx": list(label_map.geometry.shape_zyx),
        "spacing_zyx_um": [spacing * 1000 for spacing in label_map.geometry.spacing_zyx_mm],
        "label_scheme": label_map.scheme.to_dict(),
        "initial": None
        if initial is None
        else {"source": initial.source, "volume_mm3": initial.volume_mm3, "area_mm2": initial.area_mm2},
        **record(options),
        "rois": [
            {"name": roi.name, "centre_lps_mm": roi.centre_lps_mm, "axes_lps": roi.axes_lps, "size_mm": roi.size_mm}
            for roi in options.rois
        ],
        "measures": list(measures),
        "ranges": None if options.disagreement is None else "disagreement of planes",
        "field_of_view": "given" if options.field_of_view is not None else "whole volume",
    }
