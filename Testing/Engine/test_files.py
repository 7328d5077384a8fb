"""Results are whole or absent: temporary names, renaming, and one-line errors for folders that cannot be written."""

import errno
import os
import shutil
import subprocess
import sys

import pytest

from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.base.files import atomic_folder, atomic_output, require_folder_place, require_writable_folder
from MgImplantSegLib.base.leftovers import TEMPORARY_PREFIX, temporary_name
from MgImplantSegLib.base.machine import is_running
from MgImplantSegLib.base.protected_files import protected_files


def test_a_finished_file_has_its_name_and_no_temporary_file_is_left(tmp_path):
    with atomic_output(tmp_path / "result.seg.nrrd") as temporary:
        temporary.write_text("done")
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.seg.nrrd"]
    assert (tmp_path / "result.seg.nrrd").read_text() == "done"


def test_the_temporary_name_is_in_the_same_folder_and_keeps_the_full_suffix(tmp_path):
    with atomic_output(tmp_path / "result.seg.nrrd") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(".seg.nrrd")
        assert temporary.name != "result.seg.nrrd"
        temporary.touch()


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failed_or_stopped_block_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    path = tmp_path / "result.nrrd"
    path.write_text("old")
    with pytest.raises(failure), atomic_output(path) as temporary:
        temporary.write_text("half")
        raise failure
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.nrrd"]
    assert path.read_text() == "old"


def test_a_full_disk_is_reported_as_such(tmp_path):
    with pytest.raises(OutputError, match="No space left") as caught, atomic_output(tmp_path / "a.nrrd"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "Free disk space" in caught.value.remedy


def test_a_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(OutputError, match=r"no folder .*absent") as caught,
        atomic_output(tmp_path / "absent" / "a.nrrd"),
    ):
        pass
    assert "Create the folder" in caught.value.remedy


def test_a_folder_in_place_of_the_output_file_is_refused(tmp_path):
    (tmp_path / "a.nrrd").mkdir()
    with pytest.raises(OutputError, match="directory"), atomic_output(tmp_path / "a.nrrd"):
        pass


def test_a_very_long_suffix_does_not_make_the_temporary_name_too_long(tmp_path):
    with atomic_output(tmp_path / f"scan.{'x' * 200}.nrrd") as temporary:
        temporary.touch()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_finished_folder_has_its_name(tmp_path):
    with atomic_folder(tmp_path / "run") as temporary:
        (temporary / "a.txt").write_text("done")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "a.txt").read_text() == "done"


def test_an_empty_folder_is_replaced_and_a_full_one_only_on_request(tmp_path):
    (tmp_path / "run").mkdir()
    with atomic_folder(tmp_path / "run") as temporary:
        (temporary / "first").touch()
    with pytest.raises(OutputError, match="which is not empty"), atomic_folder(tmp_path / "run"):
        pass
    with atomic_folder(tmp_path / "run", replace=True) as temporary:
        (temporary / "second").touch()
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["second"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_a_failed_folder_leaves_nothing(tmp_path):
    with pytest.raises(ValueError), atomic_folder(tmp_path / "run") as temporary:
        (temporary / "half").touch()
        raise ValueError
    assert list(tmp_path.iterdir()) == []


def test_a_writable_folder_passes_and_stays_empty(tmp_path):
    assert require_writable_folder(str(tmp_path)) == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["absent", "file"])
def test_a_missing_folder_or_a_file_is_no_output_folder(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=name):
        require_writable_folder(tmp_path / name)


def test_a_folder_without_room_for_the_result_is_refused(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(OutputError, match="MB of free disk space"):
        require_writable_folder(tmp_path, needed_bytes=2 * free)


@pytest.mark.skipif(os.name == "nt" or not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_device_gives_the_error_of_the_operating_system(tmp_path):
    (tmp_path / "full.txt").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left"), atomic_output(tmp_path / "a.txt"):
        (tmp_path / "full.txt").write_text("x" * 100000)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match=r"[Pp]ermission"):
        require_writable_folder(tmp_path)


def test_what_a_killed_process_left_is_removed_and_what_a_running_one_makes_is_not(tmp_path):
    code = "import sys; from MgImplantSegLib.base.leftovers import temporary_name; print(temporary_name('.nrrd'))"
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    computer, parent = killed.split("-")[1], os.getppid()
    others = f"{TEMPORARY_PREFIX}{computer}-{parent}-00000000"
    elsewhere = f"{TEMPORARY_PREFIX}{'0' * 8 if computer != '0' * 8 else '1' * 8}-{killed.split('-')[2]}-00000000"
    namesake = f"{TEMPORARY_PREFIX}{computer}-{os.getpid()}-00000000"  # of an earlier process of our number
    own, new_without_process = temporary_name(), f"{TEMPORARY_PREFIX}00000000.csv"
    old_without_process = f"{TEMPORARY_PREFIX}11111111.csv"
    for name in (killed, others, elsewhere, own, new_without_process, old_without_process, "scan.nrrd"):
        (tmp_path / name).touch()
    os.utime(tmp_path / old_without_process, (1, 1))
    (tmp_path / namesake / "inside").mkdir(parents=True)
    require_writable_folder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {others, elsewhere, own, new_without_process, "scan.nrrd"}


@pytest.mark.parametrize("link", [os.link, os.symlink, None])
def test_an_input_is_not_replaced_by_whatever_name(tmp_path, link):
    scan, name = tmp_path / "scan.nrrd", tmp_path / "result.nrrd"
    scan.write_text("scan")
    if link is None:
        name = tmp_path / ".." / tmp_path.name / "scan.nrrd"
    else:
        link(scan, name)
    with protected_files([scan]):
        with pytest.raises(InputError, match="Expected a separate file for the result"), atomic_output(name):
            pass
        with atomic_output(tmp_path / "other.nrrd") as temporary:
            temporary.touch()
    assert scan.read_text() == "scan"
    with atomic_output(name) as temporary:
        temporary.write_text("free")


def test_a_folder_with_an_input_in_it_is_not_replaced(tmp_path):
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "scan.nrrd").touch()
    with (
        protected_files([tmp_path / "case" / "scan.nrrd"]),
        pytest.raises(InputError),
        atomic_folder(tmp_path / "case", replace=True),
    ):
        pass
    assert (tmp_path / "case" / "scan.nrrd").exists()


@pytest.mark.skipif(os.name == "nt", reason="there are no such devices")
def test_a_device_is_not_replaced_by_a_file():
    with pytest.raises(OutputError, match="device"), atomic_output("/dev/null"):
        pass
    assert not os.path.isfile("/dev/null")


def test_a_folder_for_results_is_asked_for_before_it_is_made(tmp_path):
    (tmp_path / "file").touch()
    assert require_folder_place(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert not (tmp_path / "a").exists()
    for path in (tmp_path / "file", tmp_path / "file" / "b"):
        with pytest.raises(OutputError, match="is a file, no folder"):
            require_folder_place(path)


def test_a_process_runs_until_it_has_ended():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_running(child.pid) and is_running(os.getpid())
    child.communicate()
    assert not is_running(child.pid)
