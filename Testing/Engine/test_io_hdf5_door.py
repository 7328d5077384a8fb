"""HDF5 files that end the HDF5 library are refused; all others are read as before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from MgImplantSegLib.base.child_process import is_crash
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.io import hdf5_door, read_volume
from MgImplantSegLib.io.companions import files_behind

VOXELS = np.arange(120, dtype=np.uint16).reshape(4, 5, 6)
READ = """
import sys
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.io import read_volume
from MgImplantSegLib.io.companions import files_behind
print(len(files_behind(sys.argv[1])))
try:
    print(read_volume(sys.argv[1]).array.sum())
except InputError as error:
    print(error.message)
"""


def write_source(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["v"] = VOXELS
    return path


def write_virtual(path: Path, source: str = "source.h5") -> Path:
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout(VOXELS.shape, VOXELS.dtype)
        layout[:2] = h5py.VirtualSource(source, "v", VOXELS.shape)[:2]
        layout[2:] = h5py.VirtualSource(source, "v", VOXELS.shape)[2:]
        file.create_virtual_dataset("v", layout)
    return path


def damage_mapping(path: Path, source: bytes = b"source.h5") -> None:
    """Change one byte of the first mapping: a number of axes that HDF5 takes without a check."""
    content = bytearray(path.read_bytes())
    content[content.index(source + b"\0v\0") + len(source) + 22] = 0xFF
    path.write_bytes(content)


def read_elsewhere(path: Path) -> list[str]:
    """Lines of a process that reads the file: this one must not end."""
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_mapping_that_ends_the_library_is_refused_in_one_line(tmp_path):
    write_source(tmp_path / "source.h5")
    path = write_virtual(tmp_path / "scan.h5")
    assert read_elsewhere(path) == ["2", str(VOXELS.sum())]
    damage_mapping(path)
    count, said = read_elsewhere(path)
    assert count == "1"
    assert "intact HDF5 file" in said and str(path) in said


@pytest.mark.parametrize("refers", ["virtual", "link"])
def test_a_file_that_refers_to_one_that_ends_the_library_is_refused_too(tmp_path, refers):
    write_source(tmp_path / "source.h5")
    damage_mapping(write_virtual(tmp_path / "middle.h5"))
    path = tmp_path / "scan.h5"
    if refers == "virtual":
        write_virtual(path, "middle.h5")
    else:
        with h5py.File(path, "w") as file:
            file["v"] = h5py.ExternalLink("middle.h5", "/v")
    assert "intact HDF5 file" in read_elsewhere(path)[1]


def test_a_file_is_tried_with_all_that_it_refers_to_and_again_when_it_has_changed(tmp_path):
    source, path = write_source(tmp_path / "source.h5"), write_virtual(tmp_path / "scan.h5")
    files_behind(path)
    names = {name for name, _, _ in hdf5_door.tried_files()}
    assert {str(source.resolve()), str(path.resolve())} <= names
    before = len(hdf5_door.tried_files())
    assert read_volume(path).array.sum() == VOXELS.sum()
    assert len(hdf5_door.tried_files()) == before
    damage_mapping(path)
    os.utime(path, ns=(1, 1))
    with pytest.raises(InputError, match="intact HDF5 file"):
        read_volume(path)


@pytest.mark.parametrize("program", ["/nowhere/python", "/bin/false", ""])
def test_where_no_child_can_be_started_files_are_read_without_it(tmp_path, monkeypatch, program):
    path = write_source(tmp_path / "scan.h5")
    monkeypatch.setattr(sys, "executable", program)
    np.testing.assert_array_equal(read_volume(path).array, VOXELS)


def test_a_file_that_takes_too_long_is_refused_with_what_helps(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_door, "SECONDS", 0.001)
    with pytest.raises(InputError, match="takes longer") as caught:
        read_volume(write_source(tmp_path / "scan.h5"))
    assert "local disk" in caught.value.remedy


@pytest.mark.skipif(sys.platform == "win32", reason="exit codes of signals")
def test_only_ends_by_a_fault_count_as_damage():
    assert is_crash(-signal.SIGSEGV) and is_crash(-signal.SIGABRT) and is_crash(-signal.SIGBUS)
    assert not any(map(is_crash, (0, 1, 2, 137, -signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM)))


@pytest.mark.parametrize("block", [0, 512, 2048])
def test_the_mark_of_hdf5_is_found_behind_a_user_block(tmp_path, block):
    with h5py.File(tmp_path / "scan.h5", "w", userblock_size=block) as file:
        file["v"] = VOXELS
    assert hdf5_door.has_signature(tmp_path / "scan.h5")


def test_other_files_have_no_mark(tmp_path):
    (tmp_path / "text.h5").write_bytes(b"x" * 5000 + hdf5_door.SIGNATURE)
    assert not hdf5_door.has_signature(tmp_path / "text.h5")
    assert not hdf5_door.has_signature(tmp_path / "absent.h5")


def test_a_transform_in_hdf5_comes_through_the_same_door(tmp_path):
    from MgImplantSegLib.quantification.screw.rigid_transform import read_rigid_transform, write_rigid_transform

    matrix = np.eye(4)
    matrix[:3, 3] = 1.0, -2.0, 3.0
    write_rigid_transform(matrix, tmp_path / "move.h5")
    np.testing.assert_allclose(read_rigid_transform(tmp_path / "move.h5"), matrix)
    assert str((tmp_path / "move.h5").resolve()) in {name for name, _, _ in hdf5_door.tried_files()}
    write_source(tmp_path / "source.h5")
    damage_mapping(write_virtual(tmp_path / "damaged.h5"))
    with pytest.raises(InputError, match="intact HDF5 file"):
        read_rigid_transform(tmp_path / "damaged.h5")
