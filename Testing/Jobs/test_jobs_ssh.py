"""The hard cases of a host: keys, broken connections, full disks, what is missing there."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from job_cases import run_to_end, worker_request

from MgImplantSegLib.base.errors import DependencyError, InputError, OutputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.request import InputPath, JobRequest
from MgImplantSegLib.jobs.ssh_connection import SshConnection
from MgImplantSegLib.jobs.ssh_errors import ConnectionFailed, ConnectionRefused

pytestmark = pytest.mark.services

COPY_BYTES = 48 << 20


class CountingConnection(SshConnection):
    """Counts the bytes sent of each file."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.sent = Counter()

    def ask(self, operation, payload=b"", **arguments):
        if operation == "put":
            self.sent[arguments["digest"]] += len(payload)
        return super().ask(operation, payload, **arguments)


@pytest.fixture
def environment(make_environment, tmp_path) -> Environment:
    """The host with an empty root folder."""
    return make_environment("ssh", root=str(tmp_path / "root"))


def test_a_changed_host_key_is_refused(environment, sshd, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    genuine = (sshd.folder / "host_key.pub").read_text()
    sshd.trust((tmp_path / "other.pub").read_text())
    try:
        with pytest.raises(ConnectionRefused, match=r"other than the known one.*fingerprint"):
            Backend(environment).list()
    finally:
        sshd.trust(genuine)


def test_an_unknown_host_key_is_refused_and_not_learned(environment, sshd):
    genuine = sshd.known_hosts.read_text()
    sshd.known_hosts.write_text("")
    try:
        with pytest.raises(ConnectionRefused, match=r"not known here.*compare the fingerprint"):
            Backend(environment).list()
        assert sshd.known_hosts.read_text() == ""
    finally:
        sshd.known_hosts.write_text(genuine)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"host": "nobody-knows-this.invalid"}, ConnectionRefused, "an unknown host name"),
        ({"python": "/no/such/python $(touch pwned)"}, ConnectionRefused, "got none that runs"),
        ({"host": "nobody-knows-him@gpu-server"}, ConnectionRefused, "permission denied"),
        ({"port": 1}, ConnectionFailed, "no SSH server that answers"),
    ],
)
def test_what_is_wrong_is_said(environment, changes, error, words):
    with pytest.raises(error, match=words):
        Backend(replace(environment, **changes)).list()


def test_a_host_whose_start_up_files_talk_is_understood(environment, tmp_path):
    talking = tmp_path / "talking python"
    talking.write_text(f'#!/bin/sh\necho "Welcome! $(date)"; echo\nprintf "no newline"\nexec "{sys.executable}" "$@"\n')
    talking.chmod(0o755)
    with Backend(replace(environment, python=str(talking))) as backend:
        assert backend.list() == []


