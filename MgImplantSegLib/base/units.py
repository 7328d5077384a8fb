"""Units of length as image files spell them."""

from __future__ import annotations

MM_OF_UNIT = {
    "pm": 1e-9,
    "å": 1e-7,
    "angstrom": 1e-7,
    "nm": 1e-6,
    "nanometer": 1e-6,
    "nanometre": 1e-6,
    "um": 1e-3,
    "µm": 1e-3,
    "μm": 1e-3,
    "micron": 1e-3,
    "micrometer": 1e-3,
    "micrometre": 1e-3,
    "mm": 1.0,
    "millimeter": 1.0,
    "millimetre": 1.0,
    "cm": 10.0,
    "centimeter": 10.0,
    "centimetre": 10.0,
    "inch": 25.4,
    "in": 25.4,
    "m": 1000.0,
    "meter": 1000.0,
    "metre": 1000.0,
}


def mm_of_unit(unit: str) -> float | None:
    """Length of one `unit` in mm, or None for what is not a unit of length (``"pixel"``, ``""``).

    Understands singular and plural, both micro signs, and the escaped micro sign of ImageJ.
    """
    name = unit.strip().strip("\"'").replace("\\u00B5", "µ").replace("\\u00b5", "µ").lower()
    return MM_OF_UNIT.get(name, MM_OF_UNIT.get(name.removesuffix("es" if name == "inches" else "s")))
