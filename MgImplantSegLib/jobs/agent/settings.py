"""`AgentSettings`: what the agent of an environment has to know."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from MgImplantSegLib.jobs.agent.records import LARGEST, LIMITS, received

VERSION = 1


@dataclass(frozen=True)
class AgentSettings:
    """Where jobs lie, what runs them and what they ask for; the environment's own words, see `Environment`.

    Parameters
    ----------
    root, python, scheduler : str
        Folder of the jobs, their interpreter, a name of `SCHEDULERS`.
    setup, queue_options : tuple of str
        Shell lines before a job; further options of the program that queues it.
    partition, account : str
        Of the cluster; empty: its default.
    nodes, cpus, gpus : int
        Machines; cores and GPUs on each. 0: the cluster's default.
    memory_gb, time_minutes, grace_s : float, int, float
        Memory on each machine in GB, time limit in minutes (0: the cluster's default), time to stop politely in s.
    """

    root: str
    python: str
    scheduler: str
    setup: tuple[str, ...] = ()
    queue_options: tuple[str, ...] = ()
    partition: str = ""
    account: str = ""
    nodes: int = field(default=1, metadata={LIMITS: (1, LARGEST)})
    cpus: int = 0
    gpus: int = 0
    memory_gb: float = 0.0
    time_minutes: int = 0
    grace_s: float = 30.0
    version: int = VERSION

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AgentSettings:
        """Settings that were sent; raises what `received` raises."""
        return received(cls, values, VERSION, "settings of an environment")

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def at_home(self) -> AgentSettings:
        """The same with the home of this machine in its paths."""
        return replace(self, root=os.path.expanduser(self.root), python=os.path.expanduser(self.python))
