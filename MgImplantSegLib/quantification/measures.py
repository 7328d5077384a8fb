"""All measures, and `quantify`, which computes the chosen ones of a label map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from MgImplantSegLib.events import Events
from MgImplantSegLib.quantification.bone_volume import bone_volume
from MgImplantSegLib.quantification.contact import contact
from MgImplantSegLib.quantification.context import MeasureContext, QuantifyOptions
from MgImplantSegLib.quantification.degradation import degradation, volumes
from MgImplantSegLib.quantification.results import Measure, QuantificationReport
from MgImplantSegLib.volume import LabelMap

MEASURES: dict[str, Callable[[MeasureContext], tuple[Measure, ...]]] = {
    "volumes": volumes,
    "degradation": degradation,
    "contact": contact,
    "bone-volume": bone_volume,
}


def quantify(label_map: LabelMap, options: QuantifyOptions, events: Events) -> QuantificationReport:
    """Measure a segmentation.

    Parameters
    ----------
    label_map : LabelMap
        Segmentation of the explant.
    options : QuantifyOptions
        What is known besides, and how to measure.
    events : Events
        Gets progress, and can cancel.

    Raises
    ------
    InputError
        If a label value has no role.
    """
    measures: list[Measure] = []
    with events.task("quantify", len(MEASURES) + 1) as task:
        context = MeasureContext(label_map, options, events)
        for name, compute in MEASURES.items():
            task.advance(stage=f"quantify: {name}")
            measures.extend(compute(context))
    return QuantificationReport(tuple(measures), _inputs(label_map, options))


def _inputs(label_map: LabelMap, options: QuantifyOptions) -> dict[str, Any]:
    return {
        "segmentation": dict(label_map.provenance),
        "shape_zyx": list(label_map.geometry.shape_zyx),
        "spacing_zyx_um": [spacing * 1000 for spacing in label_map.geometry.spacing_zyx_mm],
        "scheme": label_map.scheme.to_dict(),
        "initial": options.initial.source if options.initial else None,
        "time_days": options.time_days,
        "distance_mm": options.distance_mm,
        "rois": [{"name": r.name, "centre_lps_mm": r.centre_lps_mm, "axes_lps": r.axes_lps, "size_mm": r.size_mm}
                 for r in options.rois],
    }  # fmt: skip
