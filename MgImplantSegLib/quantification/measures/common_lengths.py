"""Which part of the screw is compared with the same part before implantation: `COMMON_LENGTHS`."""

from __future__ import annotations

from enum import Enum

from MgImplantSegLib.base.choices import Choice, Registry


class CommonLength(str, Enum):
    """Which length of the screw counts; `COMMON_LENGTHS` says what each means."""

    AUTO = "auto"
    SCAN = "scan"
    IMPLANT = "implant"


COMMON_LENGTHS = Registry(
    "a common length",
    {
        CommonLength.AUTO.value: Choice(
            "automatic",
            "as scan, but an end that is missing in one of the two (sawn off, for example) is left out of the other as "
            "well; an end counts as missing rather than degraded if more than 5 % of the length is gone, and more than "
            "three times what is gone from the sides",
        ),
        CommonLength.SCAN.value: Choice("both scans", "everything that both scans show"),
        CommonLength.IMPLANT.value: Choice("implant", "from end to end of what is left of the implant"),
    },
)
