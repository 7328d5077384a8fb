"""How a large scan is prepared: `PrepareOptions`, and the box of voxels that a person gives."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.choices import Choice, Registry
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.option_kinds import Kind, Number, OneOf
from MgImplantSegLib.base.options import option, require_valid
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.boxes import Box
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.volume import Geometry

CROPS: Registry[Choice] = Registry(
    "a way to crop",
    {
        "none": Choice("nothing is cropped", "the whole scan"),
        "sample": Choice("to the sample", "the box around the largest bright object, with a margin"),
    },
)
RANGE = r"\s*(-?[\d.]+)\s*:\s*(-?[\d.]+)\s*"
BOX = re.compile(f"{RANGE},{RANGE},{RANGE}(mm)?\\s*", re.IGNORECASE)
NEARLY_WHOLE = 1e-6


@dataclass(frozen=True)
class GivenBox:
    """A box in voxels or in mm from the first corner of the scan, as (first, end) along x, y and z."""

    ranges_xyz: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    in_mm: bool = False

    def of(self, geometry: Geometry) -> Box:
        """The voxels (z, y, x) of a scan that the box touches.

        Raises InputError if a part of it lies outside the scan.
        """
        result = []
        for (low, high), n, spacing_mm in zip(
            self.ranges_xyz[::-1], geometry.shape_zyx, geometry.spacing_zyx_mm, strict=True
        ):
            scale = spacing_mm if self.in_mm else 1.0
            start, stop = math.floor(low / scale + NEARLY_WHOLE), math.ceil(high / scale - NEARLY_WHOLE)
            result.append(slice(start, stop))
            if not 0 <= start < stop <= n:
                raise InputError(
                    f"Expected a box inside the scan of {' × '.join(map(str, geometry.shape_zyx[::-1]))} voxels, "
                    f"{' × '.join(f'{edge:.4g}' for edge in geometry.extent_zyx_mm[::-1])} mm (x, y, z), got "
                    f"{BoxKind.text(self)}.",
                    "Correct the box [[box]].",
                )
        return triple(result)


class BoxKind(Kind):
    """``X0:X1,Y0:Y1,Z0:Z1`` in voxels, or in mm with ``mm`` at the end."""

    expected = "a box as X0:X1,Y0:Y1,Z0:Z1 in voxels, or in mm with mm at the end"

    def read(self, text: str) -> GivenBox:
        """The box."""
        match = BOX.fullmatch(text)
        if match is None:
            raise ValueError(text)
        numbers = [float(number) for number in match.groups()[:6]]
        in_mm = match.group(7) is not None
        if not in_mm and any(number != int(number) for number in numbers):
            raise ValueError(text)
        return GivenBox(triple(zip(numbers[::2], numbers[1::2], strict=True)), in_mm)

    def is_valid(self, value: object) -> bool:
        """Whether it is a box that begins before it ends."""
        return isinstance(value, GivenBox) and all(0 <= low < high for low, high in value.ranges_xyz)

    def word(self, value: GivenBox) -> str:
        """The box as it is written."""
        return self.text(value)

    @staticmethod
    def text(value: GivenBox) -> str:
        """The box as it is written."""
        return ",".join(f"{low:.10g}:{high:.10g}" for low, high in value.ranges_xyz) + ("mm" if value.in_mm else "")


@dataclass(frozen=True)
class PrepareOptions:
    """How a large scan is made smaller. The fields made by `option` say themselves what they are.

    Raises InputError if a value is not valid, or more than one box is given.

    Parameters
    ----------
    roi : OrientedBox or None
        The scan is cropped to the smallest box of its voxels around this region.
    percentiles : tuple of float or None
        Grey values that become 0 and 65535. None: scans of 8 and 16 bits keep their values, others get
        `DEFAULT_PERCENTILES`.
    """

    target_um: float | None = option(
        "voxel size of the result in µm",
        Number("µm"),
        None,
        default_help="the finest whole multiple of the scan's that gives at most 2 GB",
    )
    box: GivenBox | None = option(
        "crop to this box of voxels, or of mm from the scan's first corner with mm at the end",
        BoxKind("X0:X1,Y0:Y1,Z0:Z1"),
        None,
    )
    crop: str = option("what is kept", OneOf(CROPS), "none")
    margin_mm: float = option(
        "margin around the sample in mm, with crop to the sample", Number("mm", zero=True, metavar="D"), 0.2
    )
    memory_gb: float = option("memory limit of the process in GB", Number("GB", metavar="G"), 2.0, changes_result=False)
    roi: OrientedBox | None = None
    percentiles: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        require_valid(self)
        given = [self.box is not None, self.roi is not None, self.crop != "none"]
        if sum(given) > 1:
            raise InputError(
                "Expected one way to crop, got several.",
                "Give an ROI [[roi]], a box [[box]], or crop to the sample [[crop]].",
            )
        if self.percentiles is not None and not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise InputError(
                f"Expected two percentiles in order within 0 to 100, got {self.percentiles}.",
                "For example 0.05 and 99.95 [[percentiles]].",
            )

    def box_of_roi(self, geometry: Geometry) -> Box:
        """The voxels (z, y, x) of a scan around `roi`, as far as the scan goes.

        Raises InputError if the region lies outside the scan.
        """
        roi = self.roi
        if roi is None:
            raise ValueError("no region is given")
        corners = geometry.index_zyx_from_lps(roi.corners_lps_mm) + 0.5  # in voxels from the first corner
        low = np.floor(corners.min(axis=0) + NEARLY_WHOLE).astype(int)
        high = np.ceil(corners.max(axis=0) - NEARLY_WHOLE).astype(int)
        box = triple(
            slice(max(0, int(a)), min(n, int(b))) for a, b, n in zip(low, high, geometry.shape_zyx, strict=True)
        )
        if any(part.stop <= part.start for part in box):
            raise InputError(
                f"Expected a region inside the scan, got {roi.name!r} outside of it.",
                "Move or enlarge the ROI [[roi]].",
            )
        return box
