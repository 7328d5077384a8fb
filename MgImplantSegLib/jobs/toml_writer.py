"""Tables of texts, numbers, lists and flat tables as TOML; what the standard library reads but does not write."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
MUST_BE_ESCAPED = re.compile(r'[\x00-\x1f\x7f"\\]')


def toml_text(tables: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """``[outer."inner"]`` tables of keys and values as the text of a TOML file.

    Raises
    ------
    ValueError
        If a value has a type that TOML does not know, or a text is not valid Unicode.
    """
    lines = []
    for outer, inner_tables in tables.items():
        for inner, values in inner_tables.items():
            lines.append(f"[{_key(outer)}.{_key(inner)}]")
            lines.extend(f"{_key(key)} = {_value(value)}" for key, value in values.items())
            lines.append("")
    return "\n".join(lines)


def _key(key: str) -> str:
    return key if BARE_KEY.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else {"inf": "inf", "-inf": "-inf"}.get(str(value), "nan")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(entry) for entry in value) + "]"
    raise ValueError(f"TOML has no {type(value).__name__}")


def _text(text: str) -> str:
    text.encode("utf-8")  # a lone surrogate is an error here, not a damaged file
    return '"' + MUST_BE_ESCAPED.sub(_escaped, text) + '"'


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[0]}" if match[0] in '"\\' else f"\\u{ord(match[0]):04x}"
