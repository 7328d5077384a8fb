"""The command line of a job: the engine or a script, under torchrun for several processes and machines."""

from __future__ import annotations

import os
import socket
import zlib
from collections.abc import Mapping
from pathlib import Path

from MgImplantSegLib.base.machine import core_count
from MgImplantSegLib.jobs.agent.description import JobDescription
from MgImplantSegLib.jobs.agent.processes import MARKER
from MgImplantSegLib.jobs.agent.scheduler import Allocation

ENGINE_MODULE = "MgImplantSegLib"
EVENTS_FROM_RESULTS = "../events.jsonl"
EVENTS_VARIABLE = "MGIMPLANTSEG_EVENTS"
LEASH = Path(__file__).with_name("leash.py")
FIRST_PORT, PORTS = 20000, 10000
LEADS_PYTHON_ASTRAY = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "PYTHONNOUSERSITE")
LOOPBACK = "127.0.0.1"  # the machine's own name may lead nowhere


def command_line(description: JobDescription, results: Path, allocation: Allocation) -> list[str]:
    """The words of the command, resumed from its checkpoint if there is one.

    Parameters
    ----------
    allocation : Allocation
        What surrounds the job.
    """
    python, processes, nodes = description.python, description.processes, description.nodes
    work = [str(LEASH), *_program(description)]
    if can_resume(description, results):
        work += description.resume_arguments
    if processes == 1 and nodes == 1:
        return [python, *work]
    torchrun = [python, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--max-restarts=0"]
    if nodes == 1:
        return [*torchrun, "--standalone", f"--local-addr={LOOPBACK}", "--", *work]
    meeting = ["--rdzv-backend=c10d", f"--rdzv-id={description.id}", f"--rdzv-endpoint={_meeting_point(allocation)}"]
    return [*allocation.prefix(nodes), *torchrun, f"--nnodes={nodes}", *meeting, "--", *work]


def can_resume(description: JobDescription, results: Path) -> bool:
    """Whether the job can continue from a checkpoint."""
    return bool(description.checkpoint) and (results / description.checkpoint).exists()


def command_environment(
    description: JobDescription, variables: Mapping[str, str], allocation: Allocation, token: str
) -> dict[str, str]:
    """The environment variables of the command: the engine sent along comes first, nothing leads Python astray."""
    stays = description.keeps_variables  # Slicer's own Python does not run without its variables
    kept = {name: value for name, value in variables.items() if stays or name not in LEADS_PYTHON_ASTRAY}
    paths = [description.engine, *([variables["PYTHONPATH"]] if stays and "PYTHONPATH" in variables else [])]
    threads = max(1, (allocation.cores() or core_count()) // description.processes)
    return {
        "OMP_NUM_THREADS": str(threads),
        **kept,
        **description.variables,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        EVENTS_VARIABLE: EVENTS_FROM_RESULTS,
        MARKER: token,
    }


def _program(description: JobDescription) -> list[str]:
    """A script of the user's with its words, or a command of the engine that writes its events where they are read."""
    words = description.arguments
    if description.program:
        return [description.program, *words]
    return ["-m", ENGINE_MODULE, words[0], "--events", EVENTS_FROM_RESULTS, *words[1:]]


def _meeting_point(allocation: Allocation) -> str:
    """Name and port where the torchruns of all machines meet: the runner's machine, a port that belongs to this job."""
    port = FIRST_PORT + zlib.crc32(allocation.number.encode()) % PORTS
    return f"{socket.gethostname()}:{port}"
