"""The one shell script of a job: the user's own set-up lines, then the words it is given, none of them interpreted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from MgImplantSegLib.jobs.agent.job_folder import JobFolder

HEAD = """#!/bin/bash -l
trap '' USR1 USR2
unset LD_PRELOAD
"""
TAIL = """exec "$@"
"""
START_RUNNER = Path("MgImplantSegLib/jobs/agent/start_runner.py")


def write_start_script(job: JobFolder, lines: Sequence[str]) -> Path:
    """Write ``start.sh`` with these lines into the job's folder; its words are the program to become."""
    path = job.path / "start.sh"
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines) + TAIL, "utf-8")
    path.chmod(0o700)
    return path


def runner_words(job: JobFolder) -> list[str]:
    """The words that start the job's runner, from the engine sent along."""
    description = job.description
    return [description.python, str(Path(description.engine) / START_RUNNER), str(job.path)]
