"""The way to an environment's agent: inside this process, or through OpenSSH's client."""

from __future__ import annotations

from typing import Any, Protocol

from MgImplantSegLib.errors import DependencyError, InputError, MgImplantSegError, OutputError, ResourceError
from MgImplantSegLib.jobs.agent.agent import Agent
from MgImplantSegLib.jobs.agent.slurm_commands import ControllerDown
from MgImplantSegLib.jobs.agent.store import DamagedCopy
from MgImplantSegLib.jobs.environment import Environment, Kind
from MgImplantSegLib.jobs.environment_file import data_folder

FAR_ROOT = "~/.local/share/mgimplantseg"
ERRORS = {
    kind.kind: kind for kind in (InputError, OutputError, DependencyError, ResourceError, ControllerDown, DamagedCopy)
}
SLURM_SETTINGS = ("partition", "account", "nodes", "cpus", "gpus", "memory_gb", "time_minutes", "grace_s")


class Connection(Protocol):
    """Asks the agent of an environment."""

    is_here: bool

    def ask(self, operation: str, payload: bytes = b"", **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """The agent's answer and its payload; errors of the agent are raised here."""

    def close(self) -> None:
        """End the connection; jobs go on."""


class LocalConnection:
    """The agent inside of this process.

    Parameters
    ----------
    environment : Environment
        One of this computer.
    """

    is_here = True

    def __init__(self, environment: Environment) -> None:
        self._agent = Agent(agent_settings(environment))

    def ask(self, operation: str, payload: bytes = b"", **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """The agent's answer and its payload."""
        return self._agent.answer({"operation": operation, **arguments}, payload)

    def close(self) -> None:
        """Nothing to end."""


def connect(environment: Environment) -> Connection:
    """A connection to the environment's agent; one to a host is made when it is first used."""
    if environment.is_here:
        return LocalConnection(environment)
    from MgImplantSegLib.jobs.ssh_connection import SshConnection

    return SshConnection(environment)


def agent_settings(environment: Environment) -> dict[str, Any]:
    """What the agent has to know of an environment."""
    root = environment.root or (data_folder() if environment.is_here else FAR_ROOT)
    return {
        "root": root,
        "python": environment.job_python,
        "scheduler": "slurm" if environment.kind is Kind.SLURM else "process",
        "setup": list(environment.setup),
        "sbatch_options": list(environment.sbatch_options),
        **{name: getattr(environment, name) for name in SLURM_SETTINGS},
    }


def raise_error(error: dict[str, str]) -> None:
    """Raise the error that an agent has answered with."""
    kind = ERRORS.get(error["kind"], MgImplantSegError)
    raise kind(error["message"], error["remedy"])
