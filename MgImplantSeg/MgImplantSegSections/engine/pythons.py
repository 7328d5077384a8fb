"""Which Pythons can run the engine: Slicer's own, and the environments that the user has added.

The environments are those of the engine's launcher, in one file for the panel and the command line.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

import MgImplantSegLib
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.toml_writer import toml_text
from MgImplantSegLib.inference.openvino_entries import has_openvino
from MgImplantSegLib.jobs.environment import THIS_COMPUTER, Environment, Kind
from MgImplantSegLib.jobs.environment_file import FILE_NAME, find_environment, known_environments, save_environment
from MgImplantSegSections.engine.engineRun import EnginePython, runEngine
from MgImplantSegSections.engine.exchange import taskFolder

if TYPE_CHECKING:
    from MgImplantSegSections.engine.engineRun import CancelToken

OWN = THIS_COMPUTER
VERSION_LINE = re.compile(r"(?m)^Version: *(\S+)")
ENGINE_FOLDER = Path(MgImplantSegLib.__file__).resolve().parent.parent
PACKAGES = ("torch", "numpy", "scipy", "SimpleITK")
PACKAGES_FOR_FILES = (*PACKAGES, "pynrrd")  # where the engine reads the user's own files, as in a batch
DOWNLOAD_MB = {"torch": 250, "openvino": 59, "pynrrd": 1, "scipy": 40, "SimpleITK": 50, "numpy": 20}
# big activations are mapped and unmapped again and again without these; a network runs up to twice as fast with them
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "2147483647", "MALLOC_TOP_PAD_": "268435456"}
PROGRAM_OF_GPUS = "nvidia-smi"
VIRTUAL_ENVIRONMENTS = ("venv", "env", "virtualenv")
SCRIPTS_OF_WINDOWS = (".bat", ".cmd")
STARTS_OF_PROGRAMS = (
    b"\x7fELF",
    b"MZ",
    b"#!",
    b"\xcf\xfa\xed\xfe",  # macOS
    b"\xce\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
)
SLICER_ONLY = ("PYTHONHOME", "PYTHONPATH")


def environments():
    """All environments by name, Slicer's own Python first; those that can be read."""
    return known_environments()[0]


def problem():
    """What is wrong with the file of the environments, or None; an `InputError`."""
    return next(iter(known_environments()[1]), None)


def names():
    """Names of the environments, Slicer's own Python first."""
    return list(environments())


def isHere(name: Any):
    """Whether an environment can run a command as a child process of Slicer; others are asked over the launcher."""
    entry = environments().get(name or OWN)
    return entry is None or entry.kind in (Kind.THIS, Kind.LOCAL)  # one that is gone is told when it is to run


def text(name: Any):
    """What people read for a name."""
    return _("Slicer's Python") if name == OWN else name


def python(name: Any = None):
    """The `EnginePython` of a name; Slicer's own without one.

    Hosts and clusters are asked by the launcher, which Slicer's own Python runs.

    :raises InputError: if there is no such environment.
    """
    environment = Environment.this_computer() if (name or OWN) == OWN else find_environment(name)
    if environment.kind is not Kind.LOCAL:
        return EnginePython((sys.executable, "-m", "MgImplantSegLib"), {**os.environ, **ALLOCATOR}, ENGINE_FOLDER)
    startUp = {key: value for key, value in slicer.util.startupEnvironment().items() if key not in SLICER_ONLY}
    variables = {**startUp, **ALLOCATOR, **environment.variables}
    program = os.path.expanduser(environment.python)
    return EnginePython((program, "-m", "MgImplantSegLib"), variables, ENGINE_FOLDER)


def nameFor(program: Any):
    """A free name for a Python: that of its folder; of a virtual environment that of the project it stands in."""
    folder = program.parent.parent if program.parent.name in ("bin", "Scripts") else program.parent
    if folder.name.lstrip(".") in VIRTUAL_ENVIRONMENTS and folder.parent.name:
        folder = folder.parent
    return _free(folder.name or program.name)


def nameOfProgram(program: Any):
    """The name under which a Python on this computer is known already, or None."""
    known = {entry.python: name for name, entry in environments().items() if entry.kind is Kind.LOCAL}
    return known.get(str(program))


def nameForPlace(host: str, program: Any):
    """A free name for an environment on a host or, without one, in a folder; empty if neither is known."""
    if host:
        return _free(host.rpartition("@")[2])
    return nameFor(Path(program)) if program else ""


def _free(wanted: Any):
    """The name, with a number behind it if it is taken."""
    taken, name, number = names(), wanted, 2
    while name in taken:
        name, number = f"{wanted} {number}", number + 1
    return name


def add(name: Any, program: Any):
    """Remember another Python on this computer under a name.

    :raises InputError: if there is no such program or the name is taken.
    """
    requireProgram(program)
    if name in names():
        raise InputError(_("Expected a new name, got {name!r}, which is already in use.").format(name=name))
    save_environment(Environment(name, Kind.LOCAL, str(program)))


def requireProgram(path: Any):
    """Raise `InputError` unless a path is that of a program on this computer, to which a text file does not belong."""
    if not _isProgram(Path(os.path.expanduser(path))):
        raise InputError(
            _("Expected a Python executable, got {path}.").format(path=path),
            _("Choose the file python or python.exe in the environment's folder."),
        )


def _isProgram(path: Any):
    if not (path.is_file() and os.access(path, os.X_OK)):
        return False
    if os.name == "nt" and path.suffix.lower() in SCRIPTS_OF_WINDOWS:
        return True
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError:
        return True  # it may be run all the same
    return start.startswith(STARTS_OF_PROGRAMS)


def testSteps(environment: Any, temporaryFolder: str | Path, token: CancelToken):
    """The checks of an environment that need not be saved, as a generator; returns the fields of the result."""
    with taskFolder(temporaryFolder) as folder:
        table = {"environments": {environment.name: environment.to_dict()}}
        (folder / FILE_NAME).write_text(toml_text(table), "utf-8")
        own = python()
        alone = replace(own, environment={**own.environment, "MGIMPLANTSEG_CONFIG": str(folder)})
        words = ["jobs", "environments", "test", environment.name]
        return (yield from runEngine(alone, words, folder / "log.txt", token))


def isPython(checks: Any):
    """Whether checks of an environment have found a Python, with or without what is needed."""
    return any(check["name"] == "packages" for check in checks)


def downloadMb(packages: Any):
    """How much is downloaded to install packages, about, in MB."""
    return sum(DOWNLOAD_MB[package] for package in packages)


def version(package: str):
    """Version of an installed package of Slicer's Python; None if it is missing. Nothing is imported."""
    try:
        found = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    line = VERSION_LINE.search(found.read_text("METADATA") or "")  # parsing all of it takes a hundred times as long
    return line[1] if line else found.version


def toSegment(model: Any, packages: Any = PACKAGES):
    """The packages with OpenVINO in place of torch where that is enough and not there yet: a third to download.

    It is enough for a model file that holds a network for it, on a computer without a GPU that torch could use.
    """
    isEnough = version("openvino") is not None or shutil.which(PROGRAM_OF_GPUS) is None
    if version("torch") is not None or not isEnough or model is None or not has_openvino(model):
        return packages
    return tuple("openvino" if package == "torch" else package for package in packages)


def missingPackages(name: Any = None, packages: Any = PACKAGES):
    """Packages that Slicer's own Python lacks for the engine; nothing is known of other Pythons before their test."""
    if name not in (None, "", OWN):
        return []  # hosts and clusters have their own torch; the launcher needs the standard library only
    return [package for package in packages if version(package) is None]
