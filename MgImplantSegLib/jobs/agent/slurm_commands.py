"""SLURM's programs: what they are asked and how their answers are understood. Nothing passes through a shell."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from MgImplantSegLib.errors import DependencyError, InputError, MgImplantSegError, ResourceError
from MgImplantSegLib.jobs.agent.process_scheduler import clean_variables

SECONDS_TO_ANSWER = 30.0
SECONDS_TO_SUBMIT = 120.0
LONGEST_SHOWN = 300
SECONDS_OF_PATIENCE, SECONDS_BETWEEN_TRIES = 120.0, 2.0
NO_CONTROLLER = (
    "Unable to contact slurm controller",
    "Connection refused",
    "Socket timed out",
    "connect failure",
    "Zero Bytes were transmitted",
)
ADVICE = {
    "invalid partition": "Choose one of the cluster's partitions: {partitions}",
    "Invalid account": "Set the account that your cluster gave you.",
    "Invalid qos": "Correct the quality of service in the extra sbatch options.",
    "time limit": "Ask for less time; the partition's limit is shown by: sinfo",
    "Requested node configuration is not available": "Ask for fewer GPUs or cores, or less memory; see: sinfo",
    "Node count": "Ask for fewer nodes.",
    "Invalid generic resource": "The cluster names its GPUs differently: set gpus to 0 and add its own sbatch option.",
    "Access/permission denied": "Check with your cluster that you may use this partition and account.",
}


class ControllerDown(ResourceError):
    """The cluster's controller does not answer now; jobs go on."""

    kind = "controller"


@dataclass(frozen=True)
class SlurmJob:
    """One job of the cluster by its number."""

    number: str
    restarts: int = 0

    @classmethod
    def of_this_process(cls, variables: Mapping[str, str]) -> SlurmJob | None:
        """The job in which this process runs."""
        number = variables.get("SLURM_JOB_ID")
        if not number or "SLURM_JOB_NODELIST" not in variables:
            return None
        return cls(number, int(variables.get("SLURM_RESTART_COUNT", "0")))

    def is_preempted(self) -> bool:
        """Whether the job has to make room for another one, or is back in the queue already."""
        shown = self._show()
        return shown.get("PreemptTime", "None") != "None" or self._is_back(shown)

    def is_out_of_time(self) -> bool:
        """Whether the time limit ends the job."""
        return self._show().get("Reason") == "TimeLimit"

    def signal_steps(self, name: str) -> None:
        """Send a signal to all processes that srun has started, on all machines."""
        run_slurm(["scancel", f"--signal={name}", self.number])

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
        return shown.get("JobState") == "PENDING" or int(shown.get("Restarts", "0")) > self.restarts

    def _show(self) -> dict[str, str]:
        try:
            text = _run_patiently(["scontrol", "show", "job", "-o", self.number])
        except MgImplantSegError:
            return {}
        lines = (line for line in text.splitlines() if re.match(rf"JobId={self.number}\b", line))
        return dict(reversed(re.findall(r"(\w+)=(\S*)", next(lines, ""))))  # the first of each counts


def run_slurm(command: Sequence[str], seconds: float = SECONDS_TO_ANSWER, cwd: str | None = None) -> str:
    """Standard output of one of SLURM's programs.

    Raises
    ------
    DependencyError
        If SLURM is not installed here.
    ControllerDown
        If the controller does not answer.
    InputError
        If SLURM refuses; says why and what to do.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            cwd=cwd,
            env=clean_variables(dict(os.environ)),
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except FileNotFoundError as error:
        raise DependencyError(
            f"Expected SLURM's program {command[0]}, got none on this machine.",
            "Use an environment of another kind, or name the cluster's login node as host.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise _controller_down(f"no answer in {seconds:g} s") from error
    if done.returncode == 0:
        return done.stdout
    raise _refusal(done.stderr or done.stdout)


def _run_patiently(command: Sequence[str]) -> str:
    """`run_slurm` for a job that decides on its own future: a controller that is down is waited for."""
    deadline = time.monotonic() + SECONDS_OF_PATIENCE
    while True:
        try:
            return run_slurm(command)
        except ControllerDown:
            if time.monotonic() > deadline:
                raise
            time.sleep(SECONDS_BETWEEN_TRIES)


def _refusal(text: str) -> MgImplantSegError:
    errors = re.findall(r"(?m)^\w+: (?:error|fatal): (.*)$", text)
    reason = tail(re.sub(r"(?m)^\w+: (error: )?", "", "\n".join(errors) or text))
    if any(words in text for words in NO_CONTROLLER):
        return _controller_down(reason)
    advice = next((advice for words, advice in ADVICE.items() if words.lower() in text.lower()), "")
    if "{partitions}" in advice:
        advice = advice.format(partitions=", ".join(partitions()) or "see sinfo")
    return InputError(f"SLURM refused: {reason}", advice)


def partitions() -> list[str]:
    """Names of the cluster's partitions, as far as it answers."""
    try:
        return sorted(set(re.findall(r"(?m)^\|(\S+)\|\s*$", run_slurm(["sinfo", "-h", "-o", "|%R|"]))))
    except MgImplantSegError:
        return []


def tail(text: str) -> str:
    """The end of what a program printed, in one line, without control characters."""
    words = " ".join(re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[^\S\n]|[\x00-\x1f\x7f-\x9f]", " ", text).split())
    return words if len(words) <= LONGEST_SHOWN else "…" + words[-LONGEST_SHOWN:]


def _controller_down(reason: str) -> ControllerDown:
    return ControllerDown(f"SLURM's controller does not answer: {reason}.", "Running jobs go on; try again later.")
