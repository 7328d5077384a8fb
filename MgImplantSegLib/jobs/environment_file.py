"""The user's environments in one TOML file of the configuration folder."""

from __future__ import annotations

import difflib
import os
import stat
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.files import atomic_output, output_errors
from MgImplantSegLib.base.text_files import decoded
from MgImplantSegLib.base.toml_writer import toml_text
from MgImplantSegLib.jobs.environment import THIS_COMPUTER, Environment
from MgImplantSegLib.jobs.file_lock import locked

FILE_NAME = "environments.toml"
TABLE = "environments"
MOST_BYTES, LONGEST_REASON = 4 << 20, 200
Tables = dict[str, Any]
HEAD = "# Where MgImplantSeg runs jobs: `mgimplantseg jobs environments`, or edit it. No secrets belong here.\n\n"


def configuration_folder() -> Path:
    """The user's folder for settings; MGIMPLANTSEG_CONFIG names another one."""
    if "MGIMPLANTSEG_CONFIG" in os.environ:
        return Path(os.environ["MGIMPLANTSEG_CONFIG"])
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", Path.home())) / "MgImplantSeg"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "MgImplantSeg"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "mgimplantseg"


def data_folder() -> str:
    """The folder for jobs of this computer."""
    if sys.platform == "win32":
        return str(Path(os.environ.get("LOCALAPPDATA", Path.home())) / "MgImplantSeg")
    if sys.platform == "darwin":
        return "~/Library/Application Support/MgImplantSeg"
    return str(Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "mgimplantseg")


def known_environments() -> tuple[dict[str, Environment], list[InputError]]:
    """All environments that can be read, by name, `this` among them; and what is wrong with the others."""
    found, faults = {THIS_COMPUTER: Environment.this_computer()}, []
    try:
        tables = _read_tables()
    except InputError as error:
        return found, [error]
    for name, values in tables.items():
        try:
            found[name] = _environment(name, values)
        except InputError as error:
            faults.append(error)
    return found, faults


def find_environment(name: str) -> Environment:
    """The environment of that name; others in the file may be damaged.

    Raises InputError if there is none, naming the nearest; or if it or the file cannot be read, saying where.
    """
    try:
        tables = _read_tables()
    except InputError:
        if name != THIS_COMPUTER:
            raise
        tables = {}
    if name in tables:
        return _environment(name, tables[name])
    if name == THIS_COMPUTER:
        return Environment.this_computer()
    known = [THIS_COMPUTER, *tables]
    near = difflib.get_close_matches(name, known, n=1)
    raise InputError(
        f"Expected one of the environments {', '.join(known)}, got {name!r}.",
        f"Did you mean {near[0]!r}?" if near else "Add it: jobs environments add",
    )


def save_environment(environment: Environment) -> Path:
    """Add the environment to the file, or replace the one of its name; returns the file."""
    table = environment.to_dict()
    return _change_tables(lambda tables: {**tables, environment.name: table})


def remove_environment(name: str) -> Path:
    """Take an environment out of the file; its jobs stay where they are."""

    def without(tables: Tables) -> Tables:
        if name not in tables:
            raise InputError(f"Expected one of the environments {', '.join(tables) or '(none saved)'}, got {name!r}.")
        return {other: values for other, values in tables.items() if other != name}

    return _change_tables(without)


def _environment(name: str, values: Any) -> Environment:
    path = configuration_folder() / FILE_NAME
    if not isinstance(values, dict):
        raise InputError(f"Expected a table [{TABLE}.{name[:80]}] in {path}, got a value.", "Correct the file.")
    try:
        return Environment.from_dict(name, values)
    except InputError as error:
        raise InputError(error.message, f"{error.remedy or 'Correct that value.'} It is in {path}.") from error


def _read_tables() -> Tables:
    path = configuration_folder() / FILE_NAME
    try:
        content = tomllib.loads(decoded(_content(path)))  # numbers of any size: one table hides no other
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        reason = "levels without end" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise InputError(
            f"Expected TOML in {path}, got: {reason[:LONGEST_REASON]}.", "Correct this part of the file."
        ) from error
    tables = content.pop(TABLE, {})
    if content or not isinstance(tables, dict):
        raise InputError(f"Expected only tables [{TABLE}.NAME] in {path}, got something else.", "Correct the file.")
    return tables


def _content(path: Path) -> bytes:
    """The text of a file of ordinary size, with or without a byte order mark."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("no regular file")
    if found.st_size > MOST_BYTES:
        raise ValueError(f"{found.st_size} bytes")
    return path.read_bytes()


def _change_tables(change: Callable[[Tables], Tables]) -> Path:
    """Read, change and replace the file while nobody else does."""
    path = configuration_folder() / FILE_NAME
    with output_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(path):
        text = HEAD + _toml(change(_read_tables()), path)
        with atomic_output(path) as temporary:
            temporary.write_text(text, "utf-8")
            temporary.chmod(0o600)
    return path


def _toml(tables: Tables, path: Path) -> str:
    """The text of the file; damaged tables of others stay as they are, what cannot be written is an `InputError`."""
    for name, values in tables.items():
        if not isinstance(values, dict):
            _environment(name, values)
    return toml_text({TABLE: tables})
