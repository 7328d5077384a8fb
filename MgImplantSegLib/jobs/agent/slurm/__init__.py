"""Jobs of a SLURM cluster, through sbatch, squeue and scancel on the machine where this runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError, MgImplantSegError
from MgImplantSegLib.jobs.agent.job_folder import JobFolder, QueueRecord, State
from MgImplantSegLib.jobs.agent.outcome import Outcome
from MgImplantSegLib.jobs.agent.programs import output, tail
from MgImplantSegLib.jobs.agent.queue_scheduler import SECONDS_TO_SUBMIT, QueueScheduler, name_of, name_of_array
from MgImplantSegLib.jobs.agent.scheduler import Allocation, check
from MgImplantSegLib.jobs.agent.settings import AgentSettings
from MgImplantSegLib.jobs.agent.slurm.array_script import write_array_script
from MgImplantSegLib.jobs.agent.slurm.commands import TITLE, SlurmAllocation, run_slurm
from MgImplantSegLib.jobs.agent.start_script import runner_words

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
    "FAILED": "Its process was killed before it could report.",
}
OPTION_OF_SETTING = {
    "partition": "--partition",
    "account": "--account",
    "nodes": "--nodes",
    "cpus": "--cpus-per-task",
    "time_minutes": "--time",
}
NUMBER_LINE = re.compile(r"(?:Submitted batch job )?(?P<job>[0-9]{1,20})(?:;(?P<cluster>[\w.][\w.-]{0,99}))?")
STATE_LINE = re.compile(r"([0-9]+(?:_[0-9]+)?)\|([A-Z_]+)\|(.*)")
FOLDER_LINE = re.compile(r"\s*([0-9]+(?:_[0-9]+)?)\|(/.*)")
LIMIT_LINE = re.compile(r"(?m)^MaxArraySize\s*=\s*([0-9]+)")
USUAL_ARRAY_LIMIT = 1001
ARRAY_SCRIPTS = ".arrays"
FORGOTTEN = ("Invalid job id", "invalid job id")
SECONDS_IN_THE_QUEUE = 60


class SlurmScheduler(QueueScheduler):
    """Queues jobs with sbatch; a job's runner sits in the batch script."""

    name, title = "slurm", TITLE
    start_lines = ("export SLURM_EXPORT_ENV=ALL",)

    def __init__(self, settings: AgentSettings) -> None:
        super().__init__(settings)
        self._known: dict[str, tuple[str, str]] = {}
        self._asked: set[str] = set()

    def submit(self, job: JobFolder, script: Path) -> QueueRecord:
        """Queue the script with sbatch."""
        words = ["sbatch", "--parsable", *self.options(job), str(script), *runner_words(job)]
        text = run_slurm(words, SECONDS_TO_SUBMIT, str(job.path))
        return self._number_in(text, name_of(job), lambda: self._numbers(job, is_active=False))

    def options(self, job: JobFolder) -> list[str]:
        """The options of sbatch for this job."""
        return self._options(name_of(job), job.path, "log.txt")

    def _options(self, name: str, folder: Path, log: str) -> list[str]:
        fixed = [
            "--requeue",
            "--open-mode=append",
            "--export=NONE",
            f"--output={log}",
            f"--chdir={folder}",
            f"--job-name={name}",
            f"--signal=B:USR1@{self.seconds_before_limit}",
        ]
        return [*fixed, *self.resource_options()]

    @property
    def array_limit(self) -> int | None:
        """The cluster's MaxArraySize; what is usual where it does not say."""
        with suppress(MgImplantSegError):
            if found := LIMIT_LINE.search(run_slurm(["scontrol", "show", "config"])):
                return max(1, int(found[1]))
        return USUAL_ARRAY_LIMIT

    def start_array(self, array: str, jobs: Sequence[JobFolder], at_once: int, after: JobFolder | None = None) -> None:
        """Queue one array for all jobs, unless it is queued by a submission whose answer was lost."""
        folder, name = jobs[0].path.parent, name_of_array(array)
        known = sorted({number.split("_")[0] for number in self._numbers_of(name, folder, is_active=False)}, key=int)
        if known:
            queued = QueueRecord(known[-1])
        else:
            script = write_array_script(
                folder / ARRAY_SCRIPTS / f"{array}.sh", (*self.start_lines, *self.settings.setup)
            )
            limit = f"%{at_once}" if at_once else ""
            words = ["sbatch", "--parsable", *self._options(name, folder, f"{array}-%a/log.txt"), *self._order(after)]
            words += [f"--array=0-{len(jobs) - 1}{limit}", str(script), *runner_words(jobs[0])[:2], f"{folder / array}"]
            text = run_slurm(words, SECONDS_TO_SUBMIT, str(folder))
            queued = self._number_in(
                text, name, lambda: [n.split("_")[0] for n in self._numbers_of(name, folder, is_active=False)]
            )
        for index, job in enumerate(jobs):
            if job.read(self.name, QueueRecord) is None:
                job.write(self.name, QueueRecord(f"{queued.job}_{index}", queued.cluster))

    def _order(self, after: JobFolder | None) -> list[str]:
        """The option that has an array wait until that of `after` is over, however it ends."""
        queued = self._queued(after) if after else None
        return [f"--dependency=afterany:{queued.job.split('_')[0]}"] if queued else []

    def look_all(self, jobs: Sequence[JobFolder]) -> list[Outcome]:
        """The states of many jobs; the queue is asked once for each array."""
        records = [job.read(self.name, QueueRecord) for job in jobs if job.ended is None or job.ended.is_provisional]
        self._known, self._asked = {}, set()
        for number, cluster in {(record.job.split("_")[0], record.cluster) for record in records if record}:
            with suppress(MgImplantSegError):
                words = ["squeue", *_cluster(QueueRecord(number, cluster)), "-h", "-r", "-t", "all", "-j", number]
                self._known |= {
                    entry[0]: (entry[1], entry[2]) for entry in _states(run_slurm([*words, "-o", "%i|%T|%r"]))
                }
                self._asked.add(number)
        try:
            return [self.look(job) for job in jobs]
        finally:
            self._known, self._asked = {}, set()

    def resource_options(self) -> list[str]:
        """The options of sbatch that say what a job needs."""
        settings = self.settings
        wanted = {option: getattr(settings, name) for name, option in OPTION_OF_SETTING.items()}
        chosen = [f"{option}={value}" for option, value in wanted.items() if value]
        chosen += [f"--gres=gpu:{settings.gpus}"] * bool(settings.gpus)
        chosen += [f"--mem={round(settings.memory_gb * 1024)}M"] * bool(settings.memory_gb)
        return ["--ntasks-per-node=1", *chosen, *settings.queue_options]

    def find(self, job: JobFolder, *, is_active: bool) -> QueueRecord | None:
        """The number of the job, by its name and folder; those of earlier attempts do not count."""
        found = self._numbers(job, is_active)
        return QueueRecord(found[-1]) if found else None

    def ask(self, queued: QueueRecord) -> Outcome:
        """What squeue says."""
        if queued.job in self._known:
            return self._outcome(*self._known[queued.job])
        if queued.job.split("_")[0] in self._asked:
            return self.forgotten
        rows = ["-r"] if "_" in queued.job else []
        try:
            words = ["squeue", *_cluster(queued), "-h", *rows, "-t", "all", "-j", queued.job, "-o", "%i|%T|%r"]
            answer = run_slurm(words)
        except InputError as error:
            if any(words in error.message for words in FORGOTTEN):
                return self.forgotten
            raise
        return self._outcome(*next((entry[1:] for entry in _states(answer) if entry[0] == queued.job), ("", "")))

    def kill(self, queued: QueueRecord) -> None:
        """End the job with scancel."""
        run_slurm(["scancel", *_cluster(queued), queued.job])

    def check_settings(self) -> list[dict[str, Any]]:
        """Whether the cluster would take a job with these settings."""
        try:
            checks = [check(self.title, True, tail(run_slurm(["sbatch", "--version"])))]
            run_slurm(["sbatch", "--test-only", *self.resource_options(), "--wrap=true"])
            return [*checks, check("queue", True, "would take a job with these settings")]
        except MgImplantSegError as error:
            return [check(self.title, False, error.message, error.remedy)]

    def probe(self, words: Sequence[str], seconds: float) -> str:
        """What a program prints on a computing node; a queue that is full gives no answer."""
        options = ("--quiet", *self.resource_options(), "--nodes=1", "--ntasks=1", "--time=1")
        srun = ("srun", *options, f"--immediate={SECONDS_IN_THE_QUEUE}")
        return output([*srun, *words], seconds + SECONDS_IN_THE_QUEUE)

    @classmethod
    def allocation(cls, variables: Mapping[str, str]) -> Allocation:
        """The job of the cluster in which this process runs."""
        return SlurmAllocation.of_this_process(variables) or Allocation()

    def _outcome(self, word: str, reason: str) -> Outcome:
        """What SLURM's word for a state means."""
        state = STATE_OF_SLURM.get(word, State.LOST)
        if state is State.PENDING:
            return Outcome(state, "" if reason in ("None", "") else f"The queue says: {reason}.")
        if state is State.RUNNING:
            return Outcome(state)
        if state is State.LOST:
            return self.forgotten
        return Outcome(state, REASON_OF_SLURM.get(word, f"SLURM says: {word.lower()}."), "Continue with: jobs resume")

    def _number_in(self, text: str, name: str, known: Callable[[], list[str]]) -> QueueRecord:
        """The job's number among what sbatch printed; plug-ins and wrappers of a site print lines of their own.

        Raises InputError if none of the lines can be it, or several can and the queue knows none of them as the job.
        """
        matches = [match for line in text.splitlines() if (match := NUMBER_LINE.fullmatch(line.strip()))]
        found = {QueueRecord(match["job"], match["cluster"] or "") for match in matches}
        likely = {record for record in found if record.cluster} or found
        if len(likely) > 1:
            of_queue = known()
            likely = {record for record in likely if record.job in of_queue}
        if len(likely) == 1:
            return likely.pop()
        with suppress(MgImplantSegError):
            run_slurm(["scancel", f"--name={name}"])
        raise InputError(
            f"Expected a job's number from sbatch, got: {tail(text) or 'nothing'}.",
            "Ask your cluster's administrators what adds lines to: sbatch --parsable",
        )

    def _numbers(self, job: JobFolder, is_active: bool) -> list[str]:
        """The numbers that squeue knows for the job; one of an array may have been queued by itself later."""
        array, found = job.description.array, []
        if array:
            of_array, index = (
                self._numbers_of(name_of_array(array), job.path.parent, is_active),
                job.path.name[len(array) :],
            )
            found = [number for number in of_array if number.endswith(index.replace("-", "_"))]
        found += self._numbers_of(name_of(job), job.path, is_active)
        earlier = self.earlier(job)
        return [number for number in found if number not in earlier]

    def _numbers_of(self, name: str, folder: Path, is_active: bool) -> list[str]:
        """The numbers that squeue knows for a name and folder, those of an array one by one."""
        states = () if is_active else ("-t", "all")
        text = run_slurm(["squeue", "-h", "-r", *states, "-n", name, "-o", "%i|%Z"])
        pairs = [match.groups() for line in text.splitlines() if (match := FOLDER_LINE.fullmatch(line))]
        return [number for number, place in pairs if place == str(folder)]


def _states(text: str) -> list[tuple[str, ...]]:
    """Number, state and reason in each line of squeue that has them."""
    return [match.groups() for line in text.splitlines() if (match := STATE_LINE.fullmatch(line.strip()))]


def _cluster(queued: QueueRecord) -> list[str]:
    """The option that names the cluster of a job, where sbatch named it."""
    return [f"--clusters={queued.cluster}"] if queued.cluster else []
