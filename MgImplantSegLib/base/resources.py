"""Where the files that belong to the engine lie: models, configurations, terminologies, sample data."""

from __future__ import annotations

from pathlib import Path

from MgImplantSegLib.base.choices import nearest
from MgImplantSegLib.base.errors import InputError

PACKAGE = Path(__file__).resolve().parents[1]
FOLDERS = (PACKAGE / "Resources", PACKAGE.parent / "Resources")
MODEL_SUFFIX = ".mgmodel"
DEFAULT_MODEL = "mgimplantseg-sim20"


def resource(*parts: str) -> Path:
    """The path of a file or folder that belongs to the engine, installed or in the source tree.

    Raises InputError if it is in neither place.
    """
    for folder in FOLDERS:
        if folder.joinpath(*parts).exists():
            return folder.joinpath(*parts)
    wanted = "/".join(parts)
    raise InputError(
        f"Expected Resources/{wanted} in {FOLDERS[0].parent} or {FOLDERS[1].parent}, got no such file.",
        "Reinstall the engine, or work in a complete checkout.",
    )


def bundled_models() -> dict[str, Path]:
    """The model files that come with the engine, by name."""
    return {path.stem: path for folder in FOLDERS for path in sorted((folder / "Models").glob("*" + MODEL_SUFFIX))}


def find_model(name_or_path: str | Path | None = None) -> Path:
    """The model file of a bundled model's name or of a path; without either the default model.

    Raises InputError if there is no such model, naming the models there are.
    """
    bundled = bundled_models()
    wanted = str(name_or_path or DEFAULT_MODEL)
    if wanted in bundled:
        return bundled[wanted]
    if Path(wanted).is_file():
        return Path(wanted)
    near = nearest(wanted, bundled)
    guess = f" Did you mean {near}?" if near else ""
    raise InputError(
        f"Expected a model file or one of the bundled models ({', '.join(bundled) or 'none here'}), got {wanted!r}.",
        f"Give the path of a {MODEL_SUFFIX} file [[model]].{guess}",
    )
