"""Environments to run jobs in, with real servers on 127.0.0.1: an OpenSSH server, a SLURM cluster, another Python."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import pytest

from MgImplantSegLib.jobs.environment import Environment, Kind

sys.path.append(str(Path(__file__).with_name("Jobs")))
from lsf import LsfCluster
from services import SlurmCluster, SshServer, missing_for_slurm, missing_for_sshd

# Child processes, and the module that each test of the panel imports anew, are compiled once instead of every time
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

GRACE_S = 30.0
LONGEST_FIRST = (  # files that take longer than half a minute; at the end all other processes would wait for them
    "Jobs/test_jobs_training.py",
    "Jobs/test_jobs_study.py",
    "Module/test_self_tests.py",
    "Jobs/test_jobs_several_environments.py",
    "Fuzz/test_fuzz.py",
    "Jobs/test_jobs_slurm.py",
    "Jobs/test_jobs_arrays.py",
    "Jobs/test_jobs_batch.py",
    "Engine/test_training_run.py",
    "Jobs/test_jobs_contract.py",
)
Service = TypeVar("Service", SshServer, SlurmCluster)


def pytest_configure() -> None:
    """Ctrl-C is tried in child processes, which would ignore it where the tests were started in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests against an OpenSSH server or a SLURM cluster of our own are `services`, whoever asks for them.

    In continuous integration a test that is slow or uses a server has a second try: a busy machine can make any process
    late. The summary names those that needed it.
    """
    turns = {Path(__file__).parent / name: turn for turn, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: turns.get(item.path, len(turns)))
    second_try = pytest.mark.flaky(reruns=1) if os.environ.get("CI") == "true" else None
    for item in items:
        values = getattr(getattr(item, "callspec", None), "params", {}).values()
        kinds = [value for value in values if isinstance(value, str) and value in KINDS]
        if {"sshd", "slurm"} & set(item.fixturenames) or any(name not in ("this", "local") for name in kinds):
            item.add_marker(pytest.mark.services)
        runs_jobs = item.path.parent.name == "Jobs" or item.get_closest_marker("services") is not None
        if second_try and (runs_jobs or item.get_closest_marker("slow")):
            item.add_marker(second_try)


@pytest.fixture(scope="session")
def required_package() -> Callable[[str], ModuleType]:
    """Imports a package that a test needs: without it the test is skipped, but fails in continuous integration."""
    return importlib.import_module if os.environ.get("CI") == "true" else pytest.importorskip


@pytest.fixture
def no_conversion(monkeypatch) -> None:
    """Model files without a network for OpenVINO, which takes longer to make than a small training."""
    for writer in ("training.loop.export", "training.teach.run"):
        module = importlib.import_module(f"MgImplantSegLib.{writer}")
        monkeypatch.setattr(module, "add_openvino_where_possible", lambda _path: False)


@pytest.fixture(scope="session")
def thresholds(tmp_path_factory) -> Path:
    """A model file whose classes follow from grey values; for OpenVINO too, with which a process starts sooner."""
    sys.path.append(str(Path(__file__).with_name("Engine")))
    from threshold_model import save_threshold_model

    from MgImplantSegLib.inference.openvino_export import add_openvino_where_possible

    path = save_threshold_model(tmp_path_factory.mktemp("models") / "thresholds.mgmodel", 20.0)
    add_openvino_where_possible(path)
    return path


@contextmanager
def running(kind: type[Service], folder: Path, missing: Sequence[str]) -> Iterator[Service]:
    """Start and stop a server; its tests are skipped where it cannot be started, but fail in continuous integration."""
    if missing:
        words = f"no {kind.__name__} of our own here: missing {', '.join(missing)}"
        pytest.skip(f"{words}; see Testing/Jobs/start_services.py")
    service = kind(folder)
    try:
        try:
            service.start()
        except (OSError, TimeoutError) as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"{kind.__name__} cannot be started here: {error}")
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory) -> Iterator[SshServer]:
    """A running OpenSSH server of our own."""
    with running(SshServer, tmp_path_factory.mktemp("services") / "ssh", missing_for_sshd()) as server:
        yield server


@pytest.fixture(scope="session")
def slurm(tmp_path_factory) -> Iterator[SlurmCluster]:
    """A running SLURM cluster of our own."""
    with running(SlurmCluster, tmp_path_factory.mktemp("services") / "slurm", missing_for_slurm()) as cluster:
        os.environ["SLURM_CONF"] = str(cluster.configuration)
        yield cluster


@pytest.fixture(scope="session")
def lsf(tmp_path_factory) -> Iterator[LsfCluster]:
    """A stand-in for an LSF cluster, whose programs are found from now on."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the stand-in for LSF needs Linux")
    cluster = LsfCluster(tmp_path_factory.mktemp("services") / "lsf")
    before = dict(os.environ)
    os.environ.update(cluster.variables)
    yield cluster
    cluster.stop()
    os.environ["PATH"] = before["PATH"]


@pytest.fixture(scope="session")
def other_python(tmp_path_factory) -> str:
    """A second Python with the same packages, in a folder whose name has a space."""
    folder = tmp_path_factory.mktemp("other python") / "venv é"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", folder], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    import numpy

    Path(site, "packages.pth").write_text(str(Path(numpy.__file__).parents[1]), "utf-8")
    return str(python)


@pytest.fixture(scope="session")
def make_environment(request, tmp_path_factory) -> Callable[..., Environment]:
    """Makes an environment of one of `KINDS`, with further settings."""
    root = str(tmp_path_factory.mktemp("far") / "root with space ü")

    def make(name: str, **settings) -> Environment:
        common = {"root": root, "grace_s": GRACE_S, **settings}
        if name != "this":
            common.setdefault("python", request.getfixturevalue("other_python") if name == "local" else sys.executable)
        if "ssh" in name:
            server = request.getfixturevalue("sshd")
            common |= {"host": server.ALIAS, "ssh_config": str(server.client_config)}
        if "lsf" in name:
            request.getfixturevalue("lsf")
        if "slurm" in name:
            request.getfixturevalue("slurm")
            common = {"partition": "gpu", **common}
        return Environment(f"test {name}", KINDS[name], **common)

    return make


KINDS = {
    "this": Kind.THIS,
    "local": Kind.LOCAL,
    "ssh": Kind.SSH,
    "lsf": Kind.LSF,
    "slurm": Kind.SLURM,
    "slurm through ssh": Kind.SLURM,
}