def test_a_copy_goes_on_where_the_connection_broke(environment, sshd, tmp_path):
    path = tmp_path / "scan.raw"
    path.write_bytes(bytes(range(256)) * (COPY_BYTES // 256))
    seen, dropped = [], threading.Event()

    def drop_in_the_middle(record):
        if record["event"] == "progress" and record["stage"] == "copying scan.raw":
            seen.append(record["done"])
            if record["done"] > COPY_BYTES / 3 and not dropped.is_set():
                dropped.set()
                assert sshd.drop_connections() >= 1

    with Backend(environment) as backend:
        request = JobRequest(("count", "1", InputPath(path)), "copy", program=worker_request("count", "1").program)
        status = backend.submit(request, Events(drop_in_the_middle))
        copied = list((tmp_path / "root" / "sets").glob("*/scan.raw"))
        assert [file.read_bytes() == path.read_bytes() for file in copied] == [True]
        assert dropped.is_set()
        assert seen == sorted(seen)
        assert seen[-1] == COPY_BYTES
        assert backend.cancel(status.job).state.is_final


def test_a_copy_goes_on_where_a_client_that_died_left_it(environment, tmp_path):
    path = tmp_path / "scan.raw"
    path.write_bytes(b"abc" * 100_000)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with SshConnection(environment) as connection:
        connection.ask("put", path.read_bytes()[:200_000], digest=digest, offset=0)
    with Backend(environment, connection := CountingConnection(environment)) as backend:
        request = replace(worker_request("count", "1"), words=("count", "1", InputPath(path)))
        backend.submit(request, Events())
    assert connection.sent[digest] == 100_000
    copied = next((tmp_path / "root" / "sets").glob("*/scan.raw"))
    assert copied.read_bytes() == path.read_bytes()


def test_only_what_has_changed_is_copied(environment, tmp_path):
    folder = tmp_path / "slices"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.tif").write_bytes(bytes([number]) * 100_000)
    (tmp_path / "reco.log").write_text("effective_pixel_size : 1.2")
    copied = []

    def note(record):
        if record["event"] == "progress" and record["stage"].startswith("copying slices"):
            copied.append(record["total"])

    with Backend(environment) as backend:
        request = worker_request("count", "1")
        for _ in range(2):
            backend.submit(replace(request, words=("count", "1", InputPath(folder))), Events(note))
        (folder / "2.tif").write_bytes(b"new" * 1000)
        changed = backend.submit(replace(request, words=("count", "1", InputPath(folder))), Events(note))
        assert changed.is_new
    assert sorted(set(copied)) == [0, 3000, 400_026]
    sets = sorted((tmp_path / "root" / "sets").iterdir())
    assert (
        sorted((path / "reco.log").read_text() for path in sets if (path / "reco.log").exists())
        == ["effective_pixel_size : 1.2"] * 2
    )


def test_a_detached_header_brings_its_data(environment, tmp_path):
    (tmp_path / "scan.mhd").write_text("NDims = 3\nElementDataFile = scan data.raw\n")
    (tmp_path / "scan data.raw").write_bytes(b"12345678")
    with Backend(environment) as backend:
        request = replace(worker_request("count", "1"), words=("count", "1", InputPath(tmp_path / "scan.mhd")))
        run_to_end(backend, request)
    found = next((tmp_path / "root" / "sets").glob("*/scan.mhd"))
    assert (found.parent / "scan data.raw").read_bytes() == b"12345678"


def test_a_shared_folder_is_not_copied(environment, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there é"
    here.mkdir()
    (here / "scan.nrrd").write_text("scan")
    mapped = replace(environment, path_map=((str(here), str(there)),))
    request = replace(worker_request("count", "1"), words=("count", "1", InputPath(here / "scan.nrrd")))
    with Backend(mapped) as backend:
        with pytest.raises(InputError, match="path_map"):
            backend.submit(request, Events())
        there.symlink_to(here)
        status = run_to_end(backend, request)
        backend.fetch(status.job, tmp_path / "results", Events())
    assert (tmp_path / "results" / "words.json").read_text("ascii") == f'["{there}/scan.nrrd"]'.replace("é", "\\u00e9")


@pytest.fixture
def small_disk(tmp_path) -> Path:
    """A file system of 48 MB; the engine with its model takes about half of it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_there_is_said_and_nothing_runs(environment, small_disk, tmp_path):
    path = tmp_path / "scan.raw"
    path.write_bytes(bytes(48 << 20))
    with Backend(replace(environment, root=str(small_disk))) as backend:
        with pytest.raises(OutputError, match=r"No space left.*Free disk space"):
            backend.submit(replace(worker_request("count", "1"), words=("count", "1", InputPath(path))), Events())
        assert backend.list() == []


def test_a_job_that_fills_the_disk_has_failed(environment, small_disk):
    with Backend(replace(environment, root=str(small_disk))) as backend:
        status = run_to_end(backend, worker_request("fill", "32"))
        assert status.state is State.FAILED
        assert "No space left" in backend.read_log(status.job).decode()


def test_results_are_not_fetched_to_a_full_disk(environment, small_disk):
    with Backend(environment) as backend:
        status = run_to_end(backend, worker_request("count", "1"))
        (small_disk / "full").write_bytes(bytes(47 << 20))
        with pytest.raises(OutputError, match="free disk space"):
            backend.fetch(status.job, small_disk / "results", Events())


def test_a_python_in_the_home_there_without_torch_is_named_with_the_remedy(environment, sshd):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(sshd.home / "bare venv")], check=True)
    with Backend(replace(environment, python="~/bare venv/bin/python", root="", processes=2)) as backend:
        checks = {check["name"]: check for check in backend.test()}
        works = run_to_end(backend, worker_request("count", "1"))
        fails = run_to_end(backend, replace(worker_request("count", "1"), is_parallel=True))
    assert checks["python"]["ok"]
    assert checks["engine"]["ok"]
    assert "pip install numpy scipy SimpleITK" in checks["packages"]["remedy"]
    assert not checks["torch"]["ok"]
    assert "No module named 'torch'" in checks["torch"]["found"]
    assert "pip install torch" in checks["torch"]["remedy"]
    assert works.state is State.DONE
    assert Path(works.folder).parent == sshd.home / ".local" / "share" / "mgimplantseg" / "jobs"
    assert fails.state is State.FAILED
    assert "No module named 'torch'" in fails.reason
    assert "jobs environments test" in fails.remedy


def test_an_old_python_there_is_refused(environment, tmp_path):
    program, old = tmp_path / "old.py", tmp_path / "old"
    program.write_text(
        'import sys\nsys.version_info = (3, 9, 2)\nsys.version = "3.9.2 (old)"\n'
        "exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))\n"
    )
    old.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$@"\n')
    old.chmod(0o755)
    with pytest.raises(DependencyError, match=r"got 3\.9\.2"):
        Backend(replace(environment, python=str(old))).list()
