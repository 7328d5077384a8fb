"""Checkpoints: written beside, flushed to the disk and renamed, so that there is always a whole one."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.base.files import atomic_output

FORMAT = 2


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain Python) to `path`; the file that was there stays until it is complete.

    Raises OutputError if the disk is full or cannot be written.
    """
    with atomic_output(path) as temporary, open(temporary, "wb") as stream:
        try:
            torch.save({"format": FORMAT, **state}, stream)
        except RuntimeError as error:  # torch reports a full disk as its own kind of error
            raise OutputError(
                f"Expected to write the checkpoint {path}, got: {error}.",
                "Free disk space; the previous checkpoint is still there.",
            ) from error
        stream.flush()
        os.fsync(stream.fileno())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote.

    Raises InputError if there is no readable checkpoint of this format.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"Expected a checkpoint {path}, got none there.", "Give the folder of a run.") from error
    except (RuntimeError, EOFError, pickle.UnpicklingError, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"Expected a readable checkpoint in {path}, got: {reason}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise InputError(f"Expected a checkpoint of format {FORMAT} in {path}, got another file.")
    return state
