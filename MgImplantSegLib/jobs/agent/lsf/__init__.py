"""Jobs of an LSF cluster, through bsub, bjobs and bkill on the machine where this runs."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError, MgImplantSegError
from MgImplantSegLib.jobs.agent.job_folder import JobFolder, QueueRecord, State
from MgImplantSegLib.jobs.agent.lsf.commands import REQUEUE_CODE, TITLE, LsfAllocation, run_lsf
from MgImplantSegLib.jobs.agent.outcome import Outcome
from MgImplantSegLib.jobs.agent.programs import run_program, tail
from MgImplantSegLib.jobs.agent.queue_scheduler import NAME_PREFIX, SECONDS_TO_SUBMIT, QueueScheduler, name_of
from MgImplantSegLib.jobs.agent.scheduler import Allocation, check
from MgImplantSegLib.jobs.agent.start_script import runner_words

STATE_OF_LSF = {
    **dict.fromkeys(("PEND", "PSUSP", "SSUSP", "USUSP", "WAIT", "PROV", "FWD_PEND"), State.PENDING),
    **dict.fromkeys(("RUN", "UNKWN"), State.RUNNING),
    **dict.fromkeys(("EXIT", "ZOMBI"), State.FAILED),
    "DONE": State.LOST,
}
SUSPENDED = ("PSUSP", "SSUSP", "USUSP")
REASON_OF_LSF = {
    "TERM_RUNLIMIT": "The time limit was reached.",
    "TERM_MEMLIMIT": "The memory asked for was not enough.",
    "TERM_OWNER": "It was ended by bkill.",
    "TERM_ADMIN": "It was ended by an administrator.",
    "TERM_FORCE_OWNER": "It was ended by bkill.",
    "TERM_FORCE_ADMIN": "It was ended by an administrator.",
    "TERM_PREEMPT": "It was preempted by another job.",
}
BY_SOMEBODY = ("TERM_OWNER", "TERM_ADMIN", "TERM_FORCE_OWNER", "TERM_FORCE_ADMIN")
FIELDS = "jobid stat exit_code exit_reason pend_reason delimiter='|'"
NUMBER_LINE = re.compile(r"Job <([0-9]{1,20})> is submitted to (?:default )?queue <[^>]*>\.?")
STATE_LINE = re.compile(r"([0-9]+)\|([A-Z_]+)\|([^|]*)\|([^|]*)\|(.*)")
FORGOTTEN = ("is not found", "No matching job found")
OVER_ALREADY = ("already finished", *FORGOTTEN)
SECONDS_IN_THE_QUEUE = 60


class LsfScheduler(QueueScheduler):
    """Queues jobs with bsub; a job's runner is what LSF starts."""

    name, title = "lsf", TITLE

    def submit(self, job: JobFolder, script: Path) -> QueueRecord:
        """Queue the script with bsub, which gives its words to a shell."""
        command = f"{shlex.join([str(script), *runner_words(job)])} >> {shlex.quote(str(job.log))} 2>&1"
        text = run_lsf(["bsub", *self.options(job), command], SECONDS_TO_SUBMIT)
        found = {match[1] for line in text.splitlines() if (match := NUMBER_LINE.fullmatch(line.strip()))}
        if len(found) != 1:
            with suppress(MgImplantSegError):
                run_lsf(["bkill", "-J", _name(job), "0"])
            raise InputError(
                f"Expected a job's number from bsub, got: {tail(text) or 'nothing'}.",
                "Ask your cluster's administrators what changes the output of bsub.",
            )
        return QueueRecord(found.pop())

    def options(self, job: JobFolder) -> list[str]:
        """The options of bsub for this job; its output goes to the log by itself, LSF adds reports to it."""
        fixed = ["-J", _name(job), "-cwd", str(job.path), "-o", "/dev/null", "-r", "-Q", str(REQUEUE_CODE)]
        minutes = -(-self.seconds_before_limit // 60)
        warning = ["-wa", "USR1", "-wt", str(minutes)] if self.settings.time_minutes > minutes else []
        return [*fixed, *warning, *self.resource_options()]

    def resource_options(self) -> list[str]:
        """The options of bsub that say what a job needs."""
        settings, chosen = self.settings, []
        cores, nodes = max(1, settings.cpus), settings.nodes
        place = f"span[ptile={cores}]" if nodes > 1 else "span[hosts=1]"
        chosen += ["-q", settings.partition] if settings.partition else []
        chosen += ["-P", settings.account] if settings.account else []
        chosen += ["-n", str(cores * nodes), "-R", place] if cores * nodes > 1 else []
        chosen += ["-gpu", f"num={settings.gpus}"] if settings.gpus else []
        chosen += ["-R", f"rusage[mem={round(settings.memory_gb * 1024)}MB]"] if settings.memory_gb else []
        chosen += ["-W", str(settings.time_minutes)] if settings.time_minutes else []
        return [*chosen, *(word for option in settings.queue_options for word in option.split(maxsplit=1))]

    def find(self, job: JobFolder, *, is_active: bool) -> QueueRecord | None:
        """The number of the job, by its name, which belongs to its folder; those of earlier attempts do not count."""
        states = () if is_active else ("-a",)
        text = _asked([*states, "-noheader", "-o", FIELDS, "-J", _name(job)])
        earlier = self.earlier(job)
        found = [number for number, *_rest in _state_lines(text) if number not in earlier]
        return QueueRecord(found[-1]) if found else None

    def ask(self, queued: QueueRecord) -> Outcome:
        """What bjobs says."""
        found = _state_lines(_asked(["-noheader", "-o", FIELDS, queued.job]))
        _number, word, code, ended, waits = next((entry for entry in found if entry[0] == queued.job), ("",) * 5)
        return self._outcome(word, code.strip("- "), ended, waits.strip("-; "))

    def kill(self, queued: QueueRecord) -> None:
        """End the job with bkill."""
        try:
            run_lsf(["bkill", queued.job])
        except InputError as error:
            if not any(words in error.message for words in OVER_ALREADY):
                raise

    def check_settings(self) -> list[dict[str, Any]]:
        """Whether LSF answers and has the queue; other settings it judges only when a job is submitted."""
        try:
            version = next(iter(run_lsf(["lsid"]).strip().splitlines()), "")
            run_lsf(["bqueues", *([self.settings.partition] if self.settings.partition else [])])
        except MgImplantSegError as error:
            return [check(self.title, False, error.message, error.remedy)]
        return [check(self.title, True, tail(version)), check("queue", True, self.settings.partition or "the default")]

    def probe(self, words: Sequence[str], seconds: float) -> str:
        """What a program prints on a computing node; a job that waits too long for one is taken back."""
        name = f"{NAME_PREFIX}probe-{os.getpid()}"
        bsub = ["bsub", "-I", "-J", name, *self.resource_options(), "-W", "1", shlex.join(words)]
        try:
            return run_program(bsub, seconds + SECONDS_IN_THE_QUEUE).stdout
        except FileNotFoundError:
            return ""
        except subprocess.TimeoutExpired:
            with suppress(MgImplantSegError):
                run_lsf(["bkill", "-J", name, "0"])
            return ""

    @classmethod
    def allocation(cls, variables: Mapping[str, str]) -> Allocation:
        """The job of the cluster in which this process runs."""
        return LsfAllocation.of_this_process(variables) or Allocation()

    def _outcome(self, word: str, code: str, ended: str, waits: str) -> Outcome:
        """What LSF's words for a state and a reason mean."""
        state, why = STATE_OF_LSF.get(word, State.LOST), ended.partition(":")[0].strip()
        if word in SUSPENDED:
            return Outcome(state, "LSF has suspended it.")
        if state is State.PENDING:
            return Outcome(state, f"The queue says: {waits}." if waits else "")
        if state is State.RUNNING:
            return Outcome(state, "LSF cannot reach the machine it runs on." if word == "UNKWN" else "")
        if state is State.LOST:
            return self.forgotten
        ended_with = f" (exit code {code})" if code else ""
        reason = REASON_OF_LSF.get(why, f"Its process was killed before it could report{ended_with}.")
        return Outcome(State.CANCELLED if why in BY_SOMEBODY else state, reason, "Continue with: jobs resume")


def _asked(options: Sequence[str]) -> str:
    """What bjobs prints; empty for jobs that it does not know."""
    try:
        return run_lsf(["bjobs", *options])
    except InputError as error:
        if any(words in error.message for words in FORGOTTEN):
            return ""
        raise


def _state_lines(text: str) -> list[tuple[str, ...]]:
    return [match.groups() for line in text.splitlines() if (match := STATE_LINE.fullmatch(line.strip()))]


def _name(job: JobFolder) -> str:
    """The job's name in the queue; it belongs to this folder alone, for LSF shows folders in several ways."""
    return f"{name_of(job)}-{hashlib.sha256(os.fsencode(job.path)).hexdigest()[:8]}"
