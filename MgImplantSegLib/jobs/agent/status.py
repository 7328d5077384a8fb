"""The status of a job: its state with reason and remedy, also where its records cannot be read."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.jobs.agent.job_folder import JobFolder, State
from MgImplantSegLib.jobs.agent.programs import CONTROL
from MgImplantSegLib.jobs.agent.records import END_OF_TIME, DamagedRecord
from MgImplantSegLib.jobs.agent.scheduler import Scheduler


def known_status(folder: JobFolder, scheduler: Scheduler) -> dict[str, Any]:
    """The status of a job whose records can be read. Raises MgImplantSegError if one cannot be read."""
    description, outcome = folder.description, scheduler.look(folder)
    ended = folder.ended
    return {
        "job": folder.path.name,
        "name": description.name,
        "state": outcome.state.value,
        "reason": outcome.reason,
        "remedy": outcome.remedy,
        "created": description.created,
        "ended": ended.ended if ended and outcome.state.is_final else None,
        "queue_job": scheduler.number(folder),
        "folder": str(folder.path),
        "command": description.shown,
        "submitted_as": description.environment,
        "submission": description.submission,
    }


def unreadable_status(folder: JobFolder, error: MgImplantSegError) -> dict[str, Any]:
    """The status of a job whose records cannot be read: damaged, or of a version or scheduler not known here."""
    created = time.time()
    with suppress(OSError):
        created = folder.path.lstat().st_mtime
    return {
        "job": _printable(folder.path.name),
        "name": _printable(folder.path.name),
        "state": (State.DAMAGED if isinstance(error, DamagedRecord) else State.UNKNOWN).value,
        "reason": _printable(error.message),
        "remedy": _printable(error.remedy),
        "created": min(max(0.0, created), END_OF_TIME),
        "ended": None,
        "queue_job": None,
        "folder": _printable(str(folder.path)),
        "command": "",
        "submitted_as": "",
        "submission": "",
    }


def _printable(text: str) -> str:
    """A text in which names that are no text, or would steer a terminal, can be shown."""
    return CONTROL.sub("\ufffd", text)
