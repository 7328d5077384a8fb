"""JSON and TOML from files of others: byte order marks are read, and what cannot be read is always a `ValueError`.

Python's readers end deep nesting with a `RecursionError`, and their whole numbers may be too large for any
computation; here the one is an error like any other, and the other infinity (JSON) or an error (TOML, which allows
64 bits).
"""

from __future__ import annotations

import codecs
import json
import tomllib
from pathlib import Path
from typing import Any

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
LARGEST_WHOLE_NUMBER = 1 << 63
MOST_DIGITS = 20


def decoded(content: bytes) -> str:
    """Text in UTF-8, or in what its byte order mark says.

    Raises UnicodeDecodeError if it is neither; a `ValueError` too.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    return content.decode("utf-8")


def json_from(content: bytes | str) -> Any:
    """The data of a JSON text; whole numbers of more than 64 bits become floating-point numbers.

    Raises ValueError if it is not JSON, not text, or nested too deeply.
    """
    text = decoded(content) if isinstance(content, bytes) else content
    try:
        return json.loads(text, parse_int=_whole_number)
    except RecursionError as error:
        raise ValueError("lists or tables nested too deeply") from error


def toml_from(content: bytes | str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises ValueError if it is not TOML, not text, nested too deeply, or has a whole number of more than 64 bits.
    """
    text = decoded(content) if isinstance(content, bytes) else content
    try:
        tables = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("lists or tables nested too deeply") from error
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:  # of Python's own limit, before a number is a number
        raise ValueError("a whole number of more than 64 bits") from error
    _require_64_bits(tables)
    return tables


def read_json(path: str | Path) -> Any:
    """The data of a JSON file, see `json_from`; raises OSError or ValueError."""
    return json_from(Path(path).read_bytes())


def json_table(path: str | Path) -> dict[str, Any]:
    """The table in a JSON file; empty if there is no such file, or it is damaged or holds something else."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _whole_number(digits: str) -> int | float:
    if len(digits) <= MOST_DIGITS and -LARGEST_WHOLE_NUMBER <= int(digits) < LARGEST_WHOLE_NUMBER:
        return int(digits)
    return float(digits)


def _require_64_bits(value: Any) -> None:
    if isinstance(value, dict):
        _require_64_bits(list(value.values()))
    elif isinstance(value, list):
        for entry in value:
            _require_64_bits(entry)
    elif isinstance(value, int) and not -LARGEST_WHOLE_NUMBER <= value < LARGEST_WHOLE_NUMBER:
        raise ValueError(f"a whole number of {value.bit_length()} bits, more than 64")
