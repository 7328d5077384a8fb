"""A simulated explant with exact truth: `simulate_explant`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.labels import LabelScheme, Role
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.simulation.bone import bone_level_set
from MgImplantSegLib.simulation.drawing import draw_parameters
from MgImplantSegLib.simulation.imaging import compose, render
from MgImplantSegLib.simulation.implant import CorrodedImplant, Frame, corrode, initial_level_set, uncorroded
from MgImplantSegLib.simulation.settings import ExplantParameters, ImplantKind, SimulationSettings
from MgImplantSegLib.simulation.truth import exact_measures

INITIAL_SCHEME = LabelScheme.from_roles({0: Role.BACKGROUND, 3: Role.RESIDUAL_MATERIAL})


@dataclass(frozen=True)
class SimulatedExplant:
    """A scan, its true label map, the implant before implantation on the same grid, and the true measures.

    Cracks narrower than two voxels darken the layer and are labelled as layer. What lies outside the round field of
    view was not seen: it is background in the label maps, and no measure counts it.

    `truth` holds volumes in mm³, the surface in mm², DR in mm/year, BIC and BV/TV in %, and the time in days.
    """

    image: Volume
    labels: LabelMap
    initial: LabelMap
    truth: dict[str, float]
    parameters: ExplantParameters

    def description(self) -> dict[str, Any]:
        """Plain data for JSON: the truth and every parameter that was drawn."""
        return {"truth": self.truth, "parameters": asdict(self.parameters)}


def simulate_explant(
    settings: SimulationSettings, events: Events | None = None, parameters: ExplantParameters | None = None
) -> SimulatedExplant:
    """Make an explant of a magnesium implant that corroded in bone, with exact truth.

    Parameters
    ----------
    settings : SimulationSettings
        Size, voxel size, seed and kind of implant; the same settings give the same explant.
    parameters : ExplantParameters, optional
        Taken instead of what the seed draws, for explants that shall differ in something chosen.
    """
    events = events or Events()
    parameters = parameters or draw_parameters(settings)
    rng = np.random.default_rng([settings.seed, 2])
    voxel_mm = settings.spacing_um / 1000
    shape = (settings.size,) * 3
    with events.task("simulate explant", 4) as task:
        implant = _implant(settings, parameters, rng)
        task.advance()
        parts = compose(implant, _bone(settings, parameters, implant, rng))
        task.advance()
        image, view = render(parts, implant, parameters, settings.look, voxel_mm, rng)
        task.advance()
        labels = np.where(view, parts.labels, 0).astype(np.uint8)
        days = parameters.corrosion.time_days
        truth = exact_measures(labels, implant.initial, implant.metal, view, days, voxel_mm)
    geometry = _centred_geometry(shape, voxel_mm)
    provenance = {"simulated": True, "seed": settings.seed}
    initial = np.where(view & (implant.initial < 0), 3, 0).astype(np.uint8)
    return SimulatedExplant(
        Volume(image, geometry, provenance=provenance),
        LabelMap(labels, geometry, provenance=provenance),
        LabelMap(initial, geometry, INITIAL_SCHEME, provenance),
        truth,
        parameters,
    )


def _implant(settings: SimulationSettings, parameters: ExplantParameters, rng: np.random.Generator) -> CorrodedImplant:
    shape, voxel_mm = (settings.size,) * 3, settings.spacing_um / 1000
    if parameters.implant.kind is ImplantKind.NONE:
        return uncorroded(np.full(shape, 100, np.float32))
    initial = initial_level_set(parameters.implant, Frame(shape, voxel_mm))
    return corrode(initial, parameters.corrosion, voxel_mm, rng) if settings.corroded else uncorroded(initial)


def _bone(
    settings: SimulationSettings, parameters: ExplantParameters, implant: CorrodedImplant, rng: np.random.Generator
) -> np.ndarray:
    if not settings.with_bone:
        return np.full(implant.outer.shape, 100, np.float32)
    return bone_level_set(parameters.bone, implant.outer, settings.spacing_um / 1000, rng)


def _centred_geometry(shape: tuple[int, int, int], voxel_mm: float) -> Geometry:
    corner = triple(-(n - 1) / 2 * voxel_mm for n in shape[::-1])
    return Geometry(shape, (voxel_mm,) * 3, corner)
