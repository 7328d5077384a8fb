"""How to measure: `QuantifyOptions`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.quantification.initial import InitialScrew
from MgImplantSegLib.quantification.surface import DEFAULT_SURFACE_METHOD, surface_method
from MgImplantSegLib.regions import OrientedBox
from MgImplantSegLib.volume import Volume


@dataclass(frozen=True)
class QuantifyOptions:
    """What is known besides the segmentation, and how to measure. Lengths in mm.

    Parameters
    ----------
    initial : InitialScrew, optional
        The screw before implantation.
    time_days : float, optional
        Days between implantation and explantation.
    distance_mm : float
        Thickness of the shell around the implant.
    rois : tuple of OrientedBox
        Further regions; equal names get a number.
    measures : tuple of str, optional
        Keys of `MEASURES`; by default those marked as default there.
    surface : str
        Key of `SURFACE_METHODS`.
    rate_form : str
        Key of `RATE_FORMS`: which area the degradation rate divides by.
    contact : str
        Key of `CONTACT_METHODS`.
    contact_distance_mm : float
        For the method ``distance``: how far bone may be from the implant.
    close_cracks_mm : float
        Cracks and gaps of the implant up to this width are closed before the contact is measured; 0 leaves them.
    profile_step_mm, slice_mm : float
        Width of the shells of the profile, and of the slices along the screw axis.
    axis_lps : tuple of float, optional
        Direction of the screw axis; by default the implant's own long axis.
    common_length : str
        ``auto``, ``scan`` or ``implant``; see `common_part`.
    field_of_view : bool array (z, y, x), optional
        True where the scanner has seen something.
    disagreement : Volume, optional
        Disagreement of the slicing planes, for ranges beside the values.
    """

    initial: InitialScrew | None = None
    time_days: float | None = None
    distance_mm: float = 0.5
    rois: tuple[OrientedBox, ...] = ()
    measures: tuple[str, ...] | None = None
    surface: str = DEFAULT_SURFACE_METHOD
    rate_form: str = "initial-area"
    contact: str = "faces"
    contact_distance_mm: float = 0.02
    close_cracks_mm: float = 0.0
    profile_step_mm: float = 0.05
    slice_mm: float = 0.05
    axis_lps: tuple[float, float, float] | None = None
    common_length: str = "auto"
    field_of_view: np.ndarray | None = field(default=None, compare=False)
    disagreement: Volume | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rois", _with_unique_names(tuple(self.rois)))
        for name in ("distance_mm", "profile_step_mm", "slice_mm"):
            _require(getattr(self, name) > 0, name, "a positive length in mm", getattr(self, name))
        for name in ("contact_distance_mm", "close_cracks_mm"):
            _require(getattr(self, name) >= 0, name, "a length of 0 mm or more", getattr(self, name))
        if self.axis_lps is not None:
            usable = len(self.axis_lps) == 3 and np.isfinite(self.axis_lps).all() and np.linalg.norm(self.axis_lps) > 0
            _require(usable, "axis_lps", "a direction of three numbers", self.axis_lps)
        surface_method(self.surface)


def _require(holds: bool, name: str, expected: str, value: object) -> None:
    if not holds or (isinstance(value, float) and not math.isfinite(value)):
        raise InputError(f"Expected {expected} for {name}, got {value}.")


def _with_unique_names(rois: tuple[OrientedBox, ...]) -> tuple[OrientedBox, ...]:
    names: list[str] = []
    for roi in rois:
        name, number = roi.name, 2
        while name in names:
            name, number = f"{roi.name} ({number})", number + 1
        names.append(name)
    return tuple(replace(roi, name=name) for roi, name in zip(rois, names, strict=True))
