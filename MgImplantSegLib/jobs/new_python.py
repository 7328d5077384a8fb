"""A new Python environment on a machine that has none for the engine: what it needs, what it takes, and making it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from MgImplantSegLib.base.errors import InputError, MgImplantSegError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment import Environment, Kind
from MgImplantSegLib.jobs.request import JobRequest
from MgImplantSegLib.jobs.watch import follow

PACKAGES = (
    "numpy>=1.26",
    "scipy>=1.11",
    "SimpleITK>=2.3",
    "pynrrd>=1.1",
    "tifffile>=2024.1",
    "h5py>=3.10",
    "vtk>=9.4",
)
SCRIPT = Path(__file__).with_name("make_venv.py")
INDEX = "https://download.pytorch.org/whl/"


@dataclass(frozen=True)
class TorchBuild:
    """A build of torch: what CUDA version a driver and what capability a GPU must have, its package index, its size."""

    least_cuda: tuple[int, int]
    least_capability: tuple[int, int]
    tag: str
    download_gb: float
    disk_gb: float


# The first that fits. A build for CUDA 12 runs on every driver for CUDA 12, those for 11 and 13 likewise (NVIDIA: minor
# version compatibility); builds from 12.8 on leave out GPUs before Turing, 7.5 (PyTorch: CUDA support matrix).
BUILDS = (
    TorchBuild((13, 0), (7, 5), "cu130", 2.5, 7.0),
    TorchBuild((12, 0), (7, 5), "cu128", 3.5, 8.5),
    TorchBuild((12, 0), (5, 0), "cu126", 3.0, 8.0),
    TorchBuild((11, 0), (5, 0), "cu118", 2.9, 7.5),
    TorchBuild((0, 0), (0, 0), "cpu", 0.5, 2.5),
)
NEWEST_GPU = (99, 0)
LIKELY_CUDA = (12, 0)


@dataclass(frozen=True)
class PythonPlan:
    """What will be made: which torch, from where, how large; ``reason`` says why."""

    folder: str
    index: str
    reason: str
    download_gb: float
    disk_gb: float


def plan_python(environment: Environment, folder: str, index: str = "") -> PythonPlan:
    """What a new Python in `folder` of the environment's machine would be; looks at its driver, changes nothing.

    Raises InputError if `index` has a password in it, which would stay in the job's files.
    """
    if "@" in urlsplit(index).netloc:
        raise InputError(
            "Expected a package index without user and password, got one with them.",
            "Write them into ~/.netrc on that machine, where pip finds them.",
        )
    with Backend(environment) as backend:
        cuda, capability = backend.driver()
    found = "it has no NVIDIA driver"
    if cuda:
        found = f"its NVIDIA driver takes CUDA up to {_text(cuda)}"
        found += f", its oldest GPU has compute capability {_text(capability)}" if capability else ""
    elif environment.has_queue and environment.gpus:  # the queue is full
        cuda, found = LIKELY_CUDA, "no computing node answered, and most have a driver for CUDA 12 (see --torch-index)"
    build = next(
        build
        for build in BUILDS
        if (cuda or (0, 0)) >= build.least_cuda and (capability or NEWEST_GPU) >= build.least_capability
    )
    return PythonPlan(
        folder, index or INDEX + build.tag, f"torch for {build.tag}: {found}", build.download_gb, build.disk_gb
    )


def make_python(environment: Environment, plan: PythonPlan, events: Events) -> Environment:
    """Make the planned Python by a job there; returns the environment with it.

    Raises MgImplantSegError if it could not be made; what was begun has been removed.
    """
    request = JobRequest((plan.folder, plan.index, *PACKAGES), "new-python", program=SCRIPT, again=plan.folder)
    with Backend(_on_the_machine_itself(environment)) as backend:
        status = follow(backend, backend.submit(request, events).job, events)
        if status.state is not State.DONE:
            raise MgImplantSegError(f"Expected a new Python, got {status.state.value}: {status.reason}", status.remedy)
        results = [record for record in backend.read_events(status.job)[0] if record["event"] == "result"]
    return replace(environment, python=results[-1]["python"])


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _on_the_machine_itself(environment: Environment) -> Environment:
    """The login node of a cluster: it has the network that computing nodes often lack."""
    if not environment.has_queue:
        return environment
    return replace(environment, kind=Kind.SSH if environment.host else Kind.LOCAL)
