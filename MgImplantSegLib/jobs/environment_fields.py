"""What each setting of an `Environment` means to people, and where it applies: for the command line and the panel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.jobs.environment import Environment, Kind

ANYWHERE, HOST, QUEUE = "anywhere", "host", "queue"


@dataclass(frozen=True)
class EnvironmentField:
    """One setting.

    Parameters
    ----------
    metavar : str
        What stands for the value on the command line.
    needs : str
        `ANYWHERE`, `HOST` (what is reached through OpenSSH's client) or `QUEUE` (clusters).
    """

    label: str
    metavar: str
    help: str
    needs: str = ANYWHERE

    def applies_to(self, kind: Kind) -> bool:
        """Whether environments of a kind have the setting."""
        has_queue = kind not in (Kind.THIS, Kind.LOCAL, Kind.SSH)
        return self.needs == ANYWHERE or has_queue or (self.needs == HOST and kind is Kind.SSH)


FIELDS: Mapping[str, EnvironmentField] = MappingProxyType(
    {
        "host": EnvironmentField(
            "Host",
            "HOST",
            "alias in the OpenSSH configuration, name, or user@name; for a cluster: its login node",
            HOST,
        ),
        "python": EnvironmentField("Python", "PATH", "the interpreter there, for example /home/me/venv/bin/python"),
        "partition": EnvironmentField("Partition or queue", "NAME", "partition or queue of the cluster", QUEUE),
        "account": EnvironmentField("Account", "NAME", "account or project on the cluster", QUEUE),
        "time_minutes": EnvironmentField(
            "Time limit (minutes)",
            "MIN",
            "time limit in minutes; a training that reaches it is queued again and continues",
            QUEUE,
        ),
        "gpus": EnvironmentField("GPUs", "N", "GPUs on each machine"),
        "cpus": EnvironmentField("Cores", "N", "cores on each machine", QUEUE),
        "memory_gb": EnvironmentField("Memory (GB)", "GB", "memory on each machine in GB", QUEUE),
        "nodes": EnvironmentField("Machines", "N", "machines per training (default: 1)", QUEUE),
        "queue_options": EnvironmentField(
            "Further queue options",
            "OPTION",
            "further option of sbatch or bsub, such as --constraint=a100 or -R select[ngpus>0]",
            QUEUE,
        ),
        "root": EnvironmentField(
            "Folder for jobs", "FOLDER", "folder there for jobs and sent files (default: ~/.local/share/mgimplantseg)"
        ),
        "setup": EnvironmentField(
            "Before a job", "LINE", "shell line that runs before a job, such as: module load cuda"
        ),
        "variables": EnvironmentField("Variables", "NAME=VALUE", "environment variable of the jobs. No secrets"),
        "path_map": EnvironmentField(
            "Shared folders", "HERE=THERE", "folder visible on both sides; files in it are not copied"
        ),
        "port": EnvironmentField("Port", "N", "port of the host (default: as OpenSSH's configuration says)", HOST),
        "ssh_config": EnvironmentField(
            "SSH configuration", "FILE", "another configuration file for OpenSSH's client", HOST
        ),
        "identity_file": EnvironmentField("SSH key", "FILE", "key for OpenSSH's client", HOST),
        "interactive": EnvironmentField(
            "One-time password", "", "let ssh ask for a one-time password (terminal or SSH_ASKPASS)", HOST
        ),
        "answer_s": EnvironmentField(
            "Time to answer (s)", "S", "seconds the host may take to start Python (default: 30)", HOST
        ),
        "processes": EnvironmentField(
            "Processes", "N", "training processes on each machine (default: one per GPU requested)"
        ),
        "grace_s": EnvironmentField(
            "Time to stop (s)", "S", "seconds a command has to stop before it is killed (default: 30)"
        ),
    }
)


def type_of_field(name: str) -> str:
    """The type of a setting as `Environment` declares it: ``str``, ``int``, ``tuple[str, ...]``."""
    return next(str(entry.type) for entry in fields(Environment) if entry.name == name)


def default_of_field(name: str) -> Any:
    """The value of a setting that nobody has chosen."""
    return getattr(Environment.this_computer(), name)


def pair(text: str, expected: str) -> list[str]:
    """The two parts of ``NAME=VALUE`` or ``HERE=THERE``. Raises InputError if one of them is missing."""
    before, equals, after = text.partition("=")
    if not (before and equals and after):
        raise InputError(f"Expected {expected}, got {text!r}.")
    return [before, after]
