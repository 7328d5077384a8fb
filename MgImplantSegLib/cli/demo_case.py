"""What the demo works on: a simulated explant with its truth, or a scan of the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.grids.regions import OrientedBox, rows
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume

if TYPE_CHECKING:
    from MgImplantSegLib.quantification import QuantifyOptions

# No training uses seeds from 900000 on; this is the first whose screw lies in the field with head and tip.
SEED_NEVER_TRAINED_ON = 900_010
SPACING_UM = 20.0
ROI_PART_OF_EDGE = 0.75


@dataclass(frozen=True)
class DemoCase:
    """A scan, and for a simulated one all that is known about it.

    `truth` has the keys of `SimulatedExplant.truth`; it is empty for a real scan.
    """

    title: str
    volume: Volume
    labels: LabelMap | None = None
    initial: LabelMap | None = None
    truth: Mapping[str, float] = field(default_factory=dict)
    rois: tuple[OrientedBox, ...] = ()

    def quantify_options(self) -> QuantifyOptions:
        """How this case is measured."""
        from MgImplantSegLib.quantification import InitialScrew, QuantifyOptions
        from MgImplantSegLib.quantification.field_of_view import field_of_view_of

        seen = field_of_view_of(self.volume)
        if self.initial is None:
            return QuantifyOptions(rois=self.rois, field_of_view=seen)
        screw = InitialScrew.from_label_map(self.initial)
        return QuantifyOptions(screw, self.truth["time_days"], field_of_view=seen)


def simulated_case(size: int, seed: int, events: Events) -> DemoCase:
    """A screw in bone that the bundled model has not seen in its training."""
    from MgImplantSegLib.simulation import ImplantKind, SimulationSettings, simulate_explant

    settings = SimulationSettings(size=size, spacing_um=SPACING_UM, seed=seed, kind=ImplantKind.SCREW)
    explant = simulate_explant(settings, events)
    title = f"Simulated explant, seed {seed}, {size}³ voxels of {SPACING_UM:g} µm"
    return DemoCase(title, explant.image, explant.labels, explant.initial, explant.truth)


def scan_case(volume: Volume, name: str) -> DemoCase:
    """A scan of the user, with a region in its middle."""
    return DemoCase(f"Scan {name}", volume, rois=(middle_box(volume.geometry),))


def middle_box(geometry: Geometry) -> OrientedBox:
    """The box in the middle of a volume with three quarters of each of its edges, along the volume's axes."""
    centre = geometry.lps_from_index_zyx((np.array(geometry.shape_zyx) - 1) / 2)
    size_xyz_mm = ROI_PART_OF_EDGE * np.array(geometry.extent_zyx_mm[::-1])
    return OrientedBox(tuple(centre), rows(geometry.direction_matrix), tuple(size_xyz_mm), "ROI in the middle")


def absent_classes(label_map: LabelMap) -> list[str]:
    """Names of the classes, background apart, that have no voxel."""
    return [
        label.name
        for label in label_map.scheme.labels
        if label.role is not Role.BACKGROUND and not (label_map.array == label.value).any()
    ]
