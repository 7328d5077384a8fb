"""Dataclasses from plain data and back: keys and types are checked, a wrong key is answered with the nearest name."""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from MgImplantSegLib.base.choices import did_you_mean
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.text_files import toml_from


class DataclassObject(typing.Protocol):
    """An object of any dataclass."""

    __dataclass_fields__: typing.ClassVar[dict[str, Any]]


Settings = TypeVar("Settings", bound=DataclassObject)
SCALARS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", Path: "a path"}


def require(holds: bool, expected: str, got: Any) -> None:
    """Raise InputError unless `holds`."""
    if not holds:
        raise InputError(f"Expected {expected}, got {got!r}.")


def require_choice(value: str, known: typing.Collection[str], key: str) -> None:
    """Raise InputError with the nearest valid name unless `value` is one of `known`."""
    if value not in known:
        raise InputError(f"Expected one of {', '.join(known)} for {key!r}, got {value!r}.", nearest_name(value, known))


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises InputError if the file is missing or is not TOML, saying where."""
    try:
        return toml_from(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"Expected a configuration file, got {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"Expected TOML in {path}, got: {error}.", "Correct this part of the file.") from error


def settings_from_dict(kind: type[Settings], data: dict[str, Any], folder: Path, where: str = "") -> Settings:
    """An object of the dataclass `kind` from plain data.

    Raises InputError if a key is unknown or missing, or a value has the wrong type.

    Parameters
    ----------
    kind : type
        A dataclass; its annotations say what each key may hold.
    data : dict
        Plain data, as TOML gives it.
    folder : Path
        Relative paths are taken from here.
    where : str
        Name of the table, for messages.
    """
    if not isinstance(data, dict):
        raise InputError(f"Expected a table for {where or 'the configuration'}, got {data!r}.")
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in data:
        if key not in fields:
            raise InputError(f"Expected a known key, got {_dotted(where, key)!r}.", nearest_name(key, fields))
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in data:
            raise InputError(f"Expected the key {_dotted(where, name)!r}, got a configuration without it.")
    values = {key: _converted(hints[key], value, folder, _dotted(where, key)) for key, value in data.items()}
    return kind(**values)


def settings_to_dict(settings: Any) -> Any:
    """Plain data of a dataclass object: paths as texts, tuples as lists, keys that are None left out."""
    if dataclasses.is_dataclass(settings):
        pairs = ((field.name, getattr(settings, field.name)) for field in dataclasses.fields(settings))
        return {name: settings_to_dict(value) for name, value in pairs if value is not None}
    if isinstance(settings, dict):
        return {str(key): settings_to_dict(value) for key, value in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [settings_to_dict(value) for value in settings]
    return settings.as_posix() if isinstance(settings, Path) else settings


def nearest_name(name: str, known: typing.Iterable[str]) -> str:
    """A remedy that names the valid name nearest to `name`, or all of them."""
    known = list(known)
    return did_you_mean(name, known) or f"Known are: {', '.join(known)}."


def _dotted(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _converted(hint: Any, value: Any, folder: Path, where: str) -> Any:
    """`value` as the annotation `hint` asks, or InputError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _converted(next(a for a in arguments if a is not type(None)), value, folder, where)
    if hint is Any:
        return value
    if hasattr(hint, "from_dict"):
        return hint.from_dict(value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return settings_from_dict(hint, value, folder, where)
    if origin is tuple:
        return _converted_tuple(arguments, value, folder, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise InputError(f"Expected a table for {where!r}, got {value!r}.")
        return {str(key): _converted(arguments[1], entry, folder, _dotted(where, key)) for key, entry in value.items()}
    return _converted_scalar(hint, value, folder, where)


def _converted_tuple(arguments: tuple, value: Any, folder: Path, where: str) -> tuple:
    any_length = len(arguments) == 2 and arguments[1] is Ellipsis
    if not isinstance(value, (list, tuple)) or not (any_length or len(value) == len(arguments)):
        raise InputError(
            f"Expected a list{'' if any_length else f' of {len(arguments)}'} for {where!r}, got {value!r}."
        )
    kinds = [arguments[0]] * len(value) if any_length else arguments
    return tuple(
        _converted(kind, entry, folder, f"{where}[{index}]")
        for index, (kind, entry) in enumerate(zip(kinds, value, strict=True))
    )


def _converted_scalar(kind: type, value: Any, folder: Path, where: str) -> Any:
    if kind is Path and isinstance(value, (str, Path)):
        return folder / Path(value).expanduser()
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not kind:
        raise InputError(f"Expected {SCALARS[kind]} for {where!r}, got {value!r}.")
    return value
