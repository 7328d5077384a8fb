"""Parts of the launcher by themselves: outcomes, events, words, paths, and requests that mean harm."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from job_cases import a_description, wait_for, worker_request

from MgImplantSegLib.base.errors import DependencyError, InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli.batch_samples import samples_of
from MgImplantSegLib.cli.job_actions import request_of
from MgImplantSegLib.jobs.agent import process_scheduler, processes, start_runner
from MgImplantSegLib.jobs.agent.agent import Agent
from MgImplantSegLib.jobs.agent.frames import read_frame, write_frame
from MgImplantSegLib.jobs.agent.job_folder import JobFolder, RunnerRecord, State
from MgImplantSegLib.jobs.agent.outcome import Outcome, judge
from MgImplantSegLib.jobs.agent.store import DamagedCopy
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.connection import agent_settings
from MgImplantSegLib.jobs.connections import connect
from MgImplantSegLib.jobs.environment import Environment, Kind
from MgImplantSegLib.jobs.request import InputPath, engine_request, slug
from MgImplantSegLib.jobs.training_request import training_request
from MgImplantSegLib.jobs.transfer import mapped_path, send_input

CANCELLED, RESULT = {"event": "cancelled"}, {"event": "result"}
ERROR = {"event": "error", "message": "bad", "remedy": "do"}


@pytest.mark.parametrize(
    ("events", "code", "state"),
    [
        ([RESULT], 0, State.DONE),
        ([RESULT], 1, State.DONE),  # torchrun after a worker that died when all was done
        ([], 0, State.DONE),
        ([CANCELLED], 1, State.CANCELLED),  # torchrun after a clean stop
        ([], 130, State.CANCELLED),
        ([{"event": "result", "finished": False}], 0, State.CANCELLED),
        ([{"event": "result", "finished": False, "missing": ["fold2"]}], 0, State.DONE),
        ([ERROR, CANCELLED], 1, State.FAILED),  # one worker failed, the others were stopped
        ([], 7, State.FAILED),
        ([], -9, State.FAILED),
    ],
)
def test_the_outcome_is_read_from_events_before_the_exit_code(tmp_path, events, code, state):
    path = tmp_path / "events.jsonl"
    old = json.dumps(RESULT) + "\n"
    path.write_text(old + "no json\n[1]\n" + "".join(json.dumps(event) + "\n" for event in events))
    assert judge(path, len(old), code).state is state


def test_an_event_after_a_line_that_was_cut_off_is_a_line_of_its_own(tmp_path):
    job = JobFolder.create(tmp_path / "job", a_description(), {})
    job.append_event("first", text="é\n")
    with open(job.events, "a") as stream:
        stream.write('{"event": "cut o')
    job.append_event("second")
    lines = job.events.read_text("utf-8").splitlines()
    assert [json.loads(line)["event"] for line in (lines[0], lines[2])] == ["first", "second"]
    assert len(lines) == 3


def test_a_job_folder_is_never_made_twice(tmp_path):
    JobFolder.create(tmp_path / "job", a_description(name="first"), {"a.toml": "x"})
    with pytest.raises(FileExistsError):
        JobFolder.create(tmp_path / "job", a_description(name="second"), {})
    assert JobFolder(tmp_path / "job").description == a_description(name="first")
    assert [path.name for path in tmp_path.iterdir()] == ["job"]


def test_a_job_that_has_ended_for_good_does_not_run_again_when_a_cluster_starts_it_once_more(tmp_path):
    job = JobFolder.create(tmp_path / "job", a_description(scheduler="slurm"), {})
    job.write("exit", Outcome(State.DONE).ended_now())
    before = {path.name: path.stat().st_mtime_ns for path in job.path.iterdir()}
    subprocess.run([sys.executable, Path(start_runner.__file__), job.path], check=True)
    assert {path.name: path.stat().st_mtime_ns for path in job.path.iterdir()} == before


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a tree of processes by itself")
def test_a_tree_of_processes_is_killed_also_where_there_is_no_ps(monkeypatch):
    loop = "import time\nwhile True: time.sleep(1)"
    nested = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {loop!r}], start_new_session=True); "
    code = nested + "print(p.pid, flush=True); p.wait()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    child = processes.identity(int(parent.stdout.readline()))
    assert processes.is_alive(child)
    if processes.HAS_PROC:
        monkeypatch.setenv("PATH", "")
    processes.kill_tree(parent)
    parent.wait()
    wait_for(lambda: not processes.is_alive(child), "the end of the child")


def test_a_process_is_recognised_by_more_than_its_number():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = processes.identity(child.pid)
    assert processes.is_alive(identity)
    pid, started, boot = identity.split(" ", 2)
    assert not processes.is_alive(f"{pid} {int(started) - 1} {boot}")
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.is_alive(identity), "a zombie is not alive"
    child.wait()
    child.stdin.close()


def test_frames_carry_any_bytes_and_say_when_they_are_cut_off():
    stream = io.BytesIO()
    write_frame(stream, {"path": "a\udcff\n"}, b"\n{}\0")
    content = stream.getvalue()
    assert read_frame(io.BytesIO(content)) == ({"path": "a\udcff\n"}, b"\n{}\0")
    for length in (0, 5, len(content) - 1):
        with pytest.raises(EOFError):
            read_frame(io.BytesIO(content[:length]))


@pytest.fixture
def agent(tmp_path) -> Agent:
    """An agent with a secret beside its folder."""
    (tmp_path / "secret").write_text("secret")
    agent = Agent(agent_settings(Environment("x", python=sys.executable, root=str(tmp_path / "root"))))
    agent.hello()
    (tmp_path / "root" / "jobs" / "job" / "results").mkdir(parents=True)
    (tmp_path / "root" / "jobs" / "job" / "job.json").write_text("{}")
    (tmp_path / "root" / "jobs" / "job" / "results" / "link").symlink_to(tmp_path / "secret")
    return agent


@pytest.mark.parametrize(
    "request_",
    [
        {"operation": "status", "job": "../jobs/job"},
        {"operation": "status", "job": ".."},
        {"operation": "remove", "job": "../../secret"},
        {"operation": "get", "job": "job", "path": "../../../../secret", "offset": 0},
        {"operation": "get", "job": "job", "path": "link", "offset": 0},
        {"operation": "digest", "job": "job", "path": "/etc/passwd"},
        {"operation": "read", "job": "job", "file": "../job.json", "offset": 0},
        {"operation": "put", "digest": "../../secret", "offset": 0, "payload": b"x"},
        {"operation": "make_set", "digest": "0" * 64, "members": [{"path": "../x", "sha256": "0" * 64}]},
        {"operation": "make_set", "digest": "0" * 64, "members": [{"path": "/x", "sha256": "0" * 64}]},
        {"operation": "__init__"},
    ],
)
def test_nothing_outside_of_the_agents_folder_is_reached(agent, request_, tmp_path):
    with pytest.raises(InputError):
        agent.answer(request_)
    assert (tmp_path / "secret").read_text() == "secret"
    assert agent.answer({"operation": "results", "job": "job"})[0]["files"] == []


def test_a_file_that_arrives_damaged_is_thrown_away(agent):
    digest = hashlib.sha256(b"right").hexdigest()
    agent.put(digest, 0, b"wrong")
    with pytest.raises(DamagedCopy):
        agent.complete(digest)
    assert agent.files_here([digest]) == {"bytes": {digest: 0}}
    agent.put(digest, 0, b"right")
    agent.complete(digest)
    assert agent.files_here([digest]) == {"bytes": {digest: None}}


def test_two_clients_that_send_the_same_file_do_not_cut_it_off(agent):
    digest = hashlib.sha256(b"one file").hexdigest()
    for offset, part in ((0, b"one"), (3, b" fi"), (0, b"one"), (6, b"le"), (3, b" fi"), (6, b"le")):
        agent.put(digest, offset, part)
    agent.complete(digest)
    assert agent.files_here([digest]) == {"bytes": {digest: None}}


def test_a_folder_in_which_others_work_is_not_made_private(tmp_path):
    (tmp_path / "group").mkdir()
    (tmp_path / "group").chmod(0o775)
    for name in ("report.txt", "jobs", ".hidden"):
        (tmp_path / "group" / name).touch()
    with pytest.raises(InputError, match=r"report\.txt in it.*group/mgimplantseg"):
        Agent(agent_settings(Environment("x", python=sys.executable, root=str(tmp_path / "group")))).hello()
    assert (tmp_path / "group").stat().st_mode & 0o777 == 0o775


@pytest.fixture
def slow_to_start(tmp_path, monkeypatch) -> Environment:
    """Its set-up lines take until there is a file `go`; start-up files of the user play no part."""
    monkeypatch.setenv("HOME", str(tmp_path))
    wait = f"until [ -e '{tmp_path}/go' ]; do sleep 0.1; done"
    return Environment("x", python=sys.executable, root=str(tmp_path / "root"), setup=(wait,))


def test_set_up_lines_that_never_end_are_said_and_leave_nothing(slow_to_start, monkeypatch):
    monkeypatch.setattr(process_scheduler, "SECONDS_TO_START", 0.5)
    with Backend(slow_to_start) as backend:
        with pytest.raises(DependencyError, match=r"start within 0\.5 s.*`setup` lines"):
            backend.submit(worker_request("count", "1"), Events())
        assert backend.list() == []


def test_a_job_that_is_cancelled_before_it_has_begun_never_begins(slow_to_start, tmp_path):
    with Backend(slow_to_start) as backend, Backend(slow_to_start) as other, ThreadPoolExecutor() as pool:
        submission = pool.submit(backend.submit, worker_request("count", "1"), Events())
        (status,) = wait_for(other.list, "the job")
        assert status.state is State.PENDING
        assert other.cancel(status.job).state is State.CANCELLED
        (tmp_path / "go").touch()
        assert submission.result().state is State.CANCELLED
        assert other.read_log(status.job) == b""


@pytest.mark.parametrize(("silence_s", "words"), [(5, ""), (500, "No sign of life from elsewhere for 500 s.")])
def test_a_job_that_another_machine_runs_is_known_by_its_signs_of_life(agent, tmp_path, silence_s, words):
    job = JobFolder.create(tmp_path / "root" / "jobs" / "far", a_description(), {})
    job.write("runner", RunnerRecord("1 2 3", "elsewhere", time.time() - silence_s))
    found = agent.status("far")
    assert (found["state"], found["reason"]) == ("running", words)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="a second disk is needed")
def test_a_file_on_a_disk_that_computing_nodes_may_not_see_is_copied(tmp_path):
    if Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("a second disk is needed")
    cluster = Environment("x", Kind.SLURM, python=sys.executable, root=str(tmp_path / "root"))
    mapped = replace(cluster, path_map=(("/dev/shm", "/dev/shm"),))
    (tmp_path / "scan.nrrd").touch()
    with tempfile.NamedTemporaryFile(dir="/dev/shm", suffix=".nrrd") as other_disk:
        scan = Path(other_disk.name)
        cases = (
            (cluster, tmp_path / "scan.nrrd", tmp_path),
            (cluster, scan, tmp_path / "root" / "sets"),
            (mapped, scan, scan.parent),
        )
        for environment, path, folder in cases:
            sent = send_input(connect(environment), environment, path, Events())
            assert Path(sent.there).is_relative_to(folder) and Path(sent.there).exists()


def test_words_that_name_files_go_along_and_others_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("scan.nrrd", "9", "auto", "segment"):
        Path(name).write_text("x")
    words = ["segment", "scan.nrrd", "out.seg.nrrd", "--planes", "9", "--model=./auto", "./auto", "--device", "auto"]
    expected = (
        "segment",
        InputPath(Path("scan.nrrd")),
        "out.seg.nrrd",
        "--planes",
        "9",
        InputPath(Path("auto"), "--model="),
        InputPath(Path("auto")),
        "--device",
        "auto",
    )
    assert engine_request(words).words == expected
    assert engine_request(words).name == "segment-scan"
    with pytest.raises(InputError, match="--events"):
        engine_request(["segment", "--events=x"])


def test_a_wrong_configuration_is_said_before_anything_is_sent(tmp_path):
    (tmp_path / "wrong.toml").write_text('name = "x"\nsed = 3\n')
    with pytest.raises(InputError, match="sed"):
        request_of(["train", str(tmp_path / "wrong.toml")], "", "")
    with pytest.raises(InputError, match="resume"):
        request_of(["train", "c.toml", "--resume", "run"], "", "")


def test_the_files_that_a_manifest_names_go_along(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.nrrd", "b;c.nrrd", "screw.stl", "r1.mrk.json", "r2.mrk.json"):
        Path(name).write_text(name)
    text = 'image;name;days;initial;roi\na.nrrd;;28;screw.stl;r1.mrk.json | r2.mrk.json\n"b;c.nrrd";B é;;;\n'
    Path("scans.csv").write_text(text, "utf-8")
    word = request_of(["batch", "./scans.csv", "out", "--planes", "9"], "", "").words[1]
    Path("there.csv").write_text(word.compose(lambda path: str(path.absolute())), "utf-8")
    for name in ("scans.csv", "there.csv"):
        first, second = samples_of(Path(name).absolute())
        assert (first.name, first.image, first.options["days"]) == ("a", tmp_path / "a.nrrd", 28)
        assert first.options["roi"] == [tmp_path / "r1.mrk.json", tmp_path / "r2.mrk.json"]
        assert first.options["initial"] == tmp_path / "screw.stl"
        assert (second.name, second.image, second.options) == ("B é", tmp_path / "b;c.nrrd", {})
    Path("scans.csv").write_text("image\nmissing.nrrd\n")
    with pytest.raises(InputError, match=r"missing\.nrrd"):
        request_of(["batch", "scans.csv", "out"], "", "")


def test_the_longest_mapped_folder_counts_and_a_name_that_only_begins_alike_does_not():
    path_map = (("/data", "/mnt/data"), ("/data/big", "/scratch"), ("/home", "Z:\\home"))
    assert mapped_path(Path("/data/a b/x"), path_map) == "/mnt/data/a b/x"
    assert mapped_path(Path("/data/big/x"), path_map) == "/scratch/x"
    assert mapped_path(Path("/home/me/x"), path_map) == "Z:\\home\\me\\x"
    assert mapped_path(Path("/database/x"), path_map) is None


@pytest.fixture
def pattern(tmp_path) -> Path:
    """A configuration that names three scans by a pattern, one of them not labelled."""
    for name in ("a [1]", "b", "c"):
        (tmp_path / "scans" / name).mkdir(parents=True)
        for file in ("image.nrrd", "labels.nrrd", "notes.txt"):
            (tmp_path / "scans" / name / file).write_text(name)
    (tmp_path / "scans" / "c" / "labels.nrrd").unlink()
    text = 'name = "run"\n[[data.samples]]\nimage = "scans/*/image.nrrd"\nlabels = "scans/*/labels.nrrd"\n'
    (tmp_path / "run.toml").write_text(text)
    return tmp_path / "run.toml"


def test_samples_named_by_a_pattern_are_written_out_and_torch_is_not_needed_for_that(pattern, tmp_path):
    shutil.rmtree(tmp_path / "scans" / "c")
    code = """
