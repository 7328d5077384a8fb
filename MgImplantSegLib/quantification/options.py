"""How to measure: `QuantifyOptions`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.option_kinds import Number, OneOf, SomeOf
from MgImplantSegLib.base.options import option, require_valid
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.quantification.measures.common_lengths import COMMON_LENGTHS, CommonLength
from MgImplantSegLib.quantification.measures.contact_methods import CONTACT_METHODS
from MgImplantSegLib.quantification.measures.rate_forms import RATE_FORMS
from MgImplantSegLib.quantification.screw.initial import InitialScrew
from MgImplantSegLib.quantification.surfaces.surface import DEFAULT_SURFACE_METHOD, SURFACE_METHODS


class Days(Number):
    """A time in days; an impossible one is not an error of the options, but the reason for an undefined measure."""

    def __init__(self) -> None:
        super().__init__("days", zero=True, metavar="T", offered_up_to=36500)

    def check(self, name: str, value: Any) -> None:
        """Nothing is refused."""


@dataclass(frozen=True)
class QuantifyOptions:
    """Additional information on the segmentation, and how to measure. Lengths in mm.

    The fields made by `option` say themselves what they are. Raises InputError if a value is not valid.

    Parameters
    ----------
    initial : InitialScrew, optional
        The screw before implantation.
    rois : tuple of OrientedBox
        Further regions; equal names get a number.
    axis_lps : tuple of float, optional
        Direction of the screw axis; by default the implant's own long axis.
    field_of_view : bool array (z, y, x), optional
        True where the scanner has seen something.
    scan_remarks : tuple of str
        What was warned of when the scan was read; appears in the notes of all measures.
    disagreement : Volume, optional
        Disagreement of the slicing planes, for ranges beside the values.
    """

    initial: InitialScrew | None = None
    time_days: float | None = option(
        "days between implantation and explantation", Days(), None, argument="days", default_help="not known"
    )
    distance_mm: float = option(
        "thickness of the shell around the implant in mm", Number("mm", metavar="D", offered_up_to=100), 0.5
    )
    rois: tuple[OrientedBox, ...] = ()
    measures: tuple[str, ...] | None = option(
        "measures to compute",
        SomeOf("MgImplantSegLib.quantification.measures.all_measures:MEASURES"),
        None,
        default_help="all but those on request",
    )
    surface: str = option("how surface areas are measured", OneOf(SURFACE_METHODS), DEFAULT_SURFACE_METHOD)
    rate_form: str = option("area by which DR is divided", OneOf(RATE_FORMS), "initial-area")
    contact: str = option("how bone contact is measured", OneOf(CONTACT_METHODS), "faces")
    contact_distance_mm: float = option(
        "for contact by distance: largest gap between bone and implant in mm",
        Number("mm", zero=True, metavar="D", offered_up_to=1),
        0.02,
    )
    close_cracks_mm: float = option(
        "close cracks of the implant up to this width in mm before contact is measured; 0 closes none",
        Number("mm", zero=True, metavar="W", offered_up_to=1),
        0.0,
    )
    profile_step_mm: float = option(
        "width of the shells of the profile in mm", Number("mm", metavar="D", offered_up_to=1), 0.05
    )
    slice_mm: float = option(
        "width of the slices along the screw axis in mm", Number("mm", metavar="D", offered_up_to=1), 0.05
    )
    axis_lps: tuple[float, float, float] | None = None
    common_length: str = option(
        "length of the screw that V_i, A_i and V_r refer to", OneOf(COMMON_LENGTHS), CommonLength.AUTO.value
    )
    field_of_view: np.ndarray | None = field(default=None, compare=False)
    scan_remarks: tuple[str, ...] = field(default=(), compare=False)
    disagreement: Volume | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rois", _with_unique_names(tuple(self.rois)))
        require_valid(self)
        if self.axis_lps is not None:
            usable = len(self.axis_lps) == 3 and np.isfinite(self.axis_lps).all() and np.linalg.norm(self.axis_lps) > 0
            if not usable:
                raise InputError(f"Expected a direction of three numbers for axis_lps, got {self.axis_lps}.")


def _with_unique_names(rois: tuple[OrientedBox, ...]) -> tuple[OrientedBox, ...]:
    names: list[str] = []
    for roi in rois:
        name, number = roi.name, 2
        while name in names:
            name, number = f"{roi.name} ({number})", number + 1
        names.append(name)
    return tuple(replace(roi, name=name) for roi, name in zip(rois, names, strict=True))
