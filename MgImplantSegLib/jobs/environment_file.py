"""The user's environments in one TOML file of the configuration folder."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import Any

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.files import atomic_output, output_errors
from MgImplantSegLib.jobs.environment import THIS_COMPUTER, Environment
from MgImplantSegLib.text_files import toml_from
from MgImplantSegLib.toml_writer import toml_text

FILE_NAME = "environments.toml"
TABLE = "environments"
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


def read_environments() -> dict[str, Environment]:
    """All environments by name; `this` is always among them.

    Raises
    ------
    InputError
        If the file is not TOML or a table of it is wrong; says where.
    """
    found = {THIS_COMPUTER: Environment.this_computer()}
    tables = _read_tables()
    return {**found, **{name: Environment.from_dict(name, values) for name, values in tables.items()}}


def find_environment(name: str) -> Environment:
    """The environment of that name.

    Raises
    ------
    InputError
        If there is none; names the nearest.
    """
    known = read_environments()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    raise InputError(
        f"Expected one of the environments {', '.join(known)}, got {name!r}.",
        f"Did you mean {near[0]!r}?" if near else "Add it: jobs environments add",
    )


def save_environment(environment: Environment) -> Path:
    """Add the environment to the file, or replace the one of its name; returns the file."""
    return _write_tables({**_read_tables(), environment.name: environment.to_dict()})


def remove_environment(name: str) -> Path:
    """Take an environment out of the file; its jobs stay where they are."""
    tables = _read_tables()
    if name not in tables:
        raise InputError(f"Expected one of the environments {', '.join(tables) or '(none saved)'}, got {name!r}.")
    return _write_tables({other: values for other, values in tables.items() if other != name})


def _read_tables() -> dict[str, dict[str, Any]]:
    path = configuration_folder() / FILE_NAME
    try:
        content = toml_from(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"Expected TOML in {path}, got: {error}.", "Correct that place in the file.") from error
    tables = content.pop(TABLE, {})
    if content or not isinstance(tables, dict) or not all(isinstance(values, dict) for values in tables.values()):
        raise InputError(f"Expected only tables [{TABLE}.NAME] in {path}, got something else.", "Correct the file.")
    return tables


def _write_tables(tables: dict[str, dict[str, Any]]) -> Path:
    path = configuration_folder() / FILE_NAME
    with output_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with atomic_output(path) as temporary:
        temporary.write_text(HEAD + toml_text({TABLE: tables}), "utf-8")
        temporary.chmod(0o600)
    return path
