"""`JobDescription`: what a job shall do, as it is written into the job's folder once and read by everybody after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from MgImplantSegLib.jobs.agent.records import LARGEST, LIMITS, OtherVersion, received

VERSION, WHAT = 1, "description of a job"
AT_LEAST_ONE = {LIMITS: (1, LARGEST)}


@dataclass(frozen=True)
class JobDescription:
    """One job as the agent runs it.

    Parameters
    ----------
    name, shown : str
        The job's name and its command, for display.
    arguments : tuple of str
        Words of the command as they are meant there.
    program : str, optional
        A script there that runs instead of the engine.
    engine, python : str
        Folder of the engine sent along; the interpreter.
    variables : dict of str
        Environment variables of the command.
    grace_s : float
        Time to stop politely before the command is killed, in s.
    processes, nodes : int
        Processes on each machine; machines.
    keeps_variables : bool
        Whether Python's own variables stay; Slicer's own Python does not run without them.
    scheduler : str
        What starts the job.
    resume_arguments : tuple of str
        Added when the job continues from its checkpoint.
    checkpoint : str
        File or folder among the results; empty: there is none.
    digests : tuple of str
        Files sent for it, which `clean` keeps.
    environment, submission : str
        Name of the environment and number of the submission that it came from.
    array : str
        Name of the array that it belongs to; empty for a job of its own.
    created : float
        Seconds since 1970.
    version : int
        Of this description; those written before there was a number count as 1.
    """

    name: str
    shown: str
    arguments: tuple[str, ...]
    program: str | None
    engine: str
    python: str
    variables: dict[str, str]
    grace_s: float
    processes: int = field(metadata=AT_LEAST_ONE)
    nodes: int = field(metadata=AT_LEAST_ONE)
    keeps_variables: bool
    scheduler: str
    resume_arguments: tuple[str, ...]
    checkpoint: str
    digests: tuple[str, ...] = ()
    environment: str = ""
    submission: str = ""
    array: str = ""
    id: str = ""
    created: float = 0.0
    version: int = VERSION

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> JobDescription:
        """A description that was sent; raises what `received` raises."""
        return received(cls, values, VERSION, WHAT)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def require_known_version(values: Mapping[str, Any]) -> None:
    """Raise OtherVersion for a description of a later version."""
    OtherVersion.require(values, VERSION, WHAT)
