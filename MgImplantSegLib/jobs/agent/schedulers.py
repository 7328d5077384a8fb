"""What starts jobs, by name: `SCHEDULERS`. A new one is a class in a folder or file beside this one, and an entry."""

from __future__ import annotations

from dataclasses import dataclass

from MgImplantSegLib.base.choices import Registry, find_object
from MgImplantSegLib.jobs.agent.scheduler import Scheduler
from MgImplantSegLib.jobs.agent.settings import AgentSettings

PROCESS = "process"


@dataclass(frozen=True)
class SchedulerType:
    """A way to start jobs.

    Parameters
    ----------
    name, definition : str
        What it is called and what it does with a job.
    reference : str
        ``module:name`` of its class, the module within this package.
    """

    name: str
    definition: str
    reference: str


SCHEDULERS: Registry[SchedulerType] = Registry(
    "a scheduler",
    {
        PROCESS: SchedulerType("process", "starts jobs at once, as processes", "process_scheduler:ProcessScheduler"),
        "slurm": SchedulerType("SLURM", "queues jobs with sbatch", "slurm:SlurmScheduler"),
        "lsf": SchedulerType("LSF", "queues jobs with bsub", "lsf:LsfScheduler"),
    },
)
QUEUES = tuple(name for name in SCHEDULERS if name != PROCESS)


def scheduler_class(name: str) -> type[Scheduler]:
    """The class of that name; loaded when it is needed.

    Raises InputError if there is no such scheduler, naming the nearest.
    """
    return find_object(f"{__package__}.{SCHEDULERS.find(name).reference}")


def make_scheduler(name: str, settings: AgentSettings) -> Scheduler:
    """The scheduler of that name with an environment's settings."""
    return scheduler_class(name)(settings)
