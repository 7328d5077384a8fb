"""What the computer has, and where the engine's own files lie."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from MgImplantSegLib.base import machine, resources
from MgImplantSegLib.base.errors import InputError


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's files")
def test_memory_is_what_the_system_says():
    lines = Path("/proc/meminfo").read_text().splitlines()
    total_kb = int(next(line.split()[1] for line in lines if line.startswith("MemTotal:")))
    assert machine.total_memory_bytes() <= total_kb * 1024
    assert 0 < machine.available_memory_bytes() < machine.total_memory_bytes()


def test_the_limit_of_a_container_counts_where_it_is_lower(monkeypatch, tmp_path):
    (tmp_path / "max").write_text("3000000000\n")
    (tmp_path / "current").write_text("1000000000\n")
    monkeypatch.setattr(machine, "_system_memory", lambda: (16_000_000_000, 12_000_000_000))
    monkeypatch.setattr(machine, "CGROUP_LIMITS", (tmp_path / "missing", tmp_path / "max"))
    monkeypatch.setattr(machine, "CGROUP_USAGE", (tmp_path / "current",))
    assert machine.total_memory_bytes() == 3_000_000_000
    assert machine.available_memory_bytes() == 2_000_000_000


@pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n"])
def test_a_container_without_limit_leaves_the_system_numbers(monkeypatch, tmp_path, text):
    (tmp_path / "max").write_text(text)
    monkeypatch.setattr(machine, "_system_memory", lambda: (16_000_000_000, 12_000_000_000))
    monkeypatch.setattr(machine, "CGROUP_LIMITS", (tmp_path / "max",))
    monkeypatch.setattr(machine, "CGROUP_USAGE", ())
    assert machine.total_memory_bytes() == 16_000_000_000
    assert machine.available_memory_bytes() == 12_000_000_000


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be withheld here")
def test_only_the_cores_that_the_process_may_use_count():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert machine.core_count() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.fixture
def two_places(monkeypatch, tmp_path):
    """An installed engine and a source tree, each with a model of its own."""
    for place, model in (("installed", "one"), ("source", "two")):
        (tmp_path / place / "Models").mkdir(parents=True)
        (tmp_path / place / "Models" / f"{model}.mgmodel").touch()
    monkeypatch.setattr(resources, "FOLDERS", (tmp_path / "installed", tmp_path / "source"))
    return tmp_path


def test_resources_are_found_installed_or_in_the_source_tree(two_places):
    assert resources.resource("Models", "one.mgmodel") == two_places / "installed/Models/one.mgmodel"
    assert resources.resource("Models", "two.mgmodel") == two_places / "source/Models/two.mgmodel"
    with pytest.raises(InputError, match=r"Resources/Models/three\.mgmodel"):
        resources.resource("Models", "three.mgmodel")


def test_a_model_is_found_by_name_or_by_path(two_places, tmp_path):
    own = tmp_path / "own.mgmodel"
    own.touch()
    assert resources.find_model("two") == two_places / "source/Models/two.mgmodel"
    assert resources.find_model(own) == own
    with pytest.raises(InputError, match=r"one, two.*'tow'.*Did you mean two\?"):
        resources.find_model("tow")
