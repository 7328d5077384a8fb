"""What several measures need of one label map, computed when first asked for."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.typed import present, triple
from MgImplantSegLib.grids.boxes import Box, bounding_box, grown, relative_to, whole
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.quantification.codes import IMPLANT, count_codes, implant_in, role_codes
from MgImplantSegLib.quantification.common_part import CommonPart, common_part
from MgImplantSegLib.quantification.envelope import with_closed_cracks
from MgImplantSegLib.quantification.measures.distance import distance_to_mm
from MgImplantSegLib.quantification.measures.shell_counts import ShellCounts, shell_counts
from MgImplantSegLib.quantification.options import QuantifyOptions
from MgImplantSegLib.quantification.region_masks import Region, roi_region, union
from MgImplantSegLib.quantification.screw.axis import ScrewAxis, screw_axis
from MgImplantSegLib.quantification.screw.screw_shape import LabelMapShape, MeshShape
from MgImplantSegLib.quantification.surfaces.voxel_faces import Faces, boundary_faces

DISTANCE_TOLERANCE_VOXELS = 1e-3


class MeasureContext:
    """A segmentation with its options, and the masks, boxes and distances that measures share.

    Parameters
    ----------
    codes : uint8 array (z, y, x)
        Codes of `role_codes`.
    label_map : LabelMap, optional
        What the codes are of; distinguishes cracks and canals from other background.
    """

    def __init__(
        self,
        codes: np.ndarray,
        geometry: Geometry,
        options: QuantifyOptions,
        events: Events,
        label_map: LabelMap | None = None,
    ) -> None:
        self.codes = codes
        self.geometry = geometry
        self.spacing_zyx_mm = geometry.spacing_zyx_mm
        self.options = options
        self.events = events
        self._label_map = label_map

    @classmethod
    def of_label_map(cls, label_map: LabelMap, options: QuantifyOptions, events: Events) -> MeasureContext:
        """The context of a label map; raises InputError if a value has no role."""
        codes = role_codes(label_map, options.field_of_view, may_share=True)
        return cls(codes, label_map.geometry, options, events, label_map)

    def with_codes(self, codes: np.ndarray) -> MeasureContext:
        """The context of other codes on the same grid, with the same options."""
        return MeasureContext(codes, self.geometry, self.options, self.events, self._label_map)

    def opening_mask(self, segment_id: str) -> np.ndarray | None:
        """Boolean array (z, y, x), True in the cracks or canals; None where the label map has no such class."""
        labels = () if self._label_map is None else self._label_map.scheme.labels
        of_kind = [label for label in labels if label.is_opening and label.segment_id.startswith(segment_id)]
        if self._label_map is None or not of_kind:
            return None
        return np.isin(self._label_map.array, [label.value for label in of_kind])

    @cached_property
    def voxels_of_code(self) -> np.ndarray:
        """Number of voxels of each code, shape (5,)."""
        return count_codes(self.codes)

    @cached_property
    def implant_box(self) -> Box | None:
        """The smallest box around the implant; None without an implant."""
        return bounding_box(self.codes, *IMPLANT)

    @cached_property
    def implant_touches_border(self) -> bool:
        """Whether the implant reaches the border of the volume."""
        return self.implant_box is not None and any(
            part.start == 0 or part.stop == n for part, n in zip(self.implant_box, self.codes.shape, strict=True)
        )

    @cached_property
    def surface_box(self) -> Box:
        """The implant's box with a margin that holds all that can touch it; the whole volume without an implant."""
        if self.implant_box is None:
            return whole(self.codes.shape)
        reach_mm = self.options.contact_distance_mm if self.options.contact == "distance" else 0.0
        margin = triple(1 + int(np.ceil(reach_mm / spacing)) for spacing in self.spacing_zyx_mm)
        return grown(self.implant_box, margin, self.codes.shape)

    @cached_property
    def surface_codes(self) -> np.ndarray:
        """Codes in `surface_box`, with the implant's cracks closed if the options ask for it."""
        codes = self.codes[self.surface_box]
        return with_closed_cracks(codes, self.spacing_zyx_mm, self.options.close_cracks_mm)

    @cached_property
    def implant_faces(self) -> Faces:
        """The implant's surface as voxel faces; flat indices into `surface_codes`."""
        return boundary_faces(self.surface_codes, IMPLANT, self.spacing_zyx_mm)

    @cached_property
    def axis(self) -> ScrewAxis | None:
        """The implant's axis; None without an implant."""
        if self.implant_box is None:
            return None
        geometry = self.geometry.cropped(
            [part.start for part in self.implant_box], [part.stop - part.start for part in self.implant_box]
        )
        return screw_axis(implant_in(self.codes[self.implant_box]), geometry, self.options.axis_lps)

    @cached_property
    def common(self) -> CommonPart | None:
        """The part of the screw that was seen before and after; None without the screw's shape."""
        return common_part(self)

    @property
    def initial_shape(self) -> LabelMapShape | MeshShape:
        """The shape of the screw before implantation; ValueError where none is known, and `common` is None too."""
        initial = self.options.initial
        if initial is None or initial.shape is None:
            raise ValueError("Expected the shape of the initial screw, got none.")
        return initial.shape

    @cached_property
    def shell_box(self) -> Box | None:
        """The box that holds the shell around the implant; None without an implant."""
        if self.implant_box is None:
            return None
        voxels = triple(int(np.ceil(self.options.distance_mm / spacing)) + 1 for spacing in self.spacing_zyx_mm)
        return grown(self.implant_box, voxels, self.codes.shape)

    @cached_property
    def distance_mm(self) -> np.ndarray:
        """Distance of the voxel centres of `shell_box` to the nearest implant voxel's centre.

        Exact up to the shell's thickness; float32.
        """
        mask = implant_in(self.codes[present(self.shell_box)])
        return distance_to_mm(mask, self.spacing_zyx_mm, self.options.distance_mm)

    @property
    def distance_tolerance_mm(self) -> float:
        """What distances from the implant may exceed a limit by, for rounding."""
        return DISTANCE_TOLERANCE_VOXELS * min(self.spacing_zyx_mm)

    @cached_property
    def shell_counts(self) -> ShellCounts | None:
        """Voxels in the shells of the profile, and of the ROIs, then of all ROIs together, in these; None without."""
        if self.shell_box is None:
            return None
        end_mm, step_mm, tolerance_mm = (
            self.options.distance_mm,
            self.options.profile_step_mm,
            self.distance_tolerance_mm,
        )
        edges_mm = np.append(np.arange(0, end_mm - tolerance_mm, step_mm), end_mm)
        return shell_counts(self, edges_mm, tolerance_mm, self.regions)

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The ROI boxes, and where there are several all of them together."""
        return (*self.rois, union(self.rois, "all ROIs")) if len(self.rois) > 1 else self.rois

    @cached_property
    def shell(self) -> Region | None:
        """The shell 0 < distance ≤ R around the implant; None without an implant."""
        return None if self.shell_box is None else self.shell_between(0.0, self.options.distance_mm)

    def shell_between(self, low_mm: float, high_mm: float) -> Region:
        """The shell low < distance ≤ high around the implant."""
        shell_box, tolerance = present(self.shell_box), self.distance_tolerance_mm
        low = low_mm + tolerance if low_mm > 0 else 0.0

        def mask_of(box: Box) -> np.ndarray:
            distance = self.distance_mm[relative_to(box, shell_box)]
            return (distance > low) & (distance <= high_mm + tolerance)

        return Region(f"shell {low_mm:g}–{high_mm:g} mm", shell_box, mask_of)

    @cached_property
    def rois(self) -> tuple[Region, ...]:
        """The ROI boxes on the grid."""
        return tuple(roi_region(roi, self.geometry) for roi in self.options.rois)
