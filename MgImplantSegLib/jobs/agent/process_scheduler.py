"""Jobs as detached processes of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import DependencyError
from MgImplantSegLib.jobs.agent import processes
from MgImplantSegLib.jobs.agent.job_folder import JobFolder, RunnerRecord, State
from MgImplantSegLib.jobs.agent.outcome import STOPPED, Outcome
from MgImplantSegLib.jobs.agent.programs import clean_variables, output
from MgImplantSegLib.jobs.agent.scheduler import Allocation, ManyJobs
from MgImplantSegLib.jobs.agent.settings import AgentSettings
from MgImplantSegLib.jobs.agent.start_script import runner_words, write_start_script

SECONDS_TO_START = 60.0
SECONDS_OF_SILENCE = 60.0
SECONDS_SPARE = 15.0


class ProcessScheduler(ManyJobs):
    """Starts a runner that outlives the caller, its terminal and its connection.

    Parameters
    ----------
    settings : AgentSettings
        Its ``setup``: shell lines that run before the job.
    """

    name = "process"
    computes_here = True

    def __init__(self, settings: AgentSettings) -> None:
        self._setup = settings.setup

    def start(self, job: JobFolder) -> None:
        """Start the runner; returns once it has announced itself in the job's folder."""
        words = [*runner_words(job), "--detach"]
        if self._setup:
            words = [str(write_start_script(job, self._setup)), *words]
        with open(job.log, "ab") as log:
            process = _start(words, job, log)
        if os.name == "nt":
            _wait_for_runner(job, process)
        elif _exit_code(process) != 0:
            raise DependencyError(
                f"Expected {words[0]} to start the job, got: {job.last_line() or 'no message'}",
                "Test the environment: jobs environments test",
            )

    def look(self, job: JobFolder) -> Outcome:
        """State from the job's folder and the runner's process."""
        ended, runner = job.ended, job.runner
        if ended is not None:
            return Outcome.recorded(ended)
        if runner is None:
            is_new = time.time() - job.path.stat().st_mtime < SECONDS_TO_START
            return (
                Outcome(State.PENDING) if is_new else Outcome(State.LOST, "It was never started.", "Submit it again.")
            )
        if runner.machine != socket.gethostname():
            return _unseen(runner)
        if processes.is_alive(runner.process):
            return Outcome(State.RUNNING)
        ended = job.ended  # it may have ended between the two looks
        if ended is not None:
            return Outcome.recorded(ended)
        return Outcome(
            State.LOST,
            "The process ended without reporting a result: it was killed, or the machine was restarted.",
            "See the log; continue with: jobs resume",
        )

    def stop(self, job: JobFolder) -> None:
        """Ask the runner to stop the command; without a runner end whatever is left, and let none begin."""
        job.ask_to_stop()
        deadline = time.monotonic() + job.description.grace_s + SECONDS_SPARE
        while self.look(job).state is State.RUNNING and time.monotonic() < deadline:
            time.sleep(0.1)
        _wait_for_the_end(job)
        processes.end_marked(str(job.path))
        if job.runner is None and not self.look(job).state.is_final:
            job.write("exit", STOPPED.ended_now())

    def number(self, _job: JobFolder) -> str | None:
        """There is no queue."""
        return None

    def check_settings(self) -> list[dict[str, Any]]:
        """Nothing has to be asked."""
        return []

    def probe(self, words: Sequence[str], seconds: float) -> str:
        """What a program prints here."""
        return output(words, seconds)

    def files_visible(self, _root: Path, _path: Path) -> bool:
        """Jobs run here and see what is here."""
        return True

    @classmethod
    def allocation(cls, _variables: Mapping[str, str]) -> Allocation:
        """None, though the process may run inside somebody's."""
        return Allocation()


def _start(words: list[str], job: JobFolder, log) -> subprocess.Popen:
    flags: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        flags = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    variables = dict(os.environ) if job.description.keeps_variables else clean_variables(os.environ)
    variables.pop(processes.MARKER, None)  # a job that starts a job does not own it
    try:
        return subprocess.Popen(
            words, cwd=job.results, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=variables, **flags
        )
    except OSError as error:
        raise DependencyError(
            f"Expected a Python at {words[0]}, got: {error.strerror}.", "Correct `python` of the environment."
        ) from error


def _exit_code(process: subprocess.Popen) -> int:
    """How the starting program ended; one that takes too long is ended with all that it has started."""
    try:
        return process.wait(SECONDS_TO_START)
    except subprocess.TimeoutExpired as error:
        processes.kill_tree(process)
        process.wait()
        raise DependencyError(
            f"Expected the job to start within {SECONDS_TO_START:g} s, got no sign of it.",
            "Run the environment's `setup` lines there by hand and see what takes so long.",
        ) from error


def _wait_for_runner(job: JobFolder, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while job.runner is None and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)


def _wait_for_the_end(job: JobFolder) -> None:
    """The runner's own process goes a moment after its record of the end."""
    runner = job.runner
    deadline = time.monotonic() + processes.SECONDS_TO_DIE
    while runner and processes.is_alive(runner.process) and time.monotonic() < deadline:
        time.sleep(0.05)


def _unseen(runner: RunnerRecord) -> Outcome:
    """A runner on another machine that shares the folder: its signs of life are all there is."""
    silence_s = time.time() - runner.last_sign
    if silence_s < SECONDS_OF_SILENCE:
        return Outcome(State.RUNNING)
    return Outcome(
        State.RUNNING,
        f"No sign of life from {runner.machine} for {silence_s:.0f} s.",
        f"Ask on {runner.machine} itself.",
    )
