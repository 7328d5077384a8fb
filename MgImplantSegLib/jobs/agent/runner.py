"""Runs one attempt of a job where it belongs: starts the command, watches for the wish to stop, records the outcome."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from enum import Enum

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.jobs.agent import processes
from MgImplantSegLib.jobs.agent.job_folder import JobFolder, RunnerRecord, State
from MgImplantSegLib.jobs.agent.launch import can_resume, command_environment, command_line
from MgImplantSegLib.jobs.agent.outcome import STOPPED, Outcome, judge
from MgImplantSegLib.jobs.agent.scheduler import Interruption
from MgImplantSegLib.jobs.agent.schedulers import scheduler_class

SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_BETWEEN_SIGNS_OF_LIFE = 5.0
SIGNS_OF_ENDING_TIME = ("SIGUSR1", "SIGUSR2")
UNIDENTIFIED = "0 - -"


class StopReason(str, Enum):
    """Why a running command was asked to stop."""

    ASKED = "asked"
    TIME = "time"
    OUTSIDE = "outside"


class Runner:
    """One attempt of one job; lives in the process that calls `announce` and `run`."""

    def __init__(self, job: JobFolder) -> None:
        self._job = job
        self._description = job.description
        self._allocation = scheduler_class(self._description.scheduler).allocation(os.environ)
        self._signals: list[int] = []
        self._stopped: StopReason | None = None
        self._kill_at = float("inf")
        self._last_sign = 0.0
        self._first_byte = 0
        self._checkpoint_before = self._checkpoint_time()

    @property
    def is_over(self) -> bool:
        """Whether the job has ended for good; clusters queue one again that ended by itself while it was preempted."""
        ended = self._job.ended
        return ended is not None and not ended.is_provisional

    def announce(self) -> None:
        """Become the runner that others see in the job's folder."""
        for name in ("SIGTERM", "SIGINT", "SIGHUP", *SIGNS_OF_ENDING_TIME):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda number, _frame: self._signals.append(number))
        processes.adopt_orphans()
        ended = self._job.ended
        if ended is not None and ended.is_provisional:
            self._job.prepare_next_attempt()
        if self._allocation.queued is not None:
            self._job.write(self._description.scheduler, self._allocation.queued)
        self._first_byte = self._job.events.stat().st_size
        self._sign_of_life()

    def run(self) -> int:
        """Run the command to its end; returns the exit code for the scheduler, 0 when the job is done."""
        try:
            outcome = STOPPED if self._job.stop_is_asked else self._run_command()
        except (OSError, MgImplantSegError) as error:
            outcome = Outcome(State.FAILED, f"The command could not be run: {error}", "Test the environment.")
        self._record(outcome)
        return self._allocation.exit_code(outcome)

    def _run_command(self) -> Outcome:
        results = self._job.results
        self._job.append_event(
            "attempt",
            resumed=can_resume(self._description, results),
            machine=socket.gethostname(),
            queue_job=self._allocation.number or None,
        )
        command = command_line(self._description, results, self._allocation)
        variables = command_environment(self._description, os.environ, self._allocation, self._token)
        with open(self._job.log, "ab") as log:
            child = subprocess.Popen(
                command,
                cwd=results,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **processes.own_session(),
            )
        while child.poll() is None:
            self._look(child)
            time.sleep(SECONDS_BETWEEN_LOOKS)
        processes.end_marked(self._token)
        return self._judge(child.returncode)

    @property
    def _token(self) -> str:
        return str(self._job.path)

    def _look(self, child: subprocess.Popen) -> None:
        """One look around: stop the command if that is asked, kill it when its time to stop is over."""
        now = time.monotonic()
        if now - self._last_sign > SECONDS_BETWEEN_SIGNS_OF_LIFE:
            with suppress(MgImplantSegError):
                self._sign_of_life()
        if self._stopped is None:
            self._stopped = self._reason_to_stop()
            if self._stopped is not None:
                self._kill_at = now + self._description.grace_s
                if not self._allocation.reached_the_command(self._signals):
                    self._ask_to_end(child)
        if now > self._kill_at:
            self._kill_at = float("inf")
            processes.kill_tree(child)
            processes.kill_marked(self._token)

    def _reason_to_stop(self) -> StopReason | None:
        if self._job.stop_is_asked:
            return StopReason.ASKED
        times = {getattr(signal, name) for name in SIGNS_OF_ENDING_TIME if hasattr(signal, name)}
        if times.intersection(self._signals):
            return StopReason.TIME
        return StopReason.OUTSIDE if self._signals else None

    def _ask_to_end(self, child: subprocess.Popen) -> None:
        """The polite signal."""
        if not self._allocation.ask_to_end(self._description.nodes):
            processes.ask_to_end(child)

    def _judge(self, code: int) -> Outcome:
        outcome = judge(self._job.events, self._first_byte, code, self._job.last_line())
        if outcome.state is State.DONE or self._stopped is StopReason.ASKED:
            return outcome if outcome.state is State.DONE else STOPPED
        if self._allocation.queued is not None and (self._stopped is not None or outcome.state is State.CANCELLED):
            return self._interrupted()
        if self._stopped is not None:
            return Outcome(State.CANCELLED, "Stopped by a signal from outside.", "Continue with: jobs resume")
        return outcome

    def _interrupted(self) -> Outcome:
        """Time limit or preemption: go back to the queue, unless the cluster has that or the job's end in hand."""
        cause = self._allocation.interruption(self._stopped is StopReason.TIME)
        if cause is Interruption.CANCELLED:
            reason = f"Stopped by {self._allocation.stopped_by}."
            return Outcome(State.CANCELLED, reason, "Continue with: jobs resume", True)
        if cause is Interruption.OUT_OF_TIME and self._checkpoint_time() == self._checkpoint_before:
            which = "a checkpoint" if self._checkpoint_before is None else "a further checkpoint"
            return Outcome(
                State.FAILED,
                f"The time limit was reached before {which} was written.",
                "Ask for more time (time_minutes), and resume or submit again.",
            )
        if self._allocation.requeue():
            return Outcome(State.FAILED, "Time limit or preemption.", "Continue with: jobs resume", True)
        return Outcome(
            State.FAILED,
            "Time limit or preemption, and the cluster does not requeue the job.",
            "Continue with: jobs resume",
        )

    def _checkpoint_time(self) -> int | None:
        """When the checkpoint, or the newest file of a folder of them, was written; None without one."""
        if not self._description.checkpoint:
            return None
        path = self._job.results / self._description.checkpoint
        files = [path] if path.is_file() else path.rglob("*.*")
        return max((file.stat().st_mtime_ns for file in files), default=None)

    def _sign_of_life(self) -> None:
        self._last_sign = time.monotonic()
        self._job.write(
            "runner",
            RunnerRecord(processes.identity(os.getpid()) or UNIDENTIFIED, socket.gethostname(), time.time()),
        )

    def _record(self, outcome: Outcome) -> None:
        """Write the outcome; the event after it ends what watchers read."""
        self._job.write("exit", outcome.ended_now())
        with suppress(OSError):
            self._job.append_event("ended", state=outcome.state.value, reason=outcome.reason)
