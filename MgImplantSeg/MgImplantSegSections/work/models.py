"""The model files that can be chosen: bundled ones, and those that the user has added to this computer."""

from __future__ import annotations

import contextlib
import shutil
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.resources import MODEL_SUFFIX, bundled_models
from MgImplantSegSections.work import settings

if TYPE_CHECKING:
    from MgImplantSegLib.model.card import ModelCard


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


def cardHtml(card: ModelCard):
    """A model's card for people."""
    rows = [
        (_("Network"), ", ".join(f"{key} {value}" for key, value in card.network.items())),
        (_("Voxel size"), _("{um:g} µm").format(um=card.preprocessing.spacing_um)),
        (_("Classes"), ", ".join(label.name for label in card.label_scheme.labels)),
        (_("Trained on planes"), ", ".join(card.training_planes)),
        *_rows(_("Metrics"), card.metrics),
        *_rows(_("Training"), card.training),
        (_("Intended use"), card.intended_use),
        (_("Licence"), card.licence),
        (_("Created"), card.created),
    ]
    cells = "".join(
        f"<tr><td><b>{escape(name, quote=False)}</b>&nbsp;</td><td>{escape(text, quote=False)}</td></tr>"
        for name, text in rows
        if text
    )
    return f"<h4>{escape(card.name, quote=False)}</h4><table>{cells}</table>"


def _rows(name: str, table: Any):
    """A row for the plain values of a table, and rows for each table in it."""
    plain = [f"{_words(key)} {_shortened(value)}" for key, value in table.items() if not isinstance(value, dict)]
    rows = [(name, ", ".join(plain))]
    for key, value in table.items():
        if isinstance(value, dict):
            rows += _rows(f"{name}, {_words(key)}", value)
    return rows


def _words(key: str):
    return str(key).replace("_", " ")


def _shortened(value: Any):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
