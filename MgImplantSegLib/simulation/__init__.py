"""Simulated explants with exact truth, for tests, the demo and the bundled model."""

from MgImplantSegLib.simulation.explant import SimulatedExplant, simulate_explant
from MgImplantSegLib.simulation.settings import ImplantKind, Look, SimulationSettings

__all__ = ["ImplantKind", "Look", "SimulatedExplant", "SimulationSettings", "simulate_explant"]
