"""Text that comes from files, made harmless where it is shown: one function for the terminal, for HTML and for CSV.

Names of files, regions and segments and the texts of model cards may hold anything: escape sequences that control a
terminal, marks that reverse the direction of writing, line ends, bytes that are not UTF-8, formulas. What is neither
letter nor sign is shown as in Python's texts: ``\\x1b``, ``\\u202e``, ``\\n``.
"""

from __future__ import annotations

import csv
import html
import math
import re
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.files import atomic_output

BIDI_MARKS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
NOT_SHOWN = rf"\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufff9-\ufffb\ud800-\udfff{BIDI_MARKS}"
NOT_IN_A_LINE = re.compile(f"[{NOT_SHOWN}]")
NOT_ON_A_TERMINAL = re.compile(rf"(?![\n\t])[{NOT_SHOWN}]")
BYTE_THAT_IS_NO_UTF_8 = re.compile("[\udc80-\udcff]")
BEGINS_A_FORMULA = re.compile(r"\s*[=+\-@\t\r＝＋－＠]")
NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?( ?%)?|[-+]?inf|[-+–—]")


def one_line(text: object) -> str:
    """The text in one line, without anything that a terminal obeys: for names in messages, tables and logs."""
    return NOT_IN_A_LINE.sub(_shown, str(text))


def terminal_text(text: object) -> str:
    """Text of several lines for a terminal or a log: as `one_line`, but line ends and tabs stay."""
    return NOT_ON_A_TERMINAL.sub(_shown, str(text))


def html_text(text: object) -> str:
    """Text for HTML, inside and outside attributes."""
    return html.escape(one_line(text))


def csv_cell(value: Any) -> str:
    """A cell of a CSV file that no spreadsheet takes for a formula; None and NaN are empty, numbers stay numbers.

    A text that begins with ``= + - @``, tab or line end and is not a number gets an apostrophe in front.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = one_line(value)
    is_formula = isinstance(value, str) and BEGINS_A_FORMULA.match(value) and not NUMBER.fullmatch(value)
    return f"'{text}" if is_formula else text


def ten_digits(value: Any) -> Any:
    """A floating-point number as text of at most ten digits, empty if it is not finite; anything else as it is."""
    if isinstance(value, Real) and not isinstance(value, Integral):
        return f"{value:.10g}" if math.isfinite(value) else ""
    return value


def write_csv(path: str | Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table as CSV with harmless cells, see `csv_cell`; the file is whole or not there."""
    with atomic_output(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([csv_cell(cell) for cell in row] for row in (columns, *rows))


def _shown(match: re.Match[str]) -> str:
    """One character as Python shows it; a byte that is not UTF-8 as that byte."""
    character = match[0]
    if BYTE_THAT_IS_NO_UTF_8.match(character):
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
