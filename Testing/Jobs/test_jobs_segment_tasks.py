"""segment --tasks: one scan as several tasks, here and elsewhere, with the result of a single process."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from MgImplantSegLib.cli import main
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.io import read_label_map, write_volume
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment_file import find_environment, save_environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="servers of Unix")


@pytest.fixture
def place(batch_place) -> Path:
    """A folder with a model and a scan of which some voxels could be either of two classes."""
    array = np.full((20, 18, 34), 20.0, np.float32)
    array[5:15, 5:15, 5:25], array[8:12, 8:12, 8:20] = 170, 250
    array += np.random.default_rng(0).normal(0, 25, array.shape).astype(np.float32)
    write_volume(Volume(array, Geometry(array.shape, (0.02,) * 3)), batch_place / "scan.nrrd")
    return batch_place


def words(out: str, planes: str, fusion: str) -> list[str]:
    return ["segment", "scan.nrrd", out, "--model", "thresholds.mgmodel", "--planes", planes, "--fusion", fusion]


def labels(path: str) -> np.ndarray:
    return read_label_map(Path(path)).array


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_here_finished_parts_are_kept_until_all_are_done(place, capsys):
    assert main(words("one.seg.nrrd", "9", "majority")) == 0
    in_parts = words("out.seg.nrrd", "9", "majority")
    assert main([*in_parts, "--tasks", "3", "--task", "1"]) == 0, "one of them, as a task elsewhere does it"
    part = place / "out.seg.nrrd.parts" / "part-0001" / "part.json"
    before = part.stat().st_mtime_ns
    (place / "out.seg.nrrd.parts" / "mine.txt").touch()
    assert main([*in_parts, "--tasks", "3", "--task", "0"]) == 0
    assert part.stat().st_mtime_ns == before
    assert main([*in_parts, "--tasks", "3"]) == 0
    assert (labels("out.seg.nrrd") == labels("one.seg.nrrd")).all()
    assert files(place / "out.seg.nrrd.parts") == {"mine.txt"}, "only what was made is deleted"
    assert main([*in_parts, "--tasks", "200"]) == 2
    assert "got 200" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.services
def test_tasks_on_a_cluster_give_the_same_labels_and_failed_ones_alone_run_again(place, make_environment, capsys):
    assert main(words("one.seg.nrrd", "3", "majority")) == 0
    runs, broken = place / "runs", place / "broken"
    broken.touch()
    note = f'echo "$3-$SLURM_ARRAY_TASK_ID" >> "{runs}"'
    fails = f'case "$3-$SLURM_ARRAY_TASK_ID" in *-0-1) [ -e "{broken}" ] && exit 9;; esac'
    save_environment(make_environment("slurm", root=str(place / "root"), setup=(note, fails)))
    command = [*words("out.seg.nrrd", "3", "majority"), "--tasks", "2", "--environment", "test slurm"]
    assert main(command) == 2
    assert "Expected 2 tasks to end well, got 1 that did not" in capsys.readouterr().err
    assert not Path("out.seg.nrrd").exists()
    broken.unlink()
    assert main(command) == 0
    assert len(runs.read_text("utf-8").splitlines()) == 4, "two parts, one of them again, and what merges them"
    assert (labels("out.seg.nrrd") == labels("one.seg.nrrd")).all() and len(np.unique(labels("one.seg.nrrd"))) > 2
    assert jobs_of("test slurm") == [], "sums of a huge scan are not left there"


@pytest.mark.slow
def test_tasks_on_a_host_without_a_queue_follow_each_other(place, make_environment):
    assert main(words("one.seg.nrrd", "1", "soft")) == 0
    save_environment(make_environment("this", root=str(place / "root")))
    assert main([*words("out.seg.nrrd", "1", "soft"), "--tasks", "2", "--environment", "test this"]) == 0
    assert (labels("out.seg.nrrd") == labels("one.seg.nrrd")).all()
    assert jobs_of("test this") == [] and not list(place.glob("*.parts"))


def jobs_of(name: str) -> list:
    with Backend(find_environment(name)) as backend:
        return backend.list()
