"""The environments under test: every transport and scheduler, against real servers on 127.0.0.1."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_cases import started

from MgImplantSegLib.jobs.backend import Backend

BACKENDS = ("this", "local", "ssh", "lsf", "slurm", "slurm through ssh")


@pytest.fixture(scope="session", autouse=True)
def own_configuration(tmp_path_factory) -> None:
    """No test sees or changes the configuration and jobs of the user who runs it."""
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("data home"))
    os.environ["MGIMPLANTSEG_CONFIG"] = str(tmp_path_factory.mktemp("configuration"))


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request, make_environment) -> Iterator[Backend]:
    """One backend after the other."""
    with Backend(make_environment(request.param)) as backend:
        yield backend


@pytest.fixture
def batch_place(tmp_path, monkeypatch, thresholds) -> Iterator[Path]:
    """The working folder of a batch, with a model; batches that are left over end with it."""
    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "configuration"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    shutil.copy(thresholds, tmp_path)
    yield tmp_path
    for batch in started:
        if batch.poll() is None:
            batch.kill()
            batch.communicate()
    started.clear()
