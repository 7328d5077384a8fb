"""The way to an environment's agent: what it promises, what the agent is asked, what becomes of its errors."""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from MgImplantSegLib.base.errors import DependencyError, InputError, MgImplantSegError, OutputError, ResourceError
from MgImplantSegLib.jobs.agent.records import DamagedRecord, OtherVersion
from MgImplantSegLib.jobs.agent.scheduler import QueueDown
from MgImplantSegLib.jobs.agent.settings import AgentSettings
from MgImplantSegLib.jobs.agent.store import DamagedCopy
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.environment_file import data_folder

FAR_ROOT = "~/.local/share/mgimplantseg"
ERRORS: dict[str, type[MgImplantSegError]] = {
    kind.kind: kind
    for kind in (
        InputError,
        OutputError,
        DependencyError,
        ResourceError,
        QueueDown,
        DamagedCopy,
        DamagedRecord,
        OtherVersion,
    )
}


class Connection(Protocol):
    """Asks the agent of an environment."""

    is_here: bool

    def ask(self, operation: str, payload: bytes = b"", **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """The agent's answer and its payload; errors of the agent are raised here."""

    def close(self) -> None:
        """End the connection; jobs continue."""


def agent_settings(environment: Environment) -> AgentSettings:
    """What the agent has to know of an environment."""
    return AgentSettings(
        root=environment.root or (data_folder() if environment.is_here else FAR_ROOT),
        python=environment.job_python,
        scheduler=environment.scheduler,
        setup=environment.setup,
        queue_options=environment.queue_options,
        partition=environment.partition,
        account=environment.account,
        nodes=environment.nodes,
        cpus=environment.cpus,
        gpus=environment.gpus,
        memory_gb=environment.memory_gb,
        time_minutes=environment.time_minutes,
        grace_s=environment.grace_s,
    )


def raise_error(error: dict[str, str]) -> NoReturn:
    """Raise the error that an agent has answered with."""
    kind = ERRORS.get(error["kind"], MgImplantSegError)
    raise kind(error["message"], error["remedy"])
