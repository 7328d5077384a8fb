"""Jobs of a SLURM cluster, through sbatch, squeue and scancel on the machine where this runs."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import Any

from MgImplantSegLib.errors import InputError, MgImplantSegError
from MgImplantSegLib.jobs.agent.job_folder import JobFolder, QueueRecord, State
from MgImplantSegLib.jobs.agent.outcome import STOPPED, Outcome
from MgImplantSegLib.jobs.agent.records import DamagedRecord
from MgImplantSegLib.jobs.agent.slurm_commands import SECONDS_TO_SUBMIT, ControllerDown, run_slurm, tail
from MgImplantSegLib.jobs.agent.start_script import runner_words, write_start_script

STATE_OF_SLURM = {
    **dict.fromkeys(("PENDING", "CONFIGURING", "SUSPENDED", "STOPPED", "SPECIAL_EXIT", "RESV_DEL_HOLD"), State.PENDING),
    **dict.fromkeys(("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD"), State.PENDING),
    **dict.fromkeys(("RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT", "RESIZING"), State.RUNNING),
    **dict.fromkeys(("CANCELLED", "REVOKED"), State.CANCELLED),
    **dict.fromkeys(
        ("FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "PREEMPTED"), State.FAILED
    ),
    "COMPLETED": State.LOST,
}
REASON_OF_SLURM = {
    "TIMEOUT": "The time limit was reached.",
    "OUT_OF_MEMORY": "The memory asked for was not enough.",
    "NODE_FAIL": "The machine it ran on failed.",
    "FAILED": "Its process was killed without a word.",
}
OPTION_OF_SETTING = {
    "partition": "--partition",
    "account": "--account",
    "nodes": "--nodes",
    "cpus": "--cpus-per-task",
    "time_minutes": "--time",
}
NUMBER_LINE = re.compile(r"(?:Submitted batch job )?(?P<job>[0-9]{1,20})(?:;(?P<cluster>[\w.][\w.-]{0,99}))?")
STATE_LINE = re.compile(r"([0-9]+)\|([A-Z_]+)\|(.*)")
FOLDER_LINE = re.compile(r"\s*([0-9]+)\|(/.*)")
FORGOTTEN = ("Invalid job id", "invalid job id")
SECONDS_SPARE = 20.0
SECONDS_BEFORE_LIMIT = 60
NAME_PREFIX = "mgis-"


class SlurmScheduler:
    """Queues jobs with sbatch; a job's runner sits in the batch script.

    Parameters
    ----------
    settings : dict
        ``setup``, ``partition``, ``account``, ``nodes``, ``cpus``, ``gpus`` (a node), ``memory_gb``,
        ``time_minutes``, ``sbatch_options``, ``grace_s``.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings

    def start(self, job: JobFolder) -> None:
        """Queue the job, unless it is queued by a submission whose answer was lost; its number is in ``slurm.json``."""
        script = write_start_script(job, self._settings["setup"])
        queued = _find(job)
        if queued is None:
            words = ["sbatch", "--parsable", *self.options(job), str(script), *runner_words(job)]
            queued = _submitted(job, run_slurm(words, SECONDS_TO_SUBMIT, str(job.path)))
        job.write("slurm", queued)

    def options(self, job: JobFolder) -> list[str]:
        """The options of sbatch for this job."""
        fixed = [
            "--requeue",
            "--open-mode=append",
            "--export=NONE",
            "--output=log.txt",
            f"--chdir={job.path}",
            f"--job-name={NAME_PREFIX}{job.path.name}",
            f"--signal=B:USR1@{self._seconds_before_limit}",
        ]
        return [*fixed, *self.resource_options()]

    def resource_options(self) -> list[str]:
        """The options of sbatch that say what a job needs."""
        settings = self._settings
        chosen = [f"{option}={settings[name]}" for name, option in OPTION_OF_SETTING.items() if settings[name]]
        chosen += [f"--gres=gpu:{settings['gpus']}"] * bool(settings["gpus"])
        chosen += [f"--mem={round(settings['memory_gb'] * 1024)}M"] * bool(settings["memory_gb"])
        return ["--ntasks-per-node=1", *chosen, *settings["sbatch_options"]]

    def look(self, job: JobFolder) -> Outcome:
        """State from the job's folder; where that is silent or not final, from squeue."""
        ended = job.ended
        if ended is not None and not ended.is_provisional:
            return Outcome.recorded(ended)
        try:
            word, reason = self._ask(job)
        except DamagedRecord:
            raise
        except (ControllerDown, InputError) as error:
            seen = State.RUNNING if job.runner else State.PENDING
            return Outcome(seen, f"{error.message} This is what was last known.", error.remedy)
        ended = job.ended
        if ended is not None and (not ended.is_provisional or STATE_OF_SLURM.get(word, State.LOST).is_final):
            return Outcome.recorded(ended)
        return self._silent(job, word, reason)

    def stop(self, job: JobFolder) -> None:
        """Ask a running job to stop, take a waiting one out of the queue; scancel ends what does not stop in time."""
        job.ask_to_stop()
        deadline = time.monotonic() + job.description.grace_s + SECONDS_SPARE
        while self.look(job).state is State.RUNNING and time.monotonic() < deadline:
            time.sleep(0.5)
        queued = self._queued(job)
        if queued is not None and not self._is_over(job):
            run_slurm(["scancel", *_cluster(queued), queued.job])
            self._wait_until_over(job)
        ended = job.ended
        if ended is None or ended.is_provisional:
            job.write("exit", STOPPED.ended_now())

    @property
    def _seconds_before_limit(self) -> int:
        """When the command is told that its time ends; SLURM may be a minute early, and short limits need a share."""
        wanted, limit = round(self._settings["grace_s"]) + SECONDS_BEFORE_LIMIT, 60 * self._settings["time_minutes"]
        return min(wanted, limit // 3) if limit else wanted

    def _is_over(self, job: JobFolder) -> bool:
        return STATE_OF_SLURM.get(self._ask(job)[0], State.LOST).is_final

    def _wait_until_over(self, job: JobFolder) -> None:
        deadline = time.monotonic() + 2 * SECONDS_SPARE + job.description.grace_s
        while not self._is_over(job) and time.monotonic() < deadline:
            time.sleep(0.5)

    def _queued(self, job: JobFolder) -> QueueRecord | None:
        """The cluster's number of the job; looked for where the submitter died before writing it down."""
        known = job.read("slurm", QueueRecord)
        return known if known is not None else _find(job, "-t", "all")

    def _ask(self, job: JobFolder) -> tuple[str, str]:
        """The cluster's word for the job's state, and its reason; empty if it does not know the job."""
        queued = self._queued(job)
        if queued is None:
            return "", ""
        try:
            answer = run_slurm(["squeue", *_cluster(queued), "-h", "-t", "all", "-j", queued.job, "-o", "%i|%T|%r"])
        except InputError as error:
            if any(words in error.message for words in FORGOTTEN):
                return "", ""
            raise
        found = [match for line in answer.splitlines() if (match := STATE_LINE.fullmatch(line.strip()))]
        return next(
            ((word, reason) for number, word, reason in map(re.Match.groups, found) if number == queued.job), ("", "")
        )

    def _silent(self, job: JobFolder, word: str, reason: str) -> Outcome:
        """State by the cluster's word alone."""
        if (
            not word
            and job.read("slurm", QueueRecord) is None
            and time.time() - job.path.stat().st_mtime < SECONDS_TO_SUBMIT
        ):
            return Outcome(State.PENDING)
        state = STATE_OF_SLURM.get(word, State.LOST)
        if state is State.PENDING:
            return Outcome(state, "" if reason in ("None", "") else f"The queue says: {reason}.")
        if state is State.RUNNING:
            return Outcome(state)
        if state is State.LOST:
            return Outcome(
                state, "SLURM no longer knows it and it left no word.", "See the log; go on with: jobs resume"
            )
        return Outcome(state, REASON_OF_SLURM.get(word, f"SLURM says: {word.lower()}."), "Go on with: jobs resume")


def _submitted(job: JobFolder, text: str) -> QueueRecord:
    """The job's number among what sbatch printed; plug-ins and wrappers of a site print lines of their own.

    Raises
    ------
    InputError
        If none of the lines can be it, or several can and the queue does not know the job.
    """
    matches = [match for line in text.splitlines() if (match := NUMBER_LINE.fullmatch(line.strip()))]
    found = {QueueRecord(match["job"], match["cluster"] or "") for match in matches}
    likely = {record for record in found if record.cluster} or found
    if len(likely) == 1:
        return likely.pop()
    queued = _find(job, "-t", "all")
    if queued is not None:
        return next((record for record in found if record.job == queued.job), queued)
    with suppress(MgImplantSegError):
        run_slurm(["scancel", f"--name={NAME_PREFIX}{job.path.name}"])
    raise InputError(
        f"Expected a job's number from sbatch, got: {tail(text) or 'nothing'}.",
        "Ask your cluster what adds lines to: sbatch --parsable",
    )


def _find(job: JobFolder, *options: str) -> QueueRecord | None:
    """The number of the job in the queue, by its name and folder; those of earlier attempts do not count."""
    text = run_slurm(["squeue", "-h", *options, "-n", NAME_PREFIX + job.path.name, "-o", "%i|%Z"])
    pairs = [match.groups() for line in text.splitlines() if (match := FOLDER_LINE.fullmatch(line))]
    earlier = job.earlier_slurm_numbers()
    found = [number for number, folder in pairs if folder == str(job.path) and number not in earlier]
    return QueueRecord(found[-1]) if found else None


def _cluster(queued: QueueRecord) -> list[str]:
    """The option that names the cluster of a job, where sbatch named it."""
    return [f"--clusters={queued.cluster}"] if queued.cluster else []
