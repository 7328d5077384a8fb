"""LSF's programs: what they are asked and how their answers are understood; the job in which a process runs.

As IBM documents them for Spectrum LSF 10.1: https://www.ibm.com/docs/en/spectrum-lsf/10.1.0 (bsub, bjobs, bkill,
environment variables).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.jobs.agent.job_folder import QueueRecord, State
from MgImplantSegLib.jobs.agent.outcome import Outcome
from MgImplantSegLib.jobs.agent.programs import tail
from MgImplantSegLib.jobs.agent.queue_programs import SECONDS_TO_ANSWER, refusal, run_queue_program
from MgImplantSegLib.jobs.agent.scheduler import Allocation, Interruption

TITLE = "LSF"
REQUEUE_CODE = 85  # told to LSF by bsub -Q: a job that ends with it is queued again
NO_ANSWER = ("LSF is down", "LIM is down", "not responding", "Communication time out", "Failed in LSF library call")
ADVICE = {
    "No such queue": "Choose one of the cluster's queues: {choices}",
    "cannot use the queue": "Choose one of the queues that you may use: {choices}",
    "RUNLIMIT": "Ask for less time; the queue's limit is shown by: bqueues -l",
    "hard limit": "Ask for less; the queue's limits are shown by: bqueues -l",
    "Bad resource requirement": "Correct the further options (queue_options), or ask for less.",
    "processors requested": "Ask for fewer cores.",
    "project": "Set the account that your cluster gave you.",
}


class LsfAllocation(Allocation):
    """The job of the cluster in which this process runs.

    Parameters
    ----------
    hosts : dict of int
        Cores on each machine, by name; this one first.
    """

    stopped_by = "LSF (bkill or preemption)"

    def __init__(self, queued: QueueRecord, hosts: Mapping[str, int]) -> None:
        super().__init__(queued)
        self._hosts = hosts

    @classmethod
    def of_this_process(cls, variables: Mapping[str, str]) -> LsfAllocation | None:
        """The job in which this process runs."""
        number, words = variables.get("LSB_JOBID", ""), variables.get("LSB_MCPU_HOSTS", "").split()
        if not number.isdigit() or not words:
            return None
        return cls(QueueRecord(number), {host: int(cores) for host, cores in zip(words[::2], words[1::2], strict=True)})

    def prefix(self, nodes: int) -> list[str]:
        """blaunch, once on each machine."""
        return ["blaunch", "-no-shell", "-z", " ".join(list(self._hosts)[:nodes])]

    def cores(self) -> int | None:
        """Cores on this machine."""
        return next(iter(self._hosts.values()), None)

    def interruption(self, is_time_over: bool) -> Interruption:
        """The signal shows that LSF's time limit is reached; LSF gives no other reason before the end."""
        return Interruption.OUT_OF_TIME if is_time_over else Interruption.CANCELLED

    def requeue(self) -> bool:
        """The exit code will do it."""
        return True

    def exit_code(self, outcome: Outcome) -> int:
        """The one that queues the job again, where that is wanted."""
        is_wanted = outcome.is_provisional and outcome.state is State.FAILED
        return REQUEUE_CODE if is_wanted else super().exit_code(outcome)


def run_lsf(words: Sequence[str], seconds: float = SECONDS_TO_ANSWER) -> str:
    """Standard output of one of LSF's programs.

    Raises DependencyError if LSF is not installed here; QueueDown if it does not answer; InputError if LSF refuses,
    saying why and what to do.
    """
    done = run_queue_program(TITLE, words, seconds)
    if done.returncode == 0:
        return done.stdout
    text = done.stderr.strip() or done.stdout
    raise refusal(TITLE, text, tail(text), NO_ANSWER, ADVICE, lambda: ", ".join(queues()) or "see bqueues")


def queues() -> list[str]:
    """Names of the cluster's queues, as far as it answers."""
    try:
        text = run_lsf(["bqueues", "-noheader", "-o", "queue_name status delimiter='|'"])
    except MgImplantSegError:
        return []
    return sorted(re.findall(r"(?m)^(\S+)\|(?:Open|Closed)\S*\s*$", text))
