"""The environments under test: every transport and scheduler, against real servers on 127.0.0.1."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

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
