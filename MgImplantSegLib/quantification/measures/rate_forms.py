"""Forms of the degradation rate: which area it divides by. A new form is one entry of `RATE_FORMS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from MgImplantSegLib.base.choices import Registry


@dataclass(frozen=True)
class RateForm:
    """Which area a degradation rate divides by; `area_mm2` gets the initial and the residual area."""

    name: str
    definition: str
    area_mm2: Callable[[float, float], float]
    needs_residual_area: bool = False


RATE_FORMS: Registry[RateForm] = Registry(
    "a form of the degradation rate",
    {
        "initial-area": RateForm(
            "initial area", "(V_i − V_r) / (A_i · t), t in years of 365.25 days", lambda initial, residual: initial
        ),
        "mean-area": RateForm(
            "mean of initial and residual area",
            "(V_i − V_r) / (½ (A_i + A_r) · t), t in years of 365.25 days",
            lambda initial, residual: (initial + residual) / 2,
            needs_residual_area=True,
        ),
    },
)
