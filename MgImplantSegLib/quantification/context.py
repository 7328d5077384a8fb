"""What several measures need of one label map, computed when first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.events import Events
from MgImplantSegLib.quantification.codes import LAYER, METAL, UNKNOWN, role_codes, slabs
from MgImplantSegLib.quantification.initial import InitialScrew
from MgImplantSegLib.quantification.surface import DEFAULT_SURFACE_METHOD, bounding_box, grown, surface_method
from MgImplantSegLib.regions import OrientedBox
from MgImplantSegLib.volume import LabelMap

DISTANCE_TOLERANCE = 1e-4


@dataclass(frozen=True)
class QuantifyOptions:
    """How to measure.

    Parameters
    ----------
    initial : InitialScrew, optional
        The screw before implantation.
    time_days : float, optional
        Days between implantation and explantation.
    distance_mm : float
        Thickness of the shell around the implant for BV/TV.
    rois : tuple of OrientedBox
        Further regions for BV/TV.
    surface : str
        Key of `SURFACE_METHODS`.
    field_of_view : bool array (z, y, x), optional
        True where the scanner has seen something.
    """

    initial: InitialScrew | None = None
    time_days: float | None = None
    distance_mm: float = 0.5
    rois: tuple[OrientedBox, ...] = ()
    surface: str = DEFAULT_SURFACE_METHOD
    field_of_view: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rois", tuple(self.rois))
        if not (np.isfinite(self.distance_mm) and self.distance_mm > 0):
            raise InputError(f"Expected a positive distance in mm, got {self.distance_mm}.")
        surface_method(self.surface)


class MeasureContext:
    """A label map with its options, and masks, boxes and distances that measures share."""

    def __init__(self, label_map: LabelMap, options: QuantifyOptions, events: Events) -> None:
        self.options = options
        self.events = events
        self.geometry = label_map.geometry
        self.spacing_zyx_mm = label_map.geometry.spacing_zyx_mm
        self.codes = role_codes(label_map, options.field_of_view)

    @cached_property
    def voxels_of_code(self) -> np.ndarray:
        """Number of voxels of each code, shape (5,)."""
        counts = np.zeros(UNKNOWN + 1, dtype=np.int64)
        for part in slabs(self.codes.shape):
            counts += np.bincount(self.codes[part].ravel(), minlength=UNKNOWN + 1)
        return counts

    @cached_property
    def implant_bounds(self) -> tuple[slice, slice, slice] | None:
        """Slices of the smallest box around the implant; None without an implant."""
        return bounding_box((self.codes == LAYER) | (self.codes == METAL))

    @cached_property
    def implant_touches_border(self) -> bool:
        """Whether the implant reaches the border of the volume."""
        bounds = self.implant_bounds
        return bounds is not None and any(
            part.start == 0 or part.stop == n for part, n in zip(bounds, self.codes.shape, strict=True)
        )

    def box_around_implant(self, margin_mm: float) -> tuple[slice, slice, slice] | None:
        """Slices of the box around the implant grown by a margin, as far as the volume goes."""
        if self.implant_bounds is None:
            return None
        voxels = tuple(int(np.ceil(margin_mm / spacing)) + 1 for spacing in self.spacing_zyx_mm)
        return grown(self.implant_bounds, voxels, self.codes.shape)

    @cached_property
    def shell_box(self) -> tuple[slice, slice, slice] | None:
        """Slices of the box that holds the shell around the implant."""
        return self.box_around_implant(self.options.distance_mm)

    @cached_property
    def distance_mm(self) -> np.ndarray:
        """Distance of the voxel centres of `shell_box` to the nearest implant voxel's centre, float32."""
        from scipy import ndimage

        codes = self.codes[self.shell_box]
        outside = (codes != LAYER) & (codes != METAL)
        return ndimage.distance_transform_edt(outside, sampling=self.spacing_zyx_mm).astype(np.float32)

    def within(self, distance_mm: np.ndarray, limit_mm: float) -> np.ndarray:
        """True where 0 < distance ≤ limit, not shaken by rounding."""
        return (distance_mm > 0) & (distance_mm <= limit_mm + DISTANCE_TOLERANCE * min(self.spacing_zyx_mm))

    def implant_mask(self, bounds: tuple[slice, slice, slice]) -> np.ndarray:
        """Boolean array of the implant within a box."""
        codes = self.codes[bounds]
        return (codes == LAYER) | (codes == METAL)
