"""SLURM's programs: what they are asked and how their answers are understood. Nothing passes through a shell."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.jobs.agent.job_folder import QueueRecord
from MgImplantSegLib.jobs.agent.programs import tail
from MgImplantSegLib.jobs.agent.queue_programs import SECONDS_TO_ANSWER, refusal, run_queue_program
from MgImplantSegLib.jobs.agent.scheduler import Allocation, Interruption, QueueDown

TITLE = "SLURM"
SECONDS_OF_PATIENCE, SECONDS_BETWEEN_TRIES = 120.0, 2.0
NO_CONTROLLER = (
    "Unable to contact slurm controller",
    "Connection refused",
    "Socket timed out",
    "connect failure",
    "Zero Bytes were transmitted",
)
ADVICE = {
    "invalid partition": "Choose one of the cluster's partitions: {choices}",
    "Invalid account": "Set the account that your cluster gave you.",
    "Invalid qos": "Correct the quality of service in the extra sbatch options.",
    "time limit": "Ask for less time; the partition's limit is shown by: sinfo",
    "Requested node configuration is not available": "Ask for fewer GPUs or cores, or less memory; see: sinfo",
    "Node count": "Ask for fewer nodes.",
    "Invalid generic resource": "The cluster names its GPUs differently: set gpus to 0 and add its own sbatch option.",
    "Access/permission denied": "Check with your cluster that you may use this partition and account.",
}


class SlurmAllocation(Allocation):
    """The job of the cluster in which this process runs.

    Parameters
    ----------
    restarts : int
        How often it was queued again before this attempt.
    variables : mapping
        Environment variables of the job.
    """

    stopped_by = "SLURM (scancel or preemption)"

    def __init__(self, queued: QueueRecord, restarts: int, variables: Mapping[str, str]) -> None:
        super().__init__(queued)
        self._restarts, self._variables = restarts, variables

    @classmethod
    def of_this_process(cls, variables: Mapping[str, str]) -> SlurmAllocation | None:
        """The job in which this process runs."""
        number = variables.get("SLURM_JOB_ID")
        if not number or "SLURM_JOB_NODELIST" not in variables:
            return None
        if "SLURM_ARRAY_JOB_ID" in variables and "SLURM_ARRAY_TASK_ID" in variables:
            number = f"{variables['SLURM_ARRAY_JOB_ID']}_{variables['SLURM_ARRAY_TASK_ID']}"
        return cls(QueueRecord(number), int(variables.get("SLURM_RESTART_COUNT", "0")), variables)

    def prefix(self, nodes: int) -> list[str]:
        """srun, once on each machine."""
        srun = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=1"]
        cores = self._variables.get("SLURM_CPUS_PER_TASK")
        return [*srun, f"--cpus-per-task={cores}"] if cores else srun  # since 22.05 srun does not take it from sbatch

    def cores(self) -> int | None:
        """Cores on this machine."""
        cores = self._variables.get("SLURM_CPUS_ON_NODE", "")
        return int(cores) if cores.isdigit() else None

    def reached_the_command(self, signals: Collection[int]) -> bool:
        """SLURM's SIGTERM reaches every process of a job; torchrun must not get a second one."""
        return signal.SIGTERM in signals

    def ask_to_end(self, nodes: int) -> bool:
        """On several machines through scancel, since srun answers SIGTERM by killing everything."""
        if nodes > 1:
            with suppress(MgImplantSegError):
                run_slurm(["scancel", "--signal=TERM", self.number])
        return nodes > 1

    def interruption(self, is_time_over: bool) -> Interruption:
        """Why SLURM stops the job."""
        if self.is_preempted():
            return Interruption.PREEMPTED
        is_time_over = is_time_over or self.is_out_of_time()
        return Interruption.OUT_OF_TIME if is_time_over and not self.is_cancelled() else Interruption.CANCELLED

    def is_preempted(self) -> bool:
        """Whether the job has to make room for another one, or is back in the queue already."""
        shown = self._show()
        return shown.get("PreemptTime", "None") != "None" or self._is_back(shown)

    def is_out_of_time(self) -> bool:
        """Whether the time limit ends the job."""
        return self._show().get("Reason") == "TimeLimit"

    def requeue(self) -> bool:
        """Put the job back into the queue, which ends its processes; False where the cluster refuses.

        At the end of a preemption's grace time SLURM sometimes does so itself, and sometimes counts it as a time limit.
        """
        if self._is_back(self._show()):
            return True
        try:
            _run_patiently(["scontrol", "requeue", self.number])
        except MgImplantSegError:
            return False
        return True

    def is_cancelled(self) -> bool:
        """Whether the job is being ended by somebody's wish."""
        return self._show().get("JobState") in ("CANCELLED", "COMPLETING") and not (
            self.is_preempted() or self.is_out_of_time()
        )

    def _is_back(self, shown: Mapping[str, str]) -> bool:
        return shown.get("JobState") == "PENDING" or int(shown.get("Restarts", "0")) > self._restarts

    def _show(self) -> dict[str, str]:
        try:
            text = _run_patiently(["scontrol", "show", "job", "-o", self.number])
        except MgImplantSegError:
            return {}
        array, _, task = self.number.partition("_")
        begin = rf"JobId=\d+ ArrayJobId={array} ArrayTaskId={task}\b" if task else rf"JobId={self.number}\b"
        lines = (line for line in text.splitlines() if re.match(begin, line))
        return dict(reversed(re.findall(r"(\w+)=(\S*)", next(lines, ""))))  # the first of each counts


def run_slurm(command: Sequence[str], seconds: float = SECONDS_TO_ANSWER, cwd: str | None = None) -> str:
    """Standard output of one of SLURM's programs.

    Raises DependencyError if SLURM is not installed here; QueueDown if the controller does not answer; InputError if
    SLURM refuses, saying why and what to do.
    """
    done = run_queue_program(TITLE, command, seconds, cwd)
    if done.returncode == 0:
        return done.stdout
    text = done.stderr or done.stdout
    errors = re.findall(r"(?m)^\w+: (?:error|fatal): (.*)$", text)
    reason = tail(re.sub(r"(?m)^\w+: (error: )?", "", "\n".join(errors) or text))
    raise refusal(TITLE, text, reason, NO_CONTROLLER, ADVICE, lambda: ", ".join(partitions()) or "see sinfo")


def _run_patiently(command: Sequence[str]) -> str:
    """`run_slurm` for a job that decides on its own future: a controller that is down is waited for."""
    deadline = time.monotonic() + SECONDS_OF_PATIENCE
    while True:
        try:
            return run_slurm(command)
        except QueueDown:
            if time.monotonic() > deadline:
                raise
            time.sleep(SECONDS_BETWEEN_TRIES)


def partitions() -> list[str]:
    """Names of the cluster's partitions, as far as it answers."""
    try:
        return sorted(set(re.findall(r"(?m)^\|(\S+)\|\s*$", run_slurm(["sinfo", "-h", "-o", "|%R|"]))))
    except MgImplantSegError:
        return []