import sys, tomllib
from pathlib import Path
from MgImplantSegLib.jobs.training_request import training_request
asked = []
def there(path): asked.append(path); return f"/there/{len(asked)}/{path.name}"
text = training_request(Path(sys.argv[1])).words[1].compose(there)
print([[s["name"], s["image"], s["labels"]] for s in tomllib.loads(text)["data"]["samples"]])
print([str(path.relative_to(sys.argv[2])) for path in asked], "torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, pattern, tmp_path / "scans"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert done.stdout.splitlines() == [
        "[['a [1]', '/there/1/image.nrrd', '/there/2/labels.nrrd'], "
        "['b', '/there/3/image.nrrd', '/there/4/labels.nrrd']]",
        "['a [1]/image.nrrd', 'a [1]/labels.nrrd', 'b/image.nrrd', 'b/labels.nrrd'] False",
    ]


def test_a_scan_without_labels_is_said_before_anything_is_sent(pattern):
    with pytest.raises(InputError, match=r"labels\.nrrd of the sample 'c', got none"):
        training_request(pattern)


@pytest.mark.parametrize("name", ["", "é", "-x", "a" * 500, "../..", "a b;c", "$(x)"])
def test_every_name_gives_a_harmless_folder(name):
    assert slug(name)
    assert not slug(name).startswith("-")
    assert slug(name).replace("-", "").isalnum()
    assert slug(name).isascii()
    assert len(slug(name)) <= 40


def test_all_that_the_agent_imports_is_sent_along_to_a_host():
    from MgImplantSegLib.base.resources import PACKAGE
    from MgImplantSegLib.jobs.ssh_process import MODULES

    sent = [PACKAGE / name for name in MODULES] + sorted((PACKAGE / "jobs" / "agent").rglob("*.py"))
    imported = set()
    for path in sent:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("MgImplantSegLib."):
                imported.add(node.module)
    of_engine = {name for name in imported if not name.startswith("MgImplantSegLib.jobs.agent")}
    assert {PACKAGE.parent / (name.replace(".", "/") + ".py") for name in of_engine} <= set(sent)
