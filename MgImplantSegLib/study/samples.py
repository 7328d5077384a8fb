"""`StudySample`, `Study`: what a report is made of, and its numbers by animal, group and time point."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from MgImplantSegLib.study.numbers import NAN, mean

ANIMAL, GROUP, TIME_POINT = "animal", "group", "time_point_days"
DONE = "done"
NO_GROUP = "all samples"


@dataclass(frozen=True, order=True)
class Quantity:
    """One measure in one region."""

    symbol: str
    region: str
    unit: str

    @property
    def title(self) -> str:
        """``BV/TV, shell 0–0.5 mm [%]``."""
        return f"{self.symbol}, {self.region} [{self.unit}]"


@dataclass(frozen=True)
class StudySample:
    """One scan with its results.

    Parameters
    ----------
    name, image : str
        In the results; the scan.
    state, problem : str
        ``done``, or what else, and why.
    study : mapping of str to str
        Cells of the manifest: animal, group, time_point_days, alloy, side and others.
    measures, series : sequence of dict
        As `QuantificationReport.to_dict` gives them.
    facts : mapping
        What the demo also knows: ``title``, ``classes`` and, of a simulated explant, ``truth`` by symbol.
    """

    name: str
    image: str
    folder: Path
    state: str = DONE
    problem: str = ""
    study: Mapping[str, str] = field(default_factory=dict)
    measures: Sequence[Mapping[str, Any]] = ()
    series: Sequence[Mapping[str, Any]] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def animal(self) -> str:
        """The animal; a sample without one counts as a separate animal."""
        return self.study.get(ANIMAL) or f"(sample {self.name})"

    @property
    def group(self) -> str:
        """The group; all that have none are one."""
        return self.study.get(GROUP) or NO_GROUP

    @property
    def time_days(self) -> float:
        """The time point in days: the manifest's, or else the time of degradation; NaN if there is neither."""
        found = self.study.get(TIME_POINT) or self.inputs.get("time_days")
        try:
            number = float(found) if isinstance(found, (str, int, float)) else NAN
        except ValueError:
            return NAN
        return number if math.isfinite(number) else NAN

    @property
    def segmentation(self) -> Mapping[str, Any]:
        """How it was segmented, as far as it is known."""
        found = self.inputs.get("segmentation")
        return found if isinstance(found, dict) else {}

    @property
    def expected_iou(self) -> Any:
        """What is expected of the segmentation, where it was estimated: a number, or numbers by class."""
        return self.segmentation.get("expected_iou", self.inputs.get("expected_iou"))

    def measure(self, quantity: Quantity) -> Mapping[str, Any] | None:
        """The measure; None if it was not asked for."""
        return next((entry for entry in self.measures if quantity_of(entry) == quantity), None)

    def value(self, quantity: Quantity) -> float:
        """Its value; NaN where it is undefined or was not asked for."""
        entry = self.measure(quantity)
        return NAN if entry is None or entry["value"] is None else float(entry["value"])


@dataclass(frozen=True)
class Cell:
    """The values of one group at one time point: a mean for each animal, and those of single implants."""

    group: str
    time_days: float
    animals: Mapping[str, float]
    implants: Sequence[float]
    missing: int


@dataclass(frozen=True)
class Study:
    """Samples in the order of their results, and the commands that made them."""

    samples: tuple[StudySample, ...]
    commands: tuple[str, ...] = ()

    @property
    def done(self) -> list[StudySample]:
        """The samples that have measures."""
        return [sample for sample in self.samples if sample.state == DONE]

    @property
    def quantities(self) -> list[Quantity]:
        """All measures that are asked for in any sample, in their order."""
        return list(dict.fromkeys(quantity_of(entry) for sample in self.samples for entry in sample.measures))

    @property
    def groups(self) -> list[str]:
        """Names of the groups, in the order of the samples."""
        return list(dict.fromkeys(sample.group for sample in self.samples))

    @property
    def times(self) -> list[float]:
        """The time points in days, ascending; NaN at the end for samples without one."""
        found = {sample.time_days for sample in self.samples if math.isfinite(sample.time_days)}
        is_open = any(math.isnan(sample.time_days) for sample in self.samples)
        return [*sorted(found), *([NAN] if is_open else [])]

    @property
    def is_grouped(self) -> bool:
        """Whether samples are several and say what they are in a study."""
        return len(self.samples) > 1

    def members(self, group: str, time_days: float) -> list[StudySample]:
        """The samples that are done of one group at one time point."""
        return [s for s in self.done if s.group == group and same_time(s.time_days, time_days)]

    def counts(self) -> Iterator[tuple[str, float, int, int]]:
        """Group, time point in days, number of animals and number of implants, where there are any."""
        for time_days in self.times:
            for group in self.groups:
                if members := self.members(group, time_days):
                    yield group, time_days, len({sample.animal for sample in members}), len(members)

    def cells(self, quantity: Quantity) -> Iterator[Cell]:
        """The values of each group at each time point where there are samples."""
        for time_days in self.times:
            for group in self.groups:
                members = self.members(group, time_days)
                values = [(sample.animal, sample.value(quantity)) for sample in members]
                known = [(animal, value) for animal, value in values if math.isfinite(value)]
                if members:
                    implants, missing = [value for _, value in known], len(values) - len(known)
                    yield Cell(group, time_days, animal_means(known), implants, missing)


def quantity_of(entry: Mapping[str, Any]) -> Quantity:
    """Which measure an entry of a report is."""
    return Quantity(str(entry["symbol"]), str(entry["region"]), str(entry["unit"]))


def animal_means(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """One value for each animal: the mean of its implants."""
    found: dict[str, list[float]] = {}
    for animal, value in values:
        found.setdefault(animal, []).append(value)
    return {animal: mean(numbers) for animal, numbers in found.items()}


def same_time(first: float, second: float) -> bool:
    """Whether two time points are the same; an unknown one is like another unknown one."""
    return first == second or (math.isnan(first) and math.isnan(second))
