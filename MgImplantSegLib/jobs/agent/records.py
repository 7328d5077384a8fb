"""Small JSON files of a job, read as the dataclass that they have to be; a damaged one is an error that names it.

A record class is a frozen dataclass. Every field is checked by its annotation; `LIMITS` in the field's metadata
narrows the numbers further. Fields without default must be there, unknown ones are left out.
"""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from MgImplantSegLib.base.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LIMITS = "limits"
MOST_BYTES = 16 << 20
LARGEST = 2**31
END_OF_TIME = 253_402_300_799.0  # the last second of the year 9999
LONGEST_SHOWN = 60
Record = TypeVar("Record", bound="DataclassInstance")


class DamagedRecord(InputError):
    """A file of a job that is not what was written."""

    kind = "damaged record"


class OtherVersion(InputError):
    """Something written by a later version of this program."""

    kind = "other version"

    @classmethod
    def require(cls, values: Mapping[str, Any], known: int, what: str) -> None:
        """Raise this unless `values` are of the `known` version or an older one; those without a number are."""
        version = values.get("version", known)
        if type(version) is int and version > known:
            raise cls(
                f"Expected the {what} in version {known} or older, got version {version}.",
                "It comes from a newer version of this program: update this one.",
            )


class WrongValues(ValueError):
    """What was expected of which value, and what came."""


def read_record(
    path: Path, kind: type[Record], check: Callable[[Mapping[str, Any]], None] | None = None
) -> Record | None:
    """The record in a file, after `check` of its plain values; None if there is no file (yet).

    Raises DamagedRecord if the file is something else, naming the file.
    """
    try:
        values = _read_json(path)
        if values is None:
            return None
        if check is not None:
            check(values)
        return from_values(kind, values)
    except WrongValues as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, what: str) -> DamagedRecord:
    """The error for a file of a job that cannot be understood."""
    return DamagedRecord(
        f"Expected the record of a job in {path}, got {what}.",
        "Other jobs are not affected. Fetch the existing results, then: jobs remove",
    )


def from_values(kind: type[Record], values: Mapping[str, Any]) -> Record:
    """A record from plain data. Raises WrongValues if a value is missing or is not what its field may hold."""
    found = {}
    for entry in fields(kind):
        if entry.name in values:
            found[entry.name] = _checked(entry, values[entry.name])
        elif entry.default is MISSING and entry.default_factory is MISSING:
            raise WrongValues(f"no {entry.name!r}")
    return kind(**found)


def received(kind: type[Record], values: Mapping[str, Any], known: int, what: str) -> Record:
    """A record that the other side has sent.

    Raises OtherVersion if it is of a later version than `known`; InputError if a value is missing or wrong, naming it.
    """
    try:
        OtherVersion.require(values, known, what)
        return from_values(kind, values)
    except WrongValues as error:
        remedy = "Use the same version of this program on both sides."
        raise InputError(f"Expected the {what}, got {error}.", remedy) from error


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise WrongValues("no regular file")
        if found.st_size > MOST_BYTES:
            raise WrongValues(f"{found.st_size} bytes")
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WrongValues(error.strerror or str(error)) from error
    except WrongValues:
        raise
    except UnicodeDecodeError as error:
        raise WrongValues("bytes that are no text") from error
    except (ValueError, RecursionError) as error:
        raise WrongValues(f"no JSON ({_shortened(str(error))})") from error
    if not isinstance(values, dict):
        raise WrongValues(f"no table but {_shown(values)}")
    return values


def _checked(entry: Field, value: Any) -> Any:
    expected, convert = KINDS[str(entry.type)]
    least, most = entry.metadata.get(LIMITS, (0, END_OF_TIME if "float" in str(entry.type) else LARGEST))
    try:
        found = convert(value)
        numbers = found if isinstance(found, (int, float)) and not isinstance(found, bool) else least
        if least <= numbers <= most:
            return found
    except (TypeError, ValueError, OverflowError):
        pass
    raise WrongValues(f"{_shown(value)} as {entry.name!r}, not {expected}")


def _is(kind: type) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError
        return value

    return convert


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _texts(value: Any) -> tuple[str, ...]:
    if type(value) not in (list, tuple):
        raise TypeError
    return tuple(map(_is(str), value))


def _table(value: Any) -> dict[str, str]:
    return {_is(str)(key): _is(str)(entry) for key, entry in _is(dict)(value).items()}


def _or_none(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


KINDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "str": ("a text", _is(str)),
    "str | None": ("a text or null", _or_none(_is(str))),
    "int": ("a whole number in its range", _is(int)),
    "float": ("a number in its range", _number),
    "bool": ("true or false", _is(bool)),
    "tuple[str, ...]": ("a list of texts", _texts),
    "dict[str, str]": ("a table of texts", _table),
}


def _shown(value: Any) -> str:
    """A value as a message shows it; never long, and no deep one is walked through."""
    if isinstance(value, (dict, list)):
        return f"a {'table' if isinstance(value, dict) else 'list'} of {len(value)}"
    if type(value) is int and abs(value) > LARGEST:
        return "a huge number"
    return _shortened(repr(value[:LONGEST_SHOWN] if isinstance(value, str) else value))


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
