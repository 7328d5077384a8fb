"""Arrays: many jobs of the same kind, a folder each, ARRAY-0, ARRAY-1 and so on, started and looked at together."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.base.files import output_errors
from MgImplantSegLib.jobs.agent.description import JobDescription
from MgImplantSegLib.jobs.agent.job_folder import JobFolder, State, require_valid_id
from MgImplantSegLib.jobs.agent.outcome import event_in
from MgImplantSegLib.jobs.agent.results import read_part
from MgImplantSegLib.jobs.agent.scheduler import Scheduler

KEPT_EVENTS = ("sample", "warning", "error")
LONGEST_READ = 1 << 20


def make_array(
    root: Path, description: JobDescription, inputs: dict[str, str], tasks: Sequence[Sequence[str]]
) -> tuple[list[JobFolder], bool]:
    """The folders of all jobs, and whether the first of them is new; those that are there stay as they are."""
    jobs, is_new = [], False
    with output_errors(root):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for index, words in enumerate(tasks):
        path = root / require_valid_id(f"{description.array}-{index}")
        if not os.path.lexists(path):
            is_new = is_new or index == 0
            arguments, shown = (*description.arguments, *words), " ".join((description.shown, *words))
            own = replace(description, arguments=arguments, shown=shown, id=path.name, created=time.time())
            JobFolder.create(path, own, inputs)
        jobs.append(JobFolder(path))
    return jobs, is_new


def look_all(root: Path, scheduler: Scheduler, names: Sequence[str], offsets: Sequence[int]) -> list[dict[str, Any]]:
    """State, reason and new events of many jobs."""
    folders = [JobFolder(root / require_valid_id(name)) for name in names]
    here = [folder for folder in folders if folder.path.is_dir()]
    try:
        outcomes = scheduler.look_all(here)
    except MgImplantSegError:  # records of one of them are damaged: each by itself
        outcomes = None
    found = {}
    for index, folder in enumerate(here):
        try:
            outcome = outcomes[index] if outcomes is not None else scheduler.look(folder)
            found[folder.path.name] = (outcome.state, outcome.reason, outcome.remedy)
        except MgImplantSegError as error:
            found[folder.path.name] = (State.DAMAGED, error.message, error.remedy)
    gone = (State.LOST, "Its folder no longer exists.", "")
    return [
        _told(folder, *found.get(folder.path.name, gone), offset)
        for folder, offset in zip(folders, offsets, strict=True)
    ]


def _told(folder: JobFolder, state: State, reason: str, remedy: str, offset: int) -> dict[str, Any]:
    content = read_part(folder.events, offset, LONGEST_READ)
    whole = content[: content.rfind(b"\n") + 1]
    events = [record for record in map(event_in, whole.splitlines()) if record and record["event"] in KEPT_EVENTS]
    return {
        "job": folder.path.name,
        "is_here": folder.path.is_dir(),
        "state": state.value,
        "reason": reason,
        "remedy": remedy,
        "events": events,
        "offset": offset + len(whole),
    }
