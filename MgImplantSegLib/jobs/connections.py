"""Connections to agents: inside this process, or through OpenSSH's client."""

from __future__ import annotations

from typing import Any

from MgImplantSegLib.jobs.agent.agent import Agent
from MgImplantSegLib.jobs.connection import Connection, agent_settings
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.ssh_connection import SshConnection


class LocalConnection:
    """The agent inside this process.

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
    return LocalConnection(environment) if environment.is_here else SshConnection(environment)
