"""The model files that can be chosen: bundled ones, and those that the user has added to this computer."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import qt
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.resources import MODEL_SUFFIX, bundled_models
from MgImplantSegSections.work import settings


def folder():
    """The folder of added models on this computer, made if need be."""
    default = Path(qt.QStandardPaths.writableLocation(qt.QStandardPaths.AppDataLocation)) / "MgImplantSeg" / "Models"
    path = Path(settings.read(settings.MODEL_FOLDER, str(default)))
    with contextlib.suppress(OSError):  # without it there are the bundled models, and adding one says why it fails
        path.mkdir(parents=True, exist_ok=True)
    return path


def installed():
    """All model files by name: added ones first, then bundled ones."""
    own = {path.stem: path for path in added()}
    return {**own, **{name: path for name, path in bundled_models().items() if name not in own}}


def added():
    """The model files that the user has added; the folder may hold other files."""
    return sorted(path for path in folder().glob(f"*{MODEL_SUFFIX}") if path.is_file())


def isAdded(path: str | Path):
    """Whether the user has added a model, so that it may be deleted."""
    return Path(path).parent == folder()


def add(path: str | Path):
    """Copy a model file into the folder; returns where it is now.

    :raises InputError: if it is no model file or the name is taken.
    """
    readCard(path)
    target = folder() / Path(path).name
    if target.exists():
        raise InputError(
            _("Expected a new model, got {name}, which already exists.").format(name=target.name),
            _("Delete the old one first."),
        )
    with atomic_output(target) as temporary:
        shutil.copyfile(path, temporary)
    return target


def delete(path: str | Path):
    """Delete an added model file.

    :raises InputError: if the model is bundled.
    """
    if not isAdded(path):
        raise InputError(_("Expected an added model, got a bundled one."), _("Bundled models are kept."))
    Path(path).unlink(missing_ok=True)


def readCard(path: str | Path):
    """The card of a model file; needs no torch.

    :raises InputError: if it is no model file.
    """
    from MgImplantSegLib.model.file import read_card

    return read_card(path)
