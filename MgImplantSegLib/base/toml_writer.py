"""Plain data as TOML: what the standard library reads but does not write."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from MgImplantSegLib.base.errors import InputError

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
MUST_BE_ESCAPED = re.compile(r'[\x00-\x1f\x7f"\\]')


def toml_text(table: Mapping[str, Any]) -> str:
    """Tables of texts, numbers, lists and tables as the text of a TOML file; reading it gives the same data.

    Tables become ``[a.b]``, lists of tables ``[[a.b]]``; tables inside other lists are written in their line. Raises
    InputError if a value has a type that TOML does not know, or a text is not valid Unicode.
    """
    return "\n".join(_lines(table, "")).lstrip("\n") + ("\n" if table else "")


def _lines(table: Mapping[str, Any], where: str) -> list[str]:
    inside = {key: value for key, value in table.items() if not _is_table(value) and not _is_list_of_tables(value)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in inside.items()]
    for key, value in table.items():
        name = f"{where}.{_key(key)}" if where else _key(key)
        if _is_table(value):
            only_tables = value and all(map(_is_table, value.values()))
            lines += [*([] if only_tables else ["", f"[{name}]"]), *_lines(value, name)]
        elif _is_list_of_tables(value):
            for entry in value:
                lines += ["", f"[[{name}]]", *_lines(entry, name)]
    return lines


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(map(_is_table, value))


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
        return repr(value) if math.isfinite(value) else str(value)  # inf, -inf, nan are TOML too
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    raise InputError(f"Expected a text, number, list or table for TOML, got {type(value).__name__}.")


def _text(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"Expected text for a TOML file, got {text!r}, which is not UTF-8.", "Rename it.") from error
    return '"' + MUST_BE_ESCAPED.sub(_escaped, text) + '"'


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[0]}" if match[0] in '"\\' else f"\\u{ord(match[0]):04x}"
