"""Tables as plain text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from MgImplantSegLib.base.plain_text import one_line

NUMBER = re.compile(r"[-–+]?[0-9.]*(e[-+][0-9]+)?( %)?")


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell, columns of numbers to the right."""
    rows = [tuple(map(one_line, row)) for row in rows]
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [bool(rows) and all(NUMBER.fullmatch(cell) for cell in column[1:]) for column in columns]
    lines = [_line(row, widths, numeric) for row in (header, *rows)]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]])


def _line(row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    cells = [
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(row, widths, numeric, strict=True)
    ]
    return "  ".join(cells).rstrip()


def value_text(value: float | None) -> str:
    """A number with four significant digits; a dash where it is undefined."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
        return f"{value:.{digits}f}"
    return f"{value:.3e}"


def percent_text(value: float | None) -> str:
    """A deviation with its sign, ``+3.2 %``; a dash where it is undefined."""
    return "–" if value is None or not math.isfinite(value) else f"{value:+.1f} %"
