"""`Environment`: where jobs run and what they ask for there."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from types import MappingProxyType
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.jobs.agent.schedulers import PROCESS, QUEUES

THIS_COMPUTER = "this"
SECRET = re.compile(r"(?i)pass(word|phrase|wd)|secret|token|api_?key|private_?key|credential")
ASSIGNMENT = re.compile(r"""(\w+)=["']?[^\s"'$`]""")  # of a value that stands there, not of one that is asked for
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
PLAIN_TEXTS = ("python", "root", "host", "ssh_config", "identity_file", "partition", "account")
LARGEST, LARGEST_PORT, LONGEST_SHOWN = 10**9, 65535, 100
VALID_NAME = re.compile(r"(?!-)[^\x00-\x1f\x7f/\\]{1,80}")


class Kind(str, Enum):
    """The kinds of environments: those without a queue, and one for each of `QUEUES`."""

    _ignore_ = ["queue"]  # noqa: RUF012 (as Enum has it)
    THIS = "this"
    LOCAL = "local"
    SSH = "ssh"
    for queue in QUEUES:
        locals()[queue.upper()] = queue


@dataclass(frozen=True)
class Environment:
    """A Python on some machine, how it is reached and what jobs get there.

    Parameters
    ----------
    kind : Kind
        "this": the Python that runs now; "local": another one on this computer; "ssh": one on a host; the name of
        a queue: a cluster, through its programs on this computer or, with `host`, on its login node.
    python : str
        The interpreter that runs the jobs; on a host also the one that answers for it. ``~/`` is the home there.
    root : str
        Folder there for jobs and files sent.
    host : str
        For OpenSSH's client: an alias of its configuration, a name, or user@name.
    port : int
        0: as OpenSSH's configuration says.
    ssh_config : str
        Another configuration file for OpenSSH's client.
    identity_file : str
        Key for OpenSSH's client; its passphrase belongs into an agent, never here.
    interactive : bool
        Let OpenSSH's client ask (one-time passwords): it uses the terminal or SSH_ASKPASS.
    answer_s : float
        Time within which the host has to start Python there, in s; start-up files may load much.
    path_map : tuple of (str, str)
        Folders that both sides see: here → there. Files below them are not copied.
    processes : int
        Training processes on each machine; 0: one per GPU requested, at least one.
    variables : mapping
        Environment variables of the jobs. No secrets.
    setup : tuple of str
        Shell lines that run before a job, ``module load cuda`` for example.
    partition, account : str
        Of the cluster; others say queue and project.
    nodes, cpus, gpus : int
        Machines; cores and GPUs on each. 0: the cluster's default.
    memory_gb : float
        On each machine; 0: the cluster's default.
    time_minutes : int
        Time limit; a training that reaches it is queued again and continues. 0: the cluster's default.
    queue_options : tuple of str
        Further options of sbatch or bsub: ``--constraint=a100``, ``-R select[ngpus>0]``.
    grace_s : float
        Time to stop politely, and write a checkpoint, before a command is killed.
    """

    name: str
    kind: Kind = Kind.LOCAL
    python: str = ""
    root: str = ""
    host: str = ""
    port: int = 0
    ssh_config: str = ""
    identity_file: str = ""
    interactive: bool = False
    answer_s: float = 30.0
    path_map: tuple[tuple[str, str], ...] = ()
    processes: int = 0
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    setup: tuple[str, ...] = ()
    partition: str = ""
    account: str = ""
    nodes: int = 1
    cpus: int = 0
    gpus: int = 0
    memory_gb: float = 0.0
    time_minutes: int = 0
    queue_options: tuple[str, ...] = ()
    grace_s: float = 30.0

    def __post_init__(self) -> None:
        self._require(
            bool(VALID_NAME.fullmatch(self.name)), "a name without / and \\, not beginning with -,", self.name
        )
        self._require(self.kind is not Kind.SSH or bool(self.host), "a host", self.host)
        self._require(not self.host.startswith("-") and not re.search(r"\s", self.host), "a host's name", self.host)
        self._require(self.host == "" or self.kind is Kind.SSH or self.has_queue, "no host for this kind", self.host)
        self._require(self.kind is Kind.THIS or bool(self.python), "the path of a Python", self.python)
        for name in PLAIN_TEXTS:
            self._require(
                not CONTROL.search(getattr(self, name)), f"{name} without control characters", getattr(self, name)
            )
        for text in (
            *self.setup,
            *self.queue_options,
            *self.variables,
            *self.variables.values(),
            *sum(self.path_map, ()),
        ):
            self._require("\0" not in text, "texts without zero bytes", text)
        for name in self.variables:
            self._require(bool(name) and "=" not in name, "names of variables without =", name)
        self._require(1 <= self.nodes <= LARGEST, "1 or more nodes", self.nodes)
        for name in ("port", "processes", "cpus", "gpus", "memory_gb", "time_minutes", "grace_s", "answer_s"):
            self._require(0 <= getattr(self, name) <= LARGEST, f"{name} of 0 or more", getattr(self, name))
        self._require(self.port <= LARGEST_PORT, f"a port up to {LARGEST_PORT}", self.port)
        for option in self.queue_options:
            self._require(option.startswith("-"), "options of sbatch or bsub that start with -", option)
        assigned = [name for text in (*self.setup, *self.queue_options) for name in ASSIGNMENT.findall(text)]
        for name in (*self.variables, *assigned):
            if SECRET.search(name):
                raise InputError(
                    f"Expected no secret in the environment {_shown(self.name)}, got the variable {name}.",
                    "Set it in the start-up files of that machine instead.",
                )

    def _require(self, holds: bool, expected: str, got: Any) -> None:
        if not holds:
            raise InputError(f"Expected {expected} in the environment {_shown(self.name)}, got {_shown(got)}.")

    @classmethod
    def this_computer(cls) -> Environment:
        """The Python that runs now; always there."""
        return cls(THIS_COMPUTER, Kind.THIS)

    @classmethod
    def from_dict(cls, name: str, values: Mapping[str, Any]) -> Environment:
        """An environment from the keys and values of its table.

        Raises InputError if a key is unknown or a value has the wrong type, naming the nearest key.
        """
        values = {KEY_OF_OLD_ONE.get(key, key): value for key, value in values.items()}
        known = {entry.name: entry for entry in fields(cls) if entry.name != "name"}
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                raise InputError(
                    f"Expected a known key in the environment {_shown(name)}, got {_shown(key)}.",
                    f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(known)}.",
                )
        return cls(name, **{key: _converted(name, key, value) for key, value in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """The keys and values of its table; what has its default is left out."""
        default, found = Environment.this_computer(), {"kind": self.kind.value}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name not in ("name", "kind") and value != getattr(default, entry.name):
                found[entry.name] = _plain(value)
        return found

    @property
    def is_here(self) -> bool:
        """Whether jobs are started by this computer itself."""
        return not self.host

    @property
    def has_queue(self) -> bool:
        """Whether jobs wait in the queue of a cluster."""
        return self.kind.value in QUEUES

    @property
    def scheduler(self) -> str:
        """The name of what starts the jobs."""
        return self.kind.value if self.has_queue else PROCESS

    @property
    def processes_per_node(self) -> int:
        """Training processes on each machine."""
        return self.processes or max(1, self.gpus)

    @property
    def job_python(self) -> str:
        """The interpreter that runs the jobs."""
        return self.python or sys.executable


KEY_OF_OLD_ONE = {"sbatch_options": "queue_options"}  # files keep what they were written with
CONVERTERS = {
    "kind": lambda value: Kind(value),
    "path_map": lambda value: tuple((_typed(str, here), _typed(str, there)) for here, there in value),
    "variables": lambda value: MappingProxyType({str(key): _typed(str, entry) for key, entry in value.items()}),
    "setup": lambda value: tuple(_typed(str, entry) for entry in value),
    "queue_options": lambda value: tuple(_typed(str, entry) for entry in value),
}
EXPECTED = {
    "kind": f"one of {', '.join(kind.value for kind in Kind)}",
    "path_map": "a list of pairs of folders",
    "variables": "a table of texts",
    "setup": "a list of texts",
    "queue_options": "a list of texts",
}
PLAIN_TYPES = {"str": str, "int": int, "float": float, "bool": bool}


def _converted(name: str, key: str, value: Any) -> Any:
    kind = next(str(entry.type) for entry in fields(Environment) if entry.name == key)
    expected = EXPECTED.get(
        key, {"str": "a text", "int": "a whole number", "bool": "true or false"}.get(kind, "a number")
    )
    try:
        if isinstance(value, str) and key in ("setup", "queue_options", "path_map"):
            raise TypeError
        return CONVERTERS[key](value) if key in CONVERTERS else _typed(PLAIN_TYPES[kind], value)
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"Expected {expected} for {_shown(key)} in the environment {_shown(name)}, got {_shown(value)}."
        ) from error


def _shown(value: Any) -> str:
    """A value as a message shows it: short, whatever it is."""
    text = f"a number of {value.bit_length()} bits" if type(value) is int and abs(value) > LARGEST else repr(value)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def _typed(kind: type, value: Any) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value
