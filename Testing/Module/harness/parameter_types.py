"""Annotations of parameters, and what is known of one parameter, for the stand-in of `slicer.parameterNodeWrapper`."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    choices: list


@dataclass(frozen=True)
class WithinRange:
    """A number between two others."""

    minimum: float
    maximum: float


@dataclass(frozen=True)
class Minimum:
    """A number not below another."""

    minimum: float


@dataclass(frozen=True)
class Maximum:
    """A number not above another."""

    maximum: float


@dataclass(frozen=True)
class Decimals:
    """Digits after the point in the widget."""

    value: int


@dataclass(frozen=True)
class SingleStep:
    """Step of the widget's arrows."""

    value: float


@dataclass(frozen=True)
class Default:
    """Value of a new parameter."""

    value: Any


@dataclass(frozen=True)
class Parameter:
    """Name, plain type, annotations and default of one member of the wrapped class."""

    name: str
    kind: type
    annotations: tuple
    default: Any

    def annotation(self, kind: type) -> Any:
        return next((entry for entry in self.annotations if isinstance(entry, kind)), None)

    @property
    def is_node(self) -> bool:
        import vtk

        return isinstance(self.kind, type) and issubclass(self.kind, vtk.vtkObject)

    def check(self, value: Any) -> None:
        """Raise ValueError as Slicer's validators do."""
        choice, limits = self.annotation(Choice), self.annotation(WithinRange)
        if choice is not None and value not in choice.choices:
            raise ValueError(f"{self.name}: {value!r} is not one of {choice.choices}")
        if limits is not None and not limits.minimum <= value <= limits.maximum:
            raise ValueError(f"{self.name}: {value!r} is not within {limits.minimum} to {limits.maximum}")

    def to_text(self, value: Any) -> str:
        return value.name if isinstance(value, enum.Enum) else str(value)

    def from_text(self, text: str) -> Any:
        if self.kind is bool:
            return text == "True"
        if issubclass(self.kind, enum.Enum):
            return self.kind[text]
        return self.kind(text)
