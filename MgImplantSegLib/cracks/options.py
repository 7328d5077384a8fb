"""What is looked for after a segmentation, and how: `OpeningOptions`."""

from __future__ import annotations

from dataclasses import dataclass

from MgImplantSegLib.base.choices import Choice, Registry
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.option_kinds import Number, OneOf, SomeOf
from MgImplantSegLib.base.options import option, require_valid

ROUNDING = 1e-3
OPENINGS: Registry[Choice] = Registry(
    "an opening",
    {
        "cracks": Choice("cracks", "dark sheets in the degradation layer"),
        "canals": Choice("canals", "dark tubes in bone"),
    },
)
RESULTS: Registry[Choice] = Registry(
    "a result",
    {
        "segment": Choice("segment", "segments of their own, which measures take as background"),
        "background": Choice("background", "background"),
    },
)


@dataclass(frozen=True)
class OpeningOptions:
    """What is looked for in the grey values after a segmentation. The fields say themselves what they are.

    Raises InputError if a value is not valid.
    """

    openings: tuple[str, ...] | None = option(
        "openings that are looked for in the segmented scan", SomeOf(OPENINGS), None, default_help="none"
    )
    opening_width_um: float | None = option(
        "narrowest crack or canal in µm; up to three times as wide ones are found in bone or layer",
        Number("µm", metavar="W", offered_up_to=1000),
        None,
        default_help="2 voxels of the scan",
    )
    opening_contrast: float = option(
        "how dark an opening is at least, as a fraction of the way from the grey value around it to the background's",
        Number("parts of 1", metavar="C", offered_up_to=1),
        0.5,
    )
    opening_result: str = option("what openings become", OneOf(RESULTS), "segment")

    def __post_init__(self) -> None:
        require_valid(self)
        if self.opening_contrast >= 1:
            raise InputError(
                f"Expected a fraction below 1 for opening_contrast, got {self.opening_contrast:g}.",
                "0.5 is half of the way from the grey value around an opening to the background's.",
            )

    def width_mm(self, spacing_zyx_mm: tuple[float, float, float]) -> float:
        """The narrowest opening in mm on a grid. Raises InputError if it is narrower than a voxel."""
        voxel_mm = max(spacing_zyx_mm)
        if self.opening_width_um is None:
            return 2 * voxel_mm
        if self.opening_width_um / 1000 < voxel_mm * (1 - ROUNDING):
            raise InputError(
                f"Expected an opening_width_um of at least a voxel, {1000 * voxel_mm:g} µm, got "
                f"{self.opening_width_um:g} µm.",
                "What is narrower than a voxel cannot be seen in the scan.",
            )
        return self.opening_width_um / 1000
